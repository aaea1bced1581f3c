"""The host side of the console against transports that misbehave."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import zlib

import pytest

from tinyflow.deploy.console import CHUNK_BYTES, LINE_BYTES, CommandError, Console
from tinyflow.errors import TinyflowError


class Scripted:
    """Answers each request with what ``script`` makes of it: bytes, or an exception to raise on reading."""

    name = "scripted"

    def __init__(self, script):
        self.script, self.asked, self.pending, self.end = script, [], b"", ""

    def write(self, data: bytes) -> None:
        assert len(data) <= LINE_BYTES and data.endswith(b"\n")
        self.asked.append(json.loads(data))
        self.pending += self.script(self.asked[-1], len(self.asked))

    def read(self, seconds: float) -> bytes:
        if not self.pending:
            if self.end:
                raise EOFError
            time.sleep(min(seconds, 0.05))
            return b""
        data, self.pending = self.pending[:7], self.pending[7:]  # never a whole line at once
        return data

    def close(self) -> None:
        pass

    def post_mortem(self) -> str:
        return self.end


def line(**fields) -> bytes:
    return json.dumps(fields).encode() + b"\r\n"


def data_line(request: dict, data: bytes, /, **wrong) -> bytes:
    fields = {
        "ok": request["cmd"],
        "id": request["id"],
        "size": len(data),
        "crc": zlib.crc32(data),
        "data": base64.b64encode(data).decode(),
    }
    return line(**(fields | wrong))


def test_noise_and_answers_to_others_are_passed_over():
    heard = []
    transport = Scripted(
        lambda request, _: (
            b'\xff\x00noise\n[1]\n\n{"event":"ready","id":0}\n'
            + line(ok="hello", id=99)
            + line(event="step", id=request["id"], n=1)
            + line(ok="hello", id=request["id"], answer=4)
        )
    )
    assert Console(transport, 5).request("hello", on_event=heard.append)["answer"] == 4
    assert [event for event in heard if event["event"] == "step"] == [{"event": "step", "id": 1, "n": 1}]


def test_damaged_pieces_are_sent_again_a_few_times_only():
    first_fails = Scripted(
        lambda request, count: line(error="crc", id=request["id"]) if count == 1 else line(ok="put", id=request["id"])
    )
    Console(first_fails, 5).put("put", bytes(CHUNK_BYTES + 1))
    assert [request["offset"] for request in first_fails.asked] == [0, 0, CHUNK_BYTES]
    never = Scripted(lambda request, _: line(error="json", id=0, detail="not a flat JSON object"))
    with pytest.raises(CommandError, match="json: not a flat JSON object"):
        Console(never, 5).put("put", b"x")
    assert len(never.asked) == 4
    refused = Scripted(lambda request, _: line(error="range", id=request["id"]))
    with pytest.raises(CommandError) as error:
        Console(refused, 5).put("put", b"x")
    assert error.value.code == "range" and len(refused.asked) == 1


@pytest.mark.parametrize("wrong", [{"crc": 0}, {"size": 9}, {"data": "AAAA"}, {"data": "*"}])
def test_damaged_answers_are_asked_for_again(wrong):
    data = bytes(range(200)) * 5
    once = Scripted(
        lambda request, count: data_line(
            request, data[request["offset"] : request["offset"] + request["size"]], **(wrong if count == 2 else {})
        )
    )
    assert Console(once, 5).get("output", 0, len(data)) == data
    assert len(once.asked) == 3
    always = Scripted(lambda request, _: data_line(request, data[:4], **wrong))
    with pytest.raises(TinyflowError, match="damaged 4 times"):
        Console(always, 5).get("output", 0, 4)


def test_silence_says_what_was_last_heard():
    began = time.monotonic()
    with pytest.raises(TinyflowError) as error:
        Console(Scripted(lambda request, _: b"hello there\n" + b'{"ok":"hel'), 0.3).request("hello")
    assert 0.2 < time.monotonic() - began < 3
    assert (
        "no answer to 'hello' from scripted" in error.value.message
        and "hello there" in error.value.message
        and '{"ok":"hel' in error.value.message
    )


def test_a_fault_carries_its_registers():
    transport = Scripted(
        lambda request, _: b'{"ok":"in\n{"event":"fault","reason":"division by zero","pc":"0x00000123"}\n'
    )
    with pytest.raises(TinyflowError, match="stopped during 'infer': division by zero .pc 0x00000123") as error:
        Console(transport, 5).request("infer")
    assert "addr2line" in error.value.hint


def test_an_ended_transport_is_quoted():
    transport = Scripted(lambda request, _: b"last words\n")
    transport.end = "exit status 3; stderr: boom"
    with pytest.raises(TinyflowError, match="exit status 3; stderr: boom; last heard: last words"):
        Console(transport, 5).request("hello")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux (prctl)")
def test_a_killed_parent_takes_its_emulator_along():
    program = (
        "import sys,time; from tinyflow.deploy.places.process import ProcessTransport as P; print(P('x', ['sleep',"
        " '60'])._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if open(f"/proc/{child}/stat").read().split(") ")[1][0] == "Z":
                return
            os.kill(child, 0)
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the child outlived its parent")
