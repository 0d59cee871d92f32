"""Measurements of a line's curves: mouth motion and lip closures."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Floats
from ..articulation import Rules, Timings
from ..clip import Clip
from ..model import RigTable
from ..rig import Rig

SEALED = 0.9
"""Seal from which lips count as closed. The rig tables compute the seal, 0..1, from `closure`."""
NEAR = 0.4
"""Seal from which they count as approaching."""

SKETCH_POINTS = 64
_REACH = 0.02
"""Seconds around a sound in which its closure may lie: one unit frame."""


class Closures(NamedTuple):
    """Lip closures of a line."""

    sealed: int
    uncertain: int
    """Times that the seal rises above `NEAR` and falls again without reaching `SEALED`."""


class MouthMeter:
    """Measures the unit curves of one line, block by block."""

    def __init__(self) -> None:
        units = Rig.load("units")
        self._columns = [units.index("jaw"), units.index("closure"), units.index("aperture")]
        self.reset()

    def reset(self) -> None:
        """Start a new line."""
        self._blocks: list[Floats] = []

    def __call__(self, units: Floats) -> None:
        """Add (T, units) frames."""
        self._blocks.append(units[:, self._columns])

    def report(self, fps: Fraction) -> dict[str, Any]:
        """Return the measurements as JSON values; `fps` is the rate of the units."""
        jaw, closure, aperture = self._curves()
        sealed = seal(closure)
        counts = closures(sealed)
        return {
            "jaw_mean": _rounded(jaw.mean()) if len(jaw) else 0.0,
            "jaw_peak": _rounded(jaw.max(initial=0)),
            "aperture_peak": _rounded(aperture.max(initial=0)),
            "motion_per_second": _rounded(_travel(jaw, fps) + _travel(aperture, fps)),
            "contact_share": _rounded((sealed >= SEALED).mean()) if len(sealed) else 0.0,
            "sealed_closures": counts.sealed,
            "uncertain_closures": counts.uncertain,
        }

    def sketch(self) -> dict[str, list[int]]:
        """Return jaw and seal in percent: the peaks of at most 64 equal parts of the line."""
        jaw, closure, _ = self._curves()
        return {"jaw": _peaks(jaw), "seal": _peaks(seal(closure))}

    def _curves(self) -> Floats:
        whole = np.concatenate([np.zeros((0, 3), np.float32), *self._blocks])
        self._blocks = [whole]
        return whole.T


def seal(closure: Floats) -> Floats:
    """Return how far the lips are closed, 0..1, for closure curves, as the rig tables do."""
    (stretch,) = (d for d in RigTable.load("arkit").derived if d.name == "seal")
    share = (closure - stretch.begin) / (stretch.end - stretch.begin)
    return np.asarray(np.clip(share, 0, 1), np.float32)


def closures(sealed: Floats) -> Closures:
    """Count how often a seal curve rises above `NEAR`, and how often to `SEALED`."""
    near = np.concatenate([[False], sealed > NEAR, [False]])
    edges = np.flatnonzero(near[1:] != near[:-1])
    peaks = [sealed[a:b].max() for a, b in edges.reshape(-1, 2)]
    full = sum(bool(peak >= SEALED) for peak in peaks)
    return Closures(full, len(peaks) - full)


def phone_report(timings: Timings, units: Clip, fps: Fraction) -> dict[str, Any]:
    """Compare timed phones with the line's own frames; returns JSON values.

    A closure is missed if a sound that needs closed lips has no output frame with closed lips:
    the sound is too short for the frame rate, or its neighbors leave it no time.
    """
    sealed = seal(units.resample(fps, interpolation="linear").curve("closure"))
    needed = list(_bilabials(timings))
    missed = [
        {"phone": symbol, "start": round(start, 3)}
        for symbol, start, end in needed
        if not _is_sealed(sealed, start, end, fps)
    ]
    return {
        "count": len(timings.phones),
        "alphabet": timings.alphabet,
        "seconds": round(timings.seconds, 6),
        "closures_needed": len(needed),
        "missed_closures": missed,
        "notes": list(timings.notes),
    }


def _bilabials(timings: Timings) -> Sequence[tuple[str, float, float]]:
    """Return symbol and times of every sound for which the rules close the lips."""
    known = Rules.load().phones
    found = []
    for symbol, start, end, _ in timings.phones:
        phone = known.find(symbol, timings.alphabet)
        target = 0.0 if phone is None else phone.targets.get("closure", 0.0)
        if seal(np.array([target], np.float32))[0] >= SEALED:
            found.append((symbol, start, end))
    return found


def _is_sealed(sealed: Floats, start: float, end: float, fps: Fraction) -> bool:
    first = max(0, int(np.ceil((start - _REACH) * float(fps))))
    last = int((end + _REACH) * float(fps))
    return bool(sealed[first : last + 1].max(initial=0) >= SEALED)


def _travel(curve: Floats, fps: Fraction) -> float:
    """Mean absolute change per second."""
    return float(np.abs(np.diff(curve)).mean() * float(fps)) if len(curve) > 1 else 0.0


def _peaks(curve: Floats) -> list[int]:
    parts = np.array_split(curve, min(SKETCH_POINTS, max(1, len(curve))))
    return [round(100 * float(part.max(initial=0))) for part in parts]


def _rounded(value: Any) -> float:
    return round(float(value), 4)
