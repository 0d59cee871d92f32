"""Readers that facesdk did not write, one module a format: the rows of the export matrix.

A module has `ROWS`: who reads a format, and how far off the probe clip may come back. It may have
`OPTIONS`, the options that a format is written with where a test needs any file of it, such as
`{"glb": {"head": tiny_head()}}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
from probe import channels, frame_times

from facesdk import Clip


@dataclass(frozen=True)
class Track:
    """The keys of one channel as a reader found them."""

    times: np.ndarray
    """(K,) seconds on the file's time line."""
    values: np.ndarray
    """(K,) in the control's unit; radians for joints."""
    at: Callable[[np.ndarray], np.ndarray] | None = None
    """The reader's own interpolation at times in seconds; linear where it has none."""

    def sample(self, times: np.ndarray) -> np.ndarray:
        """(T,) values at times."""
        return np.interp(times, self.times, self.values) if self.at is None else self.at(times)


Curves = Mapping[str, Track]


def expected(clip: Clip) -> Curves:
    """What a format that carries every channel gives back."""
    times = frame_times(clip)
    return {name: Track(times, values) for name, values in channels(clip).items()}


@dataclass(frozen=True)
class Row:
    """One format written for one rig and read by one reader."""

    format: str
    reader: str
    """As docs/formats.md calls it."""
    read: Callable[[Path], Curves]
    """The curves of a file under the names of the clip's channels."""
    rig: str = "arkit"
    value: float = 1e-6
    """Largest error of a value that passes."""
    time: float = 1e-6
    """Largest error of a key's time that passes, in seconds."""
    lost: frozenset[str] = frozenset()
    """What `write_clip` must name, and nothing else, as not carried."""
    options: Mapping[str, Any] = field(default_factory=dict)
    foreign: bool = True
    """Whether the reader is somebody else's program and not a parser written for these tests."""
    thinned: float = 0.7
    """Share of the keys that a tolerance of 0.1 leaves at most; more where channels share them."""
    expect: Callable[[Clip], Curves] = expected
    """What should come back; less what is lost."""

    @property
    def id(self) -> str:
        """For pytest."""
        return f"{self.format}-{self.rig}-{self.reader}".replace(" ", "-")


@dataclass(frozen=True)
class Cell:
    """How well a reader got a clip back."""

    value: float
    time: float
    keys: int
    missing: frozenset[str]
    foreign: frozenset[str]


def compare(found: Curves, wanted: Curves) -> Cell:
    """Worst errors over all channels: of values, and of key times off the nearest wanted one."""
    value = time = 0.0
    for name in wanted.keys() & found.keys():
        track, aim = found[name], wanted[name]
        value = max(value, float(np.abs(_values(track, aim) - aim.values).max()))
        if len(track.times):
            nearest = np.abs(np.asarray(track.times)[:, None] - aim.times).min(1)
            time = max(time, float(nearest.max()))
    keys = max((len(track.times) for track in found.values()), default=0)
    missing = frozenset(wanted) - frozenset(found)
    return Cell(value, time, keys, missing, frozenset(found) - frozenset(wanted))


def _values(track: Track, aim: Track) -> np.ndarray:
    """A track's values at the wanted keys: its own keys where they are as many."""
    alike = track.at is None and len(track.times) == len(aim.times)
    return track.values if alike else track.sample(aim.times)


@cache
def modules() -> tuple[Any, ...]:
    """All modules of readers."""
    return tuple(import_module(f"readers.{m.name}") for m in iter_modules(__path__))


def rows() -> tuple[Row, ...]:
    """All rows of the matrix."""
    return tuple(row for module in modules() for row in module.ROWS)


def options(format_: str) -> Mapping[str, Any]:
    """What any file of a format is written with in tests."""
    found: dict[str, Any] = {}
    for module in modules():
        found |= getattr(module, "OPTIONS", {}).get(format_, {})
    return found
