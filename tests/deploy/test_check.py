"""check: self-test, validation and profile in one verdict, on firmware with a front end and clips."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from targets import on

from tinyflow.board import load_board
from tinyflow.compile import load_compiled
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.baseline import read_baseline
from tinyflow.deploy.build import build
from tinyflow.deploy.check import Limits, check
from tinyflow.deploy.places.place import choose_place
from tinyflow.errors import TinyflowError


@pytest.mark.slow
def test_all_is_well_and_the_baseline_is_written(speaking_built, clips, tmp_path):
    made = speaking_built
    limits = Limits(write=tmp_path / "ci" / "board.json")
    result = check(on(made.firmware, made.board, made.compiled), clips, limits, out=tmp_path / "profile")
    assert result.passed and result.reasons == () and result.comparison is None
    assert (
        result.selftest.clips == 3
        and result.validation.equal == 8
        and all(part.passed for part in vars(result.validation.parity).values())
    )
    written = read_baseline(limits.write)
    assert (
        written["figures"] == result.figures
        and "frontend_stack_bytes" in written["figures"]
        and (tmp_path / "profile" / "frontend.png").is_file()
    )

    kept = replace(limits, baseline=limits.write, write=None, tolerance=0.0001)  # counts differ by ticks of the timer
    was = kept.read() | {"figures": {**written["figures"], "arena_bytes": written["figures"]["arena_bytes"] - 1}}
    again = check(on(made.firmware, made.board, made.compiled), None, kept, was)
    assert (
        not again.passed
        and len(again.reasons) == 1
        and again.reasons[0].startswith(f"regression: arena bytes {written['figures']['arena_bytes']:,}, was")
    )


def test_a_failed_selftest_is_named_beside_what_passed(speaking_model, tmp_path):
    """Clips whose stored answers are another network's: the firmware sees it, tflite_micro does not."""
    if not shutil.which("cc"):
        pytest.skip("no host C compiler: apt-get install gcc")
    shutil.copytree(speaking_model.folder, tmp_path / "compiled")
    compiled = load_compiled(tmp_path / "compiled")
    stored = dict(np.load(compiled.selftest))
    stored["answers"] = stored["answers"] ^ np.int8(1)
    np.savez(compiled.selftest, **stored)
    host = load_board("host")
    limits = Limits(baseline=tmp_path / "absent.json", write=tmp_path / "new.json")
    result = check(on(build(compiled, host, tmp_path / "out"), host, compiled), None, limits)
    assert not result.passed and result.validation.passed and result.written is None
    assert result.reasons[0].startswith("self-test: clip 0 (yes): answer 0 differs")
    assert len(result.reasons) == 2 and "there is no baseline" in result.reasons[1]  # does not hide the first
    assert not limits.write.exists()  # what answers wrongly is no baseline


def test_a_missing_baseline_shows_before_anything_is_made(tmp_path):
    with pytest.raises(TinyflowError, match="there is no baseline"):
        Limits(baseline=tmp_path / "absent.json").read()
    # written first, then said
    assert Limits(baseline=tmp_path / "absent.json", write=tmp_path / "new.json").read() is None


def test_a_baseline_is_not_written_over_by_what_it_judges(tmp_path):
    path = tmp_path / "board.json"
    with pytest.raises(TinyflowError, match="is to be compared with and to be written"):
        Limits(baseline=path, write=tmp_path / "." / "board.json").read()


def test_a_baseline_of_another_board_is_refused_before_the_board_is_asked(speaking_model, tmp_path):
    """There is no firmware at all here: nothing was asked of it."""
    was = {"board": "mps2-an386", "runtime": "aot", "place": "qemu", "unit": "instructions", "figures": {}}
    absent = Firmware(tmp_path, "mps2-an385", "0", "", "", "", 0, 0, 0, 0, 0)
    with pytest.raises(TinyflowError, match="its board is 'mps2-an386', this profile's is 'mps2-an385'"):
        check(
            on(absent, choose_place(load_board("mps2-an385")), speaking_model),
            None,
            Limits(baseline=tmp_path / "a.json"),
            was,
        )
