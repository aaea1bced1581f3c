"""Recipe: everything configs/*.yaml may say, with units, defaults and bounds.

sections.py holds the keys, checking.py what keys say about each other, loading.py reads YAML. A new key is a line in
sections.py: `tinyflow init` writes it and its bounds hold.
"""

from tinyflow.recipe.loading import find_recipe, load_recipe, override, parse_yaml, recipe_from_dict
from tinyflow.recipe.sections import (
    AVERAGE_MOST,
    Augment,
    Compile,
    Data,
    Deploy,
    Listen,
    Network,
    Recipe,
    Search,
    Synthetic,
    Train,
)

__all__ = [
    "AVERAGE_MOST",
    "Augment",
    "Compile",
    "Data",
    "Deploy",
    "Listen",
    "Network",
    "Recipe",
    "Search",
    "Synthetic",
    "Train",
    "find_recipe",
    "load_recipe",
    "override",
    "parse_yaml",
    "recipe_from_dict",
]
