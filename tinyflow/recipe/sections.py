"""The sections of a recipe: everything configs/*.yaml may say. A key stands with its default, meaning and bounds.

Plain dataclasses: search and train import them without pydantic, which is met only where YAML is loaded.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.recipe.keys import ABOVE_0, BETWEEN_0_AND_1, DEVICE, RISING, UP_TO_1, Rule, at_least, filled, key, within

FORBID = {"extra": "forbid"}
TABLE_1_NAMES = tuple(config.name for config in TABLE_1)
AVERAGE_MOST = 16  # answers that the firmware has room for


@dataclass(frozen=True)
class Synthetic:
    """espeak-ng speech (source: synthetic)."""

    __pydantic_config__ = FORBID
    clips_per_word: int = key(100, "over all splits; the demo stays below 4,000 clips in all", at_least(10))
    unknown_words: tuple[str, ...] = key(
        ("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow"), "for the class _unknown_"
    )
    validation_fraction: float = key(0.1, "share of the clips", ABOVE_0)
    test_fraction: float = key(0.2, "share of the clips", ABOVE_0)


@dataclass(frozen=True)
class Data:
    """Where the clips come from, and the task made of them."""

    __pydantic_config__ = FORBID
    source: Literal["synthetic", "speech_commands", "folder"] = key("synthetic", "where the clips come from")
    path: str = key("", "folder of the recordings; empty: TINYFLOW_DATA (speech_commands), required for folder")
    download: bool = key(False, "speech_commands: fetch the official archive into path, checked by SHA-256")
    description: str = key("", "how accuracy names these recordings; empty: derived from the source")
    task: Literal["gsc35", "gsc12", "names", "keywords"] = key("gsc12", "the words to tell apart")
    keywords: tuple[str, ...] = key((), "task: keywords; for source folder, empty means every folder is a class")
    unknown: bool = key(True, "task keywords: other words form the class _unknown_")
    silence: float = key(0.10, "share of _silence_ in a training epoch (gsc12; keywords when > 0; names: 0)", UP_TO_1)
    clip_seconds: float = key(
        1.0, "length of every clip", Rule(lambda value: value == 1, "1.0: front ends and networks take one second")
    )
    max_clips_per_word: int = key(
        0, "a seeded choice per word and split, for quick runs", at_least(0, "0 for all, or a number of clips")
    )
    speaker_pattern: str = key("", "folder: regular expression on the file name; group 1 is the speaker")
    speaker_csv: str = key("", "folder: CSV file with columns file,speaker")
    synthetic: Synthetic = field(default_factory=Synthetic)
    seed: int = key(0, "of every random choice here", at_least(0))


@dataclass(frozen=True)
class Network:
    """The network: a genotype file, and what the recipe overrides in it (null: the genotype's own)."""

    __pydantic_config__ = FORBID
    genotype: str = key("genotypes/demo.json", "relative to the recipe; unused where the recipe has a search section")
    architecture: Literal["cells", "ds_cnn"] | None = key(None, "ds_cnn: the baseline on the genotype's front end")
    channels: int | None = key(None, "C", within(1, 4096, "1 or more, or null for the genotype's own"))
    cells: int | None = key(None, "L", within(1, 4096, "1 or more, or null for the genotype's own"))
    stem_stride: int | None = key(
        None, "of the first convolution", within(1, 2, "1 or 2, or null for the genotype's own")
    )


@dataclass(frozen=True)
class Search:
    """The data-aware differentiable search for cells and front end (paper, sections 3 and 4). Defaults: PC-DARTS's."""

    __pydantic_config__ = FORBID
    method: Literal["gradient", "random"] = key("gradient", "random: the baseline over the same space")
    # --- the space
    frontends: tuple[str, ...] = key(
        TABLE_1_NAMES,
        "window/hop/n_mels; a single one: the search is not data aware",
        filled("at least one, such as 640/320/40"),
    )
    alignment: Literal["preprocess", "zero_pad"] = key(
        "preprocess", "how features of different sizes become one sample"
    )
    alignment_channels: int = key(1, "channels of the pre-processed sample", at_least(1))
    keep_alignment: bool = key(
        True, "preprocess: the derived network keeps the chosen front end's alignment layer; false: native size"
    )
    operations: Literal["darts", "mcu"] = key("darts", "what an edge chooses from; docs/genotype.md")
    channels: int = key(16, "C of the supernet", at_least(1))
    cells: int = key(8, "L of the supernet", at_least(1))
    stem_stride: int = key(1, "1 in the paper; boards: 2", within(1, 2, "1 or 2"))
    partial: int = key(4, "K: 1/K of the channels go through the operations (PC-DARTS)", at_least(1))
    derived_channels: int | None = key(
        None, "C of the network found", at_least(1, "1 or more, or null for the supernet's")
    )
    derived_cells: int | None = key(
        None, "L of the network found", at_least(1, "1 or more, or null for the supernet's")
    )
    # --- weights
    epochs: int = key(50, "passes over the training clips", at_least(1))
    warmup_epochs: int = key(15, "of them, weights only", at_least(0))
    batch_size: int = key(256, "clips", at_least(2))
    learning_rate: float = key(0.1, "at the start of a cosine to 0", ABOVE_0)
    momentum: float = key(0.9, "of SGD", UP_TO_1)
    weight_decay: float = key(3e-4, "of the weights", at_least(0))
    gradient_clip: float = key(5.0, "global norm; 0: off", at_least(0))
    # --- alpha, beta, gamma (Adam, betas 0.5 and 0.999)
    arch_learning_rate: float = key(6e-4, "of alpha and beta", ABOVE_0)
    arch_weight_decay: float = key(1e-3, "of alpha and beta", at_least(0))
    gamma_learning_rate: float = key(6e-3, "of gamma: the stop rule needs a gap of ln 2", ABOVE_0)
    gamma_stop_ratio: float = key(
        2.0,
        "the data search stops when max softmax(gamma) is so many times the second",
        at_least(1, "1 or more (2 in the paper)"),
    )
    gamma_mode: Literal["paper", "collapse"] = key("paper", "after the stop: the frozen mixture, or the winner alone")
    held_out: float = key(
        0.25, "share of validation that search never sees: for the proxy and for choices between seeds", BETWEEN_0_AND_1
    )
    # --- remedies for known failures of DARTS; all off in the paper's configuration
    beta_decay: float = key(
        0.0, "weight of beta-decay regularisation of alpha, raised linearly over the search", at_least(0)
    )
    skip_cap: int | None = key(
        None, "most skip connections in a derived normal cell", at_least(0, "0 or more, or null for no cap")
    )
    operation_selection: Literal["magnitude", "perturbation"] = key(
        "magnitude", "how an edge's operation is chosen at the end"
    )
    frontend_selection: Literal["magnitude", "perturbation"] = key(
        "magnitude", "how the front end is chosen at the end"
    )
    # --- the resource term, against a board's budget
    board: str = key("", "whose flash, RAM and instruction budget; empty: no term")
    resource_weight: float = key(0.0, "lambda of the term; 0: off, costs are only reported", at_least(0))
    resource_anneal_epochs: int = key(
        5, "after warm-up, the term is raised linearly from 0 over so many epochs", at_least(0)
    )
    # --- the front end by gradient descent on its continuous options
    continuous: Literal["off", "window_hop"] = key(
        "off", "window_hop: starts from the first front end, snaps at the end"
    )
    # --- the random baseline
    random_candidates: int = key(
        8, "random genotypes and front ends, each trained alike; the best on held-out clips wins", at_least(1)
    )
    random_epochs: int = key(4, "of each candidate", at_least(1))
    random_seconds: float = key(
        0.0,
        "above 0: candidates are drawn until so much time is spent, whatever their number (equal cost)",
        at_least(0),
    )
    # --- how
    precision: Literal["auto", "float32", "bfloat16"] = key("auto", "auto: bfloat16 on GPUs, float32 on CPUs")
    compile: bool = key(False, "torch.compile of the supernet: minutes of set-up, faster steps on GPUs")
    seed: int = key(0, "of every random choice here", at_least(0))
    device: str = key("auto", "where it runs", DEVICE, how=True)
    checkpoint_minutes: float = key(2.0, "how much a killed search may lose", at_least(0), how=True)


@dataclass(frozen=True)
class Augment:
    """Waveform augmentation of training clips; all off by default (the paper's 35-word task uses none)."""

    __pydantic_config__ = FORBID
    shift_ms: float = key(0.0, "uniform time shift, at most so much either way", at_least(0))
    gain_db: float = key(0.0, "uniform gain, at most so much either way", at_least(0))
    noise_probability: float = key(
        0.0, "share of clips mixed with background noise", within(0, 1, "a share from 0 to 1")
    )
    noise_snr_db: tuple[float, float] = key((5.0, 30.0), "dB of speech over noise", RISING)
    spec_time_masks: int = key(0, "SpecAugment masks on the features", at_least(0))
    spec_time_width: int = key(0, "frames", at_least(0))
    spec_freq_masks: int = key(0, "SpecAugment masks on the features", at_least(0))
    spec_freq_width: int = key(0, "coefficients", at_least(0))


@dataclass(frozen=True)
class Train:
    """Training of the derived network: SGD with a cosine schedule, as PC-DARTS."""

    __pydantic_config__ = FORBID
    epochs: int = key(100, "passes over the training clips", at_least(1, "at least 1"))
    batch_size: int = key(64, "clips", at_least(2, "at least 2 (batch norm)"))
    optimizer: Literal["sgd", "adamw"] = key("sgd", "of the weights")
    learning_rate: float = key(0.025, "at the start of the cosine", ABOVE_0)
    momentum: float = key(0.9, "of SGD", UP_TO_1)
    weight_decay: float = key(3e-4, "of the weights", at_least(0))
    warmup_epochs: float = key(0.0, "linear, before the cosine", at_least(0))
    gradient_clip: float = key(5.0, "global norm; 0: off", at_least(0))
    label_smoothing: float = key(0.0, "share of the target that goes to all classes alike", UP_TO_1)
    drop_path: float = key(0.0, "probability at the last epoch", UP_TO_1)
    ema_decay: float = key(
        0.0, "of the moving average of the weights that is kept; 0: the last weights are kept", UP_TO_1
    )
    augment: Augment = field(default_factory=Augment)
    seed: int = key(0, "of every random choice here", at_least(0))
    device: str = key("auto", "where it runs", DEVICE, how=True)
    checkpoint_minutes: float = key(2.0, "how much a killed run may lose", at_least(0), how=True)


@dataclass(frozen=True)
class Compile:
    __pydantic_config__ = FORBID
    calibration_clips: int = key(256, "training clips that set the int8 ranges", at_least(8))
    float_check_inputs: int = key(8, "inputs on which float TFLite is compared with torch", at_least(8))
    float_tolerance: float = key(1e-4, "largest difference allowed there, relative to max(1, |logit|)")
    selftest_clips: int = key(
        4, "validation clips that travel in the firmware, with their features and answers", at_least(1)
    )
    runtime: Literal["aot"] = key("aot", "aot: straight-line C")


@dataclass(frozen=True)
class Listen:
    """Continuous recognition (tinyflow listen): when a word counts as heard."""

    __pydantic_config__ = FORBID
    every: int = key(10, "hops from one run of the network to the next", within(1, 1000, "from 1 to 1000 hops"))
    average: int = key(
        3,
        "runs whose posteriors are averaged",
        within(1, AVERAGE_MOST, f"from 1 to {AVERAGE_MOST} runs of the network"),
    )
    threshold: float = key(
        0.7, "the averaged posterior at which a word is heard", Rule(lambda value: 0 < value <= 1, "above 0, at most 1")
    )
    refractory_ms: int = key(1000, "after a word none is heard for so long", within(0, 60_000, "from 0 to 60000 ms"))
    ignore: tuple[str, ...] = key((), "labels that are never heard, besides those like _silence_ and _unknown_")


@dataclass(frozen=True)
class Deploy:
    __pydantic_config__ = FORBID
    boards: tuple[str, ...] = key(
        ("mps2-an386", "nucleo-l4r5zi"),
        "for which the demo builds",
        filled("at least one; `tinyflow boards` lists them"),
    )
    parity_clips: int = key(8, "clips of the three parity checks in validate", at_least(1))


@dataclass(frozen=True)
class Recipe:
    __pydantic_config__ = FORBID
    name: str
    data: Data = field(default_factory=Data)
    search: Search | None = key(None, "null: network.genotype is used")
    network: Network = field(default_factory=Network)
    train: Train = field(default_factory=Train)
    compile: Compile = field(default_factory=Compile)
    listen: Listen = field(default_factory=Listen)
    deploy: Deploy = field(default_factory=Deploy)
    base: str = key("", "folder that relative paths of the recipe start from: where the recipe lies")

    def resolve(self, path: str) -> Path:
        """``path`` as written in the recipe, made absolute."""
        return Path(path) if Path(path).is_absolute() else Path(self.base or ".") / path

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
