"""A low-latency resampler with a short filter and without block processing.

The filter is a Kaiser-windowed sinc, symmetric about each output sample, so audio is not shifted
in time. It needs 24 samples of the lower rate after the output sample. Relative to the lower
Nyquist frequency, the pass band up to 0.9 is flat within 0.1 dB and the stop band from 1.05 is
attenuated by 58 dB. Aliases from the transition band lie above 0.95, outside the model's features.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .samples import Samples

REACH = 24
"""Samples of the lower rate on each side of an output sample."""

_BETA = 5.65  # Kaiser: 60 dB
_CUTOFF = 0.975  # of the lower Nyquist frequency: the center of the transition band
_BLOCK = 4096  # output samples at a time


class Polyphase:
    """A resampler of one mono stream, with one filter per phase between the two clocks.

    Output sample `n` is at the instant `n / target_rate`. Positions are integers and do not drift.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Rates are in Hz."""
        ratio = Fraction(source_rate, target_rate)
        self._up, self._down = ratio.denominator, ratio.numerator
        self._bank = _bank(self._up, self._down)
        self._ahead = self._bank.shape[1] // 2
        self.latency = Fraction(self._ahead, source_rate)
        """Seconds between an output sample and the last input sample that it needs."""
        self.clear()

    def clear(self) -> None:
        """Begin a new stream."""
        self._pushed = self._emitted = 0
        self._history = np.zeros(self._ahead - 1, np.float32)
        self._first = 1 - self._ahead  # position of the first history sample in the stream

    def resample_chunk(self, samples: Samples, last: bool = False) -> Samples:
        """Return the (M,) output samples that (N,) more complete; with `last`, all that remain."""
        self._pushed += len(samples)
        if last:
            end = (self._pushed * self._up + self._down // 2) // self._down
            samples = np.append(samples, np.zeros(self._ahead, np.float32))
        else:
            end = max(0, -(-(self._pushed - self._ahead) * self._up // self._down))
        self._history = np.concatenate([self._history, samples])
        parts = [self._filtered(n, min(n + _BLOCK, end)) for n in range(self._emitted, end, _BLOCK)]
        self._emitted = max(end, self._emitted)
        self._trim()
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.float32), *parts])

    def _filtered(self, begin: int, end: int) -> Samples:
        """Return (end - begin,) output samples; all input that they need is in the history."""
        ticks = np.arange(begin, end) * self._down
        places = ticks // self._up + (1 - self._ahead - self._first)
        size, step = self._bank.shape[1], self._history.itemsize
        windows: Samples = np.ndarray(
            (len(self._history) - size + 1, size), np.float32, self._history, 0, (step, step)
        )
        if self._up == 1:
            return np.asarray(windows[places] @ self._bank[0])
        return np.asarray(np.einsum("ij,ij->i", windows[places], self._bank[ticks % self._up]))

    def _trim(self) -> None:
        """Drop history that the next output sample does not need."""
        begin = self._emitted * self._down // self._up + 1 - self._ahead
        self._history = self._history[max(0, begin - self._first) :]
        self._first = max(begin, self._first)


@lru_cache(maxsize=8)
def _bank(up: int, down: int) -> NDArray[np.float32]:
    """Return (up, taps) filters; row `r` is for output samples `r / up` after an input sample."""
    slower = max(1.0, down / up)  # input samples in one sample of the lower rate
    ahead = int(np.ceil(REACH * slower))
    taps = np.arange(1 - ahead, ahead + 1)
    distance = (taps - np.arange(up)[:, None] / up) / slower
    window = np.i0(_BETA * np.sqrt(np.maximum(0, 1 - (distance / REACH) ** 2)))
    bank = np.sinc(_CUTOFF * distance) * window
    return np.asarray(bank / bank.sum(1, keepdims=True), np.float32)
