"""PAD goes into the convolutions and pools behind it, as pad_top and pad_left: explicit padding, asymmetric too.

Outside its input a convolution reads the zero point, which is what PAD writes. Pools look at what is inside only, so
one whose padding counts says so: ``counts_padding``, all filter_h * filter_w pixels, those outside as the input's zero
point.
"""

from dataclasses import replace
from typing import Any

from tinyflow.compile.graph import Graph, Op
from tinyflow.compile.operators import Trait, facts, named
from tinyflow.compile.passes.draft import Draft, zero_point

MAX_POOL_2D = named("MAX_POOL_2D")


def fuse_padding(graph: Graph) -> Graph:
    draft = Draft(graph)
    for pad in graph.ops:
        if not facts(pad).has(Trait.PADS) or not _around_the_map(draft, pad):
            continue
        for reader in draft.readers(pad.outputs[0]):
            options = _padded(draft, pad, reader)
            if options is not None:
                draft.put(reader, [replace(reader, inputs=(pad.inputs[0], *reader.inputs[1:]), options=options)])
    return draft.graph()


def _around_the_map(draft: Draft, pad: Op) -> bool:
    """Whether it pads rows and columns of an NHWC map, by constants."""
    source, paddings = draft.tensors[pad.inputs[0]], draft.tensors[pad.inputs[1]]
    if (
        len(source.shape) != 4
        or not paddings.constant
        or paddings.elements != 8
        or not draft.alike(pad.inputs[0], pad.outputs[0])
    ):
        return False
    if len(pad.inputs) > 2 and not (
        draft.tensors[pad.inputs[2]].constant and draft.alike(pad.inputs[2], pad.outputs[0])
    ):
        return False
    sizes = paddings.values.reshape(4, 2)
    return sizes.min() >= 0 and not sizes[[0, 3]].any()


def _padded(draft: Draft, pad: Op, reader: Op) -> dict[str, Any] | None:
    """The options of ``reader`` on the map before the padding; None where the two cannot become one."""
    zero = zero_point(draft.tensors[pad.inputs[0]])
    value = int(draft.tensors[pad.inputs[2]].values.reshape(-1)[0]) if len(pad.inputs) > 2 else zero
    options = reader.options | {"padding": "EXPLICIT"}
    if reader.kind == MAX_POOL_2D and value == -128:  # the least of all: as if it were not there
        exact = True
    elif facts(reader).has(Trait.POOL):
        exact, options["counts_padding"] = value == zero and _inside(draft, reader), True
    else:
        exact = value == zero and facts(reader).has(Trait.CONVOLUTION)
    if not exact or reader.inputs.count(pad.outputs[0]) != 1:
        return None
    above, left = (int(size) for size in draft.tensors[pad.inputs[1]].values.reshape(4, 2)[1:3, 0])
    return options | {"pad_top": options["pad_top"] + above, "pad_left": options["pad_left"] + left}


def _inside(draft: Draft, pool: Op) -> bool:
    """Whether every window lies inside the map that ``pool`` reads."""
    source, output, options = draft.tensors[pool.inputs[0]].shape, draft.tensors[pool.outputs[0]].shape, pool.options
    return all(
        options[f"pad_{side}"] == 0
        and (output[axis] - 1) * options[f"stride_{letter}"] + options[f"filter_{letter}"] <= source[axis]
        for axis, side, letter in ((1, "top", "h"), (2, "left", "w"))
    )
