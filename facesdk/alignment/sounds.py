"""How each speech sound looks in the curves of the network: the statistics of alignment.

Every sound has three parts. Features of an instant (curves of the network and levels of frequency
bands, at some instants around it) are projected to a few dimensions in which the spread of every
part is 1, so its score is a distance to its mean. `tools/fit_alignment.py` estimates all of this
from speech with known phones and writes `data/alignment/sounds.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import Columns, Floats
from ..articulation import Rules
from ..documents import check_header
from ..errors import AlignmentError

RATE = 100
"""Hz of the features."""
PARTS = 3
"""Parts of a sound."""
SILENCE = "SIL"

BAND_EDGES = (80, 300, 800, 1500, 2500, 4000, 7600)
"""Hz; between each two lies a band whose level is a feature."""
FLOOR_DB = -60.0
"""Lowest level of a band, relative to the loud parts of the line."""


@dataclass(frozen=True, eq=False)
class Sounds:
    """Means of the parts of all sounds, and the projection in which their spread is 1."""

    curves: tuple[str, ...]
    """Curves of the network, by name. A model may lack some of them."""
    context: tuple[int, ...]
    """Frames around an instant that count."""
    center: Floats
    """(context, F) mean of every feature: curves, then bands."""
    projection: Floats
    """(context, F, K)."""
    means: Floats
    """(C, K) projected mean of every class."""
    classes: tuple[tuple[str, int], ...]
    """Symbol and part of every class; silence has one part."""
    durations: Mapping[str, float]
    """Median seconds by symbol."""
    scale: float
    """Weight of the scores: neighboring frames are not independent."""
    unknown: float
    """Score of speech that no word explains."""

    @classmethod
    def load(cls) -> Sounds:
        """Return the built-in statistics."""
        return _builtin()

    @classmethod
    def from_json(cls, document: Mapping[str, Any], source: str = "the statistics") -> Sounds:
        """Build from the JSON document; raises `AlignmentError` if it is not valid."""
        check_header(document, format="facesdk.alignment", source=source, error=AlignmentError)
        try:
            sounds = document["sounds"]
            classes = [
                (s, part) for s, entry in sounds.items() for part in range(len(entry["means"]))
            ]
            return cls(
                curves=tuple(document["curves"]),
                context=tuple(document["context"]),
                center=np.array(document["center"], np.float32),
                projection=np.array(document["projection"], np.float32),
                means=np.array(
                    [m for entry in sounds.values() for m in entry["means"]], np.float32
                ),
                classes=tuple(classes),
                durations={s: entry["ms"] / 1000 for s, entry in sounds.items() if "ms" in entry},
                scale=float(document["scale"]),
                unknown=float(document["unknown"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AlignmentError(f"{source} lack or misspell a field: {error!r}") from error

    def scores(self, features: Floats, start: int, stop: int, names: Sequence[str]) -> Floats:
        """Return (stop - start, C) scores of frames `start` to `stop`, scaled, all below 0.

        `features` is (T, F') with the curves `names`, then the bands. Curves that these statistics
        lack are ignored, missing ones count as average.
        """
        projected = self._project(features, start, stop, names)
        raw = projected @ self.means.T - 0.5 * np.square(self.means).sum(1)
        raw -= raw.max(axis=1, keepdims=True)
        raw -= np.log(np.exp(raw).sum(axis=1, keepdims=True))
        return np.asarray(raw * np.float32(self.scale), np.float32)

    def _project(self, features: Floats, start: int, stop: int, names: Sequence[str]) -> Floats:
        bands = len(BAND_EDGES) - 1
        wanted = [*self.curves, *(f"band {i}" for i in range(bands))]
        given = [*names, *(f"band {i}" for i in range(bands))]
        pairs = [(i, given.index(name)) for i, name in enumerate(wanted) if name in given]
        mine, theirs = [list(side) for side in zip(*pairs, strict=True)]
        total = np.zeros((stop - start, self.projection.shape[2]), np.float32)
        for step, center, projection in zip(
            self.context, self.center, self.projection, strict=True
        ):
            rows = np.clip(np.arange(start, stop) + step, 0, len(features) - 1)
            total += (features[rows][:, theirs] - center[mine]) @ projection[mine]
        return total

    @cached_property
    def columns(self) -> Mapping[str, tuple[int, ...]]:
        """Columns of the scores of every sound, by symbol."""
        found: dict[str, list[int]] = {}
        for column, (symbol, _) in enumerate(self.classes):
            found.setdefault(symbol, []).append(column)
        return {symbol: tuple(columns) for symbol, columns in found.items()}

    def columns_of(self, symbol: str) -> Columns:
        """Return the (PARTS,) columns of a sound, or of the one most like it by the rules."""
        return np.array(self.columns[self.stand_in(symbol)])

    def stand_in(self, symbol: str) -> str:
        """Return the sound itself, or the one whose targets are nearest if it has no statistics."""
        if symbol in self.columns:
            return symbol
        if symbol not in self._stand_ins:
            sounds = [s for s in self.columns if s != SILENCE]
            self._stand_ins[symbol] = min(sounds, key=lambda other: _distance(symbol, other))
        return self._stand_ins[symbol]

    @cached_property
    def _stand_ins(self) -> dict[str, str]:
        return {}

    def seconds_of(self, symbol: str) -> float:
        """Return the median duration of a sound."""
        return self.durations[self.stand_in(symbol)]


def _distance(one: str, other: str) -> float:
    """Return how far apart the rules of two sounds are."""
    phones = Rules.load().phones.phones
    a, b = phones[one], phones[other]
    if a.path and a.path[0][1] != one:
        a = phones[a.path[0][1]]
    if b.path and b.path[0][1] != other:
        b = phones[b.path[0][1]]
    units = {*a.targets, *b.targets}
    apart = sum((a.targets.get(u, 0.0) - b.targets.get(u, 0.0)) ** 2 for u in units)
    return math.sqrt(apart) + (a.voiced != b.voiced) * 0.5 + (a.vowel != b.vowel) * 2.0


@cache
def _builtin() -> Sounds:
    file = resources.files("facesdk") / "data" / "alignment" / "sounds.json"
    return Sounds.from_json(json.loads(file.read_text("utf-8")), "the built-in statistics")


class BandMeter:
    """Levels of frequency bands, measured block by block."""

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate` is that of the blocks, in Hz, and at least 16000."""
        self._hop, self._size = sample_rate // RATE, sample_rate // 40
        self._window = np.hanning(self._size).astype(np.float32)
        self._fft = 1 << (self._size - 1).bit_length()
        hertz = np.fft.rfftfreq(self._fft, 1 / sample_rate)
        edges = list(pairwise(BAND_EDGES))
        self._bands = np.array([(hertz >= a) & (hertz < b) for a, b in edges], np.float32)
        self.reset()

    def reset(self) -> None:
        """Start a new line."""
        self._rest = np.zeros(self._size // 2, np.float32)
        self._levels: list[Floats] = []

    def push(self, samples: Floats) -> None:
        """Add (N,) samples."""
        waiting = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        count = max(0, (len(waiting) - self._size) // self._hop + 1)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(waiting, self._size)
            spectrum = np.fft.rfft(frames[:: self._hop][:count] * self._window, self._fft)
            power = (np.square(np.abs(spectrum)).astype(np.float32)) @ self._bands.T
            self._levels.append(np.asarray(10 * np.log10(power + 1e-9), np.float32))
        self._rest = waiting[count * self._hop :]

    def finish(self, frames: int) -> Floats:
        """Return (frames, bands) levels, 0 for the loud parts of the line, 1 per 20 dB."""
        self.push(np.zeros(self._size + self._hop, np.float32))
        levels = np.concatenate(self._levels)[:frames]
        if len(levels) < frames:
            levels = np.pad(levels, ((0, frames - len(levels)), (0, 0)), "edge")
        whole = 10 * np.log10(np.power(10, levels / 10).sum(axis=1) + 1e-9)
        levels = levels - np.percentile(whole, 95) if len(whole) else levels
        return np.asarray(np.clip(levels, FLOOR_DB, 10) / 20, np.float32)
