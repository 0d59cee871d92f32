"""The binary container of FBX: a tree of named records, written forwards.

A record begins with where it ends, so lengths are known before anything is written: arrays know
how many numbers they hold and are fetched when their turn comes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ExportError

WIDE = 7500
"""First version whose records count in 64 bits."""

FILE_ID = bytes.fromhex("28b32aebb624ccc2bfc8b02aa92bfcf1")
CREATION_TIME = "1970-01-01 10:00:00:000"
"""A pair that fits each other, as readers check; the same in every file."""

_MAGIC = b"Kaydara FBX Binary  \0\x1a\0"
_FOOTER_ID = bytes.fromhex("fabcab09d0c8d466b176fb831cf7267e")
_FOOTER_END = bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")
_PLAIN_BYTES = 4096
"""Longer arrays of a mesh are compressed."""

_CODES = {"i4": b"i", "i8": b"l", "f4": b"f", "f8": b"d"}
_NARROW_END = 1 << 32


class Long(int):
    """A whole number of 64 bits; others have 32."""


@dataclass(frozen=True)
class Array:
    """Numbers of a record, fetched when they are written."""

    dtype: str
    """`i4`, `i8`, `f4` or `f8`."""
    count: int
    load: Callable[[], NDArray[Any]]
    packed: bytes | None = None
    """The numbers compressed by zlib; None to write them as they are."""

    @classmethod
    def of(cls, numbers: ArrayLike, dtype: str) -> Array:
        """Return an array of numbers in memory; long ones are compressed."""
        data = np.asarray(numbers, f"<{dtype}").reshape(-1)
        packed = zlib.compress(data.tobytes(), 6) if data.nbytes > _PLAIN_BYTES else None
        return cls(dtype, data.size, lambda: data, packed)

    @property
    def nbytes(self) -> int:
        """Length in the file without its prefix of 13 bytes."""
        return self.count * int(self.dtype[1]) if self.packed is None else len(self.packed)

    def head(self) -> bytes:
        """Return the bytes before the numbers."""
        sizes = (self.count, int(self.packed is not None), self.nbytes)
        return _CODES[self.dtype] + struct.pack("<III", *sizes)

    def data(self) -> bytes:
        """Return the numbers as the file stores them."""
        if self.packed is not None:
            return self.packed
        numbers = np.ascontiguousarray(self.load(), f"<{self.dtype}")
        if numbers.size != self.count:
            raise AssertionError(f"announced {self.count} numbers, got {numbers.size}")
        return numbers.tobytes()


Value = bool | int | float | str | bytes | Array


class Node:
    """One record: a name, values, further records."""

    def __init__(self, name: str, *values: Value, children: Sequence[Node] | None = None) -> None:
        """`children` may be empty: readers expect some records to have room for them."""
        self._name = name.encode()
        self._count = len(values)
        self._values = [v if isinstance(v, Array) else _encoded(v) for v in values]
        self._children = children or ()
        self._closed_by_null = not values or children is not None

    def length(self, wide: bool) -> int:
        """Size of the record in bytes."""
        head = (25 if wide else 13) + len(self._name) + self._values_length()
        below = sum(child.length(wide) for child in self._children)
        return head + below + (_null_length(wide) if self._closed_by_null else 0)

    def _values_length(self) -> int:
        return sum(13 + v.nbytes if isinstance(v, Array) else len(v) for v in self._values)

    def write(self, file: BinaryIO, offset: int, wide: bool) -> int:
        """Write the record at an offset; returns the offset after it."""
        end = offset + self.length(wide)
        if not wide and end >= _NARROW_END:
            raise ExportError(
                "the file would be longer than 4 GB; write version 7500, or thin the keys"
            )
        numbers = (end, self._count, self._values_length())
        file.write(struct.pack("<QQQB" if wide else "<IIIB", *numbers, len(self._name)))
        file.write(self._name)
        for value in self._values:
            if isinstance(value, Array):
                file.write(value.head())
                file.write(value.data())
            else:
                file.write(value)
        offset = end - sum(c.length(wide) for c in self._children)
        offset -= _null_length(wide) if self._closed_by_null else 0
        for child in self._children:
            offset = child.write(file, offset, wide)
        if self._closed_by_null:
            file.write(bytes(_null_length(wide)))
        return end


def _null_length(wide: bool) -> int:
    return 25 if wide else 13


def _encoded(value: bool | int | float | str | bytes) -> bytes:
    """Return a value after the letter of its type."""
    if isinstance(value, bool):
        return struct.pack("<c?", b"C", value)
    if isinstance(value, Long):
        return struct.pack("<cq", b"L", value)
    if isinstance(value, int):
        return struct.pack("<ci", b"I", value)
    if isinstance(value, float):
        return struct.pack("<cd", b"D", value)
    letter, data = (b"S", value.encode()) if isinstance(value, str) else (b"R", value)
    return struct.pack("<cI", letter, len(data)) + data


def write_nodes(nodes: Sequence[Node], file: BinaryIO, version: int) -> None:
    """Write a whole file: magic, records, footer."""
    wide = version >= WIDE
    file.write(_MAGIC + struct.pack("<I", version))
    offset = len(_MAGIC) + 4
    for node in nodes:
        offset = node.write(file, offset, wide)
    file.write(bytes(_null_length(wide)))
    offset += _null_length(wide) + len(_FOOTER_ID) + 4
    file.write(_FOOTER_ID + bytes(4) + bytes(16 - offset % 16))
    file.write(struct.pack("<I", version) + bytes(120) + _FOOTER_END)


# ------------------------------------------------------------------- common records


def group(name: str, *children: Node) -> Node:
    """Return a record of other records."""
    return Node(name, children=children)


def properties(*entries: Node) -> Node:
    """Return the table of an object's properties."""
    return Node("Properties70", children=entries)


def prop(name: str, kind: str, label: str, flags: str, *values: Value) -> Node:
    """Return a property: its type, a second name of that type, flags such as A (animatable)."""
    return Node("P", name, kind, label, flags, *values)


def number(name: str, value: float, flags: str = "A") -> Node:
    """Return a property with one animatable number."""
    return prop(name, "Number", "", flags, float(value))


def vector(name: str, values: ArrayLike) -> Node:
    """Return a property that places a node: translation, rotation or scale."""
    return prop(name, name, "", "A", *map(float, np.asarray(values)))


def ticks(name: str, value: int) -> Node:
    """Return a property with a time."""
    return prop(name, "KTime", "Time", "", Long(value))
