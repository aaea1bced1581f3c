"""ONNX (NCHW) to a TensorFlow function (NHWC), operator by operator, for the operators of our networks.

onnx2tf guesses layouts from shapes: it slices the wrong axes behind a max pool, writes a dilated depthwise
convolution as a grouped one, and leaves TRANSPOSEs. Our networks are 4-D maps up to the global pool and 2-D
behind it, so nothing needs guessing: axis 1 becomes axis 3 and no TRANSPOSE ever arises.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from tinyflow.compile.resampling import nearest
from tinyflow.errors import TinyflowError

Sliced = tuple[Any, dict[int, tuple[int, int, int]]]  # what was sliced, and by axis: start, end, step
Fail = Callable[[str], TinyflowError]
Sizes = list[int]
Padding = list[tuple[int, int]]  # (before, after) of rows and columns

NHWC = {0: 0, 1: 3, 2: 1, 3: 2}  # axis of an ONNX map -> axis here


def tf_function(path: Path | str) -> tuple[Any, tuple[int, ...]]:
    """The concrete function of the ONNX file and its input shape (1, rows, columns, channels)."""
    graph = onnx.load(str(path)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (source,) = [value for value in graph.input if value.name not in constants]
    batch, channels, rows, columns = (dimension.dim_value for dimension in source.type.tensor_type.shape.dim)
    shape = (batch, rows, columns, channels)

    def network(features: Any) -> Any:
        values = {source.name: features}
        slices: dict[str, Sliced] = {}
        resized: dict[str, Any] = {}  # output of a resampling -> what it resampled
        for node in graph.node:
            _evaluate(node, values, constants, slices, resized)
        return tf.identity(values[graph.output[0].name], name=graph.output[0].name)

    signature = tf.TensorSpec(shape, tf.float32, name=source.name)
    return tf.function(network, input_signature=[signature], autograph=False).get_concrete_function(), shape


def _evaluate(
    node: onnx.NodeProto,
    values: dict[str, Any],
    constants: dict[str, np.ndarray],
    slices: dict[str, Sliced],
    resized: dict[str, Any],
) -> None:
    """Compute ``node`` into ``values`` (or ``constants``)."""
    options = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    output = node.output[0]
    name = output.strip("/").replace("/", "_").replace(":", "_").replace(".", "_") or None
    inputs = [name_ for name_ in node.input if name_]

    def fail(reason: str) -> TinyflowError:
        where = f"ONNX {node.op_type} at tensor {output}"
        return TinyflowError(f"{where}: {reason}", "build the network from the operations of docs/genotype.md")

    def value(index: int) -> Any:
        return values[inputs[index]]

    def constant(index: int) -> np.ndarray:
        if inputs[index] not in constants:
            raise fail(f"input {inputs[index]} is not constant")
        return constants[inputs[index]]

    match node.op_type:
        case "Constant":
            constants[output] = numpy_helper.to_array(options["value"])
            return
        case _ if all(item in constants for item in inputs):  # torch computes the pads of a Pad in eight operators
            found: Any = ReferenceEvaluator(node).run(None, {item: constants[item] for item in inputs})
            (constants[output],) = found
            return
        case "Identity":
            result = value(0)
        case "Conv":
            result = _convolution(value(0), constant(1), constant(2) if len(inputs) > 2 else None, options, name, fail)
        case "Relu":
            result = tf.nn.relu(value(0), name=name)
        case "Add":
            result = tf.add(value(0), value(1), name=name)
        case "Concat":
            axis = options["axis"] % len(value(0).shape)
            result = tf.concat(
                [values[item] for item in inputs], NHWC[axis] if len(value(0).shape) == 4 else axis, name=name
            )
        case "MaxPool":
            result = _max_pool(value(0), options, name, fail)
        case "AveragePool":
            if not options.get("count_include_pad"):
                raise fail("padding is not counted; it needs count_include_pad=1")
            kernel, stride = options["kernel_shape"], options.get("strides", [1, 1])
            padded = _pad(value(0), _needed(value(0), kernel, stride, [1, 1], options["pads"]))
            result = tf.nn.avg_pool2d(padded, kernel, stride, "VALID", name=name)
        case "GlobalAveragePool":
            result = tf.reduce_mean(value(0), [1, 2], keepdims=True, name=name)
        case "Flatten":
            if any(size != 1 for size in value(0).shape[1:3]) or options.get("axis", 1) != 1:
                raise fail(f"of a map {tuple(value(0).shape)}: only behind a global pool")
            result = tf.squeeze(value(0), [1, 2], name=name)
        case "Gemm":
            weights = constant(1) if options.get("transB") else constant(1).T
            result = tf.nn.bias_add(tf.matmul(value(0), weights, transpose_b=True), constant(2), name=name)
        case "Pad":
            pads = [int(size) for size in constant(1)]
            if options.get("mode", b"constant") != b"constant" or any(pads[axis] or pads[4 + axis] for axis in (0, 1)):
                raise fail(f"pads {pads} in mode {options.get('mode')!r}: only zeros around the map")
            if len(inputs) > 2 and np.any(constant(2)):
                raise fail(f"pads with {constant(2)}: only with zero")
            result = _pad(value(0), [(pads[2], pads[6]), (pads[3], pads[7])], name)
        case "Slice":
            result = _slice(
                inputs[0], output, values, slices, [constant(index) for index in range(1, len(inputs))], name
            )
        case "Gather":
            result = _resize(inputs[0], output, values, resized, constant(1), options.get("axis", 0), name, fail)
        case _:
            raise fail("the operator is not supported")
    values[output] = result


def _needed(x: Any, kernel: Sizes, stride: Sizes, dilation: Sizes, pads: Sizes) -> Padding:
    """The padding that some window really reads."""
    needed: Padding = []
    for axis in (0, 1):
        size, extent = x.shape[1 + axis], (kernel[axis] - 1) * dilation[axis] + 1
        before, after = pads[axis], pads[2 + axis]
        windows = (size + before + after - extent) // stride[axis] + 1
        needed.append((before, max(0, (windows - 1) * stride[axis] + extent - size - before)))
    return needed


def _same(x: Any, kernel: Sizes, stride: Sizes, dilation: Sizes, needed: Padding) -> bool:
    """Whether TensorFlow's SAME is the padding ``needed``."""
    for axis in (0, 1):
        size, extent = x.shape[1 + axis], (kernel[axis] - 1) * dilation[axis] + 1
        total = max(0, (-(-size // stride[axis]) - 1) * stride[axis] + extent - size)
        if needed[axis] != (total // 2, total - total // 2):
            return False
    return True


def _pad(x: Any, needed: Padding, name: str | None = None) -> Any:
    return tf.pad(x, [(0, 0), *needed, (0, 0)], name=name) if any(any(pair) for pair in needed) else x


def _convolution(
    x: Any, weights: np.ndarray, bias: np.ndarray | None, options: dict[str, Any], name: str | None, fail: Fail
) -> Any:
    """``weights``: (outputs, inputs / groups, rows, columns)."""
    outputs, _, *kernel = weights.shape
    groups, channels = options.get("group", 1), x.shape[3]
    stride, dilation = options.get("strides", [1, 1]), options.get("dilations", [1, 1])
    needed = _needed(x, kernel, stride, dilation, options.get("pads", [0, 0, 0, 0]))
    padding = "SAME" if _same(x, kernel, stride, dilation, needed) else "VALID"
    x = x if padding == "SAME" else _pad(x, needed)
    attributes = {"strides": [1, *stride, 1], "padding": padding, "dilations": [1, *dilation, 1]}
    if groups == 1:
        result = tf.raw_ops.Conv2D(input=x, filter=weights.transpose(2, 3, 1, 0), **attributes)
    elif groups == channels:
        # The raw operator: tf.nn's splits a dilated one into SpaceToBatchND, which the CPU kernel would need and TFLite
        # not.
        filters = weights.reshape(channels, outputs // channels, *kernel).transpose(2, 3, 0, 1)
        result = tf.raw_ops.DepthwiseConv2dNative(input=x, filter=filters, **attributes)
    else:
        raise fail(f"{groups} groups of {channels} channels: 1 or depthwise")
    return result if bias is None else tf.nn.bias_add(result, bias, name=name)


def _max_pool(x: Any, options: dict[str, Any], name: str | None, fail: Fail) -> Any:
    """Where the stride's origin is not that of SAME, padding would need -inf (PADV2, which int8 lacks): there it
    is the pool at stride 1, subsampled, which is the same numbers."""
    kernel, stride = options["kernel_shape"], options.get("strides", [1, 1])
    if options.get("dilations", [1, 1]) != [1, 1] or options.get("ceil_mode"):
        raise fail("dilation or ceil_mode")
    needed = _needed(x, kernel, stride, [1, 1], options["pads"])
    if _same(x, kernel, stride, [1, 1], needed):
        return tf.nn.max_pool2d(x, kernel, stride, "SAME", name=name)
    dense = _needed(x, kernel, [1, 1], [1, 1], options["pads"])
    if not _same(x, kernel, [1, 1], [1, 1], dense):
        raise fail(f"kernel {kernel} with pads {options['pads']}: only symmetric padding that keeps the size")
    return tf.nn.max_pool2d(x, kernel, 1, "SAME")[:, :: stride[0], :: stride[1], :]


def _resize(
    source: str,
    output: str,
    values: dict[str, Any],
    resized: dict[str, Any],
    indices: np.ndarray,
    axis: int,
    name: str | None,
    fail: Fail,
) -> Any:
    """Nearest-neighbour resampling (network/alignment.py), which torch writes as one Gather per axis: two are taken as
    one.
    """
    x = values[source]
    if axis not in (2, 3) or not np.array_equal(indices, nearest(x.shape[NHWC[axis]], len(indices))):
        raise fail(f"of axis {axis}: only a nearest-neighbour resampling of rows or columns")
    size = [len(indices), x.shape[2]] if axis == 2 else [x.shape[1], len(indices)]
    resized[output] = resized.get(source, x) if axis == 3 else x  # columns come behind rows
    return tf.raw_ops.ResizeNearestNeighbor(images=resized[output], size=size, half_pixel_centers=True, name=name)


def _slice(
    source: str,
    output: str,
    values: dict[str, Any],
    slices: dict[str, Sliced],
    arguments: list[np.ndarray],
    name: str | None,
) -> Any:
    """torch writes x[:, :, 1::2, 1::2] as one Slice per axis: a slice of a slice is taken as one."""
    starts, ends = arguments[:2]
    axes = arguments[2] if len(arguments) > 2 else np.arange(len(starts))
    steps = arguments[3] if len(arguments) > 3 else np.ones_like(starts)
    base, bounds = slices.get(source, (values[source], {}))
    added = {
        NHWC[int(axis)]: (int(start), int(end), int(step)) for axis, start, end, step in zip(axes, starts, ends, steps)
    }
    if set(added) & set(bounds):
        base, bounds = values[source], {}
    bounds = {**bounds, **added}
    slices[output] = base, bounds
    ranges = [slice(*bounds[axis]) if axis in bounds else slice(None) for axis in range(4)]
    sizes = [range(size)[item] for size, item in zip(base.shape, ranges)]  # ends far beyond the size, clipped
    begin = [item.start for item in sizes]
    end = [item.start + (len(item) - 1) * item.step + 1 for item in sizes]
    return tf.strided_slice(base, begin, end, [item.step for item in sizes], name=name)
