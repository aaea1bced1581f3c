"""Clips per second of the search: a plain implementation and ours, in one run, with ratios and peak memory.

    python benchmarks/search.py [--channels 16] [--cells 8] [--batch 256] [--device cuda] [--threads 1] [--repeats 5]
    [--json]

Plain (frozen: plain_features.py, plain_search.py): waveforms wait in host memory; each front end of Table 1 is computed
by itself through torchaudio for every batch; the supernet runs operation by operation, eager, in float32; every step
reads its loss. Ours is what `tinyflow search` runs: SearchData, DataMixture, Supernet, in the recipe's precision.

Features: the 8 front ends of a batch, scaled. Without a cache both start from waveforms; with it ours are read from the
cache. Step: features, alignment, a step of the weights and a step of alpha, beta and gamma (first order). Clips are
training clips: a step of batch B also reads B validation clips. The sides run in processes of their own, in turn;
figures are medians over the repeats. Peak memory: GPU memory allocated by torch (less its cache), or the high-water
mark of the process's resident set, libraries included. A side that runs out of GPU memory is measured with half the
batch, and the table says so. On a GPU 50 epochs over 85,000 clips, 15 of them warm-up (weights alone), are projected
from the two kinds of steps.
"""

import argparse
import itertools
import json
import math
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from plain_features import PlainFeatures, PlainMixture
from plain_search import PlainSupernet
from torch.nn import functional as F

from tinyflow.data.dataset import Epoch, Split
from tinyflow.frontend.mel.bank import FeatureBank
from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.recipe import Search
from tinyflow.search.data import SearchData
from tinyflow.search.mixture import DataAwareSupernet, DataMixture
from tinyflow.search.steps import Steps
from tinyflow.search.supernet import Supernet

CLASSES, SAMPLES = 12, 16000
EPOCHS, WARMUP, CLIPS = 50, 15, 85_000  # the projection: PC-DARTS's schedule over Speech Commands
OUT_OF_MEMORY = "out of memory"
VALUES = sum(frames * coefficients for frames, coefficients in (config.shape for config in TABLE_1))  # of a clip


@dataclass(frozen=True)
class Case:
    """One thing to measure, on one side."""

    side: str  # plain or ours
    what: str  # features, cached, step (weights and architecture) or warm-up (weights alone)
    alignment: str
    channels: int
    cells: int
    stem_stride: int
    batch: int
    device: str
    threads: int
    precision: str
    compile: bool

    @property
    def recipe(self) -> Search:
        return Search(
            alignment=self.alignment,
            channels=self.channels,
            cells=self.cells,
            stem_stride=self.stem_stride,
            batch_size=self.batch,
            precision=self.precision,
            compile=self.compile,
            device=self.device,
        )


class Clips:
    """Random clips behind the interface of a Dataset: four training batches, and validation for two."""

    sample_rate, samples = 16000, SAMPLES
    labels = tuple(f"word {index}" for index in range(CLASSES))

    def __init__(self, batch: int):
        rng, self.splits = np.random.default_rng(0), {}
        for name, count in (("training", 4 * batch), ("validation", 3 * batch + 2 * CLASSES)):
            audio = rng.integers(-8000, 8000, (count, SAMPLES), np.int16)
            self.splits[name] = Split(audio, np.arange(count) % CLASSES, ("",) * count, ("",) * count, ("",) * count)

    def split(self, name: str) -> Split:
        return self.splits[name]

    def training_epoch(self, epoch: int, seed: int) -> Epoch:
        rows = np.random.default_rng([seed, epoch]).permutation(len(self.splits["training"]))
        return Epoch(rows, self.splits["training"].labels[rows])

    def clip(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.splits["training"].audio[rows]


def ours(case: Case) -> Callable[[], Any]:
    """One call does the work for a batch."""
    if case.what == "features":
        bank, audio, known = FeatureBank(TABLE_1).to(case.device), waveforms(case), scales(case.device)
        return torch.no_grad()(lambda: [(found - mean) / std for found, (mean, std) in zip(bank(audio), known)])
    data, numbers = SearchData(Clips(case.batch), TABLE_1, case.recipe, case.device), itertools.count()
    if case.what == "cached":
        return lambda: data.training(0, next(numbers) % data.steps)
    torch.manual_seed(0)
    supernet = Supernet(CLASSES, case.recipe.alignment_channels, case.channels, case.cells, case.stem_stride)
    bfloat16 = case.recipe.precision == "bfloat16"
    network = DataAwareSupernet(DataMixture(TABLE_1, case.alignment), supernet, bfloat16)
    steps = Steps(network.to(case.device, memory_format=torch.channels_last), case.recipe)

    def step() -> None:
        number = next(numbers)
        if case.what == "step":
            steps.train_architecture(data.validation(number), WARMUP)
        steps.train_weights(data.training(*divmod(number, data.steps)), WARMUP)

    return step


def plain(case: Case) -> Callable[[], Any]:
    """The same by the frozen plain implementation."""
    torch.manual_seed(0)
    config, device = case.recipe, case.device
    features = PlainFeatures(TABLE_1, scales(device)).to(device)
    audio = waveforms(case)
    if case.what == "features":
        return lambda: features(audio)
    mixture = PlainMixture(TABLE_1, case.alignment).to(device)
    supernet = PlainSupernet(CLASSES, 1, case.channels, case.cells, case.stem_stride).to(device)
    architecture = [supernet.alpha_normal, supernet.alpha_reduction, supernet.beta_normal, supernet.beta_reduction]
    weights = [
        *mixture.convolutions.parameters(),
        *(p for p in supernet.parameters() if all(p is not a for a in architecture)),
    ]
    sgd = torch.optim.SGD(weights, config.learning_rate, config.momentum, weight_decay=config.weight_decay)
    adam = torch.optim.Adam(
        [
            {"params": architecture, "lr": config.arch_learning_rate, "weight_decay": config.arch_weight_decay},
            {"params": [mixture.gamma], "lr": config.gamma_learning_rate},
        ],
        betas=(0.5, 0.999),
    )
    clips = Clips(case.batch)
    loaders = {name: itertools.cycle(batches(clips.split(name), case.batch)) for name in ("training", "validation")}

    def update(name: str, optimizer: torch.optim.Optimizer) -> None:
        audio, labels = next(loaders[name])
        inputs = mixture(features(audio.to(device).float() / 32768.0))
        loss = F.cross_entropy(supernet(inputs), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        if optimizer is sgd:
            torch.nn.utils.clip_grad_norm_(weights, config.gradient_clip)
        optimizer.step()
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the plain search's loss is {loss.item()}")

    def step() -> None:
        if case.what == "step":
            update("validation", adam)
        update("training", sgd)

    return step


def batches(split: Split, batch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    parts = [slice(at, at + batch) for at in range(0, len(split) - batch + 1, batch)]
    return [(torch.from_numpy(split.audio[part]), torch.from_numpy(split.labels[part])) for part in parts]


def scales(device: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Some mean and standard deviation for every front end."""
    generator = torch.Generator().manual_seed(0)
    return [tuple((torch.rand(item.n_mfcc, generator=generator) + 1).to(device) for _ in range(2)) for item in TABLE_1]


def waveforms(case: Case) -> torch.Tensor:
    """A batch of waveforms on the device."""
    return torch.from_numpy(Clips(case.batch).split("training").audio[: case.batch].astype(np.float32) / 32768.0).to(
        case.device
    )


def serve(pipe, case: Case) -> None:
    """A process of one case: answers a number of calls with seconds per call, 0 with the peak memory in bytes."""
    torch.set_num_threads(case.threads)
    on_gpu = case.device.startswith("cuda")

    def run(calls: int) -> float:
        """Seconds."""
        started = time.perf_counter()
        for _ in range(calls):
            work()
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - started

    try:
        work = {"plain": plain, "ours": ours}[case.side](case)
        run(10 if on_gpu else 1)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.empty_cache()
        pipe.send("ready")
        while calls := pipe.recv():
            if on_gpu:
                run(2)  # its memory was given back
            seconds = run(calls) / calls
            if on_gpu:
                torch.cuda.empty_cache()  # the other side's turn
            pipe.send(seconds)
        pipe.send(torch.cuda.max_memory_allocated() if on_gpu else resident_peak())
    except torch.OutOfMemoryError:
        pipe.send(OUT_OF_MEMORY)
    except BaseException as error:
        pipe.send(f"{type(error).__name__}: {error}")
        raise


def resident_peak() -> int:
    """High-water mark of this process's resident set, bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what was resident before exec, too
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Side:
    """The process of a case."""

    def __init__(self, case: Case):
        self.case, self.seconds, self.calls = case, [], 1
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, case), daemon=True)
        self.process.start()
        other.close()
        self._hear()

    def _hear(self) -> Any:
        try:
            answer = self.pipe.recv()
        except EOFError:
            answer = "its process ended; out of memory?"
        if answer == OUT_OF_MEMORY:
            raise MemoryError
        if isinstance(answer, str) and answer != "ready":
            raise SystemExit(f"{self.case.side}, {self.case.what}, {self.case.alignment}: {answer}")
        return answer

    def run(self) -> float:
        self.pipe.send(self.calls)
        return self._hear()

    def finish(self) -> dict[str, Any]:
        self.pipe.send(0)
        memory = self._hear()
        self.process.join()
        speed = self.case.batch / statistics.median(self.seconds)
        return {
            "clips_per_second": speed,
            "batch": self.case.batch,
            "seconds": self.seconds,
            "peak_memory_bytes": memory,
        }


def fitting(case: Case, start: Callable[[Case], Any] = Side) -> Any:
    """The process of the case, with the batch halved until it fits into the GPU's memory."""
    while True:
        try:
            return start(case)
        except MemoryError:
            if case.batch < 4:
                raise SystemExit(
                    f"{case.side}, {case.what}, {case.alignment}: the GPU's memory does not even hold {case.batch}"
                    " clips"
                ) from None
            case = replace(case, batch=case.batch // 2)


def measure(cases: list[Case], repeats: int, least: float = 0.3) -> list[dict[str, Any]]:
    """The cases in turn, ``repeats`` times, each for at least ``least`` seconds a time."""
    sides = [fitting(case) for case in cases]
    for side in sides:
        seconds = side.run()
        side.calls = max(1, math.ceil(least / seconds))
        side.seconds += [seconds] if side.calls == 1 else []
    for _ in range(repeats):
        for side in sides:
            if len(side.seconds) < repeats:
                side.seconds.append(side.run())
    return [side.finish() for side in sides]


def benchmark(base: Case, alignments: list[str], repeats: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows of the table; ``plain`` and ``ours`` as ``Side.finish`` gives them."""
    rows = []

    def row(what: str, note: str, alignment: str, ours: dict[str, Any], plain: dict[str, Any]) -> None:
        ratio = ours["clips_per_second"] / plain["clips_per_second"]
        rows.append({"what": what, "note": note, "alignment": alignment, "plain": plain, "ours": ours, "ratio": ratio})

    progress("features")
    features = replace(base, what="features")
    found = measure(
        [replace(features, side="plain"), replace(features, side="ours"), replace(base, side="ours", what="cached")],
        repeats,
    )
    row("features", "both from waveforms", "", found[1], found[0])
    row("features", "ours from the cache", "", found[2], found[0])
    for alignment in alignments:
        for what in ("step", "warm-up") if base.device.startswith("cuda") else ("step",):
            progress(f"{what}, {alignment}")
            case = replace(base, what=what, alignment=alignment)
            found = measure([replace(case, side="plain"), replace(case, side="ours")], repeats)
            row(
                "search step" if what == "step" else "warm-up step",
                "ours from the cache",
                alignment,
                found[1],
                found[0],
            )
    return rows


def projection(rows: list[dict[str, Any]], alignment: str, side: str) -> float | None:
    """Minutes of a whole search; None without a warm-up step (CPU)."""
    speed = {row["what"]: row[side]["clips_per_second"] for row in rows if row["alignment"] == alignment}
    if "warm-up step" not in speed:
        return None
    return CLIPS * (WARMUP / speed["warm-up step"] + (EPOCHS - WARMUP) / speed["search step"]) / 60


def show(result: dict[str, Any]) -> str:
    base, lines = result["case"], []
    network = f"batch {base['batch']}, C {base['channels']}, L {base['cells']}, stem stride {base['stem_stride']}"
    lines.append(
        f"Search on {result['device']}, torch {result['torch']}, threads: {base['threads']}; {network}; ours in"
        f" {base['precision']}"
    )
    lines.append(f"clips/s: medians of {result['repeats']}, measured; memory: peak, MiB, {result['memory']}")
    lines.append(f"{'what':<36}{'plain':>10}{'ours':>12}{'ratio':>8}{'plain MiB':>11}{'ours MiB':>10}")
    for row in result["rows"]:
        name = f"{row['what']}, {row['alignment'] or row['note']}"
        speeds = [row[side]["clips_per_second"] for side in ("plain", "ours")]
        memory = [row[side]["peak_memory_bytes"] / 2**20 for side in ("plain", "ours")]
        less = "".join(
            f"  {side}: batch {row[side]['batch']}" for side in ("plain", "ours") if row[side]["batch"] != base["batch"]
        )
        lines.append(
            f"{name:<36}{speeds[0]:>10,.1f}{speeds[1]:>12,.1f}{row['ratio']:>8.2f}{memory[0]:>11,.0f}{memory[1]:>10,.0f}{less}"
        )
    for alignment, minutes in result["projected_minutes"].items():
        what = f"{EPOCHS} epochs ({WARMUP} of warm-up) over {CLIPS:,} clips"
        lines.append(f"projected, {alignment}: {what} take {minutes['ours']:.0f} minutes, plain {minutes['plain']:.0f}")
    cache = (CLIPS + CLIPS // 8) * VALUES / 1e9
    lines.append(
        f"not in the table's memory: the cache of {CLIPS:,} clips and their validation, {4 * cache:.1f} GB as float32,"
        f" {2 * cache:.1f} as float16"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Clips per second of the search, plain and ours")
    add = parser.add_argument
    add("--channels", type=int, default=8, help="C of the supernet (paper: 16)")
    add("--cells", type=int, default=3, help="L of the supernet (paper: 8)")
    add("--stem-stride", type=int, default=1, choices=(1, 2))
    add("--batch", type=int, default=8, help="clips of a batch (recipes: 256)")
    add("--alignment", nargs="+", default=["preprocess", "zero_pad"], choices=("preprocess", "zero_pad"))
    add("--device", default="auto")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--repeats", type=int, default=3)
    add("--precision", default="auto", choices=("auto", "float32", "bfloat16"), help="ours; plain is float32")
    add("--compile", action="store_true", help="torch.compile of our supernet")
    add("--json", action="store_true")
    options = parser.parse_args()
    device = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    precision = (
        ("bfloat16" if device.startswith("cuda") else "float32") if options.precision == "auto" else options.precision
    )
    base = Case(
        "ours", "step", "preprocess", options.channels, options.cells, options.stem_stride,
        options.batch, device, options.threads, precision, options.compile,
    )  # fmt: skip
    rows = benchmark(base, options.alignment, options.repeats, lambda note: print(note, file=sys.stderr))
    projected = {name: {side: projection(rows, name, side) for side in ("plain", "ours")} for name in options.alignment}
    result = {
        "case": asdict(base),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "CPU",
        "torch": torch.__version__,
        "memory": "allocated on the GPU"
        if device.startswith("cuda")
        else "resident set of the process, libraries included",
        "repeats": options.repeats,
        "unit": "training clips per second, measured",
        "rows": rows,
        "projected_minutes": {name: minutes for name, minutes in projected.items() if minutes["ours"]},
    }
    print(json.dumps(result, indent=1) if options.json else show(result))


if __name__ == "__main__":
    main()
