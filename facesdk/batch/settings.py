"""What all lines of a run have in common."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any

from .. import __version__
from ..articulation.phones import Alphabet
from ..exporters import Format
from ..exporters.options import OptionFields, Value
from ..retarget import user_maps
from .kinds import VIDEO
from .plan import PIPE, Line, Plan

FACTS = 1
"""Version of the facts that are kept about a line; others are measured again."""

_DATA = ("articulation", "maps", "rigs", "tables")
_CHUNK = 2**20


@dataclass(frozen=True)
class Settings:
    """How lines are baked. Plain values: it travels to the workers."""

    rig: str = "arkit"
    fps: Fraction = Fraction(60)
    format: str = "json"
    look_ahead_ms: float | None = None
    """None for all the future audio that the model can use."""
    seed: int = 0
    blinks: bool = True
    settle: bool = True
    tail: float = 0.0
    model: str | None = None
    """Folder of the model; None for the default one."""
    alphabet: Alphabet | None = None
    """Of timed phones; None detects it for every line."""
    tolerance: float | None = None
    start: str | None = None
    offset: float = 0.0
    """Of the file, with `tolerance` and `start` as in `exporters.WriteOptions`."""
    head: str | None = None
    """Path of the mesh to put into the file."""
    link_audio: bool = False
    """Whether the file refers to the recording."""
    own: Mapping[str, Value] = field(default_factory=dict)
    """The format's own settings."""

    def options(self, line: Line, format_: Format) -> OptionFields:
        """How a line is written."""
        options = OptionFields(
            tolerance=self.tolerance, start=self.start, offset=self.offset, settings=self.own
        )
        if format_.multi_clip or format_.names_clip:
            options["name"] = PurePosixPath(line.name).name
        if audio := self._audio(line, format_):
            options["audio"] = audio
        if self.head is not None:
            from ..mesh import load_head

            options["head"] = load_head(self.head)
        return options

    def _audio(self, line: Line, format_: Format) -> str | None:
        """The recording: for a film the file itself, else where it lies seen from the output."""
        if line.audio is None or line.audio == PIPE:
            return None
        if format_.name == VIDEO:
            return line.audio
        if not self.link_audio:
            return None
        folder = Path() if line.output == PIPE else Path(line.output).parent
        return Path(os.path.relpath(line.audio, folder)).as_posix()

    def session(self) -> dict[str, Any]:
        """The arguments of `Model.session`."""
        return {
            "rig": self.rig, "fps": self.fps, "look_ahead_ms": self.look_ahead_ms,
            "seed": self.seed, "blinks": self.blinks, "settle": self.settle, "tail": self.tail,
        }  # fmt: skip

    def of_line(self, line: Line, plan: Plan) -> Settings:
        """The settings with the line's own seed.

        The lines of a batch blink at different times, each at the same times in every run: their
        seeds are made from the common one and their names. A line named by itself is baked with
        the seed as given, as `facesdk.bake` does.
        """
        return replace(self, seed=line_seed(self.seed, line.name)) if plan.batch else self

    def to_json(self) -> dict[str, Any]:
        """Everything that shapes the curves as JSON values; the model is known by its hash."""
        document = asdict(self) | {"fps": [self.fps.numerator, self.fps.denominator]}
        del document["model"]
        return document


def line_seed(seed: int, name: str) -> int:
    """The seed of one line of a batch, below 2**32."""
    return int(hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()[:8], 16)


def fingerprint(line: Line, settings: Settings, model: str | None) -> str | None:
    """Hash of all that decides what the line's file holds; None where it cannot be known.

    `model` is the hash of the model's weights. Audio and phones count by their bytes, not by
    their names or times.
    """
    if line.audio == "-":
        return None
    document = {
        "facesdk": __version__,
        "facts": FACTS,
        "data": data_hash(),
        "model": None if line.phones else model,
        "settings": settings.to_json(),
        "head": settings.head and _mesh_hash(settings.head),
        "audio": line.audio and file_hash(line.audio),
        "phones": line.phones and file_hash(line.phones),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _mesh_hash(path: str) -> str:
    """Hash of a head's file, or of the names and sizes in its folder."""
    if not Path(path).is_dir():
        return file_hash(path)
    held = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in Path(path).iterdir())
    return hashlib.sha256(repr(held).encode()).hexdigest()


def file_hash(path: str | Path) -> str:
    """sha256 of a file."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@cache
def data_hash() -> str:
    """sha256 of the rigs, tables, maps and rules that come with facesdk, and of the user's maps."""
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
