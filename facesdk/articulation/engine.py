"""Unit curves from timed phones.

Postures (jaw, aperture, rounding ...) are a normalized convolution: the targets of all sounds are
blended by kernels that lead the sound. This is the dominance model of Cohen and Massaro (1993)
with measured kernels. Gestures (closure, labiodental ...) are trapezoids with smooth flanks, on
which hard constraints are based: the lips stay closed for the whole closure of a bilabial,
independent of its neighbors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..arrays import Doubles, Floats
from ..clip import SAMPLE_RATE, Clip, exact_fps
from ..errors import ArticulationError
from ..rig import Rig
from .phones import Alphabet, Phone, TimedPhone
from .rules import Gesture, Posture, Rules

GRID = 200
"""Hz; rate at which curves are computed before they are sampled at the output rate."""

UNIT_FPS = Fraction(50)
"""Frames per second of the units of the default model."""


class _Span(NamedTuple):
    """A part of a line with constant targets; times in seconds."""

    phone: Phone | None
    start: float
    end: float
    gain: float


def articulate(
    phones: Sequence[TimedPhone],
    *,
    seconds: float | None = None,
    alphabet: Alphabet = "ipa",
    loudness: Floats | None = None,
    fps: Fraction | float | str = UNIT_FPS,
    rules: Rules | None = None,
) -> Clip:
    """Return the unit curves (rig `units`) of a line of timed phones.

    `seconds` is the duration of the line, by default the end of its last phone. `loudness` is
    (T,) at 200 Hz, 0..1 relative to the line, and scales vowels; without it all are equally loud.
    Raises `ArticulationError` for times that are not ascending, `UnknownNameError` for sounds
    without a rule.
    """
    rules = rules or Rules.load()
    _check_times(phones)
    length = seconds if seconds is not None else (phones[-1].end if phones else 0.0)
    cells = max(1, math.ceil(length * GRID))
    level = _fit(loudness, cells)
    spans = list(_spans(phones, alphabet, rules, level))
    curves = _postures(spans, rules, cells) | _gestures(spans, rules, cells)
    curves |= _sources(phones, spans, rules, level, cells)
    _constrain(curves, rules)
    return _sample(curves, exact_fps(fps), length)


def _check_times(phones: Sequence[TimedPhone]) -> None:
    time = 0.0
    for number, phone in enumerate(phones):
        if not (math.isfinite(phone.start) and math.isfinite(phone.end)):
            raise ArticulationError(
                f"phone {number} ({phone.symbol!r}): times must be finite, got "
                f"{phone.start}..{phone.end} s"
            )
        if phone.end < phone.start or phone.start < time - 1e-3:
            raise ArticulationError(
                f"phone {number} ({phone.symbol!r}, {phone.start:.3f}..{phone.end:.3f} s) must "
                f"start at or after {time:.3f} s and end after it starts"
            )
        time = phone.end


def _fit(loudness: Floats | None, cells: int) -> Floats | None:
    if loudness is None or not len(loudness):
        return None
    return np.pad(loudness, (0, max(0, cells - len(loudness))), "edge")[:cells].astype(np.float32)


def _spans(
    phones: Sequence[TimedPhone], alphabet: Alphabet, rules: Rules, level: Floats | None
) -> Iterator[_Span]:
    for timed in phones:
        phone = rules.phones.find(timed.symbol, alphabet)
        gain = _gain(timed, phone, rules, level)
        if phone is None or not phone.path:
            yield _Span(phone, timed.start, timed.end, gain)
            continue
        shares = [share for share, _ in phone.path] + [1.0]
        duration = timed.end - timed.start
        for (share, symbol), following in zip(phone.path, shares[1:], strict=True):
            begin, end = timed.start + share * duration, timed.start + following * duration
            yield _Span(rules.phones.phones[symbol], begin, end, gain)


def _gain(timed: TimedPhone, phone: Phone | None, rules: Rules, level: Floats | None) -> float:
    """Return the gain of a vowel from stress and loudness; 1 for consonants."""
    if phone is None or not phone.vowel:
        return 1.0
    limits = rules.limits
    gain = {1: limits.stressed_gain, 2: limits.secondary_gain}.get(
        timed.stress, limits.unstressed_gain
    )
    if level is not None:
        first, last = (
            int(timed.start * GRID),
            max(int(timed.start * GRID) + 1, int(timed.end * GRID)),
        )
        levels = level[first:last]
        if len(levels):
            low, high = limits.loudness_gain
            gain *= low + (high - low) * float(levels.mean())
    return gain


# ------------------------------------------------------------------ postures


def _postures(spans: Sequence[_Span], rules: Rules, cells: int) -> dict[str, Doubles]:
    return {unit: _posture(unit, p, spans, rules, cells) for unit, p in rules.postures.items()}


def _posture(
    unit: str, posture: Posture, spans: Sequence[_Span], rules: Rules, cells: int
) -> Doubles:
    rest = rules.silence.get(unit, 0.0)
    kernel, margin = _kernel(posture)
    pull = np.zeros(cells + 2 * margin)
    weight = np.full(cells + 2 * margin, 1e-4)
    pull += rest * weight
    weight[:margin] = weight[margin + cells :] = 1.0
    pull[:margin] = pull[margin + cells :] = rest
    for span in spans:
        target, dominance = _target(unit, span, rules, rest)
        cut = slice(margin + round(span.start * GRID), margin + min(round(span.end * GRID), cells))
        pull[cut] += dominance * target
        weight[cut] += dominance
    blend = np.convolve(pull, kernel, "same") / np.convolve(weight, kernel, "same")
    smooth = _gauss(blend[margin : margin + cells], rules.limits.smoothing)
    return np.clip(smooth, 0, 1)


def _target(unit: str, span: _Span, rules: Rules, rest: float) -> tuple[float, float]:
    """Return target and dominance of a span for one posture."""
    if span.phone is None:
        long = span.end - span.start >= rules.limits.long_silence
        return rest, 1.0 if long else rules.limits.silence_dominance
    target = span.phone.targets.get(unit)
    if target is None:
        if span.phone.vowel:
            return 0.0, 1.0  # a vowel defines the whole mouth shape
        return rules.neutral.get(unit, 0.0), rules.limits.neutral_dominance
    return (target * span.gain if unit in ("jaw", "aperture") else target), 1.0


def _kernel(posture: Posture) -> tuple[Doubles, int]:
    """Return the weights of sounds around an instant, and half their length in cells."""
    half = math.ceil((abs(posture.lead) + 3 * max(posture.anticipation, posture.carryover)) * GRID)
    # np.convolve flips its kernel: entry half + k is the weight of the sound k cells earlier
    ahead = -np.arange(-half, half + 1) / GRID - posture.lead
    spread = np.where(ahead > 0, posture.anticipation, posture.carryover)
    kernel = np.exp(-0.5 * (ahead / spread) ** 2)
    return kernel / kernel.sum(), half


# ------------------------------------------------------------------ gestures


def _gestures(spans: Sequence[_Span], rules: Rules, cells: int) -> dict[str, Doubles]:
    curves = {unit: np.zeros(cells) for unit in rules.gestures}
    for span in spans:
        if span.phone is None:
            continue
        for unit, target in span.phone.targets.items():
            if unit in curves:
                _raise_curve(curves[unit], rules.gestures[unit], span, target)
    return curves


def _raise_curve(curve: Doubles, gesture: Gesture, span: _Span, target: float) -> None:
    """Set a curve to the maximum of itself and one gesture."""
    full = span.start - gesture.lead
    release = max(span.end - gesture.release, full + 0.02)
    first = max(0, math.floor((full - gesture.rise) * GRID))
    last = min(len(curve), math.ceil((release + gesture.fall) * GRID) + 1)
    if last <= first:
        return
    time = np.arange(first, last) / GRID
    onset = _smooth((time - (full - gesture.rise)) / gesture.rise)
    decay = _smooth((release + gesture.fall - time) / gesture.fall)
    np.maximum(curve[first:last], target * np.minimum(onset, decay), out=curve[first:last])


def _smooth(x: Doubles) -> Doubles:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


# ------------------------------------------------------------------ voice


def _sources(
    phones: Sequence[TimedPhone],
    spans: Sequence[_Span],
    rules: Rules,
    level: Floats | None,
    cells: int,
) -> dict[str, Doubles]:
    voiced, accent = np.zeros(cells), np.zeros(cells)
    for span in spans:
        if span.phone is not None and span.phone.voiced:
            voiced[round(span.start * GRID) : round(span.end * GRID)] = 1
    for timed in phones:
        if timed.stress == 1:
            accent[round(timed.start * GRID) : round(timed.end * GRID)] = 1
    loud = voiced if level is None else level.astype(np.float64)
    raw = {"voicing": voiced, "accent": accent, "loudness": loud}
    return {unit: _gauss(curve, rules.smoothing[unit]) for unit, curve in raw.items()}


def _gauss(curve: Doubles, deviation: float) -> Doubles:
    half = math.ceil(3 * deviation * GRID)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / GRID / deviation) ** 2)
    padded = np.pad(curve, half, "edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")


# ------------------------------------------------------------------ constraints


def _constrain(curves: dict[str, Doubles], rules: Rules) -> None:
    """Apply the hard constraints between units, in place."""
    limits = rules.limits
    contact = np.maximum(0, curves["labiodental"])
    cap = 1 - contact * (1 - limits.labiodental_aperture)
    curves["aperture"] = np.minimum(curves["aperture"], cap) * (1 - curves["closure"])
    jaw_cap = 1 - curves["sibilant"] * (1 - limits.sibilant_jaw)
    curves["jaw"] = np.minimum(curves["jaw"], jaw_cap)
    curves["spread"] = curves["spread"] * (1 - curves["rounding"])


def _sample(curves: dict[str, Doubles], fps: Fraction, seconds: float) -> Clip:
    rig = Rig.load("units")
    count = max(1, math.ceil(Fraction(round(seconds * SAMPLE_RATE), SAMPLE_RATE) * fps))
    ticks = np.arange(count) * float(GRID / fps)
    values = np.tile(rig.rest, (count, 1))
    for unit, curve in curves.items():
        values[:, rig.index(unit)] = np.interp(ticks, np.arange(len(curve)), curve)
    return Clip(rig, values, fps)
