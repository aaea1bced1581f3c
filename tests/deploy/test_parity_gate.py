"""The whole parity gate for all eight front ends of Table 1, on this machine and on the emulated Cortex-M4F."""

import shutil

import pytest
from firmware_models import speaking
from frontend_signals import espeak, recorded
from targets import on

from tinyflow.board import load_board
from tinyflow.deploy.build import build
from tinyflow.deploy.validate import validate
from tinyflow.frontend.mfcc.config import TABLE_1

CLIPS = 2
BOARDS = ["host", pytest.param("mps2-an386", marks=pytest.mark.qemu)]


def passes(compiled, name, folder, audio):
    board = load_board(name)
    result = validate(on(build(compiled, board, folder / "firmware"), board, compiled), n=2, audio=audio)
    assert result.passed, result.reason
    features = result.parity.features
    assert (
        features.identical_on_device_and_host == len(audio)
        and features.values == audio.shape[0] * compiled.input.elements
    )
    assert result.parity.network.equal == result.parity.end_to_end.equal == len(audio)
    print(
        f"{compiled.name} on {name}: {features.differing_from_torch} of {features.values} differ, at most"
        f" {features.largest_lsb} LSB"
    )


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("config", TABLE_1, ids=lambda config: config.name)
def test_recordings(config, name, tmp_path, recordings):
    audio = recorded(recordings, streams=CLIPS, clips=1)
    passes(speaking(tmp_path / "model", config, audio), name, tmp_path, audio)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng: make setup")
@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("config", TABLE_1, ids=lambda config: config.name)
def test_synthetic_speech(config, name, tmp_path):
    audio = espeak()[:CLIPS]
    passes(speaking(tmp_path / "model", config, audio), name, tmp_path, audio)
