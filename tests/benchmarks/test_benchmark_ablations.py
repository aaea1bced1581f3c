"""The ablation table on tones: every line at the same data, random search at the base's cost, finished lines kept."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tone_dataset import TONES, tone

from tinyflow.errors import TinyflowError
from tinyflow.recipe import Data, Recipe, Search, Train

SOURCE = Path(__file__).resolve().parents[2] / "benchmarks" / "ablations.py"
SPEC = importlib.util.spec_from_file_location("ablations", SOURCE)
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    torch.set_num_threads(1)
    folder, rng = tmp_path / "tones", np.random.default_rng(0)
    for word, frequency in TONES.items():
        (folder / word).mkdir(parents=True)
        for number in range(30):
            soundfile.write(folder / word / f"{number}.wav", tone(frequency, rng), 16000)
    search = Search(
        frontends=("640/640/20/mfcc10", "640/320/20/mfcc10"),
        channels=8,
        cells=2,
        stem_stride=2,
        derived_channels=4,
        batch_size=16,
        epochs=2,
        warmup_epochs=1,
        random_epochs=1,
        device="cpu",
    )
    data = Data(source="folder", path=str(folder), task="keywords", keywords=tuple(TONES), unknown=False, silence=0.1)
    return Recipe("tones", data, search, train=Train(epochs=1, batch_size=16, device="cpu"), base=str(folder))


def test_lines(recipe, tmp_path, capsys):
    lines = ["base", "random", "ds-cnn", "mcu"]
    rows = MODULE.ablations(recipe, lines, [3], tmp_path / "out")
    assert [row["line"] for row in rows] == lines and not any("error" in row for row in rows)
    base, random, ds_cnn, mcu = rows
    assert random["search_seconds"] >= base["search_seconds"]
    assert ds_cnn["frontend"] == base["frontend"] and ds_cnn["parameters"] != base["parameters"]
    assert ds_cnn["search_seconds"] == base["search_seconds"], "the base's search, not another one"
    mcu_cells = json.loads((tmp_path / "out" / "points" / "mcu-seed3" / "search" / "genotype.json").read_text())[
        "normal"
    ]
    assert not {operation for node in mcu_cells for operation, _ in node} & {
        "sep_conv_3x3",
        "dil_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_5x5",
    }
    table = capsys.readouterr().out
    assert len([line for line in table.splitlines() if line.startswith("|")]) == 2 + len(lines)
    assert MODULE.ablations(recipe, lines, [3], tmp_path / "out") == rows, "finished lines are kept"


def test_a_wrong_line_is_an_error_at_once(recipe, tmp_path):
    with pytest.raises(TinyflowError, match="no line 'basis'"):
        MODULE.ablations(recipe, ["basis"], [0], tmp_path / "out")
    assert not (tmp_path / "out").exists()
