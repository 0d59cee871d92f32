"""The settings that all lines of a run share, and the fingerprint of a line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import cache, lru_cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from .. import __version__
from ..articulation.phones import Alphabet
from ..documents import load_json
from ..exporters import Format, open_character
from ..exporters.options import OptionFields, Value, title
from ..performance import Performance
from ..retarget import user_maps
from .kinds import VIDEO, kind_for
from .plan import PIPE, Line, Plan

if TYPE_CHECKING:
    from ..mesh import Head

FACTS = 3
"""Version of the facts in the cache; lines with another version are baked again."""

_DATA = ("alignment", "articulation", "maps", "motion", "rigs", "tables")
_CHUNK = 2**20


@dataclass(frozen=True)
class Settings:
    """The settings with which lines are baked. Plain values, sent to the workers."""

    rig: str = "arkit"
    """The name of a rig or of a learned layer, or the path of a rig, table or map file."""
    fps: Fraction = Fraction(60)
    format: str = "json"
    look_ahead_ms: float | None = None
    """None for the longest look-ahead of the model."""
    performance: Performance = field(default_factory=Performance)
    model: str | None = None
    """Folder of the model; None for the default one."""
    alphabet: Alphabet | None = None
    """Alphabet of timed phones; None detects it per line."""
    lexicon: str | None = None
    """Path of a file of pronunciations for texts."""
    language: str = "en"
    """Language of texts."""
    words: str | None = None
    """The text of the only line, in place of a file."""
    tier: str | None = None
    """Tier of timed phones; None for that of phones."""
    strict: bool = False
    """Whether a sound without a rule is an error."""
    tolerance: float | None = None
    start: str | None = None
    offset: float = 0.0
    """`tolerance`, `start` and `offset` as in `exporters.WriteOptions`."""
    head: str | None = None
    """Path of the mesh to put into the file."""
    up: Literal["y", "z"] = "y"
    """Axis that points up in the file of `head`."""
    link_audio: bool = False
    """Whether the file refers to the recording."""
    format_settings: Mapping[str, Value] = field(default_factory=dict)
    """Settings that only the format defines."""

    def options(self, line: Line, format_: Format) -> OptionFields:
        """Return the options with which a line is written."""
        options = OptionFields(
            tolerance=self.tolerance,
            start=self.start,
            offset=self.offset,
            settings=self.format_settings,
        )
        if format_.multi_clip or format_.names_clip:
            options["name"] = title(PurePosixPath(line.name).name)
        if audio := self.audio_reference(line, format_):
            options["audio"] = audio
        if self.head is not None:
            kept = open_character(self.head, format_, self.format_settings) is not None
            options["head"] = self.head if kept else self.loaded_head()
        return options

    def loaded_head(self) -> Head | None:
        """Return the head of the files, or None for the format's own."""
        return None if self.head is None else _loaded_head(self.head, self.up)

    def audio_reference(self, line: Line, format_: Format) -> str | None:
        """Return the recording's path: as given for a video, relative to the output for a link."""
        if line.audio is None or line.audio == PIPE:
            return None
        if format_.name == VIDEO:
            return line.audio
        if not self.link_audio:
            return None
        folder = Path() if line.output == PIPE else Path(line.output).parent
        return Path(os.path.relpath(line.audio, folder)).as_posix()

    def session(self) -> dict[str, Any]:
        """Return the arguments of `Model.session`."""
        return {
            "rig": self.rig, "fps": self.fps, "look_ahead_ms": self.look_ahead_ms,
            "performance": self.performance,
        }  # fmt: skip

    def of_line(self, line: Line, plan: Plan) -> Settings:
        """Return the settings with the line's own seed.

        The lines of a batch blink at different times, each at the same times in every run: their
        seeds derive from the common seed and their names. A single line that was given by name
        uses the seed as given, as `facesdk.bake` does.
        """
        if not plan.batch:
            return self
        seed = line_seed(self.performance.seed, line.name)
        return replace(self, performance=replace(self.performance, seed=seed))

    def to_json(self) -> dict[str, Any]:
        """Return everything that shapes the files as JSON values; the model counts by its hash."""
        document = asdict(self) | {"fps": [self.fps.numerator, self.fps.denominator]}
        del document["model"]
        document["lexicon"] = self.lexicon and file_hash(self.lexicon)
        return document


@lru_cache(1)
def _loaded_head(path: str, up: Literal["y", "z"]) -> Head:
    """Return the head of a run, which its lines share."""
    from ..mesh import load_head

    return load_head(path, up=up)


def line_seed(seed: int, name: str) -> int:
    """Return the seed of one line of a batch, below 2**32; a name may be in any encoding."""
    text = f"{seed}/{name}".encode("utf-8", "surrogateescape")
    return int(hashlib.sha256(text).hexdigest()[:8], 16)


def shared_files(settings: Settings) -> dict[str, str | None]:
    """Return hashes of the files that all lines share: facesdk's data, a rig or table, a head."""
    return {
        "data": data_hash(),
        "rig": _rig_hash(settings.rig),
        "head": settings.head and _mesh_hash(settings.head),
    }


def fingerprint(
    line: Line, settings: Settings, *, model: str | None, shared: Mapping[str, str | None]
) -> str | None:
    """Return a hash of everything that determines a line's file; None for a line from stdin.

    `model` is the hash of the model and `shared` comes from `shared_files`. Audio and phones count
    by their bytes, not by their names or times; a recording that the file refers to also counts by
    the path that is written.
    """
    if line.audio == PIPE:
        return None
    document = {
        "facesdk": __version__,
        "facts": FACTS,
        "shared": dict(shared),
        "model": None if line.phones else model,
        "settings": settings.to_json(),
        "link": settings.link_audio and settings.audio_reference(line, kind_for(settings.format)),
        "audio": line.audio and file_hash(line.audio),
        "phones": line.phones and file_hash(line.phones),
        "text": line.text and file_hash(line.text),
        "reader": _text_reader() if line.text or settings.words is not None else None,
        "alignment": line.alignment and Path(line.alignment).suffix,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _text_reader() -> str | None:
    """Version of the package that reads English, None if it is not installed."""
    try:
        return version("hibari-tts")
    except PackageNotFoundError:
        return None


def _rig_hash(rig: str) -> str | None:
    """Hash of a rig, table or map file and the rig files that it names; None for a rig's name."""
    if not rig.endswith(".json"):
        return None
    document = load_json(Path(rig), "rig, table or map")
    named = [v for v in document.values() if isinstance(v, str) and v.endswith(".json")]
    files = [Path(rig), *(Path(rig).parent / name for name in named)]
    return hashlib.sha256("".join(map(file_hash, files)).encode()).hexdigest()


def _mesh_hash(path: str) -> str:
    """Hash of a head's file, or of the names, sizes and times in its folder."""
    if not Path(path).is_dir():
        return file_hash(path)
    held = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in Path(path).iterdir())
    return hashlib.sha256(repr(held).encode()).hexdigest()


FileMark = tuple[int, ...]
"""Device, number, size and times of a file; changes when its content does. Empty if missing."""


def file_mark(path: str | Path) -> FileMark:
    """Return the mark of a file, or of a folder and all files in it."""
    try:
        held = sorted(Path(path).iterdir()) if Path(path).is_dir() else []
        found = [Path(p).stat() for p in (path, *held)]
    except OSError:
        return ()
    return tuple(
        number
        for s in found
        for number in (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
    )


def file_hash(path: str | Path) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@cache
def data_hash() -> str:
    """Return the sha256 of facesdk's rigs, tables, maps and rules, and of the user's maps."""
    digest = hashlib.sha256()
    folders = [resources.files("facesdk") / "data" / folder for folder in _DATA]
    if user_maps().is_dir():
        folders.append(user_maps())
    for folder in folders:
        for file in sorted(_files(folder)):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(folder: Traversable) -> list[Any]:
    return [file for file in folder.iterdir() if file.name.endswith(".json")]
