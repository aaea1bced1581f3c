"""Fields that several of the schema's tables of options share, by their keys in Op.options."""

from tinyflow.compile.schema import Field

ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
PADDINGS = {0: "SAME", 1: "VALID"}


def activation(slot: int) -> dict[str, Field]:
    return {"activation": Field(slot, "b", names=ACTIVATIONS)}


def window(slot: int) -> dict[str, Field]:
    """slot: of the fused activation."""
    return {
        "stride_h": Field(2),
        "stride_w": Field(1),
        "padding": Field(0, "b", names=PADDINGS),
        **activation(slot),
    }


def convolution(slot: int) -> dict[str, Field]:
    """slot: of the fused activation."""
    return {**window(slot), "dilation_h": Field(slot + 2, default=1), "dilation_w": Field(slot + 1, default=1)}
