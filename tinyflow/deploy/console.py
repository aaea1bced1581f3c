"""The console protocol of docs/console.md, host side: one JSON line asks, one answers, some events between.

A Transport moves bytes (emulator, host process, serial port); Console makes requests of them: it numbers each,
checks length and CRC-32 of what comes back, sends a bulk line again when the firmware found it damaged, and turns
a fault, an end of the transport or silence into a TinyflowError that says what was last heard.
"""

import base64
import binascii
import json
import time
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from tinyflow.errors import TinyflowError

PROTOCOL = 1
LINE_BYTES = 1024  # the longest line, newline included
CHUNK_BYTES = 672  # of bulk data per line: 896 characters of base64 and room for the rest
RETRIES = 3
RESENT = ("crc", "json", "line", "base64", "size")  # errors that say: damaged on the way


class Transport(Protocol):
    """Bytes to and from one running firmware."""

    name: str

    def write(self, data: bytes) -> None:
        """Sends all of ``data``."""

    def read(self, seconds: float) -> bytes:
        """Some bytes, or b"" after ``seconds`` of silence. EOFError when the other side has ended."""

    def close(self) -> None:
        """Ends it; a second call does nothing."""

    def post_mortem(self) -> str:
        """What is known of how it ended (exit status, stderr); "" when nothing."""


class CommandError(TinyflowError):
    """The firmware answered with an error line; ``code`` is its short name."""

    def __init__(self, code: str, message: str, hint: str = ""):
        super().__init__(message, hint)
        self.code = code


class Console:
    """Requests over a transport. timeout: seconds of wall time one answer may take."""

    def __init__(self, transport: Transport, timeout: float = 60.0):
        self.transport = transport
        self.timeout = timeout
        self._next = 1
        self._buffer = b""
        self._heard: list[str] = []

    def request(
        self, command: str, timeout: float | None = None, on_event: Callable[[dict], None] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Sends {"cmd": command, "id": n, ...fields} and returns the answer with that id.

        on_event: called with each event line of this request. Errors: CommandError for an error line;
        TinyflowError for a fault, an ended transport or silence.
        """
        number = self._next
        self._next += 1
        line = json.dumps({"cmd": command, "id": number, **fields}, separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_BYTES:
            raise ValueError(f"a line of {len(line)} bytes exceeds {LINE_BYTES}")
        self._send(line)
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            answer = self._line(deadline, command)
            if answer.get("event") == "fault":
                raise _fault(answer, command)
            if answer.get("id") not in (number, 0):
                continue  # an answer to a request given up on, or the line of start-up
            if "event" in answer:
                if on_event:
                    on_event(answer)
            elif "error" in answer:
                code, detail = str(answer["error"]), str(answer.get("detail", ""))
                raise CommandError(
                    code,
                    f"the firmware refused {command!r}: {code}{': ' + detail if detail else ''}",
                    "docs/console.md lists the errors",
                )
            elif answer.get("ok") == command:
                return answer

    def put(
        self, command: str, data: bytes, start: int = 0, on_event: Callable[[dict], None] | None = None
    ) -> dict[str, Any]:
        """Sends ``data`` through ``command`` ("put", "audio", "stream") line by line, each acknowledged; returns the
        last answer.

        start: the offset of its first byte, where earlier calls sent what comes before it.
        """
        answer: dict[str, Any] = {}
        for offset in range(0, len(data), CHUNK_BYTES):
            chunk = data[offset : offset + CHUNK_BYTES]
            fields: dict[str, Any] = {
                "offset": start + offset,
                "size": len(chunk),
                "crc": zlib.crc32(chunk),
                "data": base64.b64encode(chunk).decode(),
            }
            for attempt in range(RETRIES + 1):
                try:
                    answer = self.request(command, on_event=on_event, **fields)
                    break
                except CommandError as error:
                    if error.code not in RESENT or attempt == RETRIES:
                        raise
        return answer

    def get(self, command: str, offset: int, size: int, **fields: Any) -> bytes:
        """Reads ``size`` bytes from ``offset`` through ``command`` ("output", "input", "arena"), line by line."""
        data = b""
        while len(data) < size:
            ask = min(CHUNK_BYTES, size - len(data))
            for _ in range(RETRIES + 1):
                answer = self.request(command, offset=offset + len(data), size=ask, **fields)
                chunk = payload(answer)
                if chunk is not None and len(chunk) == ask:
                    data += chunk
                    break
            else:
                raise TinyflowError(
                    f"{command!r} came back damaged {RETRIES + 1} times (length or CRC-32)",
                    "check the cable and the baud rate",
                )
        return data

    def _send(self, line: bytes) -> None:
        try:
            self.transport.write(line)
        except (OSError, EOFError) as error:
            raise self._ended(str(error)) from None

    def _line(self, deadline: float, command: str) -> dict[str, Any]:
        """The next JSON line; anything else (noise, boot messages) is kept only for error texts."""
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                text = line.decode(errors="replace").strip()
                if not text:
                    continue
                self._heard = [*self._heard[-4:], text]
                try:
                    value = json.loads(text)
                except json.JSONDecodeError:
                    continue
                if isinstance(value, dict):
                    return value
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                last = self._heard[-1] if self._heard else "nothing"
                partial = (
                    f", then {self._buffer[-80:].decode(errors='replace')!r} without an end of line"
                    if self._buffer
                    else ""
                )
                raise TinyflowError(
                    f"no answer to {command!r} from {self.transport.name} in time; last heard: {last}{partial}",
                    "raise the timeout if the model is large; else reset the board and try again",
                )
            try:
                self._buffer += self.transport.read(min(left, 1.0))
            except (OSError, EOFError) as error:
                raise self._ended(str(error)) from None

    def _ended(self, reason: str) -> TinyflowError:
        last = self._heard[-1] if self._heard else "nothing"
        details = "; ".join(text for text in (reason, self.transport.post_mortem()) if text)
        return TinyflowError(
            f"{self.transport.name} ended: {details or 'no reason given'}; last heard: {last}",
            "run it again; if it repeats, it is a bug of the firmware",
        )


def payload(answer: dict[str, Any]) -> bytes | None:
    """The bulk data of an answer, or None when its length or CRC-32 is not what the line says."""
    try:
        data = base64.b64decode(answer["data"], validate=True)
        return data if len(data) == answer["size"] and zlib.crc32(data) == answer["crc"] else None
    except (KeyError, TypeError, binascii.Error):
        return None


def _fault(line: dict[str, Any], command: str) -> TinyflowError:
    registers = ", ".join(f"{key} {value}" for key, value in line.items() if key not in ("event", "reason"))
    return TinyflowError(
        f"the firmware stopped during {command!r}: {line.get('reason', 'unknown')}"
        + (f" ({registers})" if registers else ""),
        "arm-none-eabi-addr2line -f -e firmware.elf <pc> names the line; a stack overflow wants a larger stack_bytes in"
        " board.yaml",
    )
