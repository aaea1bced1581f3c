"""The map that GNU ld writes beside an image: which object file every byte of it came from."""

import re
from bisect import bisect_right
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

# An input section: its name (on a line of its own where it is long), address, size, object file; or the space between
# two.
_PIECE = re.compile(
    r"^ (?P<name>\.\S+|\*fill\*)\s+0x(?P<address>[0-9a-f]+)\s+0x(?P<bytes>[0-9a-f]+)(?: (?P<object>.*))?$", re.MULTILINE
)
_OUTPUT = re.compile(r"^(\.\S+)", re.MULTILINE)

MODEL, LAYERS, CLIPS, LIBRARY, STRINGS, PADDING, TFLM = (
    "model constants",
    "layers",
    "self-test clips",
    "C library",
    "strings",
    "padding",
    "TFLM",
)
_FOLDERS = {
    "kernels": "kernels",
    "frontend": "front end",
    "frontend_fixed": "front end",
    "app": "application",
    "port": "start-up and console",
    "board": "start-up and console",  # a port, or a microphone's driver, beside board.yaml
}


@dataclass(frozen=True)
class Piece:
    """One input section: ``bytes`` from ``address`` on, of the part ``group`` of a firmware."""

    address: int
    bytes: int
    group: str


class LinkMap:
    """The pieces of some output sections, by address."""

    def __init__(self, text: str, sections: Container[str], model_prefix: str):
        text = text[text.find("\nLinker script and memory map") :]  # before it: what was discarded
        outputs = [(match.start(), match[1]) for match in _OUTPUT.finditer(text)]
        starts = [start for start, _ in outputs]
        pieces = []
        for match in _PIECE.finditer(text):
            at = bisect_right(starts, match.start())
            if at and outputs[at - 1][1] in sections and int(match["bytes"], 16):
                group = _group(match["name"], match["object"] or "", model_prefix)
                pieces.append(Piece(int(match["address"], 16), int(match["bytes"], 16), group))
        self.pieces = sorted(pieces, key=lambda piece: piece.address)
        self._addresses = [piece.address for piece in self.pieces]

    def group(self, address: int) -> str:
        """The part that ``address`` belongs to, or ""."""
        at = bisect_right(self._addresses, address) - 1
        return self.pieces[at].group if at >= 0 and address < self.pieces[at].address + self.pieces[at].bytes else ""

    def bytes(self, total: int) -> dict[str, int]:
        """Bytes by part, the largest first; what no input section has of ``total`` is padding."""
        sums, end = {PADDING: 0}, 0
        for piece in self.pieces:  # strings that are the tail of others overlap them
            sums[piece.group] = sums.get(piece.group, 0) + max(0, piece.address + piece.bytes - max(piece.address, end))
            end = max(end, piece.address + piece.bytes)
        sums[PADDING] += total - sum(sums.values())
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _group(section: str, path: str, model_prefix: str) -> str:
    if section == "*fill*":
        return PADDING
    if ".str" in section:  # the linker merges equal ones of all files
        return STRINGS
    if model_prefix in section:
        return MODEL
    if "libtensorflow-microlite.a(" in path or "/model/tflm/" in path:
        return TFLM
    if ".a(" in path:
        return LIBRARY
    folder = next((part for part in reversed(Path(path).parts[:-1]) if part in _FOLDERS or part == "generated"), "")
    if folder != "generated":
        return _FOLDERS.get(folder, LIBRARY)
    name = Path(path).name
    return "front end" if name.startswith("frontend_") else CLIPS if name.startswith("selftest") else LAYERS
