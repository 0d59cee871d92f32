"""Loudness curve of a line, relative to the line."""

from __future__ import annotations

import numpy as np

from ..arrays import Floats

_RANGE_DB = 30.0
_WINDOW_SECONDS = 0.03


def loudness(samples: Floats, sample_rate: int, *, rate: int) -> Floats:
    """Return (T,) loudness at `rate` Hz of (N,) samples: 1 at the reference, 0 from 30 dB below.

    The reference is the 95th percentile of the line's energy in windows of 30 ms.
    """
    hop, size = sample_rate / rate, round(_WINDOW_SECONDS * sample_rate)
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    middle = (np.arange(int(len(samples) / hop)) * hop).astype(np.int64)
    begin = np.clip(middle - size // 2, 0, len(samples))
    end = np.clip(middle + size // 2, 0, len(samples))
    power = (energy[end] - energy[begin]) / np.maximum(1, end - begin)
    level = 10 * np.log10(power + 1e-9)
    if not len(level):
        return np.zeros(0, np.float32)
    top = np.percentile(level, 95)
    return np.asarray(np.clip(1 + (level - top) / _RANGE_DB, 0, 1), np.float32)
