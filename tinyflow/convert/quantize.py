"""ONNX to TFLite, float and full-integer int8, calibrated on training clips.

TensorFlow runs in a process of its own (``python -m tinyflow.convert.quantize``): its memory, threads and
chatter go away with it. What it says lies in ``conversion.log`` beside the models.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from tinyflow.artefacts import read_json, write_json
from tinyflow.compile.operators import lower_graph
from tinyflow.compile.tflite import read_tflite
from tinyflow.errors import TinyflowError

FLOAT, INT8, LOG = "model_float.tflite", "model_int8.tflite", "conversion.log"
REFUSED = "refused.json"  # in the child's folder: its TinyflowError


def to_tflite(onnx: Path | str, calibration: np.ndarray, out: Path | str) -> tuple[Path, Path]:
    """Write model_float.tflite and model_int8.tflite (int8 in and out, weights per channel) into ``out``.

    ``calibration``: scaled features float32 (N, frames, features) of training clips; they set the int8 ranges.
    TinyflowError, with the last lines of the log, when the conversion fails, and with operator and tensor
    when the model has one that the kernels lack.
    """
    out = Path(out)
    calibration = np.ascontiguousarray(calibration, dtype=np.float32)
    if calibration.ndim != 3 or not len(calibration) or not np.isfinite(calibration).all():
        raise TinyflowError(
            f"calibration has shape {calibration.shape} or is not finite", "float32 (clips, frames, features)"
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder, open(out / LOG, "w") as log:
        clips = Path(folder, "calibration.npy")
        np.save(clips, calibration)
        package = Path(__file__).resolve().parents[2]
        path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": path}
        command = [sys.executable, "-m", "tinyflow.convert.quantize", str(onnx), str(clips), folder]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment)
        if done.returncode:
            if Path(folder, REFUSED).is_file():
                raise TinyflowError(**read_json(Path(folder, REFUSED)))
            # ``out`` may not outlive the error
            kept = shutil.copy(out / LOG, Path(tempfile.gettempdir(), f"tinyflow-{LOG}"))
            lines = [line for line in (out / LOG).read_text(errors="replace").splitlines() if line.strip()]
            raise TinyflowError(
                f"conversion of {onnx} to TFLite failed:\n" + "\n".join(lines[-8:]), f"the whole log is {kept}"
            )
        for name in (FLOAT, INT8):
            os.replace(Path(folder, name), out / name)
    check_operators(out / INT8)
    return out / FLOAT, out / INT8


def check_operators(path: Path | str) -> dict[str, int]:
    """Operators of an int8 model and how often each occurs.

    TinyflowError, naming operator and tensor, for what the kernels lack.
    """
    graph = read_tflite(path)
    lower_graph(graph)
    large = next((tensor for tensor in graph.tensors if len(tensor.shape) > 4), None)
    if large:
        raise TinyflowError(f"{path}: tensor {large.name!r} has dimensions {large.shape}", "at most 4 are supported")
    return dict(Counter(op.kind for op in graph.ops).most_common())


def convert(onnx: str, calibration: str, out: str) -> None:
    """In the child process: both TFLite files into the folder ``out``; ``calibration`` is a .npy of clips."""
    import tensorflow as tf

    from tinyflow.convert.onnx_to_tf import tf_function

    function, shape = tf_function(onnx)
    clips = np.load(calibration)
    if clips[0].size != np.prod(shape):
        sizes = f"calibration clips are {clips.shape[1:]}, the network's input is {shape}"
        raise TinyflowError(sizes, "use the network's own features")

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    Path(out, FLOAT).write_bytes(converter.convert())

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([clip.reshape(shape)] for clip in clips)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    # Per-channel dense weights came with TensorFlow 2.17; tflite-runtime 2.14 reads them as per-tensor.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    Path(out, INT8).write_bytes(converter.convert())


if __name__ == "__main__":
    try:
        convert(*sys.argv[1:])
    except TinyflowError as refusal:
        write_json(Path(sys.argv[3], REFUSED), {"message": refusal.message, "hint": refusal.hint})
        raise
