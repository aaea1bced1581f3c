"""The boards that run on Renode's own platforms, their image as `tinyflow flash` would program it: self-test, networks
bit for bit, counts equal to QEMU's of another Cortex-M4F, faults.
"""

import shutil

import numpy as np
import pytest
from firmware_models import misbehaving
from model_zoo import ds_cnn, every_operator
from targets import on

from tinyflow.board import load_board
from tinyflow.compile.foreign import compile_tflite
from tinyflow.deploy.build import build
from tinyflow.deploy.device import connect
from tinyflow.deploy.places.place import Place, choose_place
from tinyflow.deploy.places.renode import renode_version
from tinyflow.deploy.run import selftest
from tinyflow.deploy.validate import validate
from tinyflow.errors import TinyflowError

pytestmark = pytest.mark.renode
BOARDS = ("stm32f4_discovery", "nrf52840dk")


def runnable(name: str) -> Place:
    """The board under Renode; skips where this Renode is too old for it."""
    place = choose_place(load_board(name), "renode")
    if renode_version() < tuple(map(int, place.board.renode.minimum_version.split("."))):
        pytest.skip(f"needs Renode {place.board.renode.minimum_version} for {name}")
    return place


@pytest.fixture(scope="module", params=BOARDS)
def place(request):
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    return runnable(request.param)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for name, content in (("every_operator", every_operator()), ("ds_cnn", ds_cnn())):
        (folder / f"{name}.tflite").write_bytes(content)
    return {name: compile_tflite(folder / f"{name}.tflite", folder / name) for name in ("every_operator", "ds_cnn")}


@pytest.mark.parametrize("speaking_built", BOARDS, indirect=True)
def test_self_test_and_counts(speaking_built, tmp_path):
    firmware, place = speaking_built.firmware, runnable(speaking_built.board.name)
    result = selftest(on(firmware, place))
    assert result.passed and result.features_equal == result.answers_equal == 3 and result.unit == "instructions"
    assert 0 < result.stack_bytes < place.board.stack_bytes
    if shutil.which("qemu-system-arm"):  # the same code on another emulator's Cortex-M4F, counted to within five
        qemu = load_board("mps2-an386")
        there = selftest(on(build(speaking_built.compiled, qemu, tmp_path / "qemu"), qemu))
        for key in ("frontend_units", "network_units"):
            assert getattr(result, key) == pytest.approx(getattr(there, key), rel=1e-3)


@pytest.mark.parametrize("name", ("ds_cnn", "every_operator"))
def test_networks_are_bit_exact(place, networks, name, tmp_path):
    if name == "every_operator" and renode_version() < (1, 16):
        pytest.skip("needs Renode 1.16: SSUB8 of 1.15 leaves wrong GE flags to SEL (docs/boards.md)")
    compiled = networks[name]
    firmware = build(compiled, place.board, tmp_path / "out")
    result = validate(on(firmware, place, compiled), n=2)
    assert result.passed and result.equal == 2
    with connect(firmware, place) as device:
        # clock, console and counter as on the chip
        assert device.hello_line["warning"] == "" and device.hello_line["counter"] == "dwt"
        for count in (1, 1000, 1_000_000):  # a loop of two instructions an iteration, known within a translation block
            assert 2 * count <= device.loop(count) <= 2 * count + 8


def test_faults_are_reported(place, tmp_path):
    firmware = build(misbehaving(tmp_path / "model"), place.board, tmp_path / "out")
    for kind, said in (
        (1, "undefined instruction"),
        (3, "(stack overflow|memory protection: data access)"),
    ):  # Renode 1.14 leaves out MMFAR
        with connect(firmware, place) as device, pytest.raises(TinyflowError, match=f"{said}.*cfsr 0x"):
            device.infer(np.full(8, kind, np.int8))
