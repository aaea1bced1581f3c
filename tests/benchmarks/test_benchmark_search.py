"""benchmarks/search.py: both sides do the same work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import search as benchmark  # benchmarks/search.py
import torch
from frontend_signals import signals
from plain_features import PlainFeatures, PlainMixture

from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.recipe import Search
from tinyflow.search.data import SearchData
from tinyflow.search.mixture import DataMixture

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def both():
    """The same clips as our search reads them, scaled and from the cache, and as the plain one computes them."""
    made = signals()
    clips = np.concatenate([made[kind] for kind in ("speech", "noise", "impulses")])
    data = benchmark.Clips(8)
    data.splits["training"].audio[: len(clips)] = clips
    config = Search(batch_size=8)
    ours = SearchData(data, TABLE_1, config, "cpu")
    scales = [(torch.from_numpy(scaler.mean), torch.from_numpy(scaler.std)) for scaler in ours.scalers]
    rows = data.training_epoch(0, config.seed).audio_rows[:8]
    assert (rows < len(clips)).any()
    audio = torch.from_numpy(data.splits["training"].audio[rows]).float() / 32768.0
    return ours.training(0, 0), PlainFeatures(TABLE_1, scales)(audio), data.splits["training"].labels[rows]


def test_both_sides_compute_the_same_features(both):
    ours, plain, labels = both
    assert ours.labels.tolist() == labels.tolist()
    for config, a, b in zip(TABLE_1, ours.features, plain, strict=True):
        assert a.shape == b.shape == (8, *config.shape)
        assert (a - b).abs().max() < 2e-3 and b.std() > 0.1


@pytest.mark.parametrize("alignment", ["preprocess", "zero_pad"])
def test_both_sides_feed_the_same_samples_to_the_supernet(both, alignment):
    ours, plain, _ = both
    torch.manual_seed(0)
    one, two = DataMixture(TABLE_1, alignment), PlainMixture(TABLE_1, alignment)
    gamma = torch.randn(8)
    one.gamma.data, two.gamma.data = gamma.clone(), gamma.clone()
    for a, b in zip(one.weights(), two.convolutions.parameters(), strict=True):
        b.data = a.data.clone()
    x, padding = one(ours.features)
    y = two(plain)
    assert padding is None and x.shape == y.shape == (8, 1, *one.size)
    assert torch.allclose(x, y, atol=5e-3) and y.std() > 0.1
    (x.square() * torch.linspace(0, 1, x.shape[2])[:, None]).mean().backward()
    (y.square() * torch.linspace(0, 1, y.shape[2])[:, None]).mean().backward()
    assert torch.allclose(one.gamma.grad, two.gamma.grad, atol=1e-4) and two.gamma.grad.abs().max() > 1e-3


@pytest.mark.parametrize("side", ["plain", "ours"])
@pytest.mark.parametrize("what", ["step", "warm-up"])
def test_a_step_moves_what_it_should(side, what, monkeypatch):
    torch.set_num_threads(1)
    made = {"Supernet": None, "PlainSupernet": None, "DataMixture": None, "PlainMixture": None}
    for name in made:
        kind = getattr(benchmark, name)
        monkeypatch.setattr(
            benchmark, name, lambda *a, kind=kind, name=name: made.__setitem__(name, kind(*a)) or made[name]
        )
    case = benchmark.Case(side, what, "preprocess", 8, 1, 2, 2, "cpu", 1, "float32", False)
    step = getattr(benchmark, side)(case)
    supernet, mixture = (made[name] for name in made if made[name] is not None)
    parameters = {**dict(supernet.named_parameters()), "gamma": mixture.gamma}
    before = {name: value.detach().clone() for name, value in parameters.items()}
    step()
    moved = {name for name, value in parameters.items() if not torch.equal(value, before[name])}
    architecture = {"alpha_normal", "alpha_reduction", "beta_normal", "beta_reduction", "gamma"}
    assert moved & architecture == ({"alpha_normal", "beta_normal", "gamma"} if what == "step" else set()), (
        "one cell, a normal one"
    )
    assert "classifier.weight" in moved and len(moved - architecture) > 10


def test_the_projection_is_pc_darts_schedule():
    rows = [
        {"what": "search step", "alignment": "preprocess", "ours": {"clips_per_second": 1000.0}},
        {"what": "warm-up step", "alignment": "preprocess", "ours": {"clips_per_second": 2000.0}},
        {"what": "search step", "alignment": "zero_pad", "ours": {"clips_per_second": 500.0}},
    ]
    assert benchmark.projection(rows, "preprocess", "ours") == pytest.approx(
        (35 * 85_000 / 1000 + 15 * 85_000 / 2000) / 60
    )
    assert benchmark.projection(rows, "zero_pad", "ours") is None


def test_a_side_that_runs_out_of_memory_gets_half_the_batch():
    case, tried = benchmark.Case("plain", "step", "zero_pad", 8, 1, 2, 64, "cuda", 1, "float32", False), []

    def start(case: benchmark.Case, fits: int) -> benchmark.Case:
        tried.append(case.batch)
        if case.batch > fits:
            raise MemoryError
        return case

    assert benchmark.fitting(case, lambda case: start(case, 20)).batch == 16 and tried == [64, 32, 16]
    with pytest.raises(SystemExit, match="plain, step, zero_pad"):
        benchmark.fitting(case, lambda case: start(case, 0))


@pytest.mark.slow
def test_the_table():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "search.py"),
        "--cells",
        "1",
        "--stem-stride",
        "2",
        "--batch",
        "2",
        "--repeats",
        "1",
        "--alignment",
        "preprocess",
        "--device",
        "cpu",
        "--json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert [(row["what"], row["note"]) for row in found["rows"]] == [
        ("features", "both from waveforms"),
        ("features", "ours from the cache"),
        ("search step", "ours from the cache"),
    ]
    for row in found["rows"]:
        assert row["ratio"] == pytest.approx(row["ours"]["clips_per_second"] / row["plain"]["clips_per_second"])
        assert all(
            2**26 < row[side]["peak_memory_bytes"] < 2**35 and len(row[side]["seconds"]) == 1
            for side in ("plain", "ours")
        )
    assert found["projected_minutes"] == {}, "a GPU's alone"
    assert "ratio" in benchmark.show(found)
