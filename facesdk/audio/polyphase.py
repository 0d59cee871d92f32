"""A resampler that answers early: a short filter, and nothing waits for a block to fill.

The filter is a sinc under a Kaiser window, symmetric about each output sample, so that sound is
not shifted; it has to see 24 samples of the lower rate beyond it. Up to 0.9 of the lower Nyquist
frequency sound passes within 0.1 dB, from 1.05 on it is 58 dB down. What lies between folds back
above 0.95, where features no longer listen.
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
_CUTOFF = 0.975  # of the lower Nyquist frequency, the middle of the slope
_BLOCK = 4096  # output samples at a time


class Polyphase:
    """One mono stream at another rate, one filter for each phase between the two clocks.

    Output sample `n` stands at the instant `n / target_rate`, in integers: hours drift by nothing.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        ratio = Fraction(source_rate, target_rate)
        self._up, self._down = ratio.denominator, ratio.numerator
        self._bank = _bank(self._up, self._down)
        self._ahead = self._bank.shape[1] // 2
        self.latency = Fraction(self._ahead, source_rate)
        """Seconds between an output sample and the last input sample that it needs."""
        self.clear()

    def clear(self) -> None:
        """Forget the stream."""
        self._pushed = self._emitted = 0
        self._known = np.zeros(self._ahead - 1, np.float32)
        self._first = 1 - self._ahead  # position in the stream of the first known sample

    def resample_chunk(self, samples: Samples, last: bool = False) -> Samples:
        """(M,) output samples that (N,) more complete; with `last` all that the stream has."""
        self._pushed += len(samples)
        if last:
            end = (self._pushed * self._up + self._down // 2) // self._down
            samples = np.append(samples, np.zeros(self._ahead, np.float32))
        else:
            end = max(0, -(-(self._pushed - self._ahead) * self._up // self._down))
        self._known = np.concatenate([self._known, samples])
        heard = [self._filtered(n, min(n + _BLOCK, end)) for n in range(self._emitted, end, _BLOCK)]
        self._emitted = max(end, self._emitted)
        self._forget()
        return heard[0] if len(heard) == 1 else np.concatenate([np.empty(0, np.float32), *heard])

    def _filtered(self, begin: int, end: int) -> Samples:
        """(end - begin,) output samples; all input they need is known."""
        ticks = np.arange(begin, end) * self._down
        places = ticks // self._up + (1 - self._ahead - self._first)
        size, step = self._bank.shape[1], self._known.itemsize
        windows: Samples = np.ndarray(
            (len(self._known) - size + 1, size), np.float32, self._known, 0, (step, step)
        )
        if self._up == 1:
            return np.asarray(windows[places] @ self._bank[0])
        return np.asarray(np.einsum("ij,ij->i", windows[places], self._bank[ticks % self._up]))

    def _forget(self) -> None:
        """Keep what the next output sample needs."""
        begin = self._emitted * self._down // self._up + 1 - self._ahead
        self._known = self._known[max(0, begin - self._first) :]
        self._first = max(begin, self._first)


@lru_cache(maxsize=8)
def _bank(up: int, down: int) -> NDArray[np.float32]:
    """(up, taps) filters; row `r` is for output samples `r / up` after an input sample."""
    slower = max(1.0, down / up)  # input samples in one sample of the lower rate
    ahead = int(np.ceil(REACH * slower))
    taps = np.arange(1 - ahead, ahead + 1)
    distance = (taps - np.arange(up)[:, None] / up) / slower
    window = np.i0(_BETA * np.sqrt(np.maximum(0, 1 - (distance / REACH) ** 2)))
    bank = np.sinc(_CUTOFF * distance) * window
    return np.asarray(bank / bank.sum(1, keepdims=True), np.float32)
