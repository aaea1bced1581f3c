"""Finding the noise that test clips were cut from."""

import numpy as np

from tinyflow.data.background import brown, level, split_in_time, white
from tinyflow.data.held_out import unused_pieces, used_in


def noise(kind, seed=0, seconds=20):
    return level(kind(16000 * seconds, np.random.default_rng(seed)))


def test_pieces_are_found_at_any_gain_and_offset():
    rng = np.random.default_rng(1)
    for kind in (white, brown):
        audio = noise(kind)
        places = [5, 40007, 123456, 300001]
        clips = np.stack([np.rint(audio[at : at + 16000] * rng.uniform(0.02, 1)).astype(np.int16) for at in places])
        wanted = np.zeros(len(audio), bool)
        for at in places:
            wanted[at : at + 16000] = True
        used = used_in(audio, clips, 16000)
        assert used[wanted].all() and used.sum() < wanted.sum() + 4 * 64, kind


def test_other_noise_is_not_found():
    others = np.stack([*noise(white, 5, 3).reshape(3, 16000), np.zeros(16000, np.int16)])
    assert not used_in(noise(white, 6), others, 16000).any()


def test_unused_pieces():
    used = np.array([0, 0, 0, 1, 0, 1, 1, 0, 0], bool)
    assert [piece.tolist() for piece in unused_pieces(np.arange(9), used, 2)] == [[0, 1, 2], [7, 8]]
    assert unused_pieces(np.arange(3), np.ones(3, bool), 1) == []


def test_split_keeps_test_clips_out():
    audio = noise(white)
    clips = np.stack([audio[50000:66000], audio[230000:246000], audio[300000:316000]])
    parts = split_in_time([audio], clips)
    np.testing.assert_array_equal(np.concatenate(parts["testing"]), audio[272000:])
    for piece in parts["training"] + parts["validation"]:
        assert len(piece) >= 16000 and not used_in(np.pad(piece, 16000), clips, 16000).any()
