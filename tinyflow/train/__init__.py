"""Stage: a genotype and a Dataset to a TrainedModel."""
