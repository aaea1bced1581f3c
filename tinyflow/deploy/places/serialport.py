"""A real board's console on a serial port (USB of the debug probe)."""

import time

from tinyflow.board import Board
from tinyflow.errors import TinyflowError


def find_port(board: Board) -> str:
    """The serial port of the one probe that board.yaml's usb_ids name. TinyflowError: none, or several."""
    from serial.tools import list_ports

    wanted = {usb_id.lower() for usb_id in (board.probe.usb_ids if board.probe else ())}
    ports = [port for port in list_ports.comports() if port.vid is not None]
    found = [port.device for port in ports if f"{port.vid:04x}:{port.pid:04x}" in wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise TinyflowError(f"several probes for {board.name}: {', '.join(found)}", "unplug all but one, or name the port: --port " + found[0])
    others = ", ".join(f"{port.device} ({port.vid:04x}:{port.pid:04x})" for port in ports) or "none"
    raise TinyflowError(
        f"no serial port of {board.name} found (looked for USB {', '.join(sorted(wanted)) or 'nothing: board.yaml has no usb_ids'}; USB serial ports here: {others})",
        "plug the board's debug USB in, or name the port with --port",
    )


class SerialTransport:
    """115200 8N1 or what board.yaml says."""

    def __init__(self, board: Board, port: str | None = None):
        import serial

        device = port or find_port(board)
        self.name = f"{board.name} on {device}"
        try:
            self._serial = serial.Serial(device, board.console.baud, timeout=0, write_timeout=10)
        except serial.SerialException as error:
            text = str(error)
            if "ermission" in text or "errno 13" in text.lower():
                hint = "add yourself to the group of the port: sudo usermod -aG dialout $USER, then log in again"
            elif "usy" in text or "lock" in text.lower():
                hint = "another program holds the port; close it (a serial monitor?)"
            else:
                hint = "check the cable; `python -m serial.tools.list_ports -v` lists the ports"
            raise TinyflowError(f"cannot open {device}: {text}", hint) from None
        self._serial.reset_input_buffer()
        self._serial.write(b"\n")  # ends whatever half line the firmware may hold

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
