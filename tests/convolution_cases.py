"""Convolutions that fit: sizes, weights and scales for tests of several kernels."""

import numpy as np
from hypothesis import strategies as st


def window(size, filter_size, stride, dilation, padding):
    """Output size of one axis, or None where a VALID window does not fit."""
    reach = (filter_size - 1) * dilation + 1
    return -(-size // stride) if padding == "SAME" else (size - reach) // stride + 1 if size >= reach else None


@st.composite
def geometry(draw):
    """Input size, filter, stride, dilation, padding, output size: one axis pair that fits."""
    filter_h, filter_w = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    dilation_h, dilation_w = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    least = (1, 1) if padding == "SAME" else ((filter_h - 1) * dilation_h + 1, (filter_w - 1) * dilation_w + 1)
    h, w = draw(st.integers(least[0], least[0] + 9)), draw(st.integers(least[1], least[1] + 9))
    stride_h, stride_w = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    options = dict(
        strideH=stride_h, strideW=stride_w, dilationHFactor=dilation_h, dilationWFactor=dilation_w, padding=padding
    )
    out = window(h, filter_h, stride_h, dilation_h, padding), window(w, filter_w, stride_w, dilation_w, padding)
    return (h, w), (filter_h, filter_w), out, options


def quantised(rng, shape, channels, axis, depth, in_scale, per_channel, bias):
    """Weights and bias with scales such that outputs fill the int8 range now and then."""
    b_scales = (rng.uniform(0.2, 1.0, channels) * 0.02).astype(np.float32) if per_channel else np.float32([0.01])
    weights = rng.integers(-127, 128, shape)
    spread = float(in_scale) * float(b_scales.mean()) * 74 * 74 * np.sqrt(depth)
    biases = rng.integers(-20000, 20000, channels) if bias else None
    return weights, b_scales, biases, np.float32(spread / rng.uniform(30, 150))
