"""Recipe: everything configs/*.yaml may say, with units and defaults.

The dataclasses are plain, so search and train import without pydantic; pydantic is met only where YAML
is loaded. A typo is refused with "did you mean".
"""

import math
import re
import typing
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig

FORBID = {"extra": "forbid"}
TABLE_1_NAMES = tuple(config.name for config in TABLE_1)
AVERAGE_MOST = 16  # answers that the firmware has room for


@dataclass(frozen=True)
class Synthetic:
    """espeak-ng speech (source: synthetic)."""

    __pydantic_config__ = FORBID
    clips_per_word: int = 100  # over all splits; the demo stays below 4,000 clips in all
    unknown_words: tuple[str, ...] = ("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow")
    validation_fraction: float = 0.1
    test_fraction: float = 0.2


@dataclass(frozen=True)
class Data:
    """Where the clips come from, and the task made of them."""

    __pydantic_config__ = FORBID
    source: Literal["synthetic", "speech_commands", "folder"] = "synthetic"
    path: str = ""  # folder of the recordings; empty: TINYFLOW_DATA (speech_commands), required for folder
    download: bool = False  # speech_commands: fetch the official archive into path, checked by SHA-256
    description: str = ""  # how accuracy names these recordings; empty: derived from the source
    task: Literal["gsc35", "gsc12", "names", "keywords"] = "gsc12"
    keywords: tuple[str, ...] = ()  # task: keywords; for source folder, empty means every folder is a class
    unknown: bool = True  # task keywords: other words form the class "_unknown_"
    silence: float = 0.10  # share of "_silence_" in a training epoch (gsc12; keywords when > 0; names: 0)
    clip_seconds: float = 1.0  # length of every clip; front ends and networks take one second
    max_clips_per_word: int = 0  # 0: all; else a seeded choice per word and split, for quick runs
    speaker_pattern: str = ""  # folder: regular expression on the file name; group 1 is the speaker
    speaker_csv: str = ""  # folder: CSV file with columns file,speaker
    synthetic: Synthetic = field(default_factory=Synthetic)
    seed: int = 0  # of every random choice here


@dataclass(frozen=True)
class Network:
    """The network: a genotype file, and what the recipe overrides in it (null: the genotype's own)."""

    __pydantic_config__ = FORBID
    genotype: str = "genotypes/demo.json"  # relative to the recipe; unused where the recipe has a search section
    architecture: Literal["cells", "ds_cnn"] | None = None  # ds_cnn: the baseline on the genotype's front end
    channels: int | None = None  # C
    cells: int | None = None  # L
    stem_stride: int | None = None


@dataclass(frozen=True)
class Search:
    """The data-aware differentiable search for cells and front end (paper, sections 3 and 4). Defaults: PC-DARTS's."""

    __pydantic_config__ = FORBID
    method: Literal["gradient", "random"] = "gradient"  # random: the baseline over the same space
    # --- the space
    frontends: tuple[str, ...] = TABLE_1_NAMES  # window/hop/n_mels; a single one: the search is not data aware
    alignment: Literal["preprocess", "zero_pad"] = "preprocess"  # how features of different sizes become one sample
    alignment_channels: int = 1  # channels of the pre-processed sample
    keep_alignment: bool = (
        True  # preprocess: the derived network keeps the chosen front end's alignment layer; false: native size
    )
    operations: Literal["darts", "mcu"] = "darts"
    channels: int = 16  # C of the supernet
    cells: int = 8  # L of the supernet
    stem_stride: int = 1  # 1 in the paper; boards: 2
    partial: int = 4  # K: 1/K of the channels go through the operations (PC-DARTS)
    derived_channels: int | None = None  # C of the network found; null: as the supernet
    derived_cells: int | None = None  # L of the network found; null: as the supernet
    # --- weights
    epochs: int = 50  # passes over the training clips
    warmup_epochs: int = 15  # of them, weights only
    batch_size: int = 256
    learning_rate: float = 0.1  # at the start of a cosine to 0
    momentum: float = 0.9
    weight_decay: float = 3e-4
    gradient_clip: float = 5.0  # global norm; 0: off
    # --- alpha, beta, gamma (Adam, betas 0.5 and 0.999)
    arch_learning_rate: float = 6e-4  # of alpha and beta
    arch_weight_decay: float = 1e-3
    gamma_learning_rate: float = 6e-3  # of gamma: the stop rule needs a gap of ln 2
    gamma_stop_ratio: float = 2.0  # the data search stops when max softmax(gamma) is so many times the second
    gamma_mode: Literal["paper", "collapse"] = "paper"  # after the stop: the frozen mixture, or the winner alone
    held_out: float = 0.25  # share of validation that search never sees: for the proxy and for choices between seeds
    # --- remedies for known failures of DARTS; all off in the paper's configuration
    beta_decay: float = 0.0  # weight of beta-decay regularisation of alpha, raised linearly over the search
    skip_cap: int | None = None  # most skip connections in a derived normal cell
    operation_selection: Literal["magnitude", "perturbation"] = "magnitude"
    frontend_selection: Literal["magnitude", "perturbation"] = "magnitude"
    # --- the resource term, against a board's budget
    board: str = ""  # whose flash, RAM and instruction budget; empty: no term
    resource_weight: float = 0.0  # lambda of the term; 0: off, costs are only reported
    resource_anneal_epochs: int = 5  # after warm-up, the term is raised linearly from 0 over so many epochs
    # --- the front end by gradient descent on its continuous options
    continuous: Literal["off", "window_hop"] = "off"  # window_hop: starts from the first front end, snaps at the end
    # --- the random baseline
    random_candidates: int = 8  # random genotypes and front ends, each trained alike; the best on held-out clips wins
    random_epochs: int = 4
    random_seconds: float = (
        0.0  # above 0: candidates are drawn until so much time is spent, whatever their number (equal cost)
    )
    # --- how
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on GPUs, float32 on CPUs
    compile: bool = False  # torch.compile of the supernet: minutes of set-up, faster steps on GPUs
    seed: int = 0
    device: str = "auto"  # auto, cpu, cuda, cuda:1, ...
    checkpoint_minutes: float = 2.0  # how much a killed search may lose


@dataclass(frozen=True)
class Augment:
    """Waveform augmentation of training clips; all off by default (the paper's 35-word task uses none)."""

    __pydantic_config__ = FORBID
    shift_ms: float = 0.0  # uniform time shift in [-shift_ms, shift_ms]
    gain_db: float = 0.0  # uniform gain in [-gain_db, gain_db]
    noise_probability: float = 0.0  # share of clips mixed with background noise
    noise_snr_db: tuple[float, float] = (5.0, 30.0)
    spec_time_masks: int = 0  # SpecAugment masks on the features
    spec_time_width: int = 0  # frames
    spec_freq_masks: int = 0
    spec_freq_width: int = 0  # coefficients


@dataclass(frozen=True)
class Train:
    """Training of the derived network: SGD with a cosine schedule, as PC-DARTS."""

    __pydantic_config__ = FORBID
    epochs: int = 100  # passes over the training clips
    batch_size: int = 64  # clips
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.025  # at the start of the cosine
    momentum: float = 0.9
    weight_decay: float = 3e-4
    warmup_epochs: float = 0.0  # linear, before the cosine
    gradient_clip: float = 5.0  # global norm; 0: off
    label_smoothing: float = 0.0
    drop_path: float = 0.0  # probability at the last epoch
    ema_decay: float = 0.0  # 0: last weights are kept; else the exponential moving average
    augment: Augment = field(default_factory=Augment)
    seed: int = 0  # of every random choice here
    device: str = "auto"  # auto, cpu, cuda, cuda:1, ...
    checkpoint_minutes: float = 2.0  # how much a killed run may lose


@dataclass(frozen=True)
class Compile:
    __pydantic_config__ = FORBID
    calibration_clips: int = 256  # training clips that set the int8 ranges
    float_check_inputs: int = 8  # inputs on which float TFLite is compared with torch
    float_tolerance: float = 1e-4  # largest difference allowed there, relative to max(1, |logit|)
    selftest_clips: int = 4  # validation clips that travel in the firmware, with their features and answers
    runtime: Literal["aot"] = "aot"


@dataclass(frozen=True)
class Listen:
    """Continuous recognition (tinyflow listen): when a word counts as heard."""

    __pydantic_config__ = FORBID
    every: int = 10  # hops from one run of the network to the next
    average: int = 3  # runs whose posteriors are averaged, 16 at most
    threshold: float = 0.7  # the averaged posterior at which a word is heard, above 0, at most 1
    refractory_ms: int = 1000  # after a word none is heard for so long
    ignore: tuple[str, ...] = ()  # labels that are never heard, besides those like _silence_ and _unknown_


@dataclass(frozen=True)
class Deploy:
    __pydantic_config__ = FORBID
    boards: tuple[str, ...] = ("mps2-an386", "nucleo-l4r5zi")
    parity_clips: int = 8  # clips of the three parity checks in validate


@dataclass(frozen=True)
class Recipe:
    __pydantic_config__ = FORBID
    name: str
    data: Data = field(default_factory=Data)
    search: Search | None = None  # null: network.genotype is used
    network: Network = field(default_factory=Network)
    train: Train = field(default_factory=Train)
    compile: Compile = field(default_factory=Compile)
    listen: Listen = field(default_factory=Listen)
    deploy: Deploy = field(default_factory=Deploy)
    base: str = ""  # folder that relative paths of the recipe start from: where the recipe lies

    def resolve(self, path: str) -> Path:
        """``path`` as written in the recipe, made absolute."""
        return Path(path) if Path(path).is_absolute() else Path(self.base or ".") / path

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def parse_yaml(text: str) -> Any:
    """YAML with the two rules of 1.2 that recipes need: only true and false are booleans (yes, no, on and off are
    keywords to spot), and 3e-4 is a number."""
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {
            first: [rule for rule in rules if rule[0] not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
            for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
    )
    number = re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return yaml.load(text, Loader)


def load_recipe(path: Path | str, overrides: tuple[str, ...] = ()) -> Recipe:
    """The recipe in ``path`` with ``--set section.key=value`` overrides applied, validated."""
    import yaml

    path = Path(path)
    try:
        value = parse_yaml(path.read_text())
    except FileNotFoundError:
        raise TinyflowError(f"no recipe at {path}", "make one with `tinyflow init`, or name one of configs/") from None
    except OSError as error:
        raise TinyflowError(
            f"cannot read the recipe {path}: {error.strerror}", "name a YAML file of configs/"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TinyflowError(f"{path} is not valid YAML: {error}", "check the indentation near that line") from None
    if not isinstance(value, dict):
        raise TinyflowError(f"{path} is not a recipe (a mapping of sections)", "start from `tinyflow init`")
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise TinyflowError(f"--set {override}: no key=value", "for example --set train.epochs=20")
        section = value
        *parents, last = key.split(".")
        for parent in parents:
            if section.get(parent) is None:  # a section that is null is one to be opened
                section[parent] = {}
            section = section[parent]
            if not isinstance(section, dict):
                raise TinyflowError(
                    f"--set {override}: {parent!r} is a value, not a section", "for example --set train.epochs=20"
                )
        try:
            section[last] = parse_yaml(text)
        except yaml.YAMLError as error:
            raise TinyflowError(
                f"--set {override}: the value is not valid YAML: {getattr(error, 'problem', error)}",
                "lists in brackets and quotes: --set 'data.keywords=[yes, no]'",
            ) from None
    if "base" in value:
        raise TinyflowError(f"{path}: unknown key 'base'", "paths start from the folder of the recipe")
    value.setdefault("name", path.stem)
    value["base"] = str(path.resolve().parent)
    return recipe_from_dict(value, str(path))


def recipe_from_dict(value: dict[str, Any], where: str = "recipe") -> Recipe:
    """Validate ``value`` against the schema; TinyflowError names the file, the key and the way out."""
    from pydantic import TypeAdapter, ValidationError

    try:
        recipe = TypeAdapter(Recipe).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "unexpected_keyword_argument" or first["type"] == "extra_forbidden":
            known = _known_keys(first["loc"][:-1])
            near = get_close_matches(str(first["loc"][-1]), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(known)}"
            raise TinyflowError(f"{where}: unknown key {key!r}", hint) from None
        raise TinyflowError(
            f"{where}: {key} is {first.get('input')!r}: {first['msg']}",
            "`tinyflow init` writes a commented recipe with every key",
        ) from None
    _check(recipe, where)
    return recipe


def override(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """``recipe`` with dotted keys replaced, {"search.learning_rate": 0.05}, and checked; without pydantic."""
    for key, value in values.items():
        recipe = _replaced(recipe, key.split("."), value, key)
    try:
        _check(recipe, recipe.name)
    except TypeError as error:
        raise TinyflowError(
            f"{recipe.name}: a value of {values} is of a wrong type: {error}", "docs/scale.md"
        ) from None
    return recipe


def _replaced(section: Any, path: list[str], value: Any, key: str) -> Any:
    name, *rest = path
    known = [item.name for item in fields(section) if item.name != "base"] if is_dataclass(section) else []
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"known keys there: {', '.join(known)}"
            if known
            else "the section above it is null in this recipe"
        )
        raise TinyflowError(f"unknown key {key!r}", hint)
    value = (
        _replaced(getattr(section, name), rest, value, key)
        if rest
        else tuple(value)
        if isinstance(value, list)
        else value
    )
    return replace(section, **{name: value})


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    kind: Any = Recipe
    for part in location:
        kind = typing.get_type_hints(kind).get(str(part))
        if not is_dataclass(kind):
            return []
    return [item.name for item in fields(kind) if item.name != "base"]


def _check(recipe: Recipe, where: str) -> None:
    def need(condition: bool, key: str, value: Any, way_out: str) -> None:
        if not condition:
            raise TinyflowError(f"{where}: {key} is {value!r}", way_out)

    def between(low: float, value: float, high: float = math.inf) -> bool:
        return low <= value <= high and math.isfinite(value)

    data, train, compiling, listen = recipe.data, recipe.train, recipe.compile, recipe.listen
    augment, network = train.augment, recipe.network
    need("/" not in recipe.name and recipe.name not in ("", ".", ".."), "name", recipe.name, "a plain folder name")
    need(0 <= data.silence < 1, "data.silence", data.silence, "a share from 0 up to 1")
    need(data.clip_seconds == 1, "data.clip_seconds", data.clip_seconds, "1.0: front ends and networks take one second")
    need(
        data.max_clips_per_word >= 0,
        "data.max_clips_per_word",
        data.max_clips_per_word,
        "0 for all, or a number of clips",
    )
    need(data.seed >= 0, "data.seed", data.seed, "0 or more")
    need(
        data.task != "keywords" or data.source == "folder" or bool(data.keywords),
        "data.keywords",
        data.keywords,
        "list the words to spot: data: {task: keywords, keywords: [yes, no]}",
    )
    need(
        data.synthetic.clips_per_word >= 10,
        "data.synthetic.clips_per_word",
        data.synthetic.clips_per_word,
        "at least 10",
    )
    need(
        data.synthetic.validation_fraction > 0
        and data.synthetic.test_fraction > 0
        and data.synthetic.validation_fraction + data.synthetic.test_fraction < 0.9,
        "data.synthetic fractions",
        (data.synthetic.validation_fraction, data.synthetic.test_fraction),
        "each above 0, together below 0.9",
    )
    need(train.epochs >= 1, "train.epochs", train.epochs, "at least 1")
    need(train.batch_size >= 2, "train.batch_size", train.batch_size, "at least 2 (batch norm)")
    need(between(1e-12, train.learning_rate), "train.learning_rate", train.learning_rate, "above 0")
    for key in ("weight_decay", "warmup_epochs", "gradient_clip", "checkpoint_minutes"):
        need(between(0, getattr(train, key)), f"train.{key}", getattr(train, key), "0 or more")
    for key in ("momentum", "label_smoothing", "drop_path"):
        need(0 <= getattr(train, key) < 1, f"train.{key}", getattr(train, key), "from 0 up to 1")
    need(train.seed >= 0, "train.seed", train.seed, "0 or more")
    need(
        re.fullmatch(r"auto|cpu|cuda(:\d+)?", train.device) is not None,
        "train.device",
        train.device,
        "auto, cpu, cuda or cuda:1",
    )
    for key in ("shift_ms", "gain_db", "spec_time_masks", "spec_time_width", "spec_freq_masks", "spec_freq_width"):
        need(between(0, getattr(augment, key)), f"train.augment.{key}", getattr(augment, key), "0 or more")
    need(
        between(0, augment.noise_probability, 1),
        "train.augment.noise_probability",
        augment.noise_probability,
        "a share from 0 to 1",
    )
    low, high = augment.noise_snr_db
    need(between(low, high), "train.augment.noise_snr_db", augment.noise_snr_db, "two numbers, the lower first")
    for key in ("channels", "cells", "stem_stride"):
        value = getattr(network, key)
        need(
            value is None or 1 <= value <= (2 if key == "stem_stride" else 4096),
            f"network.{key}",
            value,
            "1 or more (stem_stride: 1 or 2), or null for the genotype's own",
        )
    if recipe.search:
        _check_search(recipe.search, need, between)
    need(0 <= train.ema_decay < 1, "train.ema_decay", train.ema_decay, "from 0 (off) up to 1")
    need(compiling.calibration_clips >= 8, "compile.calibration_clips", compiling.calibration_clips, "at least 8")
    need(compiling.float_check_inputs >= 8, "compile.float_check_inputs", compiling.float_check_inputs, "at least 8")
    need(compiling.selftest_clips >= 1, "compile.selftest_clips", compiling.selftest_clips, "at least 1")
    need(1 <= listen.every <= 1000, "listen.every", listen.every, "from 1 to 1000 hops")
    need(
        1 <= listen.average <= AVERAGE_MOST,
        "listen.average",
        listen.average,
        f"from 1 to {AVERAGE_MOST} runs of the network",
    )
    need(0 < listen.threshold <= 1, "listen.threshold", listen.threshold, "above 0, at most 1")
    need(0 <= listen.refractory_ms <= 60_000, "listen.refractory_ms", listen.refractory_ms, "from 0 to 60000 ms")
    need(
        bool(recipe.deploy.boards), "deploy.boards", recipe.deploy.boards, "at least one; `tinyflow boards` lists them"
    )
    need(recipe.deploy.parity_clips >= 1, "deploy.parity_clips", recipe.deploy.parity_clips, "at least 1")


def _check_search(search: Search, need: Callable[[bool, str, Any, str], None], between: Callable[..., bool]) -> None:
    for name in search.frontends:
        MfccConfig.from_name(name)
    need(bool(search.frontends), "search.frontends", search.frontends, "at least one, such as 640/320/40")
    need(
        len(set(search.frontends)) == len(search.frontends), "search.frontends", search.frontends, "each front end once"
    )
    for key, least in (
        ("channels", 1),
        ("cells", 1),
        ("stem_stride", 1),
        ("partial", 1),
        ("epochs", 1),
        ("batch_size", 2),
        ("alignment_channels", 1),
        ("random_candidates", 1),
        ("random_epochs", 1),
    ):
        need(getattr(search, key) >= least, f"search.{key}", getattr(search, key), f"{least} or more")
    need(search.stem_stride <= 2, "search.stem_stride", search.stem_stride, "1 or 2")
    need(
        search.channels % search.partial == 0 and search.channels >= 2 * search.partial,
        "search.channels",
        search.channels,
        f"a multiple of search.partial ({search.partial}), at least twice it",
    )
    for key in ("derived_channels", "derived_cells"):
        value = getattr(search, key)
        need(value is None or value >= 1, f"search.{key}", value, "1 or more, or null for the supernet's")
    need(
        0 <= search.warmup_epochs < search.epochs,
        "search.warmup_epochs",
        search.warmup_epochs,
        f"0 up to search.epochs - 1 ({search.epochs - 1}): after it alpha, beta and gamma are learnt",
    )
    for key in ("learning_rate", "arch_learning_rate", "gamma_learning_rate"):
        need(between(1e-12, getattr(search, key)), f"search.{key}", getattr(search, key), "above 0")
    for key in (
        "weight_decay",
        "gradient_clip",
        "arch_weight_decay",
        "beta_decay",
        "resource_weight",
        "resource_anneal_epochs",
        "random_seconds",
        "checkpoint_minutes",
    ):
        need(between(0, getattr(search, key)), f"search.{key}", getattr(search, key), "0 or more")
    need(0 <= search.momentum < 1, "search.momentum", search.momentum, "from 0 up to 1")
    need(
        between(1, search.gamma_stop_ratio),
        "search.gamma_stop_ratio",
        search.gamma_stop_ratio,
        "1 or more (2 in the paper)",
    )
    need(0 < search.held_out < 1, "search.held_out", search.held_out, "a share above 0 and below 1")
    need(
        search.skip_cap is None or search.skip_cap >= 0,
        "search.skip_cap",
        search.skip_cap,
        "0 or more, or null for no cap",
    )
    need(
        search.resource_weight == 0 or bool(search.board),
        "search.resource_weight",
        search.resource_weight,
        "name the board whose budget counts: search.board=nucleo-l4r5zi",
    )
    need(search.seed >= 0, "search.seed", search.seed, "0 or more")
    need(
        re.fullmatch(r"auto|cpu|cuda(:\d+)?", search.device) is not None,
        "search.device",
        search.device,
        "auto, cpu, cuda or cuda:1",
    )
