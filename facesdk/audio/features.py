"""The definition of the model's input features: causal log-mel spectra.

Training computes them here with numpy; the exported graph contains the same computation. Frame
`j` covers samples `160 j - 240 .. 160 j + 160` and nothing later. The stream starts with silence.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from .resampler import SAMPLE_RATE

HOP = 160
"""Samples per frame."""
WINDOW = 400
"""Samples."""
BANDS = 64
LOW_HZ, HIGH_HZ = 50.0, 7600.0
FLOOR = 1e-6
"""Added to band power before the logarithm."""

_FFT = 512


@cache
def window() -> Floats:
    """Return the (400,) Hann window."""
    return np.hanning(WINDOW).astype(np.float32)


_COARSE_FROM = 1500.0
"""Hz; from here on every second bin will do: a band spans several."""


@cache
def bins() -> NDArray[np.intp]:
    """Return the bins of the 512-point spectrum that the bands use."""
    return np.flatnonzero(_filters().any(axis=1))


@cache
def mel_matrix() -> Floats:
    """Return (len(bins()), 64) triangular filters, equally spaced on the mel scale of HTK."""
    return _filters()[bins()]


@cache
def _filters() -> Floats:
    def mel(hz: float) -> float:
        return float(2595 * np.log10(1 + hz / 700))

    edges = 700 * (10 ** (np.linspace(mel(LOW_HZ), mel(HIGH_HZ), BANDS + 2) / 2595) - 1)
    frequency = np.arange(_FFT // 2 + 1)[:, None] * (SAMPLE_RATE / _FFT)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequency - left) / (middle - left)
    falling = (right - frequency) / (right - middle)
    filters = np.maximum(0, np.minimum(rising, falling))
    coarse = np.flatnonzero(frequency[:, 0] >= _COARSE_FROM)
    filters[coarse[0 if coarse[0] % 2 else 1 :: 2]] = 0
    filters[coarse[1 if coarse[0] % 2 else 0 :: 2]] *= 2
    return filters.astype(np.float32)


@cache
def dft_matrices() -> tuple[Floats, Floats]:
    """Return windowed cosine and sine matrices, each (400, len(bins())).

    `x @ cosine` and `x @ sine` are the real part and the negative imaginary part of the spectrum.
    """
    phase = 2 * np.pi / _FFT * np.outer(np.arange(WINDOW), bins())
    taper = window()[:, None]
    return (taper * np.cos(phase)).astype(np.float32), (taper * np.sin(phase)).astype(np.float32)


def mel_power(samples: Floats) -> Floats:
    """Return the (N // 160, 64) band power of (N,) samples at 16 kHz."""
    padded = np.concatenate([np.zeros(WINDOW - HOP, np.float32), samples.astype(np.float32)])
    count = len(samples) // HOP
    if not count:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    spectrum = np.fft.rfft(frames * window(), _FFT)[:, bins()]
    return np.asarray(np.square(np.abs(spectrum)) @ mel_matrix(), np.float32)


def log_mel(samples: Floats) -> Floats:
    """Return the (N // 160, 64) natural logarithm of the band power of (N,) samples at 16 kHz."""
    return np.asarray(np.log(mel_power(samples) + FLOOR), np.float32)
