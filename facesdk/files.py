"""Atomic output files, and the cache folder of facesdk."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_ABANDONED = 3600.0
"""Seconds after which an unfinished file has no owner, where files cannot be locked."""

_PART = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.part", re.DOTALL)
_LONGEST = 255
"""Bytes of a file name that file systems take."""
_LONGEST_NAME = _LONGEST - len("..01234567.part")
"""Bytes of a file name that fits into a temporary name unchanged."""


def cache_folder() -> Path:
    """Return the user's folder for cached results; it may not exist yet.

    The environment variable `FACESDK_CACHE` replaces it.
    """
    if folder := os.environ.get("FACESDK_CACHE"):
        return Path(folder)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData/Local") / "facesdk" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facesdk"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facesdk"


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends without an error.

    It is written next to the target and then renamed, so an error or Ctrl-C keeps the previous
    file. Devices and named pipes are written directly. Raises `OSError` naming `path`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        with target.open("wb") as file:
            yield file
        return
    with _naming(path):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder; give a file name")
        opened, part = _new_part(target)
    renamed = False
    try:
        with opened as file:
            yield file
            if fcntl is not None:
                _finish(file)
                with suppress(OSError):  # some shared drives do not rename an open file
                    part.replace(target)  # while it is locked, so that nobody removes it
                    renamed = True
        if not renamed:
            with _naming(path):
                part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _new_part(target: Path) -> tuple[BinaryIO, Path]:
    """Create a temporary file next to the target, and lock it until it is closed.

    The lock tells other processes that it has an owner; it ends with the process.
    """
    while True:
        part = target.with_name(f".{_part_stem(target.name)}.{secrets.token_hex(4)}.part")
        opened = part.open("x+b")
        if fcntl is None:
            return opened, part
        with suppress(OSError):  # a file system without locks
            fcntl.flock(opened, fcntl.LOCK_EX)
        if part.exists():  # no other process took it for a leftover before it was locked
            return opened, part
        opened.close()


def _finish(file: BinaryIO) -> None:
    """Write what is buffered; a network drive reports a full disk only when a file is closed."""
    if not file.closed:
        file.flush()
        os.close(os.dup(file.fileno()))


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Replace the temporary file name in an `OSError` by the target's."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _part_stem(name: str) -> str:
    """Return the name, or its beginning and a hash if it is too long for a temporary name."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    prefix = encoded[: _LONGEST_NAME - len(digest) - 1].decode("utf-8", "ignore")
    return f"{prefix}~{digest}"


def fitting(name: str, endings: Iterable[str]) -> str:
    """Return a name that is short enough with each of these endings.

    A name that is too long becomes its beginning and a hash of the whole.
    """
    room = _LONGEST - max((len(os.fsencode(ending)) for ending in endings), default=0)
    encoded = os.fsencode(name)
    if len(encoded) <= room:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    prefix = encoded[: max(0, room - len(digest) - 1)]
    return f"{os.fsdecode(_without_torn_end(prefix))}~{digest}"


def _without_torn_end(prefix: bytes) -> bytes:
    """Return UTF-8 without a last character of which bytes are missing; other bytes as they are."""
    for missing in range(4):
        with suppress(UnicodeDecodeError):
            shorter = prefix[: len(prefix) - missing]
            shorter.decode()
            return shorter
    return prefix


def remove_leftovers(paths: Iterable[str | Path]) -> None:
    """Delete unfinished copies of these files that a killed process left next to them.

    A copy that another process is writing is kept.
    """
    stems: dict[Path, set[str]] = {}
    for path in map(Path, paths):
        stems.setdefault(path.parent, set()).add(_part_stem(path.name))
    for folder, targets in stems.items():
        with suppress(OSError):
            for entry in folder.iterdir():
                match = _PART.fullmatch(entry.name)
                if match and match["stem"] in targets:
                    with suppress(OSError):
                        _remove_if_abandoned(entry)


def _remove_if_abandoned(part: Path) -> None:
    if fcntl is None:  # Windows does not delete an open file
        part.unlink(missing_ok=True)
        return
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:  # a file system without locks
            if time.time() - part.stat().st_mtime < _ABANDONED:
                return
        part.unlink(missing_ok=True)
