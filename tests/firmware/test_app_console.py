"""The running app, line by line: what is damaged is answered with an error line and changes nothing; nothing hangs."""

import base64
import json
import time
import zlib

import numpy as np
import pytest
from firmware_models import foreign, misbehaving, speaking
from frontend_signals import spoken_like
from targets import met

from tinyflow.board import load_board
from tinyflow.deploy.build import build
from tinyflow.deploy.console import CommandError, Console
from tinyflow.deploy.device import connect
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import MfccConfig
from tinyflow.reference import oracle

BOARDS = ["host", pytest.param("mps2-an386", marks=pytest.mark.qemu)]


@pytest.fixture(scope="module", params=BOARDS)
def built(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    compiled, board = foreign(folder / "model", shape=(30, 40, 1), classes=900, wide=True), load_board(request.param)
    return compiled, board, build(compiled, board, folder / "out")


@pytest.fixture
def device(built):
    _, board, firmware = built
    with connect(firmware, met(board), timeout=20) as device:
        yield device


def exchange(device, line: bytes) -> dict:
    """The answer to a raw line."""
    device.console.transport.write(line + b"\n")
    return device.console._line(time.monotonic() + 20, "a raw line")


def bulk(data: bytes, /, **changed) -> bytes:
    fields = {
        "cmd": "put",
        "id": 5,
        "offset": 0,
        "size": len(data),
        "crc": zlib.crc32(data),
        "data": base64.b64encode(data).decode(),
    }
    return json.dumps(fields | changed).encode()


def test_hello_says_what_was_built(device, built):
    compiled, board, firmware = built
    said = device.hello()
    assert said["build"] == firmware.build_id and said["board"] == board.name and said["model"] == compiled.name
    assert (said["input"], said["output"], said["arena"], said["layers"]) == (
        1200,
        900,
        compiled.arena_bytes,
        len(compiled.layers),
    )
    assert (said["counter"], said["counter_bits"], said["counter_hz"]) == (
        board.counter.name,
        board.counter.width_bits,
        board.counter.frequency_hz,
    )
    assert said["warning"] == "" and said["frontend"] == 0 and said["clips"] == 0


def test_damaged_lines_are_named_and_change_nothing(device):
    data = bytes(range(100))
    assert exchange(device, bulk(data))["ok"] == "put"
    for line, code in [
        (bulk(b"x" * 100, crc=1), "crc"),
        (bulk(b"x" * 100, size=99), "size"),
        (bulk(b"x" * 100, data="A" * 135 + "*"), "base64"),
        (bulk(b"x" * 100, offset=1101), "range"),
        (bulk(b"x" * 100, offset=4294967295), "range"),
        (bulk(b"x" * 100, data=5), "field"),
        (b'{"cmd":"put","id":5}', "field"),
        (bulk(b"x" * 100)[:-1], "json"),
        (bulk(b"x" * 100).replace(b'"offset"', b'"off\xffset"'), "json"),
        (b"noise", "json"),
        (b"{}", "field"),
        (b'{"cmd":7}', "field"),
        (b'{"cmd":"reboot","id":9}', "command"),
        (b'{"cmd":"layer","id":9,"index":99}', "range"),
        (b'{"cmd":"input","id":9,"offset":0,"size":673}', "range"),
        (b'{"cmd":"arena","id":9,"offset":4000000000,"size":600}', "range"),
        (b'{"cmd":"loop","id":9}', "field"),
        (b'{"cmd":"selftest","id":9}', "clips"),
        (b'{"cmd":"audio","id":9}', "command"),  # no front end in this firmware
        (b"x" * 1024, "line"),
        (b"x" * 5000, "line"),
    ]:
        answer = exchange(device, line)
        assert answer.get("error") == code, (line[:60], answer)
        assert answer["id"] in (0, 5, 9)
    assert device.console.get("input", 0, 100) == data
    assert exchange(device, b"\r\n  " + b'{"cmd":"put"' + bulk(data)[13:] + b"\r")["ok"] == "put"
    longest = bulk(data) + b" " * 1023
    assert exchange(device, longest[:1023])["ok"] == "put"  # with its newline exactly the longest line


def test_lines_damaged_on_the_way_are_sent_again(device):
    """Every fifth line to the firmware loses a bit of its data."""

    class Noisy:
        name, lines = "noisy", 0

        def __getattr__(self, name):
            return getattr(real, name)

        def write(self, data: bytes) -> None:
            self.lines += 1
            if self.lines % 5 == 0 and b'"data":"' in data:
                at = data.index(b'"data":"') + 20
                data = data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]
            real.write(data)

    real = device.console.transport
    console = Console(noisy := Noisy(), 20)
    data = np.random.default_rng(0).integers(0, 256, 1200, np.uint8).tobytes()
    for _ in range(5):
        console.put("put", data)
    assert console.get("input", 0, 1200) == data and noisy.lines > 12


def test_answers_longer_than_a_line_and_layers(device, built):
    compiled, *_ = built
    x = np.random.default_rng(2).integers(-128, 128, (2, 1200), dtype=np.int8)
    y = device.infer(x)
    assert y.shape == (2, 900) and len(device.ticks) == 2
    rows = x.reshape(2, 30, 40, 1)
    np.testing.assert_array_equal(y, oracle.invoke(compiled.tflite, rows))
    expected = oracle.layer_outputs(compiled.tflite, rows[1])
    compared = [layer for layer in compiled.layers if layer.tensor in expected]  # passes append others
    for layer in compared:
        value = layer.value(device.layer(layer.index, x[1], layer.offset, layer.bytes))
        np.testing.assert_array_equal(value, expected[layer.tensor].reshape(layer.output_shape))
    assert len(compared) >= 2


def test_inputs_of_the_wrong_size_are_refused(device):
    for wrong in (np.zeros(1199, np.int8), np.zeros(1200, np.uint8), np.zeros(0, np.int8)):
        with pytest.raises(TinyflowError, match="rows of 1200"):
            device.infer(wrong)
    with pytest.raises(TinyflowError, match="no front end"):
        device.recognise(np.zeros((1, 16000), np.int16))


@pytest.fixture(scope="module", params=BOARDS)
def broken(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    board = load_board(request.param)
    return board, build(misbehaving(folder / "model"), board, folder / "out")


def provoke(broken, kind: int, timeout: float = 20) -> TinyflowError:
    board, firmware = broken
    with connect(firmware, met(board), timeout=timeout) as device, pytest.raises(TinyflowError) as error:
        device.infer(np.full(8, kind, np.int8))
    return error.value


@pytest.mark.parametrize(
    "kind, mcu, host",
    [
        (1, "undefined instruction", "ended"),
        (2, "bus fault", "AddressSanitizer"),
        (3, "stack overflow", "stack-overflow"),
        (4, "division by zero", "division by zero"),
    ],
)
def test_faults_end_in_reason_and_registers(broken, kind, mcu, host):
    text = str(provoke(broken, kind))
    if broken[0].name == "host":
        assert host in text
    else:
        assert mcu in text and "exception 0x" in text and "cfsr 0x" in text
        assert kind == 3 or "pc 0x0000" in text


def test_a_firmware_that_hangs_is_given_up_on(broken):
    began = time.monotonic()
    error = provoke(broken, 5, timeout=2)
    assert time.monotonic() - began < 10
    assert "no answer to 'infer'" in error.message and '"ok":"put"' in error.message and error.hint


def test_another_build_is_noticed(broken, tmp_path):
    from dataclasses import replace

    board, firmware = broken
    with pytest.raises(TinyflowError, match="runs build .*, not 0123"):
        connect(replace(firmware, build_id="0123"), met(board), timeout=20)


def test_audio_in_pieces(tmp_path):
    """A piece once more is harmless, a gap is refused, and what comes out is what the whole clip gives."""
    clip = spoken_like(np.random.default_rng(3), 9000)
    compiled, board = (
        speaking(tmp_path / "model", MfccConfig(window=400, hop=200, n_mels=40), clip[None]),
        load_board("host"),
    )
    with connect(build(compiled, board, tmp_path / "out", clips=0), met(board), timeout=20) as device:
        features, answers = device.recognise(clip[None])
        with np.load(compiled.selftest) as stored:
            np.testing.assert_array_equal(features[0], stored["features"][0].reshape(-1))
            np.testing.assert_array_equal(answers[0], stored["answers"][0])
        data = clip.astype("<i2").tobytes()

        def send(offset, size):
            piece = data[offset : offset + size]
            return device.console.request(
                "audio", offset=offset, size=len(piece), crc=zlib.crc32(piece), data=base64.b64encode(piece).decode()
            )

        assert send(0, 601)["frames"] == 0
        first = send(601, 500)
        assert send(601, 500) == {**first, "id": first["id"] + 1} and first["frames"] == 1
        with pytest.raises(CommandError, match="not the next piece"):
            send(1200, 100)
        for offset in range(1101, len(data), 333):
            last = send(offset, 333)
        assert last["frames"] == 79
        np.testing.assert_array_equal(
            np.frombuffer(device.console.get("input", 0, features.shape[1]), np.int8), features[0]
        )
        with pytest.raises(TinyflowError, match="clips of 8000 samples"):
            device.recognise(clip[None, :8000])
