"""From the options tables of the flatbuffer schema to Op.options, those that several operators share."""

from typing import Any

ACTIVATIONS = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
PADDINGS = {0: "SAME", 1: "VALID"}


def none(_: Any) -> dict[str, Any]:
    return {}


def activation(options: Any) -> dict[str, Any]:
    return {"activation": ACTIVATIONS.get(options.fusedActivationFunction, str(options.fusedActivationFunction))}


def window(options: Any) -> dict[str, Any]:
    return {
        "stride_h": options.strideH,
        "stride_w": options.strideW,
        "padding": PADDINGS[options.padding],
        **activation(options),
    }


def convolution(options: Any) -> dict[str, Any]:
    return {**window(options), "dilation_h": options.dilationHFactor, "dilation_w": options.dilationWFactor}
