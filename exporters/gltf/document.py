"""A glTF 2.0 document that is built piece by piece, its numbers in a temporary file."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ExportError

Array = NDArray[Any]

GENERATOR = "facesdk"

_COMPONENTS = {"f4": 5126, "u1": 5121, "u2": 5123, "u4": 5125}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_ARRAY, _INDICES = 34962, 34963
_MOST = (1 << 32) - 1
_PIECE = 3 << 14
"""Bytes that are copied at once; whole triples, so that base64 has no gaps."""


class Snapshot(NamedTuple):
    """The content of a document, to start others with."""

    text: str
    """JSON."""
    numbers: bytes


class Document:
    """Nodes, meshes and the rest as JSON, accessors as bytes in a temporary file."""

    def __init__(
        self, file: IO[bytes], *, after: Mapping[str, int] | None = None, buffer: int = 0,
        offset: int = 0,
    ) -> None:  # fmt: skip
        """`file` is empty and takes the numbers.

        A document that continues another one counts its entries `after` the other's, by kind, and
        its numbers from an `offset`, a multiple of four, in a buffer.
        """
        self._file = file
        self._length = 0
        self._after = dict(after or {})
        self._buffer, self._offset = buffer, offset
        self._zeros: int | None = None
        self.most_zeros = 0
        """Vectors of the longest accessor that `zeros` will add."""
        self.json: dict[str, Any] = {"asset": {"version": "2.0", "generator": GENERATOR}}

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        """Add an entry of `nodes`, `meshes` or any other kind; returns its index."""
        entries: list[dict[str, Any]] = self.json.setdefault(kind, [])
        entries.append(entry)
        return self._after.get(kind, 0) + len(entries) - 1

    @property
    def length(self) -> int:
        """Bytes of the numbers so far."""
        return self._length

    def snapshot(self) -> Snapshot:
        """Return all that the document holds, for `restore`."""
        return Snapshot(json.dumps(self.json), b"".join(self.pieces()))

    def restore(self, snapshot: Snapshot) -> None:
        """Fill an empty document with what another one held."""
        assert not self._length, "the document is not empty"
        self.json = json.loads(snapshot.text)
        self._length = self._file.write(snapshot.numbers)

    # --------------------------------------------------------------- accessors

    def vertices(self, values: Array, *, bounds: bool = False) -> int:
        """Add the accessor of a (V, n) vertex attribute; positions need `bounds`."""
        return self._accessor(values, _ARRAY, bounds=bounds)

    def indices(self, triangles: Array) -> int:
        """Add the accessor of corners."""
        small = not triangles.size or triangles.max() < 0xFFFF
        return self._accessor(triangles.reshape(-1, 1).astype("<u2" if small else "<u4"), _INDICES)

    def values(self, values: Array, *, bounds: bool = False) -> int:
        """Add the accessor of (K, n) numbers other than vertex attributes."""
        return self._accessor(values, None, bounds=bounds)

    def zeros(self, count: int) -> int:
        """Add the accessor of `count` zero vectors, at most `most_zeros`.

        An accessor may also be zero without a view, but assimp, panda3d and UnityGLTF refuse files
        with one: these share a view of zeros, which therefore needs a stride.
        """
        assert count <= self.most_zeros, "most_zeros is too small"
        if self._zeros is None:
            self._zeros = self._view([bytes(12 * self.most_zeros)], _ARRAY)
            self.json["bufferViews"][self._zeros]["byteStride"] = 12
        entry = {"bufferView": self._zeros} | _described(np.dtype("f4"), count, 3)
        return self.add("accessors", entry | _bounds(np.zeros((1, 3))))

    def deltas(self, values: Array, *, bounds: bool = False, sparse: bool = True) -> int:
        """Add the accessor of (V, 3) mostly zero vectors: sparse where allowed and shorter.

        Sparse ones have no view of zeros below them: Babylon.js would write into it.
        """
        moved = np.flatnonzero(values.any(1))
        index = np.dtype("<u2" if len(values) <= 1 << 16 else "<u4")
        if not sparse or len(moved) * (12 + index.itemsize) >= 12 * len(values):
            return self._accessor(np.asarray(values, "<f4"), _ARRAY, bounds=bounds)
        entry = _described(np.dtype("f4"), len(values), 3)
        entry["sparse"] = {
            "count": len(moved),
            "indices": {
                "bufferView": self._view([moved.astype(index).tobytes()]),
                "componentType": _COMPONENTS[index.str[1:]],
            },
            "values": {"bufferView": self._view([np.asarray(values[moved], "<f4").tobytes()])},
        }
        return self.add("accessors", entry | (_bounds(values) if bounds else {}))

    def stream(
        self, parts: Iterable[Array], count: int, width: int, *, bounds: Array | None = None
    ) -> int:
        """Add the accessor of `count` rows of `width` floats in parts; `bounds` are two rows."""
        data = (np.ascontiguousarray(part, "<f4").tobytes() for part in parts)
        view = {"bufferView": self._view(data)}
        limits = {} if bounds is None else _bounds(bounds)
        return self.add("accessors", view | _described(np.dtype("f4"), count, width) | limits)

    def view(self, data: bytes) -> int:
        """Add a buffer view of bytes of any kind."""
        return self._view([data])

    def _accessor(self, values: Array, target: int | None, *, bounds: bool = False) -> int:
        kind = values.dtype.newbyteorder("<")
        view = self._view([np.ascontiguousarray(values, kind).tobytes()], target)
        entry = {"bufferView": view} | _described(kind, *values.shape)
        return self.add("accessors", entry | (_bounds(values) if bounds else {}))

    def _view(self, parts: Iterable[bytes], target: int | None = None) -> int:
        """Add a buffer view, beginning at a multiple of four."""
        self._file.write(bytes(-self._length % 4))
        begin = self._length + -self._length % 4
        self._length = begin + sum(self._file.write(part) for part in parts)
        length = self._length - begin
        entry = {"buffer": self._buffer, "byteOffset": self._offset + begin, "byteLength": length}
        return self.add("bufferViews", entry | ({} if target is None else {"target": target}))

    # ------------------------------------------------------------------ writing

    def write_binary(self, file: BinaryIO) -> None:
        """Write the document as `.glb`; raises `ExportError` if it is longer than 4 GiB."""
        text = self._text({"byteLength": self._length})
        text += b" " * (-len(text) % 4)
        length = self._length + -self._length % 4
        chunk = 8 + length if length else 0
        total = 20 + len(text) + chunk
        check_length(total)
        file.write(struct.pack("<4sIII4s", b"glTF", 2, total, len(text), b"JSON") + text)
        if not length:
            return
        file.write(struct.pack("<I4s", length, b"BIN\0"))
        for piece in self.pieces():
            file.write(piece)
        file.write(bytes(length - self._length))

    def write_gltf(self, file: BinaryIO) -> None:
        """Write the document as `.gltf`, with its numbers inside as base64."""
        mark = "base64 goes here"
        text = self._text({"byteLength": self._length, "uri": mark}, indent=1)
        before, _, after = text.partition(mark.encode())
        file.write(before + b"data:application/octet-stream;base64,")
        for piece in self.pieces():
            file.write(base64.b64encode(piece))
        file.write(after + b"\n")

    def _text(self, buffer: dict[str, Any], indent: int | None = None) -> bytes:
        document = self.json | ({"buffers": [buffer]} if self._length else {})
        separators = (",", ":") if indent is None else (",", ": ")
        try:
            text = json.dumps(document, allow_nan=False, separators=separators, indent=indent)
        except (TypeError, ValueError, RecursionError) as error:
            raise ExportError(f"names and events must be JSON values: {error}") from error
        return text.encode()

    def pieces(self) -> Iterator[bytes]:
        """Yield the numbers, whole triples of bytes at a time but for the last."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece


@contextmanager
def new_document() -> Iterator[Document]:
    """Open an empty document."""
    with TemporaryFile() as file:
        yield Document(file)


def check_length(total: int) -> None:
    """Raise `ExportError` for a `.glb` file that is longer than its header can hold."""
    if total > _MOST:
        raise ExportError(f"a .glb file has at most 4 GiB, this one needs {total:,} bytes; "
                          "write shorter clips, fewer shapes or thinned keys")  # fmt: skip


def _described(kind: np.dtype[Any], count: int, width: int) -> dict[str, Any]:
    return {"componentType": _COMPONENTS[kind.str[1:]], "count": count, "type": _TYPES[width]}


def _bounds(values: Array) -> dict[str, Any]:
    """Return the smallest and largest value of every column, as float32 stores them."""
    return {"min": _floats(values.min(0)), "max": _floats(values.max(0))}


def _floats(row: Array) -> list[float]:
    return [float(np.float32(value)) for value in row]
