"""What is refused at lowering: named, and refused by TFLM too where we say so."""

import subprocess
import sys

import numpy as np
import pytest
from bit_exact import compile_bytes
from tflite_builder import Builder

from tinyflow.errors import TinyflowError

Q = (0.05, 3)


def concat_scales():
    b = Builder()
    x, other, y = (
        b.tensor((1, 4), *Q),
        b.const(np.ones((1, 4)), "int8", 0.06, 3, name="other"),
        b.tensor((1, 8), *Q, name="joined"),
    )
    b.op("CONCATENATION", [x, other], [y], "ConcatenationOptions", axis=1)
    return b.finish([x], [y])


def concat_activation():
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 8), *Q, name="joined")
    b.op("CONCATENATION", [x, x], [y], "ConcatenationOptions", axis=1, activation="RELU")
    return b.finish([x], [y])


def concat_eleven():
    b = Builder()
    x, y = b.tensor((1, 1), *Q), b.tensor((1, 11), *Q, name="joined")
    b.op("CONCATENATION", [x] * 11, [y], "ConcatenationOptions", axis=1)
    return b.finish([x], [y])


def pool_scales():
    b = Builder()
    x, y = b.tensor((1, 4, 4, 2), *Q), b.tensor((1, 2, 2, 2), 0.051, 3, name="pooled")
    b.op(
        "AVERAGE_POOL_2D",
        [x],
        [y],
        "Pool2DOptions",
        strideH=2,
        strideW=2,
        filterHeight=2,
        filterWidth=2,
        padding="VALID",
    )
    return b.finish([x], [y])


def softmax_scale():
    return unary("SOFTMAX", (1 / 128, -128), "SoftmaxOptions", beta=1.0)


def softmax_flat():
    return unary("SOFTMAX", (1 / 256, -128), "SoftmaxOptions", beta=1e-9)


def logistic_zero():
    return unary("LOGISTIC", (1 / 256, 0))


def hard_swish_fine():
    return unary("HARD_SWISH", (0.05 / 300, 0), "HardSwishOptions")


def unary(kind, output, options=None, **values):
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 4), *output, name="result")
    b.op(kind, [x], [y], options, **values)
    return b.finish([x], [y])


def add_fine():
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 4), 0.05 / 2**20, 0, name="sum")
    b.op("ADD", [x, x], [y], "AddOptions")
    return b.finish([x], [y])


def bias_scale():
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 2), 0.1, 0, name="dense")
    w, c = b.const(np.ones((2, 4)), "int8", 0.01), b.const(np.ones(2), "int32", 0.01)
    b.op("FULLY_CONNECTED", [x, w, c], [y], "FullyConnectedOptions")
    return b.finish([x], [y])


def pad_value_scale():
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 6), *Q, name="padded")
    p, v = b.const(np.array([[0, 0], [1, 1]]), "int32"), b.const(np.array([1]), "int8", 0.07, 3)
    b.op("PADV2", [x, p, v], [y], "PadV2Options")
    return b.finish([x], [y])


def run_time_axes():
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((4, 1), *Q, name="turned")
    p = b.tensor((2,), dtype="int32", name="order")
    b.op("TRANSPOSE", [x, p], [y], "TransposeOptions")
    return b.finish([x, p], [y])


REFUSED_BY_TFLM = [concat_scales, concat_activation, concat_eleven, pool_scales, softmax_scale, softmax_flat]
REFUSED_BY_TFLM += [logistic_zero, hard_swish_fine, add_fine, bias_scale, pad_value_scale]


@pytest.mark.parametrize("build", [*REFUSED_BY_TFLM, run_time_axes])
def test_refused_by_name(build, tmp_path):
    with pytest.raises(TinyflowError) as error:
        compile_bytes(build(), tmp_path)
    assert any(
        word in error.value.message for word in ("joined", "pooled", "result", "sum", "dense", "padded", "order")
    )
    assert error.value.hint


@pytest.mark.parametrize("build", REFUSED_BY_TFLM)
def test_tflm_refuses_it_too(build, tmp_path):
    """In a process of its own: some of TFLM's refusals are an abort."""
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    (tmp_path / "m.tflite").write_bytes(build())
    code = "import sys; from tinyflow.reference.oracle import _interpreter; _interpreter(sys.argv[1], False)"
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.tflite")], capture_output=True, text=True)
    assert result.returncode != 0


def test_weights_must_be_symmetric_int8(tmp_path):
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 2), 0.1, 0)
    b.op(
        "FULLY_CONNECTED",
        [x, b.const(np.ones((2, 4)), "int8", 0.01, 5, name="skewed"), -1],
        [y],
        "FullyConnectedOptions",
    )
    with pytest.raises(TinyflowError, match="skewed.*zero points"):
        compile_bytes(b.finish([x], [y]), tmp_path)


def test_shapes_that_would_overrun_are_refused(tmp_path):
    """A file may say anything; the kernels trust their structs."""
    b = Builder()
    x, y = b.tensor((1, 6), *Q), b.tensor((1, 2), 0.1, 0, name="dense")
    b.op("FULLY_CONNECTED", [x, b.const(np.ones((2, 4)), "int8", 0.01), -1], [y], "FullyConnectedOptions")
    with pytest.raises(TinyflowError, match="dense.*do not fit"):
        compile_bytes(b.finish([x], [y]), tmp_path)
    b = Builder()
    x, y = b.tensor((1, 6), *Q), b.tensor((1, 7), 0.1, 0, name="more")
    b.op("RELU", [x], [y])
    with pytest.raises(TinyflowError, match="more.*number of elements"):
        compile_bytes(b.finish([x], [y]), tmp_path)
    b = Builder()
    x, y = b.tensor((1, 3), *Q), b.tensor((1, 6), 0.1, 0, name="wide")
    b.op("ADD", [x, b.const(np.ones((1, 2)), "int8", 0.1)], [y], "AddOptions")
    with pytest.raises(TinyflowError, match="wide.*broadcast"):
        compile_bytes(b.finish([x], [y]), tmp_path)
