"""Profile of a real firmware, on the emulated Cortex-M4F and on the host."""

import json
import os
import pty
import re
import shutil
import subprocess
import termios
import tty
from dataclasses import replace

import pytest
from keyword_model import keyword_model
from targets import met, on

from tinyflow.board import DebugProbe, load_board
from tinyflow.deploy import profile as profile_stage
from tinyflow.deploy.baseline import baseline_of
from tinyflow.deploy.build import build
from tinyflow.deploy.device import connect
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.profile import profile
from tinyflow.errors import TinyflowError
from tinyflow.results import to_json

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """board name -> (firmware, board, compiled), built once."""
    folder = tmp_path_factory.mktemp("profile")
    compiled = keyword_model(folder / "compile")
    known = {}

    def make(name: str):
        if name not in known:
            board = load_board(name)
            known[name] = build(compiled, board, folder / name), board, compiled
        return known[name]

    return make


@pytest.mark.qemu
def test_on_the_emulated_cortex_m(made, tmp_path):
    firmware, board, compiled = made("mps2-an386")
    said = []
    result = profile(
        on(firmware, board, compiled), tmp_path / "out", lambda task, done, total, note="": said.append(note)
    )
    # instructions are not time
    assert result.unit == "instructions" and result.resolution == 5 and result.milliseconds is None
    assert [layer.kind for layer in result.layers] == [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "CONV_2D",
        "MEAN",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    assert [layer.macs for layer in result.layers[:3]] == [25 * 20 * 9 * 8, 25 * 20 * 9 * 8, 25 * 20 * 8 * 16]
    assert result.macs == sum(layer.macs for layer in result.layers)

    with connect(firmware, met(board)) as device:  # the same counts by another way: infer, not profile
        import numpy as np

        device.infer(np.zeros((2, compiled.input.elements), np.int8))
        counted = device.units(device.ticks[-1])
    assert abs(result.invoke_units - counted) <= 2 * result.resolution
    assert result.layers_agree and abs(result.layers_difference) <= 0.005
    assert abs(sum(layer.share for layer in result.layers) - 1) < 1e-9
    assert (
        result.layers[0].units_per_mac == result.layers[0].units / result.layers[0].macs
        and result.layers[3].units_per_mac is None
    )
    assert 1 < result.units_per_mac < 200
    source = (compiled.c / "model.c").read_text()
    for layer in result.layers:  # what the C calls, and where the plan lays it
        body = source.partition(f"void model_layer_{layer.index}(void) {{")[2].partition("}")[0]
        assert layer.kernels and re.findall(r"(\w+)\(&", body) == list(layer.kernels)
        places = [int(place) for place in re.findall(r"arena \+ (\d+)", body)]
        assert layer.in_place == (places[1] == places[0]) and (len(places) > 2) == (layer.scratch > 0)

    frontend = result.frontend
    assert frontend.frames == 49 and frontend.seconds == 1.0 and frontend.units_per_second == frontend.units
    assert [step.name for step in frontend.steps] == ["window", "fft", "mel", "log", "dct", "quantize"]
    assert abs(sum(step.units for step in frontend.steps) / frontend.frame_units - 1) < 0.05  # the steps are the frame
    assert abs(sum(step.units_per_second for step in frontend.steps) / frontend.units_per_second - 1) < 0.1
    assert 0 < result.stack_bytes < result.stack_reserved_bytes == board.stack_bytes
    assert result.sizes.model_bytes > 0 and result.sizes.flash_bytes == firmware.flash_bytes
    groups = {function.name: function.group for function in result.sizes.functions}
    assert (
        groups["model_invoke"] == "layers"
        and groups["frontend_frame"] == "front end"
        and groups["command_run"] == "application"
    )
    assert (
        groups["softmax_s8"] == "kernels"
        and groups["cortexm_start"] == "start-up and console"
        and "" not in groups.values()
    )
    assert (
        sum(result.sizes.groups.values()) == result.sizes.flash_bytes
        and result.sizes.groups["model constants"] == result.sizes.model_bytes
    )
    assert (
        result.sizes.groups["padding"] < 100
        and result.sizes.groups["strings"] < 2000
        and "self-test clips" not in result.sizes.groups
    )
    assert (
        result.place == "qemu"
        and re.fullmatch(r"QEMU \d+\.\d+\.\d+", result.emulator)
        and result.runtime == "aot"
        and len(result.model_sha256) == 64
    )
    assert result.estimate is None  # mps2-an386 is no board to estimate the time of
    assert (
        "gcc" in result.compiler
        and "-O" in result.flags
        and any("counted: instructions" in note for note in result.notes)
    )
    assert said[-1].startswith(f"{result.invoke_units:,} instructions per inference")

    value = json.loads((tmp_path / "out/profile.json").read_text())
    assert value["instructions_per_inference"] == result.invoke_units and value["unit"] == "instructions"
    assert value["layers"][0]["units"] == result.layers[0].units and value["sizes"]["sections"]
    for name in ("layers.png", "frontend.png", "flash.png", "arena.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(PNG)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "arena.png",
        "flash.png",
        "frontend.png",
        "layers.png",
        "profile.json",
    ]


def test_on_the_host_time_is_named_as_time(made):
    if not shutil.which("cc"):
        pytest.skip("no host C compiler: apt-get install gcc")
    result = profile(on(*made("host")))
    assert result.unit == "nanoseconds" and "instructions_per_inference" not in to_json(result)
    assert result.milliseconds == pytest.approx(result.invoke_units / 1e6)
    assert any("wall time" in note for note in result.notes)
    assert [layer.kind for layer in result.layers][-1] == "SOFTMAX" and result.frontend is not None


def counted(units: list[int], invoke: int) -> dict:
    return {
        "unit": "cycles",
        "resolution": 1,
        "counter": "dwt",
        "timer_overhead_ticks": 3,
        "stack_bytes": 400,
        "frontend": None,
        "invoke": {"ticks": invoke, "units": invoke},
        "layers": [{"ticks": value, "units": value} for value in units],
    }


def test_layers_that_do_not_sum_to_the_total_are_said_so(made):
    firmware, _, compiled = made("host")
    place = choose_place(load_board("nucleo-l4r5zi"), "serial")
    sizes = profile_stage.measure(firmware.elf)
    units = [1000, 900, 800, 50, 30, 20]
    exact = profile_stage._profile(firmware, place, compiled, counted(units, 2800), {}, sizes)
    assert exact.layers_agree and exact.unit == "cycles" and len(exact.notes) == 2
    assert exact.milliseconds == pytest.approx(2800 / 120e6 * 1000)
    off = profile_stage._profile(firmware, place, compiled, counted(units, 2700), {"warning": "late"}, sizes)
    assert not off.layers_agree
    assert "the layers sum to 2,800 cycles, +3.70% from the invoke total of 2,700: beyond 0.5%" in off.notes[-2]
    assert off.notes[-1] == "the firmware warns: late"


def test_firmware_of_another_model(made):
    firmware, board, compiled = made("host")
    with pytest.raises(TinyflowError, match="counts 6 layers, .* has 5"):
        profile(on(firmware, board, replace(compiled, layers=compiled.layers[:5])))


def test_a_board_on_a_wire_is_profiled_in_cycles(made, tmp_path):
    """The whole way over a serial port. The host's firmware behind a pseudo-terminal stands in for the board, its clock
    for DWT's cycles.
    """
    if not shutil.which("cc"):
        pytest.skip("no host C compiler: apt-get install gcc")
    firmware, host, compiled = made("host")
    counter = replace(host.counter, unit="cycles", note="core cycles by DWT CYCCNT")
    wired = replace(host, probe=DebugProbe(("0483:374b",)), counter=counter)
    ours, theirs = pty.openpty()
    for end in (ours, theirs):
        tty.setraw(end, termios.TCSANOW)
    process = subprocess.Popen([firmware.elf], stdin=ours, stdout=ours)
    try:
        result = profile(on(firmware, choose_place(wired, "serial", os.ttyname(theirs)), compiled), tmp_path / "out")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    assert result.unit == "cycles" and result.place == "serial" and result.emulator == "" and result.estimate is None
    assert result.milliseconds == pytest.approx(1000 * result.invoke_units / counter.frequency_hz)
    assert len(result.layers) == 6 and result.frontend.units > 0 and counter.note in result.notes
    assert "cycles_per_inference" in baseline_of(result)["figures"]
    assert json.loads((tmp_path / "out/profile.json").read_text())["milliseconds"] == result.milliseconds
