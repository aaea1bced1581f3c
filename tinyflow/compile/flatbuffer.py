"""A FlatBuffer, every access checked: whatever the bytes, an answer or a TinyflowError that says "is damaged".

Nothing is read before it is asked for, and bytes are handed out as views. Offsets may lead to the same place again and
again, so that a small file describes a huge one: what becomes a Python object is therefore paid for out of an allowance
of ``SHARE`` times the file's size.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tinyflow.errors import TinyflowError

SHARE = 4  # an honest file has its parts once
TABLE = 8  # bytes, that the smallest table takes with the offset to it
_FORMATS = {code: struct.Struct("<" + code) for code in "bBhHiIqQf?"}


class File:
    """The bytes of one file, and the name by which errors call it."""

    def __init__(self, data: bytes, name: str):
        self.data, self.name = data, name
        self._left = SHARE * len(data)

    def root(self) -> "Table":
        return Table(self, self.unsigned(0))

    def damaged(self, what: str) -> TinyflowError:
        return TinyflowError(f"{self.name} is damaged: {what}", "export or download it again")

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise self.damaged("its parts overlap")

    def number(self, code: str, at: int) -> Any:
        """The scalar ``code`` (of the module struct) at byte ``at``."""
        form = _FORMATS[code]
        if not 0 <= at <= len(self.data) - form.size:
            raise self.damaged(f"it has {len(self.data):,} bytes, and refers to byte {at:,}")
        return form.unpack_from(self.data, at)[0]

    def unsigned(self, at: int) -> int:
        return int(self.number("I", at))

    def vector(self, at: int, size: int) -> tuple[int, int]:
        """First byte and length of the vector at byte ``at``, of elements of ``size`` bytes."""
        count, start = self.unsigned(at), at + 4
        if count * size > len(self.data) - start:
            raise self.damaged(f"it has {len(self.data):,} bytes, and a vector of {count:,} at byte {at:,}")
        return start, count


class Table:
    """One table: its fields by their slots, the numbers that the schema counts them by from 0."""

    def __init__(self, file: File, at: int):
        file.spend(TABLE)
        self.file, self._at = file, at
        self._fields = at - int(file.number("i", at))
        self._end = self._fields + int(file.number("H", self._fields))

    def _field(self, slot: int) -> int | None:
        """Where the field lies; None where it is not stored."""
        place = self._fields + 4 + 2 * slot
        offset = int(self.file.number("H", place)) if place + 2 <= self._end else 0
        return self._at + offset if offset else None

    def _refers(self, slot: int) -> int | None:
        at = self._field(slot)
        return None if at is None else at + self.file.unsigned(at)

    def number(self, slot: int, code: str, default: Any = 0) -> Any:
        """A scalar; code: its type, of the module struct."""
        at = self._field(slot)
        return default if at is None else self.file.number(code, at)

    def table(self, slot: int) -> "Table | None":
        at = self._refers(slot)
        return None if at is None else Table(self.file, at)

    def tables(self, slot: int) -> "Tables":
        """Of a vector of tables; none where it is not stored."""
        at = self._refers(slot)
        return Tables(self.file, 0, 0) if at is None else Tables(self.file, *self.file.vector(at, 4))

    def bytes(self, slot: int) -> NDArray[np.uint8] | None:
        """A vector of bytes, as a view."""
        at = self._refers(slot)
        if at is None:
            return None
        start, count = self.file.vector(at, 1)
        return np.frombuffer(self.file.data, np.uint8, count, start)

    def numbers(self, slot: int, code: str) -> NDArray[Any] | None:
        """A vector of scalars; code: their type, of numpy: "i4"."""
        at = self._refers(slot)
        if at is None:
            return None
        dtype = np.dtype("<" + code)
        start, count = self.file.vector(at, dtype.itemsize)
        self.file.spend(count * dtype.itemsize)
        return np.frombuffer(self.file.data, dtype, count, start)

    def integers(self, slot: int) -> tuple[int, ...]:
        """A vector of int32; none where it is not stored."""
        numbers = self.numbers(slot, "i4")
        return () if numbers is None else tuple(numbers.tolist())

    def text(self, slot: int) -> str:
        """Empty where it is not stored."""
        data = self.bytes(slot)
        if data is None:
            return ""
        self.file.spend(len(data))
        return data.tobytes().decode(errors="replace")


class Tables(Sequence[Table]):
    """A vector of tables, each read where it is asked for."""

    def __init__(self, file: File, start: int, count: int):
        self._file, self._start, self._count = file, start, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Table: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Table]: ...
    def __getitem__(self, index: int | slice) -> Table | Sequence[Table]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        at = self._start + 4 * index
        return Table(self._file, at + self._file.unsigned(at))

    def __iter__(self) -> Iterator[Table]:
        return (self[index] for index in range(self._count))
