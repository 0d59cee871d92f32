"""The cache of an output folder: which lines were baked, in a hidden file in that folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import whole_file
from .settings import file_hash

NAME = ".facesdk-bake.jsonl"
_MAX_LINE = 2**20


@dataclass(frozen=True)
class Orphan:
    """An output whose input was deleted."""

    output: Path
    source: str
    """Path of the input that no longer exists."""
    intact: bool
    """Whether the output still has the bytes that were written."""
    sidecars: tuple[Path, ...]


class BakeCache:
    """The finished lines of an output folder, by output file.

    A finished line is appended at once, so a killed run loses only the lines in progress. The
    last entry of a file counts; damaged entries are skipped.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._entries: dict[str, dict[str, Any]] = {}
        self._removed: set[str] = set()
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

    def note(
        self, output: str, fingerprint: str | None, facts: Mapping[str, Any], *, source: str = ""
    ) -> None:
        """Record a finished line; `source` is the path of its input."""
        if fingerprint is None:
            return
        key = self._key(output)
        entry: dict[str, Any] = {"output": key, "fingerprint": fingerprint, "facts": dict(facts)}
        if source:
            entry["input"] = self._relative(source)
        self._entries[key] = entry
        self._rows += 1
        with self._path.open("ab") as file:
            file.write(b"\n" + _row(entry) if self._torn else _row(entry))
        self._torn = False

    def remember_input(self, output: str, source: str) -> None:
        """Record the input of a line that is up to date, where it was moved or is not known."""
        entry = self._entries.get(self._key(output))
        if entry is not None and entry.get("input") != self._relative(source):
            self.note(output, entry["fingerprint"], entry["facts"], source=source)

    def orphans(self, roots: Sequence[Path], kept: Iterable[str]) -> list[Orphan]:
        """Return the outputs whose input was deleted, in order; nothing is changed.

        Only files that the cache file lists count, and only those whose input was below one of the
        existing `roots`. The outputs `kept` are those of the present run.
        """
        planned = {self._key(path) for path in kept}
        folders = [_absolute(root) for root in roots if root.is_dir()]
        found = []
        for key, entry in sorted(self._entries.items()):
            source, output = entry.get("input"), self._folder / key
            if key in planned or not isinstance(source, str):
                continue
            path = _absolute(self._folder / source)
            below = any(folder in path.parents for folder in folders)
            if below and not path.exists() and self._owns(output):
                intact = not output.exists() or _is_intact(output, entry["facts"], sidecars=False)
                endings = [e for e in entry["facts"].get("sidecars", ()) if isinstance(e, str)]
                sidecars = [Path(f"{output}{ending}") for ending in endings]
                found.append(Orphan(output, str(path), intact, tuple(sidecars)))
        return found

    def remove(self, orphan: Orphan) -> None:
        """Delete an output with its sidecar files, folders that this empties, and its entry."""
        for path in (orphan.output, *orphan.sidecars):
            path.unlink(missing_ok=True)
        for folder in orphan.output.parents:
            if folder == self._folder or self._folder not in folder.parents:
                break
            try:
                folder.rmdir()
            except OSError:  # something else is in it
                break
        key = orphan.output.relative_to(self._folder).as_posix()
        self._entries.pop(key, None)
        self._removed.add(key)

    def _owns(self, output: Path) -> bool:
        """Whether a path from the cache file really lies in the folder."""
        return _absolute(self._folder) in _absolute(output).parents

    def _relative(self, source: str) -> str:
        try:
            return Path(os.path.relpath(source, self._folder)).as_posix()
        except ValueError:  # another drive
            return str(_absolute(Path(source)))

    def close(self) -> None:
        """Rewrite the cache file if some entries are out of date."""
        self._read()  # another process may have added some
        for key in self._removed:
            if not (self._folder / key).exists():
                self._entries.pop(key, None)
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


def _absolute(path: Path) -> Path:
    """Return the path without `..`, links of existing folders resolved."""
    return Path(os.path.realpath(path))


def _is_intact(path: Path, facts: Mapping[str, Any], *, sidecars: bool = True) -> bool:
    """Whether a file is as it was written and its sidecar files exist.

    The content of sidecar files may change: Unity edits its `.meta` files.
    """
    with suppress(OSError):
        endings = facts.get("sidecars", ()) if sidecars else ()
        if not all(Path(f"{path}{ending}").is_file() for ending in endings):
            return False
        return path.stat().st_size == facts.get("bytes") and file_hash(path) == facts.get("sha256")
    return False
