"""Phone boundaries moved to where the sound changes.

Aligners work on a grid of 10 ms, the durations of speech synthesisers on one of 12.5 to 25 ms, and
both have habits: Kokoro ends every /s/ 20 ms early, flite counts the breath after /p/ as /p/. Where
a boundary makes a sharp step in some band (closure and burst of stops, nasals, hissing sounds), the
step says when it happened to a few ms. Such boundaries are moved there; all others by the constant
offset of their corpus. `benchmarks/phone_times.py` measures both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...arrays import Doubles, Floats
from ...articulation import TimedPhone

RATE = 16_000
TICKS = 1000
"""Levels per second."""
REACH = 0.045
"""Seconds that a boundary may move."""
LEAST_STEP = 8.0
"""dB between both sides; less is no step."""
SHORTEST = 0.015
"""Seconds that are left of every sound."""

_HOP = RATE // TICKS
_WINDOW = 96
_SIDE = 20
"""Levels averaged on either side of a step."""
_BANDS = {"middle": (600, 3200), "high": (3800, 7600)}

_OPEN = frozenset("iɪeɛæaɑɔoʊuʌəɜɝɚyøœɨɐɒɘɯɤɵʉlɹwjɥɻɾrʁʎ")
_STOPS = frozenset("pbtdkɡɡcɟʈɖqɢ")
_NASALS = frozenset("mnŋɲɳɴ")
_HISS = frozenset("szʃʒɕʑʂʐ")
_AFFRICATES = frozenset("ʧʤʦʣʨʥ")


class Step(NamedTuple):
    """What happens to the level of a band at a boundary."""

    band: str
    direction: int
    """1 rising, -1 falling."""


def step_between(before: str, after: str) -> Step | None:
    """The sharp step between two sounds (keys of the articulation rules), if they make one."""
    first, second = _manner(before, last=True), _manner(after, last=False)
    if first == "open" and second in ("stop", "nasal"):
        return Step("middle", -1)
    if second == "open" and first in ("stop", "nasal"):
        return Step("middle", 1)
    if second == "hiss" and first in ("open", "nasal", "silence"):
        return Step("high", 1)
    if first == "hiss" and second in ("open", "nasal", "stop", "silence"):
        return Step("high", -1)
    return None


def _manner(symbol: str, *, last: bool) -> str:
    if symbol == "SIL":
        return "silence"
    letter = symbol[-1] if last else symbol[0]
    if symbol in _AFFRICATES:
        return "hiss" if last else "stop"
    for name, letters in (
        ("open", _OPEN), ("stop", _STOPS), ("nasal", _NASALS), ("hiss", _HISS),
    ):  # fmt: skip
        if letter in letters:
            return name
    return "other"


def levels(samples: Floats) -> dict[str, Doubles]:
    """(T,) dB by band, 1000 a second, of centered windows of 6 ms."""
    padded = np.pad(samples.astype(np.float32), (_WINDOW // 2, _WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    spectrum = np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), 128)
    power = np.square(np.abs(spectrum)).astype(np.float64)
    hertz = np.arange(power.shape[1]) * RATE / 128
    floor = np.percentile(power.sum(1), 95) * 1e-6 + 1e-12
    return {
        name: 10 * np.log10(power[:, (hertz >= low) & (hertz < high)].sum(1) + floor)
        for name, (low, high) in _BANDS.items()
    }


def nearest_step(level: Doubles, time: float, direction: int, reach: float) -> float | None:
    """Seconds from `time` to the largest step within `reach`, None where there is no clear one."""
    center, far = round(time * TICKS), round(reach * TICKS)
    first, last = center - far - _SIDE, center + far + _SIDE
    if first < 0 or last >= len(level):
        return None
    sums = np.concatenate([[0.0], np.cumsum(level[first:last])])
    middle = np.arange(_SIDE, last - first - _SIDE)
    before, after = sums[middle] - sums[middle - _SIDE], sums[middle + _SIDE] - sums[middle]
    steps = direction * (after - before) / _SIDE
    best = int(np.argmax(steps))
    if steps[best] < LEAST_STEP or best in (0, len(steps) - 1):
        return None
    return float(middle[best] + first - center) / TICKS


def moves(
    symbols: Sequence[str], phones: Sequence[TimedPhone], samples: Floats, *, offset: float = 0.0
) -> list[float | None]:
    """Seconds by which each inner boundary lies before its sound; None where no step says."""
    found: dict[str, Doubles] = {}
    out: list[float | None] = []
    for i in range(len(phones) - 1):
        step = step_between(symbols[i], symbols[i + 1])
        if step is None:
            out.append(None)
            continue
        found = found or levels(samples)
        time = phones[i].end
        # the far ends of both sounds must not be mistaken for this boundary
        room = min(time - phones[i].start, phones[i + 1].end - time) + 0.015
        near = nearest_step(found[step.band], time + offset, step.direction, min(REACH, room))
        out.append(None if near is None else near + offset)
    return out


def at_the_sound(
    symbols: Sequence[str], phones: Sequence[TimedPhone], samples: Floats, *, offset: float = 0.0
) -> tuple[TimedPhone, ...]:
    """Phones with every boundary at its step, or `offset` seconds later where there is none.

    `symbols` are their keys in the articulation rules (`SIL` for silence). Ends of the line stay.
    """
    if len(phones) < 2:
        return tuple(phones)
    shifts = moves(symbols, phones, samples, offset=offset)
    times = [p.end + (offset if s is None else s) for p, s in zip(phones, shifts, strict=False)]
    times = [phones[0].start, *times, phones[-1].end]
    for i in range(1, len(times) - 1):  # in order, and something left of every sound
        times[i] = max(times[i], times[i - 1] + min(SHORTEST, _length(phones[i - 1])))
    for i in range(len(times) - 2, 0, -1):
        times[i] = min(times[i], times[i + 1] - min(SHORTEST, _length(phones[i])))
    return tuple(
        p._replace(start=max(times[0], s), end=max(s, e))
        for p, s, e in zip(phones, times, times[1:], strict=False)
    )


def _length(phone: TimedPhone) -> float:
    return phone.end - phone.start
