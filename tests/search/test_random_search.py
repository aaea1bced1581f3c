"""Random search on tones: ranked on held-out clips, resumed candidate by candidate."""

import json
from dataclasses import replace

import pytest
import torch
from tone_dataset import tone_dataset

from tinyflow.artefacts import read_json
from tinyflow.board import load_board
from tinyflow.cost.genotype_fit import exact_fit
from tinyflow.errors import TinyflowError
from tinyflow.network.build import build_network
from tinyflow.network.count import count
from tinyflow.network.genotype import genotype_from_dict
from tinyflow.network.operations import OPERATION_SETS
from tinyflow.progress import silent
from tinyflow.recipe import Search
from tinyflow.search import random_search as module
from tinyflow.search.artefact import NOT_DATA_AWARE, load_search
from tinyflow.search.data import SearchData
from tinyflow.search.random_search import random_search
from tinyflow.search.searching import run_search

FRONTENDS = ("640/640/20/mfcc10", "640/320/20/mfcc10", "400/400/20/mfcc8")
SEARCH = Search(
    method="random",
    frontends=FRONTENDS,
    operations="mcu",
    channels=8,
    derived_channels=4,
    cells=2,
    stem_stride=2,
    batch_size=8,
    random_candidates=3,
    random_epochs=2,
    skip_cap=2,
    seed=5,
    device="cpu",
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tone_dataset(tmp_path_factory.mktemp("tones"), training=16, held_out=8)


@pytest.fixture(scope="module")
def result(dataset, tmp_path_factory):
    torch.set_num_threads(1)
    return random_search(dataset, SEARCH, tmp_path_factory.mktemp("search"))


def candidates(result) -> list[dict]:
    """Without what depends on the clock."""
    return [{key: value for key, value in item.items() if key != "seconds"} for item in result.history["candidates"]]


def test_the_best_on_held_out_clips_wins(result):
    found = result.history["candidates"]
    assert [item["index"] for item in found] == [0, 1, 2]
    best = max(found, key=lambda item: (item["accuracy"], -item["macs"]))
    assert result.history["winner"] == best["index"] and result.history["accuracy"] == best["accuracy"]
    assert {**result.genotype.to_dict(), "provenance": {}} == best["genotype"]
    assert result.genotype.provenance["held_out_accuracy"] == best["accuracy"]
    assert result.data_choice.startswith("chosen") and not result.warnings
    assert result.history["seconds"] == pytest.approx(sum(item["seconds"] for item in found), abs=1e-2)
    assert all(path.name in ("genotype.json", "history.json") for path in result.folder.iterdir())
    json.dumps(result.history, allow_nan=False)


def test_candidates_span_the_space_and_are_counted(dataset, result):
    drawn = [module._draw(index, dataset, SEARCH, None)[0] for index in range(60)]
    assert {genotype.frontend.name for genotype in drawn} == set(FRONTENDS)
    assert {edge.operation for genotype in drawn for node in genotype.normal for edge in node} == set(
        OPERATION_SETS["mcu"]
    )
    found = result.history["candidates"]
    assert [item["genotype"] for item in found] == [genotype.to_dict() for genotype in drawn[:3]]
    for item in found:
        genotype = genotype_from_dict(item["genotype"])
        assert genotype.frontend.name == item["frontend"] and genotype.channels == 4 and genotype.cells == 2
        assert genotype.alignment == "preprocess" and genotype.alignment_layer["size"] == [25, 8]
        edges = [edge.operation for node in (*genotype.normal, *genotype.reduction) for edge in node]
        assert set(edges) <= set(OPERATION_SETS["mcu"]) and edges[:8].count("skip_connect") <= 2
        assert count(build_network(genotype), (1, *genotype.frontend.shape)) == (item["parameters"], item["macs"])


def test_accuracy_is_that_of_the_held_out_part(dataset, tmp_path):
    """Trained on the search's clips alone, a candidate is measured on clips that neither part of the search reads."""
    config = replace(SEARCH, random_candidates=1)
    measured = []
    accuracy = module._accuracy

    def spy(network, data, half):
        measured.append((network, data))
        return accuracy(network, data, half)

    module._accuracy = spy
    try:
        result = random_search(dataset, config, tmp_path)
    finally:
        module._accuracy = accuracy
    network, data = measured[0]
    genotype = genotype_from_dict(result.history["candidates"][0]["genotype"])
    batches = list(SearchData(dataset, (genotype.frontend,), config, "cpu").proxy())
    with torch.no_grad():
        answers = torch.cat([network.eval()(batch.features[0].unsqueeze(1)).argmax(1) for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    assert len(labels) == len(data.held_out_rows) and not set(data.held_out_rows) & set(data.search_rows)
    assert result.history["accuracy"] == pytest.approx(float((answers == labels).float().mean()))


def test_a_killed_run_goes_on_with_the_next_candidate(dataset, result, tmp_path):
    tasks = []

    def dies(task, done, total, note=""):
        tasks.append(task)
        if task == "candidate 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        random_search(dataset, SEARCH, tmp_path, dies)
    assert [path.name for path in tmp_path.iterdir()] == ["candidate-0000.json"]
    first = read_json(tmp_path / "candidate-0000.json")["seconds"]
    tasks.clear()
    again = random_search(dataset, SEARCH, tmp_path, lambda task, *rest: tasks.append(task))
    assert "candidate 1" not in tasks and "candidate 2" in tasks
    assert candidates(again) == candidates(result) and again.genotype == result.genotype
    assert again.history["candidates"][0]["seconds"] == first, "time of the killed run counts"


def test_another_recipe_starts_anew(dataset, result, tmp_path):
    (tmp_path / "candidate-0000.json").write_text(
        json.dumps({"fingerprint": "of another search", **result.history["candidates"][0]})
    )
    tasks = []
    random_search(dataset, replace(SEARCH, random_candidates=1), tmp_path, lambda task, *rest: tasks.append(task))
    assert "candidate 1" in tasks


def test_equal_cost_stops_by_time(dataset, tmp_path):
    result = random_search(dataset, replace(SEARCH, random_seconds=0.01, random_epochs=1), tmp_path)
    assert len(result.history["candidates"]) == 1, "one candidate spends it"
    seconds = 2.5 * result.history["seconds"]
    result = random_search(
        dataset, replace(SEARCH, random_seconds=seconds, random_candidates=1, random_epochs=1), tmp_path
    )
    spent = [item["seconds"] for item in result.history["candidates"]]
    assert len(spent) > 1 and sum(spent) >= seconds > sum(spent[:-1])


def test_one_front_end_is_not_data_aware(dataset, tmp_path):
    result = random_search(
        dataset, replace(SEARCH, frontends=FRONTENDS[:1], random_candidates=1, random_epochs=1), tmp_path
    )
    assert (
        result.data_choice == NOT_DATA_AWARE
        and result.genotype.alignment == "native"
        and result.genotype.alignment_layer is None
    )
    assert load_search(tmp_path).genotype == result.genotype


def test_a_loss_that_is_not_finite_ranks_last(dataset, tmp_path):
    config = replace(SEARCH, random_candidates=1, random_epochs=1, learning_rate=1e30, gradient_clip=0.0)
    with pytest.raises(TinyflowError, match="not finite"):
        random_search(dataset, config, tmp_path)


def test_the_budget_of_a_board_is_kept(dataset, tmp_path):
    board = load_board("mps2-an386")
    result = random_search(dataset, replace(SEARCH, random_candidates=1, random_epochs=1), tmp_path, board=board)
    assert result.history["fit"]["fits"] and exact_fit(result.genotype, board).fits
    small = replace(board, memory=tuple(replace(region, length=4096) for region in board.memory))
    with pytest.raises(TinyflowError, match="none of 200 random genotypes is allowed on mps2-an386"):
        random_search(dataset, replace(SEARCH, random_candidates=1, seed=1), tmp_path, board=small)


@pytest.mark.slow
def test_two_processes_share_the_candidates(dataset, result, tmp_path):
    config = replace(SEARCH, random_candidates=3)
    shared = run_search(dataset.folder, config, tmp_path, None, 2, silent)
    assert candidates(shared) == candidates(result) and shared.genotype == result.genotype
