"""Many searches: a grid over the recipe, and the Pareto front of what they found."""
