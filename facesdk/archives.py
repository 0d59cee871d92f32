"""Arrays in NumPy's `.npz` and `.npy` files of strangers: bounded, nothing unpickled."""

from __future__ import annotations

import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .errors import FaceSDKError, FileFormatError, is_of_system

Array = NDArray[Any]

MAX_ENTRIES = 10_000
"""Largest number of arrays in a file."""

_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

_DAMAGED = (
    zipfile.BadZipFile, zlib.error, tokenize.TokenError, struct.error, SyntaxError, EOFError,
    NotImplementedError, RuntimeError, ValueError, TypeError, KeyError, OSError, MemoryError,
)  # fmt: skip
"""What zip, zlib and numpy's reader of headers raise."""


def load_npz(
    file: str | Path | BinaryIO, *, limit: int, only: Collection[str] | None = None
) -> dict[str, Array]:
    """Return the arrays of an `.npz` file by name, those in `only` if it is given.

    Raises `FileFormatError` for a damaged file, for arrays of objects, for more than `limit` bytes
    of arrays, and for an array whose header declares more numbers than the file contains.
    """
    name = _name(file)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_ENTRIES:
                raise FileFormatError(f"{len(infos):,} entries, expected at most {MAX_ENTRIES:,}")
            entries = {e.filename.removesuffix(".npy"): e for e in infos}
            wanted = {n: e for n, e in entries.items() if only is None or n in only}
            if (size := sum(e.file_size for e in wanted.values())) > limit:
                raise FileFormatError(f"{size:,} bytes of arrays, expected at most {limit:,}")
            return {key: _entry(archive, entry) for key, entry in wanted.items()}
    except FaceSDKError as error:
        raise FileFormatError(f"{name} cannot be read as arrays of numbers: {error}") from error
    except _DAMAGED as error:
        if is_of_system(error):
            raise
        raise FileFormatError(f"{name} cannot be read as arrays of numbers: {error}") from error


def load_npy(path: Path, *, limit: int) -> Array:
    """Return the array of an `.npy` file; raises as `load_npz` does."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > limit:
                raise FileFormatError(f"{size:,} bytes, expected at most {limit:,}")
            _check_header(file, path.name, size)
            file.seek(0)
            return _checked(np.lib.format.read_array(file, allow_pickle=False))
    except FaceSDKError as error:
        raise FileFormatError(f"{path} cannot be read as arrays of numbers: {error}") from error
    except _DAMAGED as error:
        if is_of_system(error):
            raise
        raise FileFormatError(f"{path} cannot be read as arrays of numbers: {error}") from error


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with archive.open(entry) as member:
        _check_header(member, entry.filename, entry.file_size)
    with archive.open(entry) as member:
        return _checked(np.lib.format.read_array(member, allow_pickle=False))


def _checked(array: Array) -> Array:
    """Return an array; one of text must hold characters, which numpy does not check."""
    if array.dtype.kind == "U" and array.size:
        codes = np.ascontiguousarray(array).view(f"{array.dtype.byteorder}u4")
        if codes.max(initial=0) > sys.maxunicode:
            raise FileFormatError("it holds text with impossible characters")
    return array


def _check_header(file: IO[bytes], name: str, size: int) -> None:
    """Raise `FileFormatError` unless the array that a header declares fits into the file."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise FileFormatError(f"{name} has an unknown version {version}")
    shape, _, dtype = _HEADERS[version](file)
    count = math.prod(shape)
    if dtype.hasobject:
        raise FileFormatError(f"{name} contains objects, expected numbers")
    if min(shape, default=0) < 0 or count * max(dtype.itemsize, 1) > size:
        raise FileFormatError(f"{name} declares {shape} of {dtype}, which it does not hold")


def _name(file: str | Path | BinaryIO) -> str:
    return str(file if isinstance(file, str | Path) else getattr(file, "name", "the input"))
