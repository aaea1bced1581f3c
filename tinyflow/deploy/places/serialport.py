"""A real board's console on a serial port (USB of the debug probe)."""

import termios
import time
from typing import Any

from tinyflow.board import Board
from tinyflow.deploy.flash.probes import list_probes, may_be
from tinyflow.errors import TinyflowError


def board_ports(board: Board) -> list[Any]:
    """pyserial's ports of the probes that board.yaml's usb_ids name, but for those of a probe that
    is another board's.
    """
    others = {probe.serial.lower() for probe in list_probes(board) if probe.serial and not may_be(board, probe)}
    return [
        port
        for port in _usb_ports()
        if _usb_id(port) in _usb_ids(board) and (port.serial_number or "").lower() not in others
    ]


def find_port(board: Board) -> str:
    """The one serial port of board_ports(). TinyflowError: none, or several."""
    found = [port.device for port in board_ports(board)]
    if len(found) == 1:
        return found[0]
    if found:
        raise TinyflowError(
            f"several probes for {board.name}: {', '.join(found)}",
            "unplug all but one, or name the port: --port " + found[0],
        )
    wanted = _usb_ids(board)
    here = (
        ", ".join(
            f"{port.device} ({_usb_id(port)}{', of another board' if _usb_id(port) in wanted else ''})"
            for port in _usb_ports()
        )
        or "none"
    )
    raise TinyflowError(
        f"no serial port of {board.name} found (looked for USB"
        f" {', '.join(wanted) or 'nothing: board.yaml has no usb_ids'}; USB serial ports here: {here})",
        "plug the board's debug USB in, or name the port with --port",
    )


def _usb_ports() -> list[Any]:
    from serial.tools import list_ports

    return [port for port in list_ports.comports() if port.vid is not None]


def _usb_id(port: Any) -> str:
    return f"{port.vid:04x}:{port.pid:04x}"


def _usb_ids(board: Board) -> list[str]:
    return sorted(usb_id.lower() for usb_id in (board.probe.usb_ids if board.probe else ()))


class SerialTransport:
    """115200 8N1 or what board.yaml says."""

    def __init__(self, board: Board, port: str = ""):
        import serial

        device = port or find_port(board)
        self.name = f"{board.name} on {device}"
        try:
            self._serial = serial.Serial(device, board.console.baud, timeout=0, write_timeout=10)
            self._serial.reset_input_buffer()
            self._serial.write(b"\n")  # ends whatever half line the firmware may hold
        except (
            OSError,
            termios.error,
        ) as error:  # SerialException is an OSError; the port may go away between two calls
            text = str(error)
            if "ermission" in text or "errno 13" in text.lower():
                hint = "add yourself to the group of the port: sudo usermod -aG dialout $USER, then log in again"
            elif "usy" in text or "lock" in text.lower():
                hint = "another program holds the port; close it (a serial monitor?)"
            else:
                hint = "check the cable; `python -m serial.tools.list_ports -v` lists the ports"
            raise TinyflowError(f"cannot open {device}: {text}", hint) from None

    def write(self, data: bytes) -> None:
        self._serial.write(data)

    def read(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while True:
            self._serial.timeout = max(0.0, deadline - time.monotonic())
            data = self._serial.read(max(1, self._serial.in_waiting))
            if data or time.monotonic() >= deadline:
                return data

    def close(self) -> None:
        self._serial.close()

    def post_mortem(self) -> str:
        return ""
