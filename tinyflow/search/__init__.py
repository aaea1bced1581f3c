"""Stage: choose a genotype."""
