"""The stages in order, and which are up to date: make, for speech to firmware.

    data ─▶ search ─▶ train ─▶ compile ─▶ build/<board>       (a recipe without a search section names its genotype)
                               compile ─▶ build/<board>       (a foreign int8 model enters half-way)

``recipe_run`` and ``foreign_run`` are the two ways in, a type of run each: recipe_stages.py and model_stages.py list
their stages. A stage is skipped when its fingerprint has not changed: its part of the recipe, the artefacts it reads,
the sources of tinyflow that decide what it makes (sources.py), and its version.
"""

from tinyflow.pipeline.firmware import make_firmware
from tinyflow.pipeline.model_stages import ModelRun, foreign_run
from tinyflow.pipeline.recipe_stages import RecipeRun, follow_search, recipe_run
from tinyflow.pipeline.run import Run
from tinyflow.pipeline.stage import Image, Stage, Step

__all__ = [
    "Image",
    "ModelRun",
    "RecipeRun",
    "Run",
    "Stage",
    "Step",
    "follow_search",
    "foreign_run",
    "make_firmware",
    "recipe_run",
]
