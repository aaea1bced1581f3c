"""A trained network to a CompiledModel: ONNX, int8 TFLite, memory plan, C of network and front end, self-test clips.

Every hand-over is checked where it happens: ONNX and float TFLite against torch, the C front end against torch, the
C network against the oracle. The int8 accuracy is that of the device: its C, front end and network, on the host.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyflow.artefacts import atomic_folder, atomic_path
from tinyflow.compile.artefact import CompiledModel, load_compiled
from tinyflow.compile.lower import lower, without_pictures
from tinyflow.convert.onnx import export_onnx, relative_difference, torch_answers
from tinyflow.convert.prune import prune, saving
from tinyflow.convert.quantize import to_tflite
from tinyflow.data.dataset import Dataset
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import HostFrontend
from tinyflow.frontend.parity import compare
from tinyflow.frontend.quantize import FeatureQuantization
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Compile
from tinyflow.reference.hostmodel import HostModel
from tinyflow.reference.interpreter import Interpreter
from tinyflow.reference.oracles import best, first_difference
from tinyflow.train.artefact import TrainedModel

if TYPE_CHECKING:
    from torch import nn

STEPS = ("ONNX", "int8 TFLite", "C", "features", "accuracy", "self-test")
ORACLE_CLIPS = 16  # test clips whose answers are compared with the oracles' here; validate takes more
SEED = 0


def compile_trained(
    trained: TrainedModel, dataset: Dataset, config: Compile, out: Path | str, progress: Progress = silent
) -> CompiledModel:
    """Compile ``trained`` into the folder ``out``, whole or not at all.

    A network trained padded is pruned first. Calibrates on training clips, measures float and int8 accuracy on the test
    split. TinyflowError when pruning or a conversion changes the network by more than config.float_tolerance, or the C
    does not equal the oracle (tinyflow/reference/oracles.py).
    """
    out, (genotype, network) = Path(out), prune(trained.genotype, trained.network)
    if tuple(dataset.labels) != genotype.labels:
        labels = f"the network knows {list(genotype.labels)}, the data has {list(dataset.labels)}"
        raise TinyflowError(labels, "compile with the data it was trained on")
    from tinyflow.train.batches import scaled_features  # torch

    def step(index: int, note: str = "") -> None:
        progress("compile", index, len(STEPS), f"{STEPS[index]}{note}")

    checks: dict[str, Any] = {}
    with atomic_folder(out) as folder:
        step(0)
        calibration = scaled_features(
            genotype.frontend, trained.scaler, calibration_clips(dataset, config.calibration_clips)
        )
        inputs = calibration[: config.float_check_inputs]
        shape = (1, *genotype.frontend.shape)
        onnx = folder / "model.onnx"
        if genotype != trained.genotype:
            checks["pruned against padded"] = _check_pruning(trained.network, network, inputs, config.float_tolerance)
            checks["pruning saves"] = str(saving(trained.genotype))
        checks["ONNX against torch"] = export_onnx(network, shape, onnx, inputs[:, None], config.float_tolerance)

        step(1)
        float_model, int8_model = to_tflite(onnx, calibration, folder)
        checks["float TFLite against torch"] = float_check(network, float_model, inputs, config.float_tolerance)

        step(2)
        scale, zero_point = Interpreter(int8_model).input_quantization
        quantization = FeatureQuantization.of(trained.scaler, scale, zero_point)
        multiplier, offset = (tuple(map(float, part)) for part in (quantization.multiplier, quantization.offset))
        compiled = lower(
            int8_model, folder, genotype.task, labels=genotype.labels, frontend=genotype.frontend.part(),
            multiplier=multiplier, offset=offset,
        )  # fmt: skip
        genotype.frontend.generate(multiplier, offset, compiled.c)

        step(3)
        test = dataset.split("testing")
        audio = np.ascontiguousarray(test.audio)
        scaled = scaled_features(genotype.frontend, trained.scaler, audio)
        features = HostFrontend(compiled.c).features(audio)
        reference = quantization.quantize(scaled * trained.scaler.std + trained.scaler.mean)
        checks["C features against torch"] = str(compare(features, reference))
        checks["fixed-point C features against torch"] = str(
            compare(HostFrontend(compiled.c, fixed=True).features(audio), reference)
        )

        step(4, f" on {len(audio)} test clips")
        answers = HostModel(compiled).invoke(features.reshape(-1, *compiled.input.shape[1:]))
        checks.update(_oracle_check(compiled, features, answers, choose(test.labels, ORACLE_CLIPS)))
        accuracy = _accuracy(test.labels, torch_answers(network, scaled[:, None]), answers, dataset)

        step(5)
        validation = dataset.split("validation")  # the test split is for evaluation alone
        chosen = choose(validation.labels, config.selftest_clips)
        clips, words = validation.audio[chosen], np.array([validation.words[row] for row in chosen])
        stored = {"clips": clips, "words": words}
        for prefix, fixed in (("", False), ("fixed_", True)):  # for boards with and without an FPU
            features = HostFrontend(compiled.c, fixed=fixed).features(clips)
            answers = HostModel(compiled).invoke(features.reshape(-1, *compiled.input.shape[1:]))
            stored |= {f"{prefix}features": features, f"{prefix}answers": answers}
        with atomic_path(compiled.selftest) as temporary:
            np.savez(temporary, **stored)
        compiled = replace(compiled, accuracy=accuracy, checks=checks)
        compiled.write()
    compiled = load_compiled(out)
    sizes = f"{compiled.macs / 1e6:.2f} M MACs, arena {compiled.arena_bytes:,} B (planned)"
    note = "; ".join(filter(None, (f"int8 {100 * accuracy['int8']:.1f} %, {sizes}", without_pictures())))
    progress("compile", len(STEPS), len(STEPS), note)
    return compiled


def calibration_clips(dataset: Dataset, count: int) -> np.ndarray:
    """``count`` training clips int16 (count, samples), a seeded choice, as many of every class as there are; silence
    too.
    """
    from tinyflow.data.vocabulary import SILENCE

    labels = np.array(dataset.split("training").labels)
    rows = np.arange(len(labels))
    if SILENCE in dataset.labels:
        share = max(1, count // len(dataset.labels))
        labels = np.concatenate([labels, np.full(share, dataset.labels.index(SILENCE))])
        rows = np.concatenate([rows, np.full(share, -1)])
    return dataset.clip(rows[choose(labels, count)], np.random.default_rng(SEED))


def choose(labels: np.ndarray, count: int) -> np.ndarray:
    """Up to ``count`` rows, a seeded choice, every class in turn; the classes themselves in random order."""
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(labels))
    rank = {label: position for position, label in enumerate(rng.permutation(np.unique(labels)))}
    seen: dict[int, int] = {}
    keys = []
    for row in order:
        label = int(labels[row])
        seen[label] = seen.get(label, 0) + 1
        keys.append((seen[label], rank[label], int(row)))
    return np.array([row for _, _, row in sorted(keys)[:count]])


def float_check(network: "nn.Module", path: Path, inputs: np.ndarray, tolerance: float) -> float:
    """Largest difference between the float TFLite and torch on ``inputs`` (N, frames, features), relative to max(1,
    |logit|).
    """
    difference = relative_difference(torch_answers(network, inputs[:, None]), Interpreter(path).run(inputs))
    if not difference <= tolerance:
        raise TinyflowError(
            f"the float TFLite differs from torch by {difference:.2e} of max(1, |logit|), more than {tolerance:.0e}",
            "a layer was converted wrongly: report the genotype",
        )
    return difference


def _check_pruning(padded: "nn.Module", pruned: "nn.Module", inputs: np.ndarray, tolerance: float) -> float:
    difference = relative_difference(*(torch_answers(network, inputs[:, None]) for network in (padded, pruned)))
    if not difference <= tolerance:
        raise TinyflowError(
            f"the pruned network differs from the padded one by {difference:.2e} of max(1, |logit|), more than"
            f" {tolerance:.0e}",
            "a layer lets its padding speak: report the genotype",
        )
    return difference


def _oracle_check(
    compiled: CompiledModel, features: np.ndarray, answers: np.ndarray, rows: np.ndarray
) -> dict[str, str]:
    """The C network must equal the oracle; tflite-runtime's reference kernels are reported."""
    by = best()
    inputs = features[rows].reshape(-1, *compiled.input.shape[1:])
    expected = by.invoke(compiled.tflite, inputs)
    if not np.array_equal(expected, answers[rows]):
        row = int(np.flatnonzero((expected != answers[rows]).reshape(len(rows), -1).any(1))[0])
        outputs = HostModel(compiled).layer_outputs(inputs[row])
        difference = first_difference(compiled, row, inputs[row], outputs, by)
        raise TinyflowError(
            f"the C network is not bit-exact with {by.NAME}: {difference}", "report it with model_int8.tflite"
        )
    reference = Interpreter(compiled.tflite).run(inputs)
    furthest = int(np.abs(reference.astype(int) - expected).max())
    equal = int((reference == expected).reshape(len(rows), -1).all(1).sum())
    return {
        f"C network against {by.NAME}": f"bit-exact on {len(rows)} test clips",
        f"tflite-runtime against {by.NAME}": f"{equal} of {len(rows)} answers equal, others within {furthest} LSB",
    }


def _accuracy(labels: np.ndarray, floats: np.ndarray, answers: np.ndarray, dataset: Dataset) -> dict[str, Any]:
    from tinyflow.train.evaluation import evaluate_predictions

    results = {
        name: evaluate_predictions(labels, outputs.argmax(1), dataset.labels, dataset.description)
        for name, outputs in (("float", floats), ("int8", answers.reshape(len(labels), -1)))
    }
    return {
        **{name: result.accuracy for name, result in results.items()},
        **{f"{name} balanced": result.balanced_accuracy for name, result in results.items()},
        "same answer": float(np.mean(floats.argmax(1) == answers.reshape(len(labels), -1).argmax(1))),
        "clips": len(labels),
        "recordings": dataset.description,
        "int8 obtained by": "the device's C, front end and network, run on the host",
    }
