"""Arrays of strangers: bombs, lies, objects and damage are refused before memory is taken."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from facesdk.archives import MAX_ENTRIES, load_npy, load_npz
from facesdk.errors import FileFormatError

LIMIT = 1 << 20


def archive(entries, kind=zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as opened:
        for name, data in entries.items():
            opened.writestr(name, data)
    file.seek(0)
    return file


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header(text: str, version=(1, 0), rest: bytes = b"") -> bytes:
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1") + rest


def described(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


def test_arrays_come_back():
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array("text"), "c": np.zeros(0)}
    file = archive({f"{name}.npy": npy(array) for name, array in arrays.items()})
    found = load_npz(file, limit=LIMIT)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert set(load_npz(file, limit=LIMIT, only={"a", "x"})) == {"a"}


HOSTILE = {
    "declares more than it holds": header(described("(1000000000, 52)")),
    "a negative shape": header(described("(-1, 52)")),
    "an overflowing shape": header(described("(4294967296, 4294967296, 4294967296)")),
    "no numbers": header(described("('a',)")),
    "objects": npy(np.array([{}], object)),
    "a torn header": header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, "),
    "a call in the header": header("__import__('os').getcwd()\n"),
    "a deep header": header("(" * 5000 + ")" * 5000 + "\n"),
    "an unknown version": header(described("(1,)"), (3, 0), b"\0" * 4),
    "an unknown type": header(described("(1,)", "'<q9'")),
    "impossible characters": header(described("(1,)", "'<U1'"), rest=b"\xff\xff\xff\x7f"),
    "another file": b"GIF89a",
    "nothing": b"",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_arrays_are_refused(content, tmp_path):
    with pytest.raises(FileFormatError, match="cannot be read as arrays"):
        load_npz(archive({"a.npy": content}), limit=LIMIT)
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"a\.npy cannot be read as arrays"):
        load_npy(path, limit=LIMIT)


def test_bombs_are_refused_by_what_they_unpack_to(tmp_path):
    bomb = archive({"a.npy": npy(np.zeros(1 << 22, np.uint8))})
    assert len(bomb.getvalue()) < LIMIT // 10
    with pytest.raises(FileFormatError, match=r"bytes of arrays, expected at most 1,048,576"):
        load_npz(bomb, limit=LIMIT)
    with pytest.raises(FileFormatError, match="60,000 entries"):
        load_npz(archive({f"{i}.npy": b"" for i in range(60_000)}, zipfile.ZIP_STORED), limit=LIMIT)
    assert MAX_ENTRIES < 60_000
    path = tmp_path / "large.npy"
    path.write_bytes(npy(np.zeros(LIMIT, np.uint8)))
    with pytest.raises(FileFormatError, match="expected at most"):
        load_npy(path, limit=LIMIT)


def test_damaged_archives_are_refused():
    whole = archive({"a.npy": npy(np.arange(3000.0))}).getvalue()
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place : place + 4] = b"\xff\xff\xff\x7f"
        with suppress(FileFormatError):  # any other error fails
            load_npz(io.BytesIO(data), limit=LIMIT)
    for data in (whole[:-40], b"PK", pickle.dumps([1])):
        with pytest.raises(FileFormatError, match="cannot be read as arrays"):
            load_npz(io.BytesIO(data), limit=LIMIT)


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "none.npz", limit=LIMIT)
