"""Mouth shapes in sequence, for 2D characters and older game rigs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..arrays import Floats
from ..errors import ExportError
from ..rig import Rig
from ..source import FrameSource, moving_angles

RIG = "oculus"
REST = "sil"
CLOSURES = frozenset({"PP", "FF"})
"""Visemes that must be seen however short they are."""

AWAKE = 0.2
"""Share of the mouth at which the strongest viseme counts for more than rest."""

MOUTHS: Mapping[str, str] = {
    "sil": "X", "PP": "A", "FF": "G", "TH": "H", "DD": "B", "kk": "B", "CH": "B", "SS": "B",
    "nn": "H", "RR": "E", "aa": "D", "E": "C", "ih": "B", "oh": "E", "ou": "F",
}  # fmt: skip
"""Rhubarb's mouth shape for every viseme: A closed, B teeth, C open, D wide, E round, F puckered,
G lip under the teeth, H tongue up, X at rest."""

BASIC = {"G": "A", "H": "C", "X": "A"}
"""The six shapes that every Rhubarb mouth chart has, in place of the three that some lack."""

VISEMES: Mapping[str, str] = {
    "X": "sil", "A": "PP", "B": "ih", "C": "E", "D": "aa", "E": "oh", "F": "ou", "G": "FF",
    "H": "nn",
}  # fmt: skip
"""The way back: one viseme for each of Rhubarb's shapes."""


class Cue(NamedTuple):
    """A mouth shape held for a while."""

    start: Fraction
    """Seconds."""
    end: Fraction
    shape: str
    weight: float
    """Largest share of the mouth that it takes, 0..1."""


class Cues:
    """The cues of a source, and the channels that they drop."""

    def __init__(
        self, source: FrameSource, *, shortest: float, shape: Callable[[str], str] = str
    ) -> None:
        """`shortest` in seconds; `shape` gives visemes other names. Raises `ExportError`."""
        if source.info.rig.names != Rig.load(RIG).names:
            raise ExportError(
                f"cues are made of visemes, rig {RIG!r}, got a clip on {source.info.rig.name!r}; "
                f"convert it first: facesdk convert --to {RIG}"
            )
        self._source = source
        self._names = source.info.rig.names
        self._shape = shape
        self._frames = float(shortest * source.info.fps)
        self._dropped: set[str] = set()
        self._moved: set[str] = set()
        self._led: set[str] = set()

    @property
    def dropped(self) -> tuple[str, ...]:
        """Dropped: `blends` between shapes, `events`, visemes that are never the strongest."""
        quiet = [n for n in self._names if n in self._moved - self._led - {REST}]
        blends = ("blends",) if self._moved else ()
        events = ("events",) if self._source.info.events else ()
        return (*blends, *events, *quiet, *sorted(self._dropped))

    def __iter__(self) -> Iterator[Cue]:
        """Yield the cues in order, without gaps."""
        start = Fraction(self._source.info.start_sample, self._source.info.sample_rate)
        step = 1 / self._source.info.fps
        at = 0
        for shape, frames, weight in _merged(self._runs(), self._frames, self._held):
            yield Cue(start + at * step, start + (at + frames) * step, shape, weight)
            at += frames

    @property
    def _held(self) -> frozenset[str]:
        """Shapes that are kept however short."""
        return frozenset(self._shape(name) for name in CLOSURES)

    def _runs(self) -> Iterator[_Run]:
        """Yield the shape of every frame and its weight."""
        rest = self._names.index(REST)
        for values, angles in self._source.blocks():
            self._dropped |= moving_angles(angles)
            self._note(values)
            others = values.copy()
            others[:, rest] = -np.inf
            leading = others.argmax(1)
            peaks = others[np.arange(len(values)), leading]
            leading[peaks < AWAKE] = rest
            for i, row in zip(leading.tolist(), values, strict=True):
                self._led.add(self._names[i])
                yield _Run(self._shape(self._names[i]), 1, float(row[i]))

    def _note(self, values: Floats) -> None:
        moves = np.any(values != Rig.load(RIG).rest, axis=0)
        self._moved.update(n for n, moved in zip(self._names, moves, strict=True) if moved)


class _Run(NamedTuple):
    shape: str
    frames: int
    weight: float


def _joined(runs: Iterable[_Run]) -> Iterator[_Run]:
    """Join neighbors of one shape."""
    last: _Run | None = None
    for run in runs:
        if last is not None and run.shape == last.shape:
            last = _Run(run.shape, last.frames + run.frames, max(last.weight, run.weight))
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def _merged(runs: Iterable[_Run], least: float, held: frozenset[str]) -> Iterator[_Run]:
    """Join short runs to the shape before them, the first one to the next.

    Shapes that are `held` neither go nor begin earlier.
    """
    return _joined(_absorbed(_joined(runs), least, held))


def _absorbed(runs: Iterable[_Run], least: float, held: frozenset[str]) -> Iterator[_Run]:
    before: str | None = None
    waiting = 0
    for run in runs:
        short = run.frames + waiting < least and run.shape not in held
        if short and before is None:
            waiting += run.frames
            last = run
        elif short:
            assert before is not None
            yield _Run(before, run.frames, 0.0)
        else:
            if waiting and run.shape in held:  # lips do not meet early
                yield _Run(last.shape, waiting, last.weight)
                waiting = 0
            yield _Run(run.shape, run.frames + waiting, run.weight)
            before, waiting = run.shape, 0
    if waiting:
        yield _Run(last.shape, waiting, last.weight)
