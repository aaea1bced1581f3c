"""Planar depthwise convolutions against tflite_micro, bit for bit: the C99 twins here, the assembly under QEMU."""

import re
import tempfile
from pathlib import Path

import pytest
from bit_exact import assert_bit_exact, assert_bit_exact_on, compile_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_networks import Planes

from tinyflow.compile.operators.depthwise import depthwise_conv_2d_needs
from tinyflow.compile.tflite import parse_tflite

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")

CASES = settings(max_examples=25, derandomize=True, deadline=None, database=None)
SIDE, STEP, ZERO = st.integers(1, 14), st.integers(1, 3), st.integers(-128, 127)
KERNEL = st.one_of(
    st.sampled_from([(3, 3), (5, 5)]),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([(9, 1), (1, 9), (7, 7)]),
)
ACTIVATION = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])


def kernels(data: bytes) -> list[str]:
    """The depthwise kernels that the C of a network calls, in order."""
    with tempfile.TemporaryDirectory() as folder:
        model = compile_bytes(data, Path(folder))
        return re.findall(r"^  (depthwise\w+_s8)\(", (model.c / "model.c").read_text(), re.MULTILINE)


@given(
    st.tuples(SIDE, SIDE), st.integers(1, 5), KERNEL, st.tuples(STEP, STEP), st.tuples(STEP, STEP), st.booleans(),
    ACTIVATION, ZERO, ZERO, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
@CASES
def test_any_geometry(
    size, channels, kernel, stride, dilation, same, activation, in_zero, zero, per_channel, bias, seed
):
    if not same:
        size = tuple(s + (k - 1) * d for s, k, d in zip(size, kernel, dilation))
    n = Planes((*size, channels), 0.04, in_zero, seed)
    n.depthwise(kernel, stride, dilation, same, activation, zero, per_channel, bias)
    # in place, on planes that a convolution wrote
    n.depthwise(kernel, dilation=dilation, activation=activation, zero=zero)
    data = n.finish()
    assert_bit_exact(data, seed=seed)
    assert all(kernel.startswith("depthwise_planar_") for kernel in kernels(data))


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "expected"),
    [
        ((3, 3), 1, 1, "depthwise_planar_3x3_s8"),
        ((3, 3), 1, 2, "depthwise_planar_3x3_s8"),
        ((3, 3), 2, 2, "depthwise_planar_3x3_s8"),
        ((5, 5), 1, 3, "depthwise_planar_5x5_s8"),
        ((3, 3), 2, 1, "depthwise_planar_3x3_stride2_s8"),
        ((5, 5), 3, 2, "depthwise_planar_s8"),
        ((3, 1), 1, 1, "depthwise_planar_s8"),
    ],
)
def test_the_kernel_of_a_geometry(kernel, stride, dilation, expected):
    n = Planes((13, 11, 3))
    n.depthwise(kernel, (stride, stride), (dilation, dilation))
    assert kernels(n.finish()) == [expected]


def test_scales_without_a_proof_take_the_reference_kernel():
    n = Planes((6, 5, 3), seed=2)
    n.depthwise((3, 3), gain=3000.0)  # multipliers above one
    data = n.finish()
    assert kernels(data) == ["depthwise_conv_2d_s8"]
    assert_bit_exact(data)


def test_in_place_only_where_planes_do_not_grow():
    def needs(same, kernel):
        n = Planes((6, 6, 4))
        n.depthwise(kernel, same=same)
        graph = parse_tflite(n.finish(), "test")
        return depthwise_conv_2d_needs(graph, graph.ops[0])

    assert needs(True, (3, 3)).in_place == (0,) == needs(False, (3, 3)).in_place
    assert needs(True, (3, 3)).layout == "planar" and needs(True, (3, 3)).scratch >= 8 * 8


def test_a_rescaling_relu_is_a_table_of_the_convolution():
    n = Planes((9, 7, 4), seed=3)
    n.depthwise((3, 3))
    n.relu(float(n.quant[0]) * 0.7, -20)
    n.depthwise((5, 5), dilation=(2, 2))
    n.depthwise((3, 3))
    n.relu(float(n.quant[0]) * 0.9, -100)
    n.depthwise((3, 1), (2, 2))
    model = assert_bit_exact(n.finish(), rows=8)
    assert {layer.kind for layer in model.layers} == {"DEPTHWISE_CONV_2D", "LAYOUT"}


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.parametrize("size", [(25, 10), (1, 6)])
def test_assembly_on_the_emulated_board(size, tmp_path):
    """A map that shrinks over the widths and heights, odd and even, that make every path of the
    unrolled kernels run.
    """
    n = Planes((*size, 6), seed=size[0])
    while True:
        for dilation in ((1, 1), (2, 2), (3, 1), (1, 2)):
            n.depthwise((3, 3), dilation=dilation, activation="RELU", zero=-128)
            n.depthwise((5, 5), dilation=dilation, zero=9)
            n.relu(float(n.quant[0]) * 0.8, -30)
            n.depthwise((3, 2), dilation=dilation, activation="RELU6")
        if n.shape[:2] == (1, 1):
            break
        n.depthwise((5, 5), (1, 2), (2, 2))
        n.depthwise((3, 3), (3, 1))
        n.depthwise((3, 3), (1, 1) if n.shape[1] > 3 else (2, 2))
    assert_bit_exact_on("mps2-an386", n.finish(), tmp_path)
