"""What a static library (.a) says of itself: the symbols it defines, the compiler that made it."""

from io import BytesIO
from pathlib import Path

from tinyflow.errors import TinyflowError

MAGIC = b"!<arch>\n"
HEADER = 60  # bytes before each member: name 16, date 12, uid 6, gid 6, mode 8, size 10, end 2


class Archive:
    """``symbols``: all that its members define for others. ``compiler``: what the first of them
    names, "" when nothing.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self._data = path.read_bytes()
            if self._data[: len(MAGIC)] != MAGIC or self._data[8:9] != b"/":  # the first member is the table of symbols
                raise ValueError("no table of symbols")
            table = self._member(len(MAGIC))
            count = int.from_bytes(table[:4], "big")
            names = table[4 + 4 * count :].split(b"\0")[:count]
            self.symbols = frozenset(name.decode() for name in names)
            self._first = self._member(int.from_bytes(table[4:8], "big")) if count else b""
        except (OSError, ValueError) as error:
            raise TinyflowError(f"{path} is not a static library: {error}", "build it again") from None

    def _member(self, offset: int) -> bytes:
        size = int(self._data[offset + 48 : offset + 58])
        return self._data[offset + HEADER : offset + HEADER + size]

    @property
    def machine(self) -> str:
        """As ELF names it: EM_ARM, EM_X86_64."""
        return self._elf()["e_machine"] if self._first else ""

    @property
    def compiler(self) -> str:
        section = self._elf().get_section_by_name(".comment") if self._first else None
        return section.data().strip(b"\0").split(b"\0")[0].decode(errors="replace") if section else ""

    def _elf(self):
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile

        try:
            return ELFFile(BytesIO(self._first))
        except ELFError as error:
            raise TinyflowError(f"{self.path} holds no ELF objects: {error}", "build it again") from None

    def defines(self, function: str) -> bool:
        """Whether it has the C++ function ``function`` without arguments, in whatever namespace."""
        return any(symbol.endswith(f"{len(function)}{function}Ev") for symbol in self.symbols)
