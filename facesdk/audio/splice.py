"""Files assembled from bytes and from ranges of another file, without a copy on disk."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from typing import BinaryIO

Part = bytes | tuple[int, int]
"""Bytes, or start and end of a range of the underlying file."""


class Splice(io.RawIOBase):
    """A read-only file of several parts; the underlying file stays open when this one closes."""

    def __init__(self, file: BinaryIO, parts: Sequence[Part]) -> None:
        self._file = file
        self._parts = [part for part in parts if _length(part)]
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + _length(part))
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; fewer only at the end."""
        end = self._starts[-1]
        if size is not None and size >= 0:
            end = min(end, self._position + size)
        pieces = []
        while self._position < end:
            index = bisect_right(self._starts, self._position) - 1
            skip = self._position - self._starts[index]
            count = min(end, self._starts[index + 1]) - self._position
            piece = self._piece(self._parts[index], skip, count)
            if not piece:  # the underlying file became shorter
                break
            pieces.append(piece)
            self._position += len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer and return the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _piece(self, part: Part, skip: int, count: int) -> bytes:
        if isinstance(part, bytes):
            return part[skip : skip + count]
        self._file.seek(part[0] + skip)
        return self._file.read(count)


def _length(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part[1] - part[0]
