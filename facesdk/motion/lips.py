"""Lips in time with the sound and no faster than real ones.

The network returns two sets of curves: units that lead the sound a little, as lips do, and
articulation in time with it. `Lips` mixes both sets per unit, completes or drops uncertain
closures and limits the speed of every unit. All amounts
are in `data/motion/lips.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from ..arrays import Floats
from ..errors import ModelError
from ..rig import Rig
from .part import Motion, MotionPart


@dataclass(frozen=True)
class UnitMotion:
    """The timing and the speed limits of one unit."""

    led: float = 0.0
    """Share of the curve that leads the sound, 0..1; the remainder is in time with it."""
    opening: float = 1000.0
    """Largest rise per second."""
    closing: float = 1000.0
    """Largest fall per second."""

    def __post_init__(self) -> None:
        if not 0 <= self.led <= 1:
            raise ModelError(f"led must lie in 0..1, got {self.led}")
        if not (self.opening > 0 and self.closing > 0):
            raise ModelError(
                f"speed limits must be above 0 per second, got {self.opening} and {self.closing}"
            )


@dataclass(frozen=True)
class Contact:
    """The thresholds at which uncertain closures count, and the shortest contact."""

    begin: float
    """Closure curve, 0..1, at which lips close completely."""
    end: float
    """Closure curve, 0..1, below which they part."""
    shortest: float
    """Shortest duration of a contact, and of an opening after one, in milliseconds."""

    def __post_init__(self) -> None:
        if not 0 < self.end <= self.begin <= 1:
            raise ModelError(
                f"contact must satisfy 0 < end <= begin <= 1, got {self.end} and {self.begin}"
            )
        if self.shortest < 0:
            raise ModelError(f"shortest must be 0 ms or more, got {self.shortest}")

    @classmethod
    def load(cls) -> Contact:
        """Return the built-in thresholds."""
        values: dict[str, float] = dict(document()["contact"])
        return cls(**values)


class Closures:
    """Closure curves of one speaker that are either complete or absent.

    A network returns half a closure where it is uncertain. A face that half closes its lips looks
    slack, and one that follows every ripple flickers. Causal and independent of chunk sizes.
    """

    def __init__(self, fps: Fraction, contact: Contact | None = None) -> None:
        """Prepare for curves at `fps`; `contact` defaults to the built-in thresholds."""
        self._contact = contact or Contact.load()
        self._least = max(1, math.ceil(self._contact.shortest * float(fps) / 1000))
        self.reset()

    def reset(self) -> None:
        """Start again with open lips."""
        self._closed, self._since = False, self._least

    def __call__(self, closure: Floats) -> Floats:
        """Return (T,) values of 0 or 1 for a (T,) closure curve."""
        begin, end = self._contact.begin, self._contact.end
        complete = np.empty(len(closure), np.float32)
        for i, value in enumerate(closure.tolist()):
            target = value >= (end if self._closed else begin)
            if target != self._closed and self._since >= self._least:
                self._closed, self._since = target, 0
            self._since += 1
            complete[i] = self._closed
        return complete


@cache
def document() -> Mapping[str, Any]:
    """Return the built-in `lips.json`."""
    file = resources.files("facesdk") / "data" / "motion" / "lips.json"
    found: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
    return found


@dataclass(frozen=True)
class Gain:
    """The amplification of one unit about a center.

    With a short look-ahead the network is less certain and its curves stay near their mean. A gain
    restores the range of longer look-aheads.
    """

    gain: float = 1.0
    center: float = 0.0
    """The value that does not change."""

    def __post_init__(self) -> None:
        if not self.gain > 0:
            raise ModelError(f"gain must be above 0, got {self.gain}")


def gains(look_ahead_ms: float) -> dict[str, Gain]:
    """Return the built-in gain of each unit at a look-ahead, interpolated between listed ones."""
    table: Mapping[str, Mapping[str, float]] = document()["gains"]["look_ahead_ms"]
    centers: Mapping[str, float] = document()["gains"]["centers"]
    offered = sorted(table, key=float)
    found = {}
    for unit in dict.fromkeys(unit for row in table.values() for unit in row):
        values = [table[ms].get(unit, 1.0) for ms in offered]
        gain = float(np.interp(look_ahead_ms, [float(ms) for ms in offered], values))
        found[unit] = Gain(gain, centers.get(unit, 0.0))
    return found


def led_share(look_ahead_ms: float) -> float:
    """Return the share of the built-in leads that a look-ahead allows, interpolated, 0..1.

    A network that hardly sees ahead cannot lead: its curves in time with the sound are the better
    guess.
    """
    table: Mapping[str, float] = document()["led_look_ahead_ms"]
    offered = sorted(table, key=float)
    return float(
        np.interp(look_ahead_ms, [float(ms) for ms in offered], [table[ms] for ms in offered])
    )


def unit_motions() -> dict[str, UnitMotion]:
    """Return the built-in motion of each unit by name."""
    return {unit: UnitMotion(**values) for unit, values in document()["units"].items()}


class Lips:
    """Mixed and speed-limited units of one speaker.

    Causal: frame `i` needs no later frame. The result does not depend on how frames are divided
    into calls.
    """

    look_ahead = 0
    """Frames of future input that a frame needs."""

    def __init__(
        self,
        fps: Fraction,
        motions: Mapping[str, UnitMotion] | None = None,
        *,
        mixed: bool = True,
        look_ahead_ms: float = math.inf,
    ) -> None:
        """Prepare for curves at `fps`.

        `motions` are the motions by unit, by default the built-in ones. Without `mixed` units are
        only limited in speed, as those made from timed phones need. `look_ahead_ms` is that of the
        network, whose curves are amplified if it is short.
        """
        chosen = unit_motions() if motions is None else motions
        amplified = {} if math.isinf(look_ahead_ms) else gains(look_ahead_ms)
        names, rate = mouth_units(), float(fps)
        all_motions = [chosen.get(unit, UnitMotion()) for unit in names]
        all_gains = [amplified.get(unit, Gain()) for unit in names]
        self._mouth = slice(0, len(names))
        share = led_share(look_ahead_ms)
        led = np.array([share * motion.led for motion in all_motions], np.float32)
        gain = np.array([one.gain for one in all_gains], np.float32)
        center = np.array([one.center for one in all_gains], np.float32)
        self._led, self._in_time = led * gain, (1 - led) * gain
        self._offset = (1 - gain) * center
        self._rise = np.array([motion.opening / rate for motion in all_motions], np.float32)
        self._fall = np.array([motion.closing / rate for motion in all_motions], np.float32)
        self._rest = Rig.load("units").rest[self._mouth]
        self._closure = names.index("closure")
        self._mixed, self._closures = mixed, Closures(fps)
        self.reset()

    def reset(self) -> None:
        """Start again from a face at rest."""
        self._closures.reset()
        self._last = self._rest.copy()

    def __call__(self, units: Floats, in_time: Floats | None = None) -> Floats:
        """Return (T, U) curves that follow those of the last call.

        `units` begin with the columns of rig `units`; columns that a voice does not move come back
        unchanged. `in_time` (T, articulation) are the curves in time with the sound, in the order
        of rig `articulation`; without them `units` are only limited.
        """
        moved = units.copy()
        mouth = moved[:, self._mouth]
        if self._mixed and in_time is not None:
            mouth *= self._led
            mouth += in_time * self._in_time
            mouth += self._offset
            np.maximum(mouth, 0, out=mouth)
            np.minimum(mouth, 1, out=mouth)
            mouth[:, self._closure] = self._closures(mouth[:, self._closure])
        self._limit(mouth)
        return moved

    def _limit(self, mouth: Floats) -> None:
        """Limit the speed of (T, mouth units) in place."""
        last, rise, fall = self._last, self._rise, self._fall
        for row in mouth:
            np.maximum(row, last - fall, out=row)
            np.minimum(row, last + rise, out=row)
            last = row
        self._last = last.copy()


@cache
def mouth_units() -> tuple[str, ...]:
    """Return the units that a voice moves: rig `articulation`, with which rig `units` begins."""
    names = Rig.load("articulation").names
    if Rig.load("units").names[: len(names)] != names:
        raise ModelError("rig 'units' must begin with the controls of rig 'articulation'")
    return names


class LipMotion(MotionPart):
    """Units of one speaker, in time with the sound and no faster than real lips."""

    needs = ("articulation",)

    def __init__(self, fps: Fraction, look_ahead_ms: float | None) -> None:
        """`fps` is the rate of the units; `look_ahead_ms` is None for units from timed phones."""
        if look_ahead_ms is None:
            self._lips = Lips(fps, mixed=False)
        else:
            self._lips = Lips(fps, look_ahead_ms=look_ahead_ms)

    def reset(self) -> None:
        """Start again from a face at rest."""
        self._lips.reset()

    def __call__(self, motion: Motion, first: int) -> Motion:  # noqa: ARG002
        """Return the motion with its units mixed and limited."""
        return motion._replace(units=self._lips(motion.units, motion.curves("articulation")))
