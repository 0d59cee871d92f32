"""Streaming sample rate conversion."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import ArrayLike

from ..errors import AudioError
from .channels import Downmix
from .polyphase import Polyphase
from .samples import Samples, as_float32

SAMPLE_RATE = 16_000
"""Hz; input of the models."""

RATES = (8_000, 192_000)
"""Hz; lowest and highest supported rate."""

SILENCE = 1e-9
"""Magnitude relative to full scale, -180 dB; smaller samples become 0."""

_SILENCE = np.array(SILENCE, np.float32)  # compares faster than a Python float

_QUALITY = "HQ"


def require_rate(rate: int) -> int:
    """Return the rate in Hz; raises `AudioError` outside 8 to 192 kHz."""
    low, high = RATES
    if not isinstance(rate, int | np.integer) or not low <= rate <= high:
        raise AudioError(
            f"sample rate must lie in {low}..{high} Hz, got {rate}; resample the audio first"
        )
    return rate


class StreamResampler:
    """A converter of one audio stream to mono float32 at another rate.

    The output does not depend on the chunk sizes, has the same duration to one sample, and is not
    shifted in time; it is available with a delay, see `latency`. At equal rates mono float32 is
    passed through bit by bit, except for samples below `SILENCE`. Nothing is clipped: values may
    exceed 1.0 for input close to full scale.
    """

    def __init__(
        self,
        source_rate: int,
        target_rate: int = SAMPLE_RATE,
        channels: int = 1,
        *,
        layout: Sequence[str] | None = None,
        low_delay: bool = False,
    ) -> None:
        """`layout` names the channels, see `Downmix`.

        `low_delay` selects the short filter of `polyphase`: 1.5 to 3 ms of latency instead of 38
        to 117 ms. Raises `AudioError` for rates or channels that are not supported.
        """
        self.source_rate = require_rate(source_rate)
        self.target_rate = require_rate(target_rate)
        self._downmix = Downmix(channels, layout=layout)
        self._stream: soxr.ResampleStream | Polyphase | None = None
        if source_rate != target_rate:
            filters = Polyphase if low_delay else _stream
            self._stream = filters(source_rate, target_rate)
        self._pushed = 0

    @property
    def latency(self) -> Fraction:
        """Largest duration of audio, in seconds, that the stream holds back before `flush`."""
        if isinstance(self._stream, Polyphase):
            return self._stream.latency
        return _latency(self.source_rate, self.target_rate)

    def push(self, samples: ArrayLike) -> Samples:
        """Return the (M,) output samples that (N,) or (N, channels) more input completes.

        Accepts the types of `as_float32` and raises its `AudioError`; call `reset` after an error.
        """
        audio = as_float32(samples, first=self._pushed)
        mono = _without_denormals(self._downmix(audio))
        self._pushed += len(mono)
        if self._stream is None:
            return mono
        return _floats(self._stream.resample_chunk(np.ascontiguousarray(mono)))

    def flush(self) -> Samples:
        """Return the remaining (M,) samples; the next push begins a new stream."""
        rest = np.empty(0, np.float32)
        if self._stream is not None and self._pushed:
            rest = _floats(self._stream.resample_chunk(rest, last=True))
        self.reset()
        return rest

    def reset(self) -> None:
        """Begin a new stream."""
        self._downmix.reset()
        self._pushed = 0
        if self._stream is not None:
            self._stream.clear()


def _stream(source_rate: int, target_rate: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32", quality=_QUALITY)


def _without_denormals(samples: Samples) -> Samples:
    """Set tiny samples to 0: denormals at the end of a fade are about 50 times slower."""
    tiny = np.abs(samples) < _SILENCE
    return np.where(tiny, np.float32(0), samples) if tiny.any() else samples


def _floats(samples: np.ndarray) -> Samples:
    return samples.astype(np.float32, copy=False)


@lru_cache
def _latency(source_rate: int, target_rate: int) -> Fraction:
    # soxr does not report its block size: measure it with silence in steps of 1 ms
    if source_rate == target_rate:
        return Fraction(0)
    stream = _stream(source_rate, target_rate)
    step = np.zeros(max(1, source_rate // 1000), np.float32)
    pushed = received = 0
    worst = Fraction(0)
    while pushed < source_rate:
        pushed += len(step)
        worst = max(worst, Fraction(pushed, source_rate) - Fraction(received, target_rate))
        received += len(stream.resample_chunk(step))
    return worst
