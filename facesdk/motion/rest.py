"""A mouth at rest where nobody speaks.

Evidence of speech is the speech activity that the network reports, or, for models without it and
for timed phones, the units themselves: loudness, voicing and gestures. A frame is part of speech
if there is evidence shortly before or after it. Stops and the gaps between words stay open, pauses
over 300 ms close, and noise, music, hum and breath leave the mouth shut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..arrays import Columns, Floats
from ..errors import ModelError, unknown_name
from ..rig import Rig
from .lips import document, mouth_units
from .part import Motion, MotionPart, joined

FAINT = 0.08
"""Presence up to which a mouth stays exactly at rest."""


@dataclass(frozen=True)
class Presence:
    """The thresholds of speech, and the times in which a mouth leaves rest and returns to it."""

    silent: float
    """Evidence, 0..1, up to which there is no speech."""
    spoken: float
    """Evidence, 0..1, at and above which there is speech."""
    activity: tuple[float, float]
    """Speech activity, 0..1, that counts as much as evidence `silent` and `spoken`."""
    evidence: Mapping[str, float]
    """Weight by unit; the evidence of a frame without activity is its largest weighted unit."""
    hold: float
    """Milliseconds after the last evidence before the mouth begins to return."""
    ahead: float
    """Milliseconds before the first evidence in which the mouth may leave its rest."""
    attack: float
    """Milliseconds from rest to full motion, at least."""
    release: float
    """Milliseconds from full motion to rest, at least."""

    def __post_init__(self) -> None:
        if not 0 <= self.silent < self.spoken <= 1:
            raise ModelError(
                f"evidence must satisfy 0 <= silent < spoken <= 1, "
                f"got {self.silent} and {self.spoken}"
            )
        if not 0 <= self.activity[0] < self.activity[1] <= 1:
            raise ModelError(f"activity must be two rising values in 0..1, got {self.activity}")
        if min(self.hold, self.ahead) < 0 or min(self.attack, self.release) <= 0:
            raise ModelError("hold and ahead must be 0 ms or more, attack and release above 0 ms")

    @classmethod
    def load(cls) -> Presence:
        """Return the built-in thresholds and times."""
        values: dict[str, Any] = dict(document()["rest"])
        return cls(**values)


class Rest:
    """The mouth of one speaker, exactly at rest where nobody speaks and in the first frame.

    The result does not depend on how frames are divided into calls. With a `look_ahead`, evidence
    is passed separately, and that many frames ahead of the units.
    """

    def __init__(
        self, fps: Fraction, look_ahead: int = 0, presence: Presence | None = None
    ) -> None:
        """Prepare for units at `fps` whose evidence is known `look_ahead` frames in advance."""
        if look_ahead < 0:
            raise ModelError(f"look_ahead must be 0 frames or more, got {look_ahead}")
        self._presence = presence or Presence.load()
        units = Rig.load("units")
        self._mouth = slice(0, len(mouth_units()))
        self._sources, self._weights = _sources(self._presence)
        self._rest = units.rest[self._mouth]
        per_ms = float(fps) / 1000
        self._hold = round(self._presence.hold * per_ms)
        self.look_ahead = min(look_ahead, round(self._presence.ahead * per_ms))
        """Frames of future evidence that a frame needs."""
        self._rise = 1 / max(1, math.ceil(self._presence.attack * per_ms))
        self._sink = 1 / max(1, math.ceil(self._presence.release * per_ms))
        self.reset()

    def reset(self) -> None:
        """Start again with a mouth at rest."""
        # evidence from `hold` frames before the next one on
        self._known = np.zeros(self._hold, np.float32)
        self._level: float | None = None

    def evidence(self, units: Floats) -> Floats:
        """Return (T,) evidence of speech, 0..1, for frames of rig `units` or `articulation`."""
        return np.asarray((units[:, self._sources] * self._weights).max(axis=1))

    def heard(self, activity: Floats) -> Floats:
        """Return (T,) evidence of speech for (T,) speech activity, both 0..1."""
        presence = self._presence
        evidence = np.interp(activity, presence.activity, (presence.silent, presence.spoken))
        return evidence.astype(np.float32)

    def __call__(self, units: Floats, evidence: Floats | None = None) -> Floats:
        """Return (T, U) curves with a mouth that rests where nobody speaks.

        `units` begin with the columns of rig `units`; columns that a voice does not move come back
        unchanged. `evidence` (E,) continues that of earlier calls, beginning with frame 0, and must
        reach `look_ahead` frames beyond the units. By default it is that of the units, which is
        enough without look-ahead. Raises `ModelError` if evidence is missing.
        """
        if evidence is None:
            evidence = self.evidence(units)
        self._known = np.concatenate([self._known, evidence])
        count, size = len(units), self._hold + 1 + self.look_ahead
        if not count:
            return units
        if len(self._known) < count + size - 1:
            missing = count + size - 1 - len(self._known)
            raise ModelError(f"{missing} frames of evidence are missing for {count} frames")
        known, self._known = self._known[: count + size - 1], self._known[count:]
        largest = [float(known.max())] if count == 1 else _window_max(known, size).tolist()
        weight = [self._weight(evidence) for evidence in largest]
        if min(weight) == 1:
            return units
        moved = units.copy()
        mouth = moved[:, self._mouth]
        mouth -= self._rest
        mouth *= np.array(weight, np.float32)[:, None]
        mouth += self._rest
        return moved

    def _weight(self, evidence: float) -> float:
        """Return the share of motion, 0..1, of the next frame; the first one rests.

        The presence of speech follows its target no faster than attack and release allow.
        """
        low, high = self._presence.silent, self._presence.spoken
        target = _smooth(min(max((evidence - low) / (high - low), 0.0), 1.0))
        if (last := self._level) is None:
            last = target = 0.0
        self._level = min(max(target, last - self._sink), last + self._rise)
        return _smooth(max(self._level - FAINT, 0.0) / (1 - FAINT))


def _smooth(x: float) -> float:
    """Return the smoothstep of a value in 0..1."""
    return x * x * (3 - 2 * x)


def _window_max(values: Floats, size: int) -> Floats:
    """Return (N - size + 1,) largest values of all windows of `size` values."""
    if size == 1:
        return values
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, size).max(axis=1))


def _sources(presence: Presence) -> tuple[Columns, Floats]:
    """Return columns and weights of the units that count as evidence.

    The rigs `units` and `articulation` begin with the same columns.
    """
    names = mouth_units()
    unknown = [unit for unit in presence.evidence if unit not in names]
    if unknown:
        raise unknown_name("evidence of speech: no unit", unknown[0], names)
    columns = np.array([names.index(unit) for unit in presence.evidence], np.intp)
    return columns, np.array(list(presence.evidence.values()), np.float32)


class MouthRest(MotionPart):
    """The mouth of one speaker, at rest where nobody speaks.

    The evidence ahead of a frame comes from shorter look-aheads of the network, without further
    delay. Units from timed phones have no such output; frames are then held back.
    """

    needs = ("activity", "ahead")

    def __init__(self, fps: Fraction, *, from_phones: bool = False) -> None:
        """`fps` is the rate of the units; `from_phones` is for units made from timed phones."""
        self._rest = Rest(fps, math.ceil(fps) if from_phones else 0)
        self.delay = self._rest.look_ahead
        self._held: Motion | None = None

    def reset(self) -> None:
        """Start again with a mouth at rest."""
        self._rest.reset()
        self._held = None

    def __call__(self, motion: Motion, first: int) -> Motion:  # noqa: ARG002
        """Return the motion, later by `delay` frames, with the mouth at rest in silence."""
        evidence = self._evidence(motion)
        if not self.delay:
            return self._rested(motion, evidence)
        if self._held is not None:
            motion = joined([self._held, motion])
        released = max(0, len(motion.units) - self.delay)
        self._held = motion.part(released, None)
        return self._rested(motion.part(0, released), evidence)

    def _evidence(self, motion: Motion) -> Floats:
        if (activity := motion.curves("activity")) is not None:
            return self._rest.heard(activity[:, 0])
        ahead = motion.curves("ahead")
        return self._rest.evidence(motion.units if ahead is None else ahead)

    def flush(self) -> Motion | None:
        """Return the frames held back; silence follows them."""
        held, self._held = self._held, None
        return None if held is None else self._rested(held, np.zeros(self.delay, np.float32))

    def _rested(self, motion: Motion, evidence: Floats) -> Motion:
        return motion._replace(units=self._rest(motion.units, evidence))
