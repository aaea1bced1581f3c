"""Sweeps of tiny searches on tones, in sequence and by Ray; the Pareto front."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from tone_dataset import TONES, tone

from tinyflow.artefacts import read_json
from tinyflow.data import load_dataset
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Data, Recipe, Search, Train, override
from tinyflow.search.data import SearchData
from tinyflow.sweep.pareto import OBJECTIVES, pareto_front
from tinyflow.sweep.sweeping import held_out_accuracy, sweep
from tinyflow.train.artefact import load_trained
from tinyflow.train.batches import scaled_features

VALUES = st.none() | st.integers(0, 3)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


# --- the front


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(OBJECTIVES, VALUES)), max_size=12))
def test_nothing_on_the_front_is_beaten_and_all_else_is(rows):
    def beats(one, other):
        pairs = [(sign * one[name], sign * other[name]) for name, sign in OBJECTIVES.items()]
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    complete = [index for index, row in enumerate(rows) if None not in row.values()]
    front = pareto_front(rows)
    assert front == [index for index in complete if not any(beats(rows[other], rows[index]) for other in complete)]
    assert bool(front) == bool(complete)


def test_front_by_hand():
    rows = [
        {"accuracy": a, "instructions": i, "ram_bytes": r}
        for a, i, r in ((0.9, 10, 10), (0.8, 5, 10), (0.8, 6, 10), (0.7, 9, 4), (0.9, 10, 10))
    ]
    assert pareto_front(rows) == [0, 1, 3, 4]
    assert pareto_front(rows, {"accuracy": 1}) == [0, 4]


# --- the sweep


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    folder, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    for word, frequency in TONES.items():
        (folder / word).mkdir()
        for number in range(40):
            soundfile.write(folder / word / f"{number}.wav", tone(frequency, rng), 16000)
    return Recipe(
        "tones",
        data=Data(
            source="folder", path=str(folder), task="keywords", keywords=tuple(TONES), unknown=False, silence=0.1
        ),
        search=Search(
            frontends=("640/640/20/mfcc10", "640/320/20/mfcc10"),
            channels=8,
            cells=2,
            stem_stride=2,
            derived_channels=4,
            batch_size=16,
            epochs=2,
            warmup_epochs=1,
            device="cpu",
            board="mps2-an386",
        ),
        train=Train(epochs=1, batch_size=16, device="cpu"),
        base=str(folder),
    )


AXES = {"search.derived_channels": [4, 6], "search.learning_rate": [0.1, 1e30]}  # the second diverges


@pytest.fixture(scope="module")
def in_sequence(recipe, tmp_path_factory):
    torch.set_num_threads(1)
    return sweep(recipe, AXES, tmp_path_factory.mktemp("sequence"))


def timeless(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]


def test_a_failing_point_is_reported_and_the_others_go_on(in_sequence):
    rows = in_sequence.rows
    assert [row["values"] for row in rows] == [
        {"search.derived_channels": c, "search.learning_rate": r} for c in (4, 6) for r in (0.1, 1e30)
    ]
    good, bad = rows[::2], rows[1::2]
    for row in bad:
        assert "not finite" in row["error"] and "learning_rate" in row["hint"] and "accuracy" not in row
    for row in good:
        assert "error" not in row and 0 <= row["accuracy"] <= 1 and row["board"] == "mps2-an386" and row["fits"]
        assert all(row[key] > 0 for key in ("instructions", "ram_bytes", "flash_bytes", "parameters", "macs"))
    assert good[0]["parameters"] < good[1]["parameters"]
    assert in_sequence.front and set(in_sequence.front) <= {0, 2}
    written = read_json(in_sequence.folder / "sweep.json")
    assert (
        written["rows"] == rows
        and written["front"] == in_sequence.front
        and (in_sequence.folder / "pareto.png").stat().st_size > 1000
    )


def test_accuracy_is_of_clips_that_no_search_read(recipe, in_sequence):
    row = in_sequence.rows[0]
    folder = in_sequence.folder / "points" / row["name"]
    dataset, model = load_dataset(folder / "data"), load_trained(folder / "train")
    config = replace(recipe.search, learning_rate=0.1, derived_channels=4)
    assert (row["parameters"], row["macs"]) == (model.parameters, model.macs)
    data = SearchData(dataset, (model.genotype.frontend,), config, "cpu")
    split = dataset.split("validation")
    features = scaled_features(model.genotype.frontend, model.scaler, np.asarray(split.audio[data.held_out_rows]))
    answers = model.network(torch.from_numpy(features).unsqueeze(1)).argmax(1).numpy()
    assert row["accuracy"] == pytest.approx(float((answers == split.labels[data.held_out_rows]).mean()))
    assert held_out_accuracy(model, dataset, config) == row["accuracy"]


def test_data_is_made_once(in_sequence):
    made = [path for path in in_sequence.folder.iterdir() if path.name.startswith("data-")]
    assert len(made) == 1
    assert all((point / "data").resolve() == made[0] / "data" for point in (in_sequence.folder / "points").iterdir())


def test_finished_points_are_skipped(recipe, in_sequence):
    tasks = []
    again = sweep(recipe, AXES, in_sequence.folder, lambda task, done, total, note="": tasks.append((task, note)))
    assert ("sweep", "2 of 4 points are not run: finished before, or without data") in tasks
    assert again.rows[::2] == in_sequence.rows[::2] and again.front == in_sequence.front


def test_two_ray_workers_find_the_same_front(recipe, in_sequence, tmp_path):
    pytest.importorskip("ray")
    found = sweep(recipe, AXES, tmp_path / "ray", parallel=2)
    assert timeless(found.rows) == timeless(in_sequence.rows)
    assert found.front == in_sequence.front


def test_what_cannot_be_swept_is_said_before_anything_runs(recipe, tmp_path):
    for axes, message in (
        ({"search.chanels": [8]}, "unknown key 'search.chanels'"),
        ({"search.channels": 8}, "axis search.channels is 8"),
        ({"search.channels": [7]}, "search.channels is 7"),
        ({"search.board": ["nucleo"]}, "no board 'nucleo'"),
        ({"board.instruction_bugdet": [1]}, "instruction_bugdet"),
    ):
        with pytest.raises(TinyflowError, match=message):
            sweep(recipe, axes, tmp_path / "out")
    with pytest.raises(TinyflowError, match="no search section"):
        sweep(replace(recipe, search=None), {"search.seed": [0]}, tmp_path / "out")
    assert not (tmp_path / "out" / "points").exists()


def test_boards_and_their_budgets_are_axes(recipe, tmp_path):
    axes = {"search.board": ["mps2-an386", "nucleo-l4r5zi"], "board.instruction_budget": [1000, 10**9]}
    result = sweep(
        override(recipe, {"search.epochs": 1, "search.warmup_epochs": 0}),
        axes,
        tmp_path,
        samples=2,
        train=False,
        seed=1,
    )
    assert len(result.rows) == 2 and all("error" not in row for row in result.rows)
    assert [row["board"].startswith(row["values"]["search.board"]) for row in result.rows] == [True, True]
    assert [row["fits"] for row in result.rows] == [
        row["values"]["board.instruction_budget"] > 1000 for row in result.rows
    ]
    assert all(row["accuracy"] == row["proxy_accuracy"] for row in result.rows)
