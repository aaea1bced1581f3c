"""Every emulated core beside the Cortex-M4F of the other tests: counter, faults, self-test, network bit for bit, front
end.
"""

import re
import subprocess
from math import ceil

import numpy as np
import pytest
from firmware_models import misbehaving, speaking
from model_zoo import ds_cnn, every_operator
from targets import met, on

from tinyflow.board import load_board
from tinyflow.compile.foreign import compile_tflite
from tinyflow.deploy.build import build
from tinyflow.deploy.device import connect
from tinyflow.deploy.profile import profile
from tinyflow.deploy.run import selftest
from tinyflow.deploy.validate import validate
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1

pytestmark = pytest.mark.qemu
BOARDS = ("mps2-an385", "mps2-an500", "mps2-an505", "mps3-an547")


@pytest.fixture(scope="module", params=BOARDS)
def board(request):
    return load_board(request.param)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for name, content in (("every_operator", every_operator()), ("ds_cnn", ds_cnn())):
        (folder / f"{name}.tflite").write_bytes(content)
    return {name: compile_tflite(folder / f"{name}.tflite", folder / name) for name in ("every_operator", "ds_cnn")}


@pytest.mark.parametrize("name", ("every_operator", "ds_cnn"))
def test_networks_are_bit_exact(board, networks, name, tmp_path):
    compiled = networks[name]
    firmware = build(compiled, board, tmp_path / "out")
    result = validate(on(firmware, board, compiled), n=2)
    assert result.passed and result.equal == 2
    with connect(firmware, met(board), timeout=60) as device:
        for count in (1, 7, 1000, 12345, 10_000_000):  # a loop of two instructions an iteration, known within two ticks
            assert 2 * count - device.resolution <= device.loop(count) <= 2 * count + 2 + 2 * device.resolution
    if name == "ds_cnn":
        counted = profile(on(firmware, board, compiled))
        assert counted.unit == "instructions" and counted.resolution == ceil(board.counter.rate)
        assert counted.layers_agree and counted.invoke_units > 0.5 * compiled.macs
        assert 0 < counted.stack_bytes < board.stack_bytes


@pytest.mark.parametrize("speaking_built", BOARDS, indirect=True)
def test_front_end_and_self_test(speaking_built, clips):
    firmware, board, compiled = speaking_built.firmware, speaking_built.board, speaking_built.compiled
    result = selftest(on(firmware, board))
    assert result.passed and result.features_equal == result.answers_equal == 3
    names = subprocess.run(["arm-none-eabi-nm", firmware.elf], capture_output=True, text=True, check=True).stdout
    assert "frontend_fixed_power" in names if not board.core.fpu else "frontend_fixed" not in names
    assert board.core.fpu or not re.search(r"__aeabi_[df]|__aeabi_u?[il]2[df]", names)  # no float arithmetic anywhere
    checked = validate(on(firmware, board, compiled), n=1, audio=clips[:1])
    assert checked.passed and checked.parity.features.identical_on_device_and_host == 1


@pytest.mark.slow
@pytest.mark.parametrize("config", TABLE_1[::3], ids=lambda config: config.name)
def test_front_ends_of_table_1_in_integers(config, tmp_path, clips):
    """Bit for bit the host's; and what a second of audio costs."""
    compiled, m3 = speaking(tmp_path / "model", config, clips[:2]), load_board("mps2-an385")
    result = selftest(on(build(compiled, m3, tmp_path / "out"), m3))
    assert result.passed and result.features_equal == 2
    print(f"{config.name}: {result.frontend_units:,} instructions a second of audio on mps2-an385")


def test_faults_are_reported(board, tmp_path):
    firmware = build(misbehaving(tmp_path / "model"), board, tmp_path / "out")
    for kind, said in ((1, "undefined instruction"), (2, "bus fault"), (3, "stack overflow"), (4, "division by zero")):
        with (
            connect(firmware, met(board), timeout=20) as device,
            pytest.raises(TinyflowError, match=f"{said}.*cfsr 0x"),
        ):
            device.infer(np.full(8, kind, np.int8))
