"""SearchData: what a search reads, and what it must never read."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tone_dataset import tone_dataset

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.recipe import Search
from tinyflow.search.data import SearchData, balanced, choose_storage, split_validation
from tinyflow.search.world import World
from tinyflow.train.batches import fit_scaler, waveform

CONFIGS = (TABLE_1[3], TABLE_1[6], TABLE_1[7])  # 400/200/80, 640/320/40, 640/320/80
SEARCH = Search(batch_size=16, seed=3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tone_dataset(tmp_path_factory.mktemp("tones"), training=20, held_out=12)


@pytest.fixture(scope="module")
def data(dataset):
    return SearchData(dataset, CONFIGS, SEARCH, "cpu")


def equal(one, two) -> bool:
    features = all(torch.equal(a, b) for a, b in zip(one.features, two.features, strict=True))
    return features and torch.equal(one.labels, two.labels) and one.total == two.total


def test_scalers_are_those_that_training_fits(dataset, data):
    for config, scaler in zip(CONFIGS, data.scalers, strict=True):
        alone = fit_scaler(dataset, config, SEARCH.seed, torch.device("cpu"))
        assert np.allclose(scaler.mean, alone.mean, rtol=1e-5, atol=1e-5) and np.allclose(
            scaler.std, alone.std, rtol=1e-5
        )


def test_scalers_weigh_repeated_clips(tmp_path):
    dataset = tone_dataset(tmp_path, training=20)
    epoch = dataset.training_epoch(0, 0)
    repeated = replace(
        epoch,
        audio_rows=np.concatenate([epoch.audio_rows, np.full(40, 5)]),
        labels=np.concatenate([epoch.labels, np.zeros(40, np.int64)]),
    )
    dataset.training_epoch = lambda epoch, seed: repeated
    alone = fit_scaler(dataset, CONFIGS[1], 0, torch.device("cpu"))
    (scaler,) = SearchData(dataset, CONFIGS[1:2], Search(batch_size=16), "cpu").scalers
    assert np.allclose(scaler.mean, alone.mean, rtol=1e-5, atol=1e-5) and np.allclose(scaler.std, alone.std, rtol=1e-5)


def test_training_batches_are_the_epochs_clips(dataset, data):
    epoch, split = dataset.training_epoch(2, SEARCH.seed), dataset.split("training")
    assert data.steps == len(epoch) // 16 and data.classes == len(dataset.labels)
    silent = 0
    for step in range(data.steps):
        batch = data.training(2, step)
        rows = epoch.audio_rows[step * 16 : (step + 1) * 16]
        assert batch.labels.tolist() == epoch.labels[step * 16 : (step + 1) * 16].tolist() and batch.total == 16
        spoken = np.flatnonzero(rows >= 0)
        silent += (rows < 0).sum()
        for config, scaler, features in zip(CONFIGS, data.scalers, batch.features, strict=True):
            expected = scaler.apply(config.module()(torch.from_numpy(waveform(split.audio[rows[spoken]]))))
            assert features.dtype == torch.float32 and features.shape[1:] == config.shape
            assert torch.allclose(features[spoken], expected, atol=1e-3)
    assert silent, "the task has silence"


def test_silence_is_quiet_and_drawn_anew(dataset, data):
    def silence(epoch: int) -> torch.Tensor:
        labels = dataset.training_epoch(epoch, SEARCH.seed).labels
        batches = [data.training(epoch, step) for step in range(data.steps)]
        assert torch.equal(torch.cat([batch.labels for batch in batches]), torch.from_numpy(labels[: 16 * data.steps]))
        return torch.cat([batch.features[0][batch.labels == dataset.labels.index("_silence_")] for batch in batches])

    one, two = silence(1), silence(2)
    assert one.shape != two.shape or not torch.equal(one, two)
    assert torch.equal(one, silence(1))


def test_validation_is_cycled_and_reshuffled(dataset, data):
    count = len(data.search_rows)
    assert count % 16, "batches cross the end of a pass"
    labels = dataset.split("validation").labels
    stream = torch.cat([data.validation(step).labels for step in range(count)])  # 16 passes
    passes = stream.view(16, count)
    assert all(sorted(one.tolist()) == sorted(labels[data.search_rows].tolist()) for one in passes)
    assert len({tuple(one.tolist()) for one in passes}) == 16
    again = SearchData(dataset, CONFIGS, SEARCH, "cpu")
    assert all(equal(data.validation(step), again.validation(step)) for step in (40, 2, 41))


def test_a_resumed_search_sees_the_same(dataset, data):
    for _ in range(3):
        data.training(0, 1), data.validation(5)
    again = SearchData(dataset, CONFIGS, SEARCH, "cpu")
    assert equal(again.training(7, 2), data.training(7, 2)) and equal(again.validation(9), data.validation(9))
    other = SearchData(dataset, CONFIGS, replace(SEARCH, seed=4), "cpu")
    assert not equal(other.training(7, 2), data.training(7, 2))


def test_held_out_clips_are_never_searched(dataset, data):
    split = dataset.split("validation")
    assert not set(data.search_rows) & set(data.held_out_rows)
    assert len(data.search_rows) + len(data.held_out_rows) == len(split)
    counts = [np.bincount(split.labels[rows]) for rows in (data.search_rows, data.held_out_rows)]
    assert all((count > 0).all() for count in counts)
    speakers = [{split.speakers[row] for row in rows} - {""} for rows in (data.search_rows, data.held_out_rows)]
    assert speakers[0] and speakers[1] and not speakers[0] & speakers[1]
    batches = list(data.proxy())
    assert torch.cat([batch.labels for batch in batches]).tolist() == split.labels[data.held_out_rows].tolist()
    expected = data.scalers[1].apply(CONFIGS[1].module()(torch.from_numpy(waveform(split.audio[data.held_out_rows]))))
    assert torch.allclose(torch.cat([batch.features[1] for batch in batches]), expected, atol=1e-3)


def test_split_of_validation():
    rng = np.random.default_rng(0)
    labels, speakers = rng.integers(0, 5, 1000), [f"s{n}" for n in rng.integers(0, 120, 1000)]
    search, held_out = split_validation(labels, speakers, 0.25, 0)
    shares = np.bincount(labels[held_out]) / np.bincount(labels)
    assert (abs(shares - 0.25) < 0.06).all()
    assert not {speakers[row] for row in search} & {speakers[row] for row in held_out}
    assert not np.array_equal(held_out, split_validation(labels, speakers, 0.25, 1)[1])
    for known in ([""] * 1000, ["one"] * 1000):  # no speaker to go by, or but one
        held_out = split_validation(labels, known, 0.25, 0)[1]
        assert np.array_equal(np.bincount(labels[held_out]), np.rint(0.25 * np.bincount(labels)))
    labels = np.array([0, 0, 1, 2, 2])  # a label with a single clip stays with the search
    search, held_out = split_validation(labels, [""] * 5, 0.25, 0)
    assert sorted(labels[search]) == [0, 1, 2] and sorted(labels[held_out]) == [0, 2]
    with pytest.raises(TinyflowError, match="validation"):
        split_validation(labels[:1], [""], 0.25, 0)


def test_shares_of_processes_make_the_whole_batch(dataset, data):
    shares = [SearchData(dataset, CONFIGS, SEARCH, "cpu", world=World(rank, 3)) for rank in range(3)]
    proxies = [list(share.proxy()) for share in shares]
    for whole, parts in (
        (data.training(1, 2), [share.training(1, 2) for share in shares]),
        (data.validation(4), [share.validation(4) for share in shares]),
        *zip(data.proxy(), zip(*proxies)),
    ):
        assert sum(len(part.labels) for part in parts) == whole.total == len(whole.labels)
        for rank, part in enumerate(parts):
            assert len(part.labels) and part.total == whole.total
            assert torch.equal(part.labels, whole.labels[rank::3]) and torch.equal(
                part.features[0], whole.features[0][rank::3]
            )


@pytest.mark.parametrize("storage, tolerance", [("float16", 0.02), ("waveforms", 1e-3)])
def test_less_memory_gives_the_same_features(dataset, data, storage, tolerance):
    small = SearchData(dataset, CONFIGS, SEARCH, "cpu", storage=storage)
    assert data.storage == "float32" and small.storage == storage
    pairs = [
        (data.training(1, 0), small.training(1, 0)),
        (data.validation(3), small.validation(3)),
        *zip(data.proxy(), small.proxy()),
    ]
    for one, two in pairs:
        assert torch.equal(one.labels, two.labels) and two.waveforms is None
        for a, b in zip(one.features, two.features, strict=True):
            assert b.dtype == torch.float32 and torch.allclose(a, b, atol=tolerance)
    assert all(np.allclose(a.mean, b.mean) and np.allclose(a.std, b.std) for a, b in zip(data.scalers, small.scalers))


def test_storage_follows_the_memory(monkeypatch, tmp_path):
    gib, limit = 2**30, tmp_path / "memory.max"
    monkeypatch.setattr("tinyflow.search.data.CONTAINER_LIMIT", limit)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 16 * gib}[name])
    cpu = torch.device("cpu")
    assert [choose_storage(values, cpu) for values in (gib, gib + 1, 4 * gib, 4 * gib + 1)] == [
        "float32",
        "float16",
        "float16",
        "waveforms",
    ]
    assert choose_storage(gib, cpu, World(0, 2)) == "float16"
    limit.write_text("max\n")
    assert choose_storage(gib, cpu) == "float32"
    limit.write_text(f"{8 * gib}\n")
    assert choose_storage(gib, cpu) == "float16"


@pytest.mark.parametrize("storage", ["float32", "waveforms"])
def test_keeps_only_what_is_still_wanted(dataset, storage):
    data = SearchData(dataset, CONFIGS, SEARCH, "cpu", storage=storage)
    before = data.training(0, 0)
    data.keep([1])
    after = data.training(0, 0)
    assert after.features[0] is None and after.features[2] is None
    assert torch.allclose(after.features[1], before.features[1], atol=1e-4)
    with pytest.raises(ValueError, match="0"):
        data.keep([0])


def test_waveforms_on_request(dataset, data):
    loud = SearchData(dataset, (), SEARCH, "cpu", waveforms=True)
    batch, epoch = loud.training(0, 1), dataset.training_epoch(0, SEARCH.seed)
    rows = epoch.audio_rows[16:32]
    assert batch.features == () and loud.scalers == () and batch.waveforms.shape == (16, dataset.samples)
    spoken = np.flatnonzero(rows >= 0)
    assert np.array_equal(batch.waveforms.numpy()[spoken], waveform(dataset.split("training").audio[rows[spoken]]))
    assert data.training(0, 1).waveforms is None
    assert torch.equal(batch.labels, data.training(0, 1).labels)


def test_recalibration_reads_training_clips(data):
    batches = list(data.recalibration(batches=2))
    assert len(batches) == 2 and all(equal(batch, data.training(0, step)) for step, batch in enumerate(batches))
    assert len(list(data.recalibration(batches=1000))) == data.steps


def test_never_opens_the_test_split(tmp_path):
    dataset = tone_dataset(tmp_path, training=6)
    (tmp_path / "testing.npy").unlink()
    (tmp_path / "testing.csv").unlink()
    data = SearchData(dataset, CONFIGS[1:2], Search(batch_size=64), "cpu")
    assert data.steps == 1, "fewer clips than a batch: one batch of all"
    assert len(data.training(0, 0).labels) == len(dataset.training_epoch(0, 0))
    assert data.validation(2).total == len(data.search_rows), "no clip twice in a batch"
    list(data.proxy()), list(data.recalibration(3))


def test_progress_and_refusals(dataset):
    reports = []
    SearchData(dataset, CONFIGS[:1], SEARCH, "cpu", progress=lambda *report: reports.append(report))
    total = reports[-1][2]
    assert reports[-1][:3] == ("features", total, total) and total > len(dataset.split("training"))
    with pytest.raises(TinyflowError, match="8000 Hz"):
        SearchData(dataset, (MfccConfig(sample_rate=8000, window=200, hop=80),), SEARCH, "cpu")


def test_unknown_is_drawn_down_to_the_mean_of_the_keywords():
    names = ("_silence_", "_unknown_", "yes", "no")
    labels = np.array([0] * 5 + [1] * 100 + [2] * 12 + [3] * 8)
    rows = balanced(labels, names, 0)
    assert np.bincount(labels[rows]).tolist() == [5, 10, 12, 8] and (np.diff(rows) > 0).all()
    assert (balanced(labels, names, 0) == rows).all() and (balanced(labels, names, 1) != rows).any()
    assert (balanced(labels, ("a", "b", "c", "d"), 0) == np.arange(len(labels))).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("storage", ["float32", "float16", "waveforms"])
def test_a_gpu_gives_the_same_batches(dataset, data, storage):
    gpu = SearchData(dataset, CONFIGS, SEARCH, "cuda", storage=storage)
    for one, two in (
        (data.training(1, 0), gpu.training(1, 0)),
        (data.validation(3), gpu.validation(3)),
        *zip(data.proxy(), gpu.proxy()),
    ):
        assert two.labels.is_cuda and torch.equal(one.labels, two.labels.cpu())
        assert all(torch.allclose(a, b.cpu(), atol=0.02) for a, b in zip(one.features, two.features, strict=True))


def test_searches_of_every_seed_are_compared_on_the_same_clips(dataset, data):
    other = SearchData(dataset, CONFIGS[1:2], replace(SEARCH, seed=SEARCH.seed + 1), "cpu")
    assert (other.held_out_rows == data.held_out_rows).all() and (other.search_rows == data.search_rows).all()
    assert not torch.equal(other.validation(0).labels, data.validation(0).labels)
