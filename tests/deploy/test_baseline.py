"""Baselines: what got worse fails, what got better is told, what is not alike is refused."""

import json
from dataclasses import replace

import pytest

from tinyflow.board import board_names, load_board
from tinyflow.deploy.baseline import baseline_of, compare, describe, parse_tolerance, read_baseline, write_baseline
from tinyflow.deploy.estimate import estimate_time
from tinyflow.deploy.image.sizes import Sizes
from tinyflow.deploy.profile import FrontendCount, Profile
from tinyflow.errors import TinyflowError


def made(**changes) -> Profile:
    """A profile of a model with front end and accuracy, as counted under QEMU."""
    value = Profile(
        board="mps2-an386",
        place="qemu",
        emulator="QEMU 10.0.2",
        runtime="aot",
        model="demo",
        model_sha256="ab" * 32,
        accuracy={"float": 0.76, "int8": 0.75, "clips": 816, "recordings": "synthetic"},
        build_id="x",
        unit="instructions",
        counter="cmsdk-timer",
        counter_note="",
        resolution=5,
        invoke_units=6_000_000,
        macs=3_000_000,
        layers=(),
        layers_units=6_000_000,
        layers_difference=0.0,
        layers_agree=True,
        frontend=FrontendCount(49, 1.0, 1_000_000, 1_000_000.4, 20_000, (), 900),
        stack_bytes=700,
        stack_reserved_bytes=8192,
        arena_bytes=34_000,
        arena_bound_bytes=33_000,
        sizes=Sizes(120_000, 60_000, 90_000, (), (), ()),
        compiler="gcc 12.2.1",
        flags="-O2",
        milliseconds=None,
    )
    return replace(value, **changes)


def test_the_file_is_small_sorted_and_says_what_it_is_of(tmp_path):
    write_baseline(tmp_path / "ci" / "b.json", made())
    text = (tmp_path / "ci" / "b.json").read_text()
    value = json.loads(text)
    assert text == json.dumps(value, indent=2, sort_keys=True) + "\n" and len(text.splitlines()) < 30
    assert value["figures"] == {
        "accuracy_float": 0.76,
        "accuracy_int8": 0.75,
        "arena_bytes": 34_000,
        "flash_bytes": 120_000,
        "frontend_instructions_per_second": 1_000_000,
        "frontend_stack_bytes": 900,
        "instructions_per_inference": 6_000_000,
        "model_bytes": 90_000,
        "ram_bytes": 60_000,
        "stack_bytes": 700,
    }
    assert read_baseline(tmp_path / "ci" / "b.json") == value
    assert "milliseconds" not in text


def test_each_regression_is_named_with_what_was_is_and_is_allowed(tmp_path):
    was = baseline_of(made())
    now = made(
        invoke_units=6_121_000,
        arena_bytes=34_500,
        sizes=Sizes(100_000, 60_000, 90_000, (), (), ()),
        accuracy=made().accuracy | {"int8": 0.738, "float": 0.755},
    )
    result = compare(tmp_path / "b.json", was, now, 0.02, 1.0)
    assert {change.figure: change.verdict for change in result.changes if change.verdict != "same"} == {
        "instructions_per_inference": "worse",
        "arena_bytes": "within",
        "flash_bytes": "better",
        "accuracy_int8": "worse",
        "accuracy_float": "within",
    }
    assert [describe(change) for change in result.worse] == [
        "accuracy int8 73.80 %, was 75.00 %: -1.20 points, allowed -1.00",
        "instructions per inference 6,121,000, was 6,000,000: +2.02 %, allowed +2.00 %",
    ]
    assert not result.passed and [change.figure for change in result.better] == ["flash_bytes"]
    assert compare(tmp_path / "b.json", was, now, 0.03, 2.0).passed


def test_a_tolerance_is_met_exactly_and_nothing_grows_from_nothing(tmp_path):
    was = baseline_of(made())
    assert not compare(tmp_path / "b", was, made(invoke_units=6_120_000)).worse  # 2 % of 6,000,000
    assert compare(tmp_path / "b", was, made(invoke_units=6_000_001), 0.0).worse
    assert not compare(tmp_path / "b", was, made(), 0.0, 0.0).worse
    assert not compare(tmp_path / "b", was, made(invoke_units=5_999_995)).better  # a tick less is no gain
    none = baseline_of(made(stack_bytes=0))
    assert [change.figure for change in compare(tmp_path / "b", none, made()).worse] == ["stack_bytes"]


@pytest.mark.parametrize(
    "changes, what",
    [
        ({"board": "mps2-an385"}, "board is 'mps2-an386', this profile's is 'mps2-an385'"),
        ({"runtime": "tflm"}, "runtime is 'aot', this profile's is 'tflm'"),
        ({"place": "renode"}, "place is 'qemu', this profile's is 'renode'"),
        ({"unit": "cycles"}, "unit is 'instructions', this profile's is 'cycles'"),
        ({"accuracy": {}}, "test clips is '816, synthetic', this profile's is 'none'"),
    ],
)
def test_unlike_things_are_refused(changes, what, tmp_path):
    with pytest.raises(TinyflowError, match=f"b.json cannot be compared: its {what}") as error:
        compare(tmp_path / "b.json", baseline_of(made()), made(**changes))
    assert "--write-baseline" in error.value.hint


def test_another_model_compiler_or_emulator_is_a_note(tmp_path):
    now = made(compiler="gcc 13.2.1", emulator="QEMU 9.2.0", model_sha256="cd" * 32)
    result = compare(tmp_path / "b.json", baseline_of(made()), now)
    assert result.passed and len(result.notes) == 3
    assert "another emulator than the baseline's: QEMU 9.2.0, was QEMU 10.0.2" in result.notes


def test_figures_that_come_and_go(tmp_path):
    with pytest.raises(
        TinyflowError, match="has frontend_instructions_per_second, frontend_stack_bytes; this profile has none"
    ):
        compare(tmp_path / "b.json", baseline_of(made()), made(frontend=None))
    result = compare(tmp_path / "b.json", baseline_of(made(frontend=None)), made())
    assert result.notes == ("not in the baseline yet: frontend_instructions_per_second, frontend_stack_bytes",)


def test_wall_time_is_no_figure():
    assert not [
        figure for figure in baseline_of(made(board="host", unit="nanoseconds"))["figures"] if "nanoseconds" in figure
    ]


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"format": 2}', '{"format": 1, "figures": {"arena_bytes": "many"}}', "no JSON"]
)
def test_what_is_no_baseline_is_refused(text, tmp_path):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(TinyflowError, match="b.json is (no baseline of this version|not valid JSON)"):
        read_baseline(tmp_path / "b.json")
    with pytest.raises(TinyflowError, match="there is no baseline") as error:
        read_baseline(tmp_path / "absent.json")
    assert "--write-baseline" in error.value.hint


def test_tolerances_are_percentages():
    assert parse_tolerance("2%") == 0.02 and parse_tolerance("0.5 %") == 0.005 and parse_tolerance("0%") == 0
    for text in ("2", "0.02", "-1%", "two%"):
        with pytest.raises(TinyflowError, match="is no percentage"):
            parse_tolerance(text)


def test_every_estimate_is_of_a_board_with_a_clock():
    boards = [board for board in map(load_board, board_names()) if board.estimate]
    assert {board.name for board in boards} >= {"nucleo-l4r5zi", "b-l475e-iot01a"}
    for board in boards:
        assert board.real and board.clock_hz and board.estimate.source
        assert all(1 <= low < high for low, high in (board.estimate.network, board.estimate.frontend))


def test_an_estimate_is_a_range_with_its_model():
    nucleo, emulated = load_board("nucleo-l4r5zi"), load_board("mps2-an386")
    low, high = nucleo.estimate.network
    result = estimate_time(made(), emulated, nucleo)
    assert 1 <= low < high and result.inference_milliseconds == pytest.approx((6e6 * low / 120e3, 6e6 * high / 120e3))
    assert result.frontend_milliseconds_per_second[0] == pytest.approx(
        1_000_000.4 * nucleo.estimate.frontend[0] / 120e3
    )
    assert result.model.startswith(f"instructions counted x {low:g} to {high:g} cycles") and result.model.endswith(
        "at 120 MHz; no cycle was measured"
    )
    assert "TRM" in result.source
    assert estimate_time(made(frontend=None), emulated, nucleo).frontend_milliseconds_per_second is None


@pytest.mark.parametrize(
    "counted, target, unit, said",
    [
        ("mps2-an386", "mps2-an386", "instructions", "board mps2-an386 has no estimate"),
        ("host", "nucleo-l4r5zi", "nanoseconds", "host counts nanoseconds, and an estimate needs instructions"),
        ("mps2-an385", "nucleo-l4r5zi", "instructions", "instructions of mps2-an385 .* say nothing of nucleo-l4r5zi"),
    ],
)
def test_what_cannot_be_estimated(counted, target, unit, said):
    with pytest.raises(TinyflowError, match=said):
        estimate_time(made(unit=unit), load_board(counted), load_board(target))


def test_a_broken_baseline_is_written_anew_not_deleted_with_a_stage(tmp_path):
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(TinyflowError, match="is not valid JSON") as error:
        read_baseline(tmp_path / "b.json")
    assert error.value.hint == f"write it anew: --write-baseline {tmp_path / 'b.json'}"
