"""What all lines of a run have in common."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from .. import __version__
from ..articulation.phones import Alphabet
from ..convert import user_maps
from .plan import Line, Plan

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
        "audio": line.audio and file_hash(line.audio),
        "phones": line.phones and file_hash(line.phones),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


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
