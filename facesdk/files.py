"""Output files that appear whole or not at all, and the folder for facesdk's own files."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_PART = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.part", re.DOTALL)
_LONGEST_NAME = 255 - len("..01234567.part")
"""Bytes of a file name that a temporary name can hold as it is."""


def cache_folder() -> Path:
    """Return the user's folder for cached results; it may not exist yet.

    The environment variable `FACESDK_CACHE` replaces it.
    """
    if given := os.environ.get("FACESDK_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData/Local") / "facesdk" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facesdk"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facesdk"


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that appears at `path` when the block ends without an error.

    It is written next to the target and then renamed, so an error or Ctrl-C keeps the previous
    file. Devices and named pipes cannot be replaced by a rename and are written directly.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        with target.open("wb") as file:
            yield file
        return
    part = target.with_name(f".{_part_stem(target.name)}.{secrets.token_hex(4)}.part")
    with _naming(path):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "this is a folder; name a file in it")
        opened = part.open("xb")
    try:
        with opened as file:
            yield file
        with _naming(path):
            part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Name the file that was asked for in errors, not the temporary one."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _part_stem(name: str) -> str:
    """The name itself where a temporary name can hold it, else its beginning and a hash."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_NAME:
        return name
    mark = hashlib.sha256(encoded).hexdigest()[:16]
    kept = encoded[: _LONGEST_NAME - len(mark) - 1].decode("utf-8", "ignore")
    return f"{kept}~{mark}"


def remove_leftovers(paths: Iterable[str | Path]) -> None:
    """Delete unfinished copies of these files that a killed process left next to them."""
    stems: dict[Path, set[str]] = {}
    for path in map(Path, paths):
        stems.setdefault(path.parent, set()).add(_part_stem(path.name))
    for folder, wanted in stems.items():
        with suppress(OSError):
            for entry in folder.iterdir():
                match = _PART.fullmatch(entry.name)
                if match and match["stem"] in wanted:
                    entry.unlink(missing_ok=True)
