"""The frame rate behind a column of times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..clip import MAX_FPS
from ..errors import FileFormatError

_MAX_FILLED = 10
"""Frames that gaps may add for every frame that is there."""

_FEWEST_ROUNDED = 8
"""Rows from which rounded times imply a rate."""
_WHOLE = (24, 25, 30, 48, 50, 60, 90, 100, 120)
_NTSC = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 60, 120))
KNOWN = tuple(sorted((*map(Fraction, _WHOLE), *_NTSC)))
"""Rates of cameras, engines and phones."""
_CLOCK = 4e-4
"""Share by which the clock of a device may be fast or slow; NTSC rates are 1e-3 away."""
_STEADY = 0.2
"""Jitter between rows, in steps, up to which steps are counted one by one."""
_FOLLOW, _ADAPT = 0.15, 0.01
_REPEATED = 0.9
"""Share of the times that several rows have each, from which they are rows of their own."""


_FREE_FRAMES = 60 * 3600
_FRAMES_PER_KEY = 600


def require_plausible(frames: float, keys: int) -> None:
    """Raise `FileFormatError` for a clip whose few keys stretch over very many frames.

    An hour at 60 frames per second is free; beyond it a key may stand for 600 frames. A few bytes
    could otherwise declare a day, which takes gigabytes.
    """
    if not frames <= _FREE_FRAMES + _FRAMES_PER_KEY * keys:
        raise FileFormatError(
            f"{keys} keys stretch over {frames:,.0f} frames; are their times in seconds?"
        )


@dataclass(frozen=True)
class Timing:
    """Rows on an exact frame grid."""

    fps: Fraction
    indices: NDArray[np.int64]
    """(T,) frame of every row, from 0 and never falling; more than one step apart at a gap."""
    measured: float = 0.0
    """Rows per second by the times, where that is not `fps`; else 0."""
    places: NDArray[np.float64] | None = None
    """(T,) times of the rows in frames, where rows have to be interpolated onto the grid."""

    @property
    def latest(self) -> NDArray[np.bool_]:
        """(T,) whether a row is the last one for its frame."""
        return np.append(np.diff(self.indices) > 0, np.ones(min(len(self.indices), 1), bool))

    @property
    def frames(self) -> int:
        """Number of frames from the first row to the last."""
        return int(self.indices[-1]) + 1 if len(self.indices) else 0

    @property
    def filled(self) -> int:
        """Number of frames without a row."""
        return 0 if self.places is not None else self.frames - int(self.latest.sum())


def timing(times: NDArray[np.float64], *, resolution: float, default: Fraction) -> Timing:
    """Return the frame rate of times in seconds, and the frame of every row.

    `resolution` is the step in which the file counts time. Integer rates and NTSC rates win over
    others that fit as well, and a known rate over a clock that is a little off; `default` is the
    rate of fewer than two rows. No two rows get the same frame unless their times are equal.
    Raises `FileFormatError` when time runs backwards or leaps.
    """
    if len(times) < 2:
        return Timing(default, np.zeros(len(times), np.int64))
    steps = np.diff(times)
    typical = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    if steps.min() < -typical / 2:
        row = int(steps.argmin()) + 1
        raise FileFormatError(f"row {row + 1}: time {times[row]:.6f} lies before the row above")
    if typical * MAX_FPS < 0.99:
        raise FileFormatError(f"rows must be at least 1/{MAX_FPS} s apart, got {typical:.6f} s")
    if (times[-1] - times[0]) / typical > (_MAX_FILLED + 1) * len(times) + 600:
        row = int(steps.argmax()) + 1
        raise FileFormatError(f"row {row + 1}: time leaps by {steps[row - 1]:.3f} s")
    times = np.maximum.accumulate(times)
    if (repeated := _repeated(times, resolution)) is not None:
        return repeated
    fps, measured = _rate(times, typical, resolution)
    indices = _frames(times, measured or float(fps))
    doubtful = fps not in KNOWN or bool((np.diff(indices) != 1).any())
    if doubtful and (rounded := _rounded(times)):
        return rounded
    if not measured:
        return Timing(fps, indices)
    places = (times - times[0]) * float(fps)
    if np.abs(places - indices).max() <= 0.5:
        return Timing(fps, indices, measured)
    last = int(places[-1] + 1e-6)
    return Timing(fps, np.minimum(np.rint(places).astype(np.int64), last), measured, places)


def _repeated(times: NDArray[np.float64], resolution: float) -> Timing | None:
    """Return the timing of rows of which several share each time, as a coarse clock stamps them."""
    values, counts = np.unique(times, return_counts=True)
    several = int(np.median(counts))
    inner = counts[1:-1]
    if several < 2 or len(inner) < 4 or (inner == several).mean() < _REPEATED:
        return None
    coarse = timing(values, resolution=resolution, default=Fraction(1))
    if coarse.filled or coarse.places is not None or coarse.fps * several > MAX_FPS:
        return None
    return Timing(coarse.fps * several, np.arange(len(times)), coarse.measured * several)


def _rounded(times: NDArray[np.float64]) -> Timing | None:
    """Return the timing of times with one or two decimals, which fit a known rate."""
    step = next((s for s in (0.1, 0.01) if np.abs(times / s - np.rint(times / s)).max() < 1e-6), 0)
    span = float(times[-1] - times[0])
    if not step or len(times) < _FEWEST_ROUNDED:
        return None
    offsets, rows = times - times[0], np.arange(len(times))
    measured = (len(times) - 1) / span
    fitting = [r for r in KNOWN if np.abs(offsets - rows / float(r)).max() <= 1.01 * step]
    if fitting:
        nearest = min(fitting, key=lambda r: (r.denominator, abs(float(r) - measured)))
        return Timing(nearest, rows)
    for rate in _WHOLE:  # with frames left out
        indices = np.rint(offsets * rate).astype(np.int64)
        is_near = np.abs(offsets - indices / rate).max() <= 1.01 * step
        steps = np.diff(indices)
        if is_near and (steps > 0).all() and np.median(steps) == 1:
            return Timing(Fraction(rate), indices)
    return None


def _frames(times: NDArray[np.float64], rate: float) -> NDArray[np.int64]:
    """Return the frame of every row: the nearest, but never that of a row at another time."""
    indices = np.rint((times - times[0]) * rate).astype(np.int64)
    own = np.append(True, np.diff(times) > 0)
    numbers = np.cumsum(own) - 1
    if (np.diff(indices[own]) > 0).all():
        return np.asarray(indices)
    ahead = (times[own] - times[0]) * rate - np.arange(int(own.sum()))
    frames = np.rint(_rising(ahead)).astype(np.int64) + np.arange(int(own.sum()))
    return np.asarray((frames - frames[0])[numbers])


def _rising(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest values that never fall: means of the stretches that do."""
    means: list[float] = []
    counts: list[int] = []
    for value in values.tolist():
        mean, count = value, 1
        while means and means[-1] > mean:
            mean = (means[-1] * counts[-1] + mean * count) / (counts[-1] + count)
            count += counts.pop()
            means.pop()
        means.append(mean)
        counts.append(count)
    return np.repeat(means, counts)


def _rate(times: NDArray[np.float64], typical: float, resolution: float) -> tuple[Fraction, float]:
    """Return the simplest rate that explains the times, and the measured one if it is another."""
    span = float(times[-1] - times[0])
    steps = np.diff(times)
    single = steps[(steps > typical * 0.499) & (steps < typical * 1.501)]
    typical = float(single.mean())  # of rounded times, the median is rounded too
    frames = np.rint(np.append(0.0, np.cumsum(np.rint(steps / typical))))
    if np.abs(steps / typical - np.rint(steps / typical)).max() > _STEADY:
        frames = _counted(times, typical)
    if len(times) > 2:
        slope, begin = np.polyfit(frames, times - times[0], 1)
    else:
        slope, begin = span / frames[-1], 0.0
    measured = 1 / float(slope)
    rest = times - times[0] - begin - frames * slope
    jitter = float(np.abs(rest).max())
    slack = measured * (resolution + 2 * min(jitter, typical / 2)) / span
    spread = float(np.sqrt((rest**2).mean()))
    doubt = measured * (resolution / span + 3 * spread / (typical * (len(times) ** 3 / 12) ** 0.5))
    nominal = max(round(measured), 1)
    for rate in sorted(
        (*_WHOLE, nominal), key=lambda rate: (rate == nominal, abs(rate - measured))
    ):
        if abs(rate - measured) <= min(slack, doubt):
            return Fraction(rate), 0.0
    plain = [Fraction(nominal), Fraction(nominal * 1000, 1001)]
    near = min(plain, key=lambda rate: abs(float(rate) - measured))
    if abs(float(near) - measured) <= slack:
        return near, 0.0
    near = min(KNOWN, key=lambda rate: abs(float(rate) - measured))
    if abs(float(near) - measured) <= _CLOCK * measured:
        return near, measured
    if jitter > _STEADY * typical and (known := _row_by_row(times)):
        return known, 0.0
    return _plainest(measured, slack), 0.0


def _row_by_row(times: NDArray[np.float64]) -> Fraction | None:
    """Return the known rate at which every row lies within a frame of its place, or None."""
    rows = np.arange(len(times))
    for rate in sorted(KNOWN, key=lambda rate: rate.denominator):
        ahead = (times - times[0]) * float(rate) - rows
        if np.abs(ahead - np.median(ahead)).max() < 1:
            return rate
    return None


def _counted(times: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return the frame of every row from times that jitter, by a clock that follows them slowly."""
    frames = np.zeros(len(times))
    clock, frame = float(times[0]), 0
    for row in range(1, len(times)):
        late = float(times[row]) - clock
        passed = max(0, round(late / step))
        error = late - passed * step
        clock += passed * step + _FOLLOW * error
        step += _ADAPT * error / max(passed, 1)
        frame += passed
        frames[row] = frame
    return frames


def _plainest(value: float, slack: float) -> Fraction:
    """Return the fraction of smallest denominator within `slack` of a value."""
    exact = Fraction(value)
    for bits in range(1, 40):
        candidate = exact.limit_denominator(math.ceil(1.5**bits))
        if candidate and abs(float(candidate) - value) <= slack:
            return candidate
    return exact
