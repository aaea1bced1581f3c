"""STRIDED_SLICE of rows and columns goes into the convolution behind it or the window operator before it, as strides.

x[b::s] through a 1x1 convolution is that convolution at stride s, its window's origin moved by b: a negative pad_top or
pad_left. A slice of what a convolution or pool writes, which nothing else reads, is that operator with larger strides.
"""

from dataclasses import replace

import numpy as np

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.operators import Trait, facts, named
from tinyflow.compile.passes.draft import Draft

STRIDED_SLICE = named("STRIDED_SLICE")


def fuse_slices(graph: Graph) -> Graph:
    draft = Draft(graph)
    for position in range(len(graph.ops)):
        cut = draft.maker(graph.ops[position].outputs[0])
        if cut is None or cut.kind != STRIDED_SLICE:
            continue
        bounds = _bounds(draft, cut)
        if bounds is None:
            continue
        (row, row_step), (column, column_step) = bounds
        maker = draft.maker(cut.inputs[0])
        if maker is not None and facts(maker).has(Trait.WINDOW) and draft.sole_reader(cut.inputs[0]) is cut:
            options = maker.options | {"padding": "EXPLICIT"}
            options["pad_top"] -= row * options["stride_h"]
            options["pad_left"] -= column * options["stride_w"]
            options["stride_h"] *= row_step
            options["stride_w"] *= column_step
            draft.put(cut, [])
            draft.put(maker, [replace(maker, outputs=cut.outputs, options=options)])
            continue
        for reader in draft.readers(cut.outputs[0]):
            convolution = facts(reader).has(Trait.CONVOLUTION) and reader.inputs[0] == cut.outputs[0]
            if convolution and _single_pixel(draft, reader):
                options = reader.options | {"padding": "EXPLICIT", "pad_top": -row, "pad_left": -column}
                options["stride_h"] *= row_step
                options["stride_w"] *= column_step
                draft.put(reader, [replace(reader, inputs=(cut.inputs[0], *reader.inputs[1:]), options=options)])
    return draft.graph()


def _bounds(draft: Draft, cut: Op) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(first, step) of rows and columns; None where it cuts anything else, or backwards."""
    source, output = draft.tensors[cut.inputs[0]].shape, draft.tensors[cut.outputs[0]].shape
    parameters = [draft.tensors[index] for index in cut.inputs[1:]]
    if (
        len(source) != 4
        or len(output) != 4
        or len(parameters) != 3
        or not all(tensor.constant and tensor.elements == 4 for tensor in parameters)
    ):
        return None
    if any(
        cut.options[mask] for mask in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "offset")
    ) or not draft.alike(cut.inputs[0], cut.outputs[0]):
        return None
    begin, _, step = (tensor.values.reshape(4).astype(np.int64) for tensor in parameters)
    if source[0] != output[0] or source[3] != output[3] or (step < 1).any() or step[0] != 1 or step[3] != 1:
        return None
    first = [0 if cut.options["begin_mask"] >> axis & 1 else int(begin[axis]) for axis in range(4)]
    first = [max(place + size, 0) if place < 0 else place for place, size in zip(first, source)]
    if any(
        place + (count - 1) * int(stride) >= size for place, count, stride, size in zip(first, output, step, source)
    ):
        return None
    return (first[1], int(step[1])), (first[2], int(step[2]))


def _single_pixel(draft: Draft, op: Op) -> bool:
    """Whether each output reads one pixel, none of the padding."""
    return draft.tensors[op.inputs[1]].shape[1:3] == (1, 1) and op.options["pad_top"] == op.options["pad_left"] == 0
