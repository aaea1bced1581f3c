"""The alignments of paper, section 3.3: exact sizes, and the resampling that TFLite will do."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tinyflow.compile.resampling import nearest
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.network.alignment import (
    Alignment,
    AlignmentBranch,
    Resample,
    aligned_size,
    alignments,
    geometry,
    padded_size,
)

ODD = (
    MfccConfig(window=640, hop=320, n_mels=40, n_mfcc=13),
    MfccConfig(window=400, hop=90, n_mels=64, n_mfcc=37),
    MfccConfig(window=800, hop=233, n_mels=80, n_mfcc=27),
    MfccConfig(window=320, hop=51, n_mels=41),
)
LISTS = {
    "table 1": TABLE_1,
    "odd": ODD,
    "one": TABLE_1[:1],
    "far apart": (MfccConfig(window=640, hop=640, n_mels=7), MfccConfig(window=200, hop=40, n_mels=128)),
}


@pytest.mark.parametrize("configs", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_branch_gives_exactly_the_smallest_size_and_has_the_same_depth(configs, channels):
    size = aligned_size(configs)
    assert size == tuple(np.min([config.shape for config in configs], axis=0))
    assert padded_size(configs) == tuple(np.max([config.shape for config in configs], axis=0))
    branches = [AlignmentBranch(layer) for layer in alignments(configs, channels)]
    for config, branch in zip(configs, branches):
        assert branch(torch.randn(2, 1, *config.shape)).shape == (2, channels, *size)
        assert [type(part) for part in branch] == [type(part) for part in branches[0]]
        assert all(parameter is branch[0].weight for parameter in branch.parameters())  # no scale, no offset
    first = branches[0](torch.randn(8, 1, *configs[0].shape))
    assert torch.allclose(first.mean((0, 2, 3)), torch.zeros(channels), atol=1e-4)
    assert torch.allclose(first.var((0, 2, 3)), torch.ones(channels), atol=1e-2)


@pytest.mark.parametrize("configs", LISTS.values(), ids=LISTS)
def test_strides_are_the_largest_that_leave_the_target(configs):
    for row in geometry(configs):
        for n, stride, convolved, target in zip(row["features"], row["stride"], row["convolved"], row["aligned"]):
            assert convolved == -(-n // stride) >= target > 0
            assert -(-n // (stride + 1)) < target or -(-n // (stride + 1)) == convolved == 1


def test_geometry_of_table_1():
    rows = {
        row["frontend"]: (row["features"], row["stride"], row["convolved"], row["aligned"]) for row in geometry(TABLE_1)
    }
    assert rows["400/100/80"] == ((157, 80), (3, 2), (53, 40), (49, 40))
    assert rows["400/200/40"] == ((79, 40), (1, 1), (79, 40), (49, 40))
    assert rows["640/160/40"] == ((97, 40), (2, 1), (49, 40), (49, 40))
    assert rows["640/320/40"] == ((49, 40), (1, 1), (49, 40), (49, 40))


def test_nearest_reads_the_centre():
    assert nearest(4, 2).tolist() == [1, 3]
    assert nearest(79, 49).tolist() == [(2 * i + 1) * 79 // 98 for i in range(49)]
    assert nearest(5, 5).tolist() == [0, 1, 2, 3, 4]


def test_resample_is_tflites_resize_nearest_neighbor():
    tf = pytest.importorskip("tensorflow")
    pairs = [(n_in, n_out) for n_out in (1, 2, 7, 11, 13, 15, 40, 49) for n_in in range(n_out, 4 * n_out + 3)]
    for n_in, n_out in pairs[::3] + [(157, 49), (97, 49), (79, 49), (53, 49), (80, 40), (16, 15), (16, 13)]:
        x = np.arange(n_in * 3, dtype=np.float32).reshape(1, n_in, 3, 1)
        expected = tf.raw_ops.ResizeNearestNeighbor(images=x, size=[n_out, 2], half_pixel_centers=True).numpy()
        ours = Resample((n_out, 2))(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(ours, expected), (n_in, n_out)


def test_an_alignment_survives_json():
    for layer in alignments(TABLE_1, channels=2):
        assert Alignment.from_dict(layer.to_dict()) == layer
    assert alignments(TABLE_1)[1].to_dict() == {"kernel": 3, "stride": [3, 2], "size": [49, 40], "channels": 1}


def test_the_documentation_lists_the_geometry_of_table_1():
    text = (Path(__file__).resolve().parents[2] / "docs" / "genotype.md").read_text()
    for row in geometry(TABLE_1):
        sizes = [" x ".join(map(str, row[key])) for key in ("features", "stride", "convolved", "aligned")]
        assert f"| {' | '.join([row['frontend'], *sizes])} |" in text
