"""Validation against tflite_micro, the parity gate, and that both can fail."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from targets import on

from tinyflow import extras
from tinyflow.board import load_board
from tinyflow.deploy.build import build
from tinyflow.deploy.validate import validate
from tinyflow.errors import TinyflowError
from tinyflow.reference import kernels, oracle


def test_random_rows_agree(foreign_built):
    result = validate(on(foreign_built.firmware, foreign_built.board, foreign_built.compiled), n=3, seed=4)
    assert result.passed and result.rows == result.equal == 3 and "TFLM" in result.oracle


def test_the_parity_gate(speaking_built, clips):
    result = validate(on(speaking_built.firmware, speaking_built.board, speaking_built.compiled), n=1, audio=clips[:2])
    parity = result.parity
    assert result.passed and all(check.passed for check in vars(parity).values())
    assert parity.features.identical_on_device_and_host == 2 and parity.features.values == 2 * 49 * 40
    assert parity.network.equal == parity.end_to_end.equal == 2


@pytest.fixture(params=[oracle, kernels], ids=lambda by: by.NAME)
def by(request, monkeypatch):
    """Both oracles: TFLM's interpreter, and our reference kernels where it is not installed."""
    if request.param is kernels:
        monkeypatch.setattr(extras, "find_spec", lambda name: None)
    return request.param


def test_it_is_said_who_knew_the_answers(foreign_built, by):
    result = validate(on(foreign_built.firmware, foreign_built.board, foreign_built.compiled), n=3)
    assert result.passed and result.equal == 3 and result.oracle == by.version()
    assert (result.note is None) == (by is oracle)
    assert by is oracle or "tinyflow-mcu[oracle]" in result.note


def test_the_first_differing_layer_and_element_are_named(foreign_model, tmp_path, by):
    """One requantisation constant of the depthwise layer changed in the generated C."""
    folder = tmp_path / "wrong"
    shutil.copytree(foreign_model.folder, folder)
    source = folder / "c" / "model.c"
    text = source.read_text()
    at = text.index("bias", text.index("/* DEPTHWISE_CONV_2D"))
    name = text[at:].split("model_const_")[1].split(",")[0].split("}")[0]
    head, array = text.split(f"model_const_{name}[", 1)
    first = array.split("{", 1)[1].split(",", 1)[0].strip()
    source.write_text(head + f"model_const_{name}[" + array.replace(first, str(int(first) + 3000), 1))
    board = load_board("host")
    firmware = build(replace(foreign_model, folder=folder), board, tmp_path / "out")
    result = validate(on(firmware, board, foreign_model), n=2)
    assert not result.passed and result.equal < 2
    assert "layer 1 DEPTHWISE_CONV_2D" in result.reason and "element [0, 0, 0, 0]" in result.reason
    assert by.version() in result.reason


def test_a_wrong_front_end_fails_the_gate(speaking_model, clips, tmp_path):
    folder = tmp_path / "wrong"
    shutil.copytree(speaking_model.folder, folder)
    board = load_board("host")
    # the reference is told of another offset than the C was generated with
    wrong = replace(speaking_model, folder=folder, offset=tuple(value + 0.5 for value in speaking_model.offset))
    result = validate(on(build(wrong, board, tmp_path / "out"), board, wrong), n=1, audio=clips[:1])
    assert not result.passed and "C against torch" in result.reason
    assert not result.parity.features.passed and result.parity.end_to_end.passed


def test_given_rows_of_another_shape_are_refused(foreign_built):
    with pytest.raises(TinyflowError, match="int8 \\[N, 49, 40, 1\\]"):
        validate(
            on(foreign_built.firmware, foreign_built.board, foreign_built.compiled), x=np.zeros((1, 40, 49, 1), np.int8)
        )
