"""aot and tflm side by side: figures, operators by the tensors that both compute, and whether they agree."""

import json
from dataclasses import replace

import numpy as np
import pytest
from firmware_models import foreign
from targets import on

from tinyflow.board import load_board
from tinyflow.cli import main
from tinyflow.compile.artefact import Layer
from tinyflow.deploy import compare
from tinyflow.deploy.build import build
from tinyflow.deploy.compare import compare_runtimes, pair
from tinyflow.deploy.tflm.wheel import arena_need


def layers(*tensors: int, kind: str = "ADD") -> tuple[Layer, ...]:
    return tuple(
        Layer(index, f"{kind}{tensor}", f"t{tensor}", tensor, (1, 4), (1, 4), 10, 0, 4)
        for index, tensor in enumerate(tensors)
    )


def rows(ours: tuple[Layer, ...], theirs: tuple[Layer, ...]) -> list[tuple]:
    counts = [
        {layer.index: weight * (layer.tensor + 1) for layer in side} for weight, side in ((1, ours), (100, theirs))
    ]
    groups = pair(ours, theirs, *counts)
    assert sum(group.aot_units for group in groups) == sum(counts[0].values())
    assert sum(group.tflm_units for group in groups) == sum(counts[1].values())
    return [(" ".join(group.aot), " ".join(group.tflm)) for group in groups]


def test_equal_networks_pair_one_to_one():
    assert rows(layers(1, 2, 3), layers(1, 2, 3)) == [("ADD1", "ADD1"), ("ADD2", "ADD2"), ("ADD3", "ADD3")]


def test_what_the_compiler_joined_stands_in_one_row():
    assert rows(layers(1, 4), layers(1, 2, 3, 4)) == [("ADD1", "ADD1"), ("ADD4", "ADD2 ADD3 ADD4")]
    assert rows(layers(1, 9, 4), layers(1, 4)) == [("ADD1", "ADD1"), ("ADD9 ADD4", "ADD4")]


def test_what_follows_the_last_common_tensor_is_its():
    assert rows(layers(1, 9), layers(1, 2, 3)) == [("ADD1 ADD9", "ADD1 ADD2 ADD3")]


def test_another_order_and_nothing_in_common():
    assert rows(layers(2, 1, 3), layers(1, 2, 3)) == [("ADD1", "ADD1"), ("ADD2", "ADD2"), ("ADD3", "ADD3")]
    assert rows(layers(1, 2), layers(3, 4)) == [("ADD1 ADD2", "ADD3 ADD4")]


def test_uncounted_groups_have_no_ratio():
    (group,) = pair(layers(1), layers(1), {}, {})
    assert group.aot_units is None and group.ratio is None


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def on_host(tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    compiled = foreign(folder)
    board = load_board("host")
    return compiled, build(compiled, board, folder / "build"), board


def test_on_this_machine_tflite_micro_plays_the_part(on_host, tmp_path):
    compiled, firmware, board = on_host
    result = compare_runtimes(on(firmware, board, compiled), None, tmp_path)
    assert (result.equal, result.rows) == (8, 8)
    assert (
        "tflite-micro" in result.tflm.by
        and result.tflm.operators == 5
        and result.tflm.model_bytes == compiled.tflite.stat().st_size
    )
    assert result.tflm.arena_bytes > result.aot.arena_bytes == compiled.arena_bytes
    assert result.unit == "" and result.aot.units is None and result.ratios["units"] is None and not result.profiles
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert (
        stored["ratios"]["arena_bytes"] == pytest.approx(result.tflm.arena_bytes / compiled.arena_bytes)
        and stored["equal"] == 8
    )
    assert (tmp_path / "comparison.png").read_bytes()[:4] == b"\x89PNG"


def test_the_host_arena_is_the_smallest_that_works(on_host):
    from tflite_micro.python.tflite_micro import runtime

    compiled = on_host[0]
    need, data = arena_need(compiled), compiled.tflite.read_bytes()
    assert need % 16 == 0
    runtime.Interpreter.from_bytes(data, arena_size=need).invoke()
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(data, arena_size=need - 16)


def test_a_difference_is_counted(on_host, monkeypatch):
    """Answers of the other side, one value of one row changed."""
    from tinyflow.reference import oracle

    compiled, firmware, board = on_host
    real = oracle.invoke

    def one_wrong(tflite, inputs):
        answers = real(tflite, inputs)
        answers[3, 1] ^= 1
        return answers

    monkeypatch.setattr(oracle, "invoke", one_wrong)
    assert compare_runtimes(on(firmware, board, compiled), None).equal == 7


def test_a_difference_fails_the_command(on_host, monkeypatch, runs, capsys):
    real = compare.compare_runtimes
    monkeypatch.setattr(compare, "compare_runtimes", lambda *arguments: replace(real(*arguments), equal=7))
    said = failed(capsys, "--compare", "aot,tflm", "--tflite", str(on_host[0].tflite), "--runs", runs, "--json")
    assert json.loads(said[: said.rindex("}") + 1])["error"] == "aot and tflm differ on host: 7 of 8 rows agree"


def failed(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["profile", "--board", "host", *arguments])
    assert caught.value.code == 1
    said = capsys.readouterr()
    return said.out + said.err


def test_the_command(on_host, runs, capsys):
    main(["profile", "--board", "host", "--compare", "tflm,aot", "--tflite", str(on_host[0].tflite), "--runs", runs])
    said = capsys.readouterr().out
    assert (
        "8 of 8 rows bit for bit" in said
        and "nothing is counted on this machine" in said
        and "nanoseconds per" not in said
    )


@pytest.mark.parametrize("value", ["aot", "aot,aot", "aot,gpu", ""])
def test_other_runtimes_are_refused(value, capsys):
    assert "the runtimes are aot and tflm: --compare aot,tflm" in failed(capsys, "--compare", value)


def test_a_baseline_is_of_one_runtime(tmp_path, capsys):
    assert "leave one of the two out" in failed(
        capsys, "--compare", "aot,tflm", "--write-baseline", str(tmp_path / "b.json")
    )


@pytest.mark.tflm
@pytest.mark.qemu
def test_on_an_emulated_core_everything_is_counted(foreign_model, tmp_path):
    board = load_board("mps2-an386")
    sides = [build(foreign_model, board, tmp_path / runtime, runtime=runtime) for runtime in compare.RUNTIMES]
    result = compare_runtimes(on(sides[0], board, foreign_model), sides[1], tmp_path / "out")
    assert result.equal == result.rows == 8 and result.unit == "instructions"
    for side, firmware in zip((result.aot, result.tflm), sides):
        assert all(value for value in side.figures().values())
        assert (
            side.arena_bytes == firmware.arena_bytes
            and side.stack_bytes > 100
            and side.flash_bytes == firmware.flash_bytes
        ), "no clips in this model"
    assert result.ratios["units"] > 1 and result.ratios["arena_bytes"] > 1
    assert [group.tflm for group in result.operators][0] == ("CONV_2D",) and all(
        group.ratio > 0 for group in result.operators
    )
    assert np.isclose(sum(group.tflm_units for group in result.operators), result.profiles["tflm"].layers_units)
