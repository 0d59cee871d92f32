"""PLY: vertices and triangles, as text or binary."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError
from .assemble import Raw, check_size

Array = NDArray[Any]

MAX_BYTES = 1 << 28
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass
class _Element:
    name: str
    count: int
    fields: list[tuple[str, str]] = field(default_factory=list)
    """Name and type; a list has the types of its length and of its entries, such as `u1 i4`."""


def read_ply(path: Path) -> Raw:
    """Read vertices, triangles and colors of a file."""
    if path.stat().st_size > MAX_BYTES:
        raise FileFormatError(f"{path} is too large for a head: over {MAX_BYTES:,} bytes")
    data = path.read_bytes()
    try:
        order, elements, start = _header(data)
        words = data[start:].split() if order == "" else None
        columns, faces = _body(data, start, words, order, elements, path)
    except (ValueError, KeyError, IndexError, OverflowError, TypeError) as error:
        raise FileFormatError(f"{path} is not a valid PLY file: {error}") from error
    points = np.stack([columns[axis] for axis in "xyz"], 1).astype(float)
    if not np.isfinite(points).all():
        raise FileFormatError(f"{path} has vertices that are not finite")
    if faces.size and not (faces.min() >= 0 and faces.max() < len(points)):
        raise FileFormatError(f"{path} has faces that refer to missing vertices")
    colors = None
    if {"red", "green", "blue"} <= set(columns):
        colors = np.stack([columns[c] for c in ("red", "green", "blue")], 1)
        colors = (colors / 255.0 if colors.dtype.kind in "ui" else colors).clip(0, 1)
    return Raw(path.stem, points, faces, colors=colors)


def _header(data: bytes) -> tuple[str, list[_Element], int]:
    """Return byte order, elements, and the start of the body."""
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("it has no header")
    start = data.index(b"\n", end) + 1
    order, elements = None, list[_Element]()
    for line in data[:end].decode("latin1").splitlines():
        match line.split():
            case ["format", kind, _]:
                order = _ORDERS[kind]
            case ["element", name, count]:
                elements.append(_Element(name, int(count)))
            case ["property", "list", length, entry, name]:
                elements[-1].fields.append((name, f"{_TYPES[length]} {_TYPES[entry]}"))
            case ["property", kind, name]:
                elements[-1].fields.append((name, _TYPES[kind]))
    if order is None or not any(e.name == "vertex" for e in elements):
        raise ValueError("its header has no format or no vertices")
    return order, elements, start


def _body(
    data: bytes, place: int, words: list[bytes] | None, order: str,
    elements: list[_Element], path: Path,
) -> tuple[dict[str, Array], Array]:  # fmt: skip
    """Return the columns of the vertices by name, and triangles."""
    columns: dict[str, Array] = {}
    faces = np.zeros((0, 3), np.int64)
    for element in elements:
        if not 0 <= element.count <= len(data):
            raise ValueError(f"it claims {element.count} of {element.name!r}")
        if element.name == "vertex":
            check_size(element.count, 0, path)
            columns, place = _table(data, place, words, order, element)
        elif element.name == "face":
            faces, place = _fans(data, place, words, order, element)
            break
        else:
            break
    return columns, faces


def _table(
    data: bytes, place: int, words: list[bytes] | None, order: str, element: _Element
) -> tuple[dict[str, Array], int]:
    """Return the columns of an element without lists, and the start of the next one."""
    if words is not None:
        width = len(element.fields)
        rows = np.array(words[: element.count * width], float).reshape(element.count, width)
        del words[: element.count * width]
        return {
            name: rows[:, i].astype(kind) for i, (name, kind) in enumerate(element.fields)
        }, place
    row = np.dtype([(name, order + kind) for name, kind in element.fields])
    table = np.frombuffer(data, row, element.count, place)
    return {name: table[name] for name, _ in element.fields}, place + element.count * row.itemsize


def _fans(
    data: bytes, place: int, words: list[bytes] | None, order: str, element: _Element
) -> tuple[Array, int]:
    """Return the triangles of an element with a list of corners, and the start of the next."""
    if len(element.fields) != 1 or " " not in element.fields[0][1]:
        raise ValueError("its faces have properties besides a list of corners")
    length_type, entry_type = (np.dtype(order + t) for t in element.fields[0][1].split())
    row = np.dtype([("length", length_type), ("corners", entry_type, 3)])
    if words is None and len(data) - place >= element.count * row.itemsize:
        table = np.frombuffer(data, row, element.count, place)
        if (table["length"] == 3).all():
            return table["corners"].astype(np.int64), place + element.count * row.itemsize
    triangles: list[tuple[int, int, int]] = []
    at = 0
    for _ in range(element.count):
        if words is not None:
            count = int(words[at])
            corners = [int(w) for w in words[at + 1 : at + 1 + count]]
            at += 1 + count
        else:
            count = int(np.frombuffer(data, length_type, 1, place)[0])
            place += length_type.itemsize
            corners = np.frombuffer(data, entry_type, count, place).astype(int).tolist()
            place += count * entry_type.itemsize
        if len(corners) != count:
            raise ValueError("it ends within its faces")
        triangles += [(corners[0], a, b) for a, b in pairwise(corners[1:])]
    return np.array(triangles, np.int64).reshape(-1, 3), place
