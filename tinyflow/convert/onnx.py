"""A trained network to ONNX, checked with onnxruntime against torch."""

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyflow.artefacts import atomic_path
from tinyflow.errors import TinyflowError

if TYPE_CHECKING:
    from torch import nn

OPSET = 17
INPUT, OUTPUT = "features", "logits"


def export_onnx(
    network: "nn.Module",
    shape: tuple[int, ...],
    path: Path | str,
    inputs: np.ndarray | None = None,
    tolerance: float = 1e-4,
) -> float:
    """Write ``network`` (torch, eval) as ONNX with batch 1 and batch norms folded; returns the largest difference.

    ``shape`` is one input without its batch, (1, frames, features). onnxruntime must give torch's outputs on
    ``inputs`` float32 (N >= 8, *shape; default: normal noise) within ``tolerance`` relative to max(1, |logit|),
    else TinyflowError.
    """
    import torch

    from tinyflow.convert.fold import fold_batch_norm

    if inputs is None:
        inputs = np.random.default_rng(0).standard_normal((8, *shape)).astype(np.float32)
    if len(inputs) < 8 or inputs.shape[1:] != tuple(shape):
        raise TinyflowError(
            f"the export check got inputs of shape {inputs.shape}", f"at least 8 of shape {tuple(shape)}"
        )
    network = network.eval().cpu()
    folded = fold_batch_norm(network)
    with atomic_path(path) as temporary:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                folded,
                (torch.zeros(1, *shape),),
                str(temporary),
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamo=False,
            )
        difference = onnx_difference(network, temporary, inputs)
        if not difference <= tolerance:
            raise TinyflowError(
                f"{Path(path).name} differs from torch by {difference:.2e} of max(1, |logit|), more than"
                f" {tolerance:.0e}",
                "a layer exports wrongly: report the genotype",
            )
    return difference


def onnx_difference(network: "nn.Module", path: Path | str, inputs: np.ndarray) -> float:
    """Largest |onnxruntime - torch| / max(1, |torch|) over ``inputs``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    answers = np.concatenate([session.run(None, {INPUT: row[None]})[0] for row in inputs])
    return relative_difference(torch_answers(network, inputs), answers)


def torch_answers(network: "nn.Module", inputs: np.ndarray) -> np.ndarray:
    """Logits float32 (N, classes) of ``network`` in eval mode."""
    import torch

    with torch.no_grad():
        return np.concatenate(
            [network(torch.from_numpy(part)).numpy() for part in np.array_split(inputs, -(-len(inputs) // 64))]
        )


def relative_difference(reference: np.ndarray, answers: np.ndarray) -> float:
    """max |answers - reference| / max(1, |reference|); infinity when the shapes differ or a value is not finite."""
    if reference.shape != answers.shape or not (np.isfinite(answers).all() and np.isfinite(reference).all()):
        return float("inf")
    return float(np.max(np.abs(answers - reference) / np.maximum(1.0, np.abs(reference))))
