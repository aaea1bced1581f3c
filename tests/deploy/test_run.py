"""Asking firmware: self-test, rows, recordings; on the host build and on the emulated MCU."""

import numpy as np
import pytest
from firmware_models import LABELS
from targets import on

from tinyflow.deploy.run import hear_file, read_rows, run_rows, selftest, write_rows
from tinyflow.errors import TinyflowError
from tinyflow.reference import oracle


def test_rows_are_answered_as_tflite_micro_does(foreign_built):
    x = np.random.default_rng(1).integers(-128, 128, (5, 49, 40, 1), dtype=np.int8)
    y, facts = run_rows(on(foreign_built.firmware, foreign_built.board, foreign_built.compiled), x)
    assert y.shape == (5, len(LABELS)) and y.dtype == np.int8
    np.testing.assert_array_equal(y, oracle.invoke(foreign_built.compiled.tflite, x))
    for key in ("arena_bytes", "flash_bytes", "model_bytes", "ram_bytes"):
        assert getattr(facts, key) == getattr(foreign_built.firmware, key) > 0
    if foreign_built.board.name == "host":
        assert facts.instructions_per_inference is None and facts.unit == "nanoseconds"
    else:
        assert facts.instructions_per_inference > foreign_built.compiled.macs
        assert facts.greatest - facts.least < 0.01 * facts.least and facts.resolution == 5
        assert 0 < facts.stack_bytes < foreign_built.board.stack_bytes


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((2, 49, 40), np.int8),
        np.zeros((2, 49, 40, 1), np.float32),
        np.zeros((0, 49, 40, 1), np.int8),
        np.zeros((49, 40, 1), np.int8),
    ],
)
def test_other_shapes_and_types_are_refused_naming_both(foreign_built, rows):
    with pytest.raises(TinyflowError) as error:
        run_rows(on(foreign_built.firmware, foreign_built.board, foreign_built.compiled), rows)
    assert f"{rows.dtype} {list(rows.shape)}" in error.value.message and "int8 [N, 49, 40, 1]" in error.value.message


def test_selftest_passes_and_counts(speaking_built):
    result = selftest(on(speaking_built.firmware, speaking_built.board))
    assert result.passed and result.reason == ""
    assert (result.clips, result.features_equal, result.answers_equal) == (3, 3, 3)
    assert [clip.word for clip in result.results] == ["yes", "no", "stop"]
    assert result.units_of_frontend > 0 and result.units_per_inference > 0


def test_a_wrong_stored_feature_or_answer_fails_the_selftest(speaking_model, tmp_path):
    """The verdict is the firmware's own: it must be able to fail."""
    import shutil
    from dataclasses import replace

    from tinyflow.board import load_board
    from tinyflow.deploy.build import build

    board = load_board("host")
    for key, index, word in (("features", (1, 7, 3), "feature 283"), ("answers", (2, 1), "answer 1")):
        folder = tmp_path / key
        shutil.copytree(speaking_model.folder, folder)
        with np.load(speaking_model.selftest) as stored:
            arrays = dict(stored)
        arrays[key][index] ^= 1
        np.savez(folder / "selftest.npz", **arrays)
        result = selftest(on(build(replace(speaking_model, folder=folder), board, tmp_path / f"out-{key}"), board))
        assert not result.passed and f"clip {index[0]}" in result.reason and word in result.reason
        assert getattr(result, f"{key}_equal") == 2


def test_selftest_without_clips_names_the_other_ways(foreign_built):
    with pytest.raises(TinyflowError, match="no self-test clips") as error:
        selftest(on(foreign_built.firmware, foreign_built.board))
    assert "validate" in error.value.hint


def test_a_recording_of_another_rate_is_heard(speaking_built, tmp_path, clips):
    import soundfile

    soundfile.write(tmp_path / "clip.wav", clips[0], 16000, subtype="PCM_16")
    heard = hear_file(on(speaking_built.firmware, speaking_built.board, speaking_built.compiled), tmp_path / "clip.wav")
    with np.load(speaking_built.compiled.selftest) as stored:
        answers = stored["answers"][0]
    assert heard.word == LABELS[int(answers.argmax())]
    np.testing.assert_allclose(list(heard.scores.values()), (answers.astype(float) + 128) / 256)
    soundfile.write(tmp_path / "stereo.wav", np.repeat(clips[1][:12000, None], 2, axis=1), 8000, subtype="PCM_16")
    assert (
        hear_file(
            on(speaking_built.firmware, speaking_built.board, speaking_built.compiled), tmp_path / "stereo.wav"
        ).word
        in LABELS
    )


def test_a_foreign_model_hears_nothing(foreign_built, tmp_path):
    with pytest.raises(TinyflowError, match="no front end"):
        hear_file(on(foreign_built.firmware, foreign_built.board, foreign_built.compiled), tmp_path / "x.wav")


def test_rows_files(tmp_path):
    rows = np.arange(6, dtype=np.int8).reshape(2, 3)
    write_rows(tmp_path / "y.npy", rows)
    np.testing.assert_array_equal(read_rows(tmp_path / "y.npy"), rows)
    with pytest.raises(TinyflowError, match="does not exist"):
        read_rows(tmp_path / "absent.npy")
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(TinyflowError, match="not an .npy array"):
        read_rows(tmp_path / "text.npy")
