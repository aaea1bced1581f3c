"""Firmware that several tests of deploy/ ask; each is built once."""

from types import SimpleNamespace

import numpy as np
import pytest
from firmware_models import foreign, speaking
from frontend_signals import spoken_like

from tinyflow.board import load_board
from tinyflow.deploy.build import build
from tinyflow.frontend.mfcc.config import MfccConfig

BOARDS = ["host", pytest.param("mps2-an386", marks=pytest.mark.qemu)]


@pytest.fixture(scope="session")
def clips() -> np.ndarray:
    """int16 (3, 16000)."""
    rng = np.random.default_rng(5)
    return np.stack([spoken_like(rng, loudness) for loudness in (12000, 3000, 300)])


@pytest.fixture(scope="session")
def foreign_model(tmp_path_factory):
    return foreign(tmp_path_factory.mktemp("foreign"))


@pytest.fixture(scope="session")
def speaking_model(tmp_path_factory, clips):
    return speaking(tmp_path_factory.mktemp("speaking"), MfccConfig(window=640, hop=320, n_mels=40), clips)


def _built(request, tmp_path_factory, compiled):
    board = load_board(request.param)
    return SimpleNamespace(
        compiled=compiled, board=board, firmware=build(compiled, board, tmp_path_factory.mktemp("firmware") / "out")
    )


@pytest.fixture(scope="session", params=BOARDS)
def foreign_built(request, tmp_path_factory, foreign_model):
    """compiled, board, firmware of a network without a front end."""
    return _built(request, tmp_path_factory, foreign_model)


@pytest.fixture(scope="session", params=BOARDS)
def speaking_built(request, tmp_path_factory, speaking_model):
    """compiled, board, firmware of a network with front end and three clips."""
    return _built(request, tmp_path_factory, speaking_model)
