"""Output files that appear whole or not at all, and where facesdk keeps files of its own."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def cache_folder() -> Path:
    """The user's folder for what facesdk computed once; it may not exist yet.

    `FACESDK_CACHE` names another one.
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
    """A binary file that takes its place at `path` when the block ends without an error.

    It is written beside the target and renamed, so an error or Ctrl-C leaves what was there
    before. Devices and named pipes cannot be renamed onto and are written directly.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        with target.open("wb") as file:
            yield file
        return
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
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
    """Name the file that was asked for in errors, not the one beside it."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
