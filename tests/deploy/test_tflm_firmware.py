"""Firmware around TFLM's interpreter on an emulated core: the same app, the same answers, no heap, no constructors, an
arena that is neither too small nor too large.
"""

import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from firmware_models import foreign
from targets import met, on

from tinyflow.artefacts import read_json
from tinyflow.board import load_board
from tinyflow.deploy.artefact import load_firmware
from tinyflow.deploy.build import build
from tinyflow.deploy.device import connect
from tinyflow.deploy.image.linker import linker_script
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.profile import profile
from tinyflow.deploy.run import run_rows, selftest
from tinyflow.deploy.tflm import arena
from tinyflow.deploy.validate import validate
from tinyflow.errors import TinyflowError
from tinyflow.reference import oracle

BOARD = load_board("mps2-an386")
ROWS = np.random.default_rng(3).integers(-128, 128, (3, 49, 40, 1), dtype=np.int8)


def built(compiled, folder, runtime="tflm"):
    return SimpleNamespace(compiled=compiled, firmware=build(compiled, BOARD, folder, runtime=runtime))


@pytest.fixture(scope="module")
def network(foreign_model, tmp_path_factory):
    """A network without front end, under TFLM."""
    return built(foreign_model, tmp_path_factory.mktemp("tflm") / "out")


@pytest.fixture(scope="module")
def speaking(speaking_model, tmp_path_factory):
    return built(speaking_model, tmp_path_factory.mktemp("tflm") / "out")


@pytest.mark.tflm
@pytest.mark.qemu
class TestOnTheEmulatedCore:
    def test_both_runtimes_agree_bit_for_bit(self, network, tmp_path):
        ours = built(network.compiled, tmp_path / "aot", "aot")
        answers = [run_rows(on(side.firmware, BOARD, side.compiled), ROWS)[0] for side in (network, ours)]
        assert np.array_equal(*answers) and np.array_equal(answers[0], oracle.invoke(network.compiled.tflite, ROWS))
        assert ours.firmware.build_id != network.firmware.build_id

    def test_the_self_test_passes(self, speaking):
        result = selftest(on(speaking.firmware, BOARD))
        assert result.passed and result.clips == 3 and result.answers_equal == 3 and result.stack_bytes > 0

    def test_the_parity_gate_passes(self, speaking, clips):
        result = validate(on(speaking.firmware, BOARD, speaking.compiled), n=2, audio=clips[:1])
        assert result.passed and result.equal == 2 and result.parity.end_to_end.equal == 1

    def test_the_profile_lists_the_files_operators(self, network, tmp_path):
        found = profile(on(network.firmware, BOARD, network.compiled), tmp_path / "profile")
        assert [layer.kind for layer in found.layers] == [
            "CONV_2D",
            "DEPTHWISE_CONV_2D",
            "MEAN",
            "FULLY_CONNECTED",
            "SOFTMAX",
        ]
        assert found.layers[0].macs == 25 * 20 * 4 * 9 and found.macs == sum(layer.macs for layer in found.layers)
        assert found.layers_units <= found.invoke_units < 1.05 * found.layers_units, (
            "what is left is the interpreter's own"
        )
        assert (
            found.runtime == "tflm"
            and found.arena_bytes == network.firmware.arena_bytes
            and not found.arena_bound_bytes
        )
        model = network.compiled.tflite.stat().st_size
        assert (
            found.sizes.groups["TFLM"] > 10_000
            and found.sizes.groups["model constants"] >= model == found.sizes.model_bytes
        )
        assert "kernels" not in found.sizes.groups and any("TFLM with" in note for note in found.notes)
        assert read_json(tmp_path / "profile" / "profile.json")["runtime"] == "tflm"

    def test_operators_run_alone_do_what_invoke_does(self, network):
        """One after another on the same input, then the output: the profile counts real work."""
        expected = oracle.invoke(network.compiled.tflite, ROWS).reshape(len(ROWS), -1)
        with connect(network.firmware, met(BOARD)) as device:
            device.infer(ROWS[:1])
            device.console.put("put", ROWS[1].tobytes())
            device.console.request("profile")
            output = np.frombuffer(device.console.get("output", 0, expected.shape[1]), np.int8)
        assert np.array_equal(output, expected[1]) and not np.array_equal(output, expected[0])

    def test_the_arena_is_the_smallest_that_works(self, network, tmp_path, monkeypatch):
        need = network.firmware.arena_bytes
        assert need % 16 == 0 and read_json(network.firmware.folder / "firmware.json")["arena_bytes"] == need
        monkeypatch.setattr(arena, "arena_need", lambda *_: need - 16)
        less = build(network.compiled, BOARD, tmp_path / "out", runtime="tflm")
        with pytest.raises(TinyflowError, match="TFLM: AllocateTensors failed: the arena is too small"):
            connect(less, met(BOARD))

    def test_no_heap_no_printf_no_runtime_of_cpp(self, speaking):
        said = subprocess.run(
            ["arm-none-eabi-nm", "--defined-only", str(speaking.firmware.elf)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        names = {line.split()[-1] for line in said.splitlines()}
        assert "model_invoke" in names and "cortexm_start" in names
        unwanted = (
            "malloc",
            "_malloc_r",
            "free",
            "_sbrk",
            "sbrk",
            "_Znwj",
            "_Znaj",
            "printf",
            "vsnprintf",
            "_vfprintf_r",
            "__cxa_throw",
            "__cxa_guard_acquire",
            "__gxx_personality_v0",
            "__cxa_atexit",
            "__libc_init_array",
            "_ZTIv",
            "raise",
        )
        assert not names & set(unwanted)
        sections = subprocess.run(
            ["arm-none-eabi-size", "-A", str(speaking.firmware.elf)], capture_output=True, text=True, check=True
        ).stdout
        assert ".text" in sections and not [
            line for line in sections.splitlines() if "_array" in line and line.split()[1] != "0"
        ]

    def test_the_same_inputs_give_the_same_image(self, network, tmp_path, monkeypatch):
        monkeypatch.setattr(arena, "arena_need", lambda *_: network.firmware.arena_bytes)
        again = build(network.compiled, BOARD, tmp_path / "elsewhere" / "out", runtime="tflm")
        assert (
            again.elf.read_bytes() == network.firmware.elf.read_bytes() and again.build_id == network.firmware.build_id
        )

    def test_what_is_stored_is_read_back(self, network):
        loaded = load_firmware(network.firmware.folder)
        assert (
            loaded == network.firmware
            and loaded.runtime == "tflm"
            and loaded.library.startswith("TFLM with")
            and len(loaded.operators) == 5
        )

    def test_validate_names_the_output_that_differs(self, network, tmp_path):
        """The image of one network beside another's file: there is no layer to be read back, and that is said."""
        other = foreign(tmp_path / "other", seed=1)
        result = validate(on(network.firmware, BOARD, other), n=1)
        assert not result.passed and "random rows: row 0, output " in result.reason
        assert "does not keep what its operators compute" in result.reason


@pytest.mark.tflm
@pytest.mark.qemu
@pytest.mark.renode
def test_the_image_of_a_real_board_answers_under_renode(network, tmp_path, monkeypatch):
    """The arena of the same core, found under QEMU, holds on another board and emulator."""
    monkeypatch.setattr(arena, "arena_need", lambda *_: network.firmware.arena_bytes)
    place = choose_place(load_board("nucleo-l4r5zi"), "renode")
    firmware = build(network.compiled, place.board, tmp_path / "out", runtime="tflm")
    answers, facts = run_rows(on(firmware, place, network.compiled), ROWS)
    assert np.array_equal(answers, oracle.invoke(network.compiled.tflite, ROWS)) and facts.unit == "instructions"


@pytest.mark.qemu
def test_a_static_constructor_does_not_link(tmp_path):
    """Start-up runs none, so an image that has one would not do what its source says."""
    (tmp_path / "linker.ld").write_text(linker_script(BOARD))
    plain = "void cortexm_reset(void) {}\n"
    for text, links in ((plain, True), (plain + "__attribute__((constructor)) void early(void) {}\n", False)):
        (tmp_path / "main.c").write_text(text)
        command = [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m4",
            "-mthumb",
            "-nostartfiles",
            "-nostdlib",
            "-Wl,--gc-sections",
            "-Tlinker.ld",
            "main.c",
        ]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert (said.returncode == 0) == links, said.stderr
    assert "a static constructor, which start-up would not run" in said.stderr


def test_the_arena_is_found_on_the_emulator_with_the_most_memory_of_the_same_core():
    nucleo = load_board("nucleo-l4r5zi")
    where = arena.emulated(nucleo)
    assert (where.board.name, where.where) == ("mps2-an386", "qemu")
    assert arena.emulated(load_board("mps2-an505")).board.name == "mps2-an505"
    with pytest.raises(TinyflowError, match="no emulator of the core of nucleo-l4r5zi"):
        without = replace(nucleo.core, flags=("-mcpu=cortex-m4", "-mthumb"), fpu=False)
        arena.emulated(replace(nucleo, core=without, qemu=None, renode=None))
