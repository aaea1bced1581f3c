"""Whether the very build that was programmed answers on the board's console: "flashed" means "runs"."""

import os
import time
from typing import Any

from tinyflow.board import Board
from tinyflow.deploy.artefact import Firmware
from tinyflow.deploy.places.place import Place
from tinyflow.deploy.places.serialport import SerialTransport, board_ports
from tinyflow.errors import TinyflowError

HELLO_SECONDS = 5.0  # one answer
AGAIN_SECONDS = (
    3.0  # how long anything but the right answer is asked again: a port just plugged in may be held for a moment
)


def console_port(board: Board, serial: str) -> str:
    """The serial port of the probe with this serial number (any probe of the board when it is empty); "" when none."""
    ports = board_ports(board)
    own = [port.device for port in ports if serial and (port.serial_number or "").lower() == serial.lower()]
    return own[0] if own else ports[0].device if len(ports) == 1 and not serial else ""


def find_console(place: Place, serial: str) -> str:
    """The serial port to hear the firmware on. TinyflowError: none, or no permission for it."""
    board = place.board
    port = place.port or console_port(board, serial)
    if not port:
        raise TinyflowError(
            f"no console: the probe{f' {serial}' if serial else ''} has no serial port here",
            "name it with --port, or flash without waiting for the firmware's hello: --no-hello; `tinyflow doctor`"
            " lists the ports",
        )
    if os.path.exists(port) and not os.access(port, os.R_OK | os.W_OK):
        raise TinyflowError(
            f"no console: no permission for {port}",
            "sudo usermod -aG dialout $USER, then log in again; or flash with --no-hello",
        )
    return port


def confirm(firmware: Firmware, board: Board, port: str, again: float) -> str:
    """Waits for a hello of ``firmware``'s build on ``port``; returns the firmware's own warning, or "".

    again: seconds during which silence or another build is asked again. Errors: the last such answer.
    """
    deadline = time.monotonic() + again
    while True:
        try:
            said = _hello(board, port)
            if said["build"] == firmware.build_id:
                return str(said.get("warning") or "")
            error = TinyflowError(
                f"it runs build {said['build']}, not {firmware.build_id} of {firmware.folder}",
                "another board answers on that port (--port), or the chip boots from its other bank (option byte BFB2)",
            )
        except TinyflowError as problem:
            error = problem
        if time.monotonic() >= deadline:
            raise error
        time.sleep(0.3)


def _hello(board: Board, port: str) -> dict[str, Any]:
    from tinyflow.deploy.device import Device

    with Device(Place(board, "serial", port), SerialTransport(board, port), HELLO_SECONDS) as device:
        return device.hello()
