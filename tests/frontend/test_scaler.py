"""The scaler: streaming statistics in float64, and a floor."""

import json

import numpy as np
import pytest
import torch

from tinyflow.errors import TinyflowError
from tinyflow.frontend.scaler import STD_FLOOR, Scaler


def mfccs(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(70, 49, 4)) * [20, 3, 0.5, 0.1] + [-71, 4, 0, 1]).astype(np.float32)


def test_streaming_equals_one_pass():
    data = mfccs()
    scaler = Scaler.fit(torch.from_numpy(data[a:b]) for a, b in ((0, 1), (1, 33), (33, 33), (33, 70)))
    flat = data.reshape(-1, 4).astype(np.float64)
    assert np.allclose(scaler.mean, flat.mean(0), rtol=1e-6, atol=1e-7)
    assert np.allclose(scaler.std, flat.std(0), rtol=1e-6)
    assert scaler.mean.dtype == scaler.std.dtype == np.float32


def test_small_spread_on_a_large_mean_survives():
    data = np.float32(1000) + np.float32(0.0625) * np.arange(-8, 8, dtype=np.float32).reshape(16, 1)
    assert Scaler.fit([data[:5], data[5:]]).std[0] == pytest.approx(data.astype(np.float64).std(), rel=1e-6)


def test_constant_coefficients_do_not_explode():
    data = mfccs()
    data[..., 2] = -13.8
    scaler = Scaler.fit([data])
    assert scaler.std[2] == np.float32(STD_FLOOR)
    assert np.abs(scaler.apply(data)[..., 2]).max() < 1e-3


def test_apply_scales_torch_and_numpy_alike():
    data = mfccs()
    scaler = Scaler.fit([data])
    scaled = scaler.apply(torch.from_numpy(data))
    assert np.array_equal(scaled.numpy(), scaler.apply(data))
    assert scaled.dtype == torch.float32
    assert np.allclose(scaled.reshape(-1, 4).mean(0), 0, atol=1e-4)
    assert np.allclose(scaled.reshape(-1, 4).std(0), 1, atol=1e-3)


def test_json_and_back_is_exact():
    scaler = Scaler.fit([mfccs()])
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert np.array_equal(again.mean, scaler.mean) and np.array_equal(again.std, scaler.std)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"mean": [1.0]},
        {"mean": [1.0], "std": [1.0, 2.0]},
        {"mean": [1.0], "std": [0.0]},
        {"mean": [float("nan")], "std": [1.0]},
        {"mean": "x", "std": [1]},
    ],
)
def test_refuses_nonsense(value):
    with pytest.raises(TinyflowError, match="scaler"):
        Scaler.from_dict(value)


def test_refuses_nothing():
    with pytest.raises(TinyflowError, match="no training clips"):
        Scaler.fit([])
