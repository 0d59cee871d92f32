"""Measurements of a recording: loudness, clipping, silence and similarity to speech."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..errors import AudioError
from .resampler import SAMPLE_RATE
from .samples import Samples

FLOOR_DBFS = -120.0
"""Reported level of digital silence, so that reports stay finite."""

CLIPPED = 0.985
SILENT_DBFS = -70.0
SILENT_BELOW_VOICE_DB = 35.0

_FRAMES_PER_SECOND = 50
_WINDOW = 120  # frames: the 2.4 s of Scheirer and Slaney
_HOP = 60
_SHORTEST = 50  # frames

# from "no sign of speech" to "as in speech"; measured as described in docs/audio.md
_MODULATION = (0.10, 0.30)
_LOW_ENERGY = (0.05, 0.20)
_CROSSINGS_SPREAD = (0.24, 0.34)

Floats64 = NDArray[np.float64]


@dataclass(frozen=True)
class AudioReport:
    """The measurements of one recording, all finite."""

    seconds: float
    rms_dbfs: float
    """RMS of the recording, pauses included; -3.01 for a full-scale sine."""
    voice_dbfs: float
    """RMS of the frames that are not silent."""
    peak_dbfs: float
    clipped_share: float
    """0..1, share of samples within 0.13 dB of full scale or beyond."""
    silent_share: float
    """0..1, share of 20 ms frames below -70 dBFS or 35 dB below the loud ones."""
    leading_silence: float
    """Seconds; the whole duration for a silent recording."""
    trailing_silence: float
    speech_likeness: float | None
    """0..1: near 0 for steady music and noise. None for less than a second of sound."""


class LevelMeter:
    """A meter for mono audio in blocks; the report does not depend on their sizes."""

    def __init__(self, sample_rate: int = SAMPLE_RATE) -> None:
        """`sample_rate` is in Hz."""
        self.sample_rate = sample_rate
        self._frame = sample_rate // _FRAMES_PER_SECOND
        self.reset()

    def reset(self) -> None:
        """Begin a new recording."""
        self._rest = np.empty(0, np.float32)
        self._power: list[Floats64] = []
        self._crossings: list[Floats64] = []
        self._peak = 0.0
        self._clipped = 0
        self._samples = 0

    def push(self, samples: Samples) -> None:
        """Measure (N,) more samples, full scale 1.0; raises `AudioError` for other shapes."""
        if samples.ndim != 1:
            raise AudioError(f"samples must be mono (N,), got {samples.shape}")
        if not len(samples):
            return
        size = np.abs(samples)
        self._peak = max(self._peak, float(size.max()))
        self._clipped += int(np.count_nonzero(size >= CLIPPED))
        self._samples += len(samples)
        audio = np.concatenate([self._rest, samples])
        whole = len(audio) - len(audio) % self._frame
        self._rest = audio[whole:].copy()
        frames = audio[:whole].reshape(-1, self._frame)
        self._power.append(_power(frames))
        self._crossings.append(_crossings(frames))

    def report(self) -> AudioReport:
        """Return the measurements so far."""
        power, crossings = self._frames()
        seconds = self._samples / self.sample_rate
        sounding = np.flatnonzero(~_silent(power))
        return AudioReport(
            seconds=seconds,
            rms_dbfs=self._rms_dbfs(power),
            voice_dbfs=_dbfs(power[sounding].mean() if len(sounding) else 0.0),
            peak_dbfs=_dbfs(self._peak**2),
            clipped_share=self._clipped / max(1, self._samples),
            silent_share=1 - len(sounding) / max(1, len(power)),
            leading_silence=self._seconds(sounding[0]) if len(sounding) else seconds,
            trailing_silence=(
                seconds - min(seconds, self._seconds(sounding[-1] + 1))
                if len(sounding)
                else seconds
            ),
            speech_likeness=_speech_likeness(power, crossings, sounding),
        )

    def _frames(self) -> tuple[Floats64, Floats64]:
        """Return the power and crossings of all frames, including the incomplete last one."""
        power, crossings = list(self._power), list(self._crossings)
        if len(self._rest):
            power.append(_power(self._rest[None]))
            crossings.append(_crossings(self._rest[None]))
        empty = np.empty(0)
        return np.concatenate([empty, *power]), np.concatenate([empty, *crossings])

    def _rms_dbfs(self, power: Floats64) -> float:
        if not len(power):
            return FLOOR_DBFS
        lengths = np.full(len(power), self._frame)
        if len(self._rest):
            lengths[-1] = len(self._rest)
        return _dbfs(float(power @ lengths) / self._samples)

    def _seconds(self, frames: int) -> float:
        return float(frames * self._frame / self.sample_rate)


def _power(frames: Samples) -> Floats64:
    return np.asarray(np.mean(frames.astype(np.float64) ** 2, axis=1))


def _crossings(frames: Samples) -> Floats64:
    """Return the share of neighboring samples with opposite signs."""
    signs = np.signbit(frames)
    return np.asarray((signs[:, 1:] != signs[:, :-1]).sum(axis=1) / frames.shape[1])


def _dbfs(power: float) -> float:
    return max(FLOOR_DBFS, 10 * math.log10(power)) if power > 0 else FLOOR_DBFS


def _silent(power: Floats64) -> NDArray[np.bool_]:
    if not len(power):
        return np.empty(0, bool)
    loud = float(np.percentile(power, 95))
    return power < max(10 ** (SILENT_DBFS / 10), loud * 10 ** (-SILENT_BELOW_VOICE_DB / 10))


# ---------------------------------------------------------------------- speech or not


def _speech_likeness(
    power: Floats64, crossings: Floats64, sounding: NDArray[np.intp]
) -> float | None:
    """Return the minimum of three speech features, averaged over windows of 2.4 s.

    After Scheirer and Slaney (1997), "Construction and evaluation of a robust multifeature
    speech/music discriminator": modulation of the energy at the syllable rate, around 4 Hz; the
    share of low-energy frames; and the variation of the zero-crossing rate between vowels and
    fricatives (Saunders 1996).
    """
    if len(sounding) < _SHORTEST:
        return None
    span = slice(sounding[0], sounding[-1] + 1)
    rms, crossings = np.sqrt(power[span]), crossings[span]
    sounding_frames = ~_silent(power)[span]
    length = min(_WINDOW, len(rms))
    windows = sliding_window_view(rms, length)[::_HOP]
    audible = sliding_window_view(sounding_frames, length)[::_HOP]
    kept = audible.mean(axis=1) >= 0.4  # windows that are not mostly pauses
    if not kept.any():
        return None
    windows, audible = windows[kept], audible[kept]
    spread = _spread(sliding_window_view(crossings, length)[::_HOP][kept], audible)
    features = [
        _scaled(_syllable_modulation(windows), _MODULATION),
        _scaled(_low_energy_share(windows), _LOW_ENERGY),
        _scaled(spread, _CROSSINGS_SPREAD),
    ]
    return float(np.min(features, axis=0).mean())


def _scaled(values: Floats64, span: tuple[float, float]) -> Floats64:
    low, high = span
    return np.clip((values - low) / (high - low), 0, 1)


def _syllable_modulation(windows: Floats64) -> Floats64:
    """Return the depth of the envelope's 2 to 8 Hz modulation, relative to its mean."""
    taper = np.hanning(windows.shape[1])
    relative = windows / windows.mean(axis=1, keepdims=True) - 1
    spectrum = np.abs(np.fft.rfft(relative * taper, axis=1)) ** 2
    pace = np.fft.rfftfreq(windows.shape[1], 1 / _FRAMES_PER_SECOND)
    band = spectrum[:, (pace >= 2) & (pace <= 8)].sum(axis=1)
    return np.asarray(np.sqrt(2 * band / (windows.shape[1] * np.sum(taper**2))))


def _low_energy_share(windows: Floats64) -> Floats64:
    """Return the share of frames with less than half the mean RMS of their window."""
    return np.asarray((windows < 0.5 * windows.mean(axis=1, keepdims=True)).mean(axis=1))


def _spread(values: Floats64, counted: NDArray[np.bool_]) -> Floats64:
    """Return the relative standard deviation over the counted frames of each window."""
    count = counted.sum(axis=1)
    mean = (values * counted).sum(axis=1) / count
    square = (values**2 * counted).sum(axis=1) / count
    return np.asarray(np.sqrt(np.maximum(0, square - mean**2)) / np.maximum(mean, 1e-9))
