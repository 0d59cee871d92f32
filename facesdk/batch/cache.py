"""The cache of an output folder: which lines were baked, in a hidden file in that folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..files import whole_file
from .settings import file_hash

NAME = ".facesdk-bake.jsonl"
_MAX_LINE = 2**20


class BakeCache:
    """The finished lines of an output folder, by output file.

    A finished line is appended at once, so a killed run loses only the lines in progress. The
    last entry of a file counts; damaged entries are skipped.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._entries: dict[str, dict[str, Any]] = {}
        self._rows = 0
        self._torn = False
        self._read()

    def finished(self, output: str, fingerprint: str | None) -> Mapping[str, Any] | None:
        """Return the facts of a line whose files are complete and up to date, else None."""
        entry = self._entries.get(self._key(output))
        if entry is None or fingerprint is None or entry["fingerprint"] != fingerprint:
            return None
        facts: Mapping[str, Any] = entry["facts"]
        written = (facts.get("text") or {}).get("file")
        if written is not None and not Path(written).is_file():
            return None
        return facts if _is_intact(Path(output), facts) else None

    def note(self, output: str, fingerprint: str | None, facts: Mapping[str, Any]) -> None:
        """Record a finished line."""
        if fingerprint is None:
            return
        key = self._key(output)
        entry = {"output": key, "fingerprint": fingerprint, "facts": dict(facts)}
        self._entries[key] = entry
        self._rows += 1
        with self._path.open("ab") as file:
            file.write(b"\n" + _row(entry) if self._torn else _row(entry))
        self._torn = False

    def close(self) -> None:
        """Rewrite the cache file if some entries are out of date."""
        self._read()  # another process may have added some
        if self._rows > len(self._entries):
            with whole_file(self._path) as file:
                file.writelines(map(_row, self._entries.values()))
            self._rows = len(self._entries)

    def _key(self, output: str) -> str:
        return Path(output).relative_to(self._folder).as_posix()

    def _read(self) -> None:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        self._rows, self._torn = 0, False
        with file:
            while row := file.readline(_MAX_LINE):
                self._rows += 1
                self._torn = not row.endswith(b"\n")
                entry = _entry(row)
                if entry is not None:
                    self._entries[entry["output"]] = entry


def _row(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _entry(row: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(row)
        whole = isinstance(entry["facts"], dict) and isinstance(entry["fingerprint"], str)
        return entry if whole and isinstance(entry["output"], str) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_intact(path: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a file is as it was written and its sidecar files exist.

    The content of sidecar files may change: Unity edits its `.meta` files.
    """
    with suppress(OSError):
        if not all(Path(f"{path}{ending}").is_file() for ending in facts.get("sidecars", ())):
            return False
        return path.stat().st_size == facts.get("bytes") and file_hash(path) == facts.get("sha256")
    return False
