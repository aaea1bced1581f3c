"""The TFLite reader: what it reads, and what it refuses by name."""

import numpy as np
import pytest
from bit_exact import assert_bit_exact
from model_zoo import every_operator
from tflite_builder import Builder

from tinyflow.compile.operators import lower_graph, supported
from tinyflow.compile.passes import run_passes
from tinyflow.compile.plan import plan_memory
from tinyflow.compile.tflite import output_size, pad_before, parse_tflite, read_tflite
from tinyflow.errors import TinyflowError

Q = (0.05, 3)


def one_conv(**change):
    options = (
        dict(strideH=2, strideW=1, dilationHFactor=1, dilationWFactor=2, padding="SAME", activation="RELU6") | change
    )
    b = Builder()
    x = b.tensor((1, 9, 8, 6), *Q, name="input")
    w = b.const(np.ones((4, 3, 3, 6)), "int8", np.full(4, 0.01), name="weights")
    y = b.tensor((1, 5, 8, 4), *Q, name="output")
    b.op("CONV_2D", [x, w, -1], [y], "Conv2DOptions", **options)
    return b.finish([x], [y])


def test_options_are_normalised():
    graph = parse_tflite(one_conv(), "m")
    assert graph.ops[0].options == {
        "stride_h": 2, "stride_w": 1, "dilation_h": 1, "dilation_w": 2, "padding": "SAME",
        "pad_top": 1, "pad_left": 2, "activation": "RELU6",
    }  # fmt: skip
    assert graph.ops[0].inputs == (0, 1, -1) and graph.inputs == (0,) and graph.outputs == (2,)
    weights = graph.tensor(1)
    assert weights.constant and weights.data.shape == (4, 3, 3, 6) and len(weights.quantization.scale) == 4
    assert graph.tensor(0).quantization.zero_point.tolist() == [3] and graph.tensor(0).bytes == 432


@pytest.mark.parametrize(
    "size,filter_size,stride,dilation", [(9, 3, 2, 1), (8, 3, 2, 1), (10, 4, 3, 2), (5, 1, 2, 1), (49, 10, 2, 1)]
)
def test_same_padding_is_tensorflows(size, filter_size, stride, dilation):
    """Against a count of positions: SAME gives ceil(size/stride) windows, the odd padding after."""
    output = output_size(size, filter_size, stride, dilation, "SAME")
    assert output == -(-size // stride)
    before = pad_before(size, filter_size, output, stride, dilation)
    reach = (filter_size - 1) * dilation + 1
    total = max((output - 1) * stride + reach - size, 0)
    assert before == total // 2 and total - before >= before


def test_every_supported_operator_is_read():
    graph = parse_tflite(every_operator(), "all")
    assert set(supported()) - {op.kind for op in graph.ops} == {"PADV2", "SQUEEZE", "EXPAND_DIMS"}


def refused(data: bytes, *words: str):
    with pytest.raises(TinyflowError) as error:
        parse_tflite(data, "bad.tflite")
    for word in words:
        assert word in str(error.value), str(error.value)


def unary(kind, dtype="int8", options=None, **tensor):
    b = Builder()
    x = b.tensor((1, 4), *Q, dtype=dtype, name="the_input", **tensor)
    y = b.tensor((1, 4), *Q, dtype=dtype, name="the_output")
    b.op(kind, [x], [y], options)
    return b.finish([x], [y])


def test_unsupported_operator_is_named_with_its_tensor_and_what_is_supported():
    refused(unary("COS"), "COS", "the_output", "bad.tflite", "CONV_2D")


def test_unsupported_type_is_named():
    refused(unary("RELU", dtype="int16"), "RELU", "the_input", "int16", "int8")
    refused(unary("RELU", dtype="uint8"), "uint8")


def test_dynamic_shape_is_named():
    refused(unary("RELU", signature=(1, -1)), "the_input", "dynamic", "[1, -1]")


def test_a_dynamic_batch_stored_as_one_is_fine():
    assert parse_tflite(unary("RELU", signature=(-1, 4)), "m").tensor(0).shape == (1, 4)


def dynamic_flatten(signature=(-1, 12), stored=(1, 12)):
    """What TF's converter writes for Flatten when the batch is dynamic."""
    b = Builder()
    x, y = b.tensor((1, 2, 2, 3), *Q, signature=(-1, 2, 2, 3)), b.tensor((1, 2, 2, 3), 0.1, 1, signature=(-1, 2, 2, 3))
    shape, batch, wanted = (
        b.tensor(size, dtype="int32", name=name) for size, name in (((4,), "shape"), ((), "batch"), ((2,), "wanted"))
    )
    z = b.tensor(stored, 0.1, 1, signature=signature, name="flat")
    b.op("RELU", [x], [y])
    b.op("SHAPE", [y], [shape], "ShapeOptions", outType=2)
    one = b.const(np.array([1]), "int32")
    b.op(
        "STRIDED_SLICE",
        [shape, b.const(np.array([0]), "int32"), one, one],
        [batch],
        "StridedSliceOptions",
        shrinkAxisMask=1,
    )
    b.op("PACK", [batch, b.const(np.array(12), "int32")], [wanted], "PackOptions", valuesCount=2)
    b.op("RESHAPE", [y, wanted], [z], "ReshapeOptions")
    return b.finish([x], [z])


def test_a_shape_computed_from_a_dynamic_batch_is_not_needed():
    graph = parse_tflite(dynamic_flatten(), "m")
    assert [op.kind for op in graph.ops] == ["RELU", "RESHAPE"] and graph.tensor(graph.outputs[0]).shape == (1, 12)
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    assert_bit_exact(dynamic_flatten())


def test_a_shape_that_stays_unknown_is_refused():
    refused(dynamic_flatten(signature=(-1, -1), stored=(1, 1)), "flat", "dynamic", "[-1, -1]", "batch of 1")
    with pytest.raises(TinyflowError, match=r"RESHAPE.*\[1, 2, 2, 3\] -> \[1, 11\]"):
        assert_bit_exact(dynamic_flatten(stored=(1, 11)))


def test_an_unsupported_operator_that_nothing_reads_is_not_looked_at():
    b = Builder()
    x, y, z = b.tensor((1, 4), *Q), b.tensor((1, 4), *Q), b.tensor((1, 4), dtype="int16", name="unread")
    b.op("RELU", [x], [y])
    b.op("COS", [y], [z])
    assert [op.kind for op in parse_tflite(b.finish([x], [y]), "m").ops] == ["RELU"]
    refused(b.finish([x], [z]), "COS", "unread")


def test_dilation_by_batches_says_how_to_convert():
    b = Builder()
    x, y = b.tensor((1, 4, 4, 2), *Q), b.tensor((1, 2, 2, 2), *Q)
    b.op(
        "SPACE_TO_BATCH_ND",
        [x, b.const(np.array([2, 2]), "int32"), b.const(np.zeros((2, 2)), "int32")],
        [y],
        "SpaceToBatchNDOptions",
    )
    refused(b.finish([x], [y]), "SPACE_TO_BATCH_ND", "fixed batch of 1")


def test_variable_tensor_is_named():
    refused(unary("RELU", variable=True), "the_input", "variable")


def test_several_subgraphs():
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 4), *Q)
    b.op("RELU", [x], [y])
    refused(b.finish([x], [y], subgraphs=2), "2 subgraphs")


def test_sizes_that_contradict_each_other():
    refused(one_conv(strideH=1), "CONV_2D", "output", "contradicts")
    refused(one_conv(strideW=0), "CONV_2D")
    refused(one_conv(padding="VALID"), "VALID")


def test_a_tensor_read_before_it_is_written():
    b = Builder()
    x, y, z = (b.tensor((1, 4), *Q, name=name) for name in ("x", "ghost", "z"))
    b.op("ADD", [x, y], [z], "AddOptions")
    refused(b.finish([x], [z]), "ADD", "ghost")


def test_inputs_that_are_missing():
    for inputs in ([], [-1]):
        b = Builder()
        b.tensor((1, 4), *Q)
        y = b.tensor((1, 4), *Q, name="lonely")
        b.op("ADD", [0, *inputs], [y], "AddOptions")
        refused(b.finish([0], [y]), "ADD", "lonely", "needs 2")


def test_a_tensor_written_twice():
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 4), *Q, name="twice")
    b.op("RELU", [x], [y])
    b.op("RELU6", [x], [y])
    refused(b.finish([x], [y]), "RELU6", "twice")


@pytest.mark.parametrize("data", [b"", b"hello", b"\0\0\0\0TFL4" + bytes(40)])
def test_not_a_tflite(data):
    refused(data, "bad.tflite", "TFL3")


def test_damage_never_escapes_as_something_else():
    """Bytes changed at random, or cut: read, planned and lowered, or refused in plain words."""
    good = every_operator()
    rng = np.random.default_rng(0)
    outcomes = {"compiled": 0, "refused": 0}
    for number in range(400):
        broken = bytearray(good if number % 8 else good[: rng.integers(len(good))])
        for position in rng.integers(8, len(broken), rng.integers(1, 6)) if len(broken) > 16 else ():
            broken[position] = rng.integers(256)
        try:
            graph = run_passes(parse_tflite(bytes(broken), "m"))
            lower_graph(graph)
            plan_memory(graph)
            outcomes["compiled"] += 1
        except TinyflowError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_missing_file(tmp_path):
    with pytest.raises(TinyflowError, match="nowhere.tflite"):
        read_tflite(tmp_path / "nowhere.tflite")
