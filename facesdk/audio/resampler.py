"""Any sample rate to another, chunk by chunk."""

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
"""Hz; what the models hear."""

RATES = (8_000, 192_000)
"""Hz; lowest and highest rate that is taken."""

SILENCE = 1e-9
"""Full scales, -180 dB; anything below counts as 0."""

_SILENCE = np.array(SILENCE, np.float32)  # an array compares faster than a number of Python's

_QUALITY = "HQ"


def require_rate(rate: int) -> int:
    """The rate itself; `AudioError` outside 8 to 192 kHz."""
    low, high = RATES
    if not low <= rate <= high:
        raise AudioError(
            f"sample rate must lie in {low}..{high} Hz, got {rate}; resample the audio first"
        )
    return rate


class StreamResampler:
    """One stream of audio as mono float32 at another rate.

    The output does not depend on how the input was cut and lasts as long to one sample. It is not
    shifted in time, but it comes late: see `latency`. Equal rates pass mono float32 through bit by
    bit, but for samples below `SILENCE`. Values may exceed 1.0 where the input was mastered to
    the edge; nothing is clipped.

    `low_delay` takes a short filter, see `polyphase`: 1.5 to 3 ms late where soxr is 38 to 117.
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
        """Seconds of audio that the stream may hold back before `flush`: the worst case."""
        if isinstance(self._stream, Polyphase):
            return self._stream.latency
        return _latency(self.source_rate, self.target_rate)

    def push(self, samples: ArrayLike) -> Samples:
        """(M,) samples that the (N,) or (N, channels) input completes; may be none.

        Takes what `as_float32` takes, and raises `AudioError` as it does; after an error, `reset`.
        """
        audio = as_float32(samples, first=self._pushed)
        mono = _without_denormals(self._downmix(audio))
        self._pushed += len(mono)
        if self._stream is None:
            return mono
        return _floats(self._stream.resample_chunk(np.ascontiguousarray(mono)))

    def flush(self) -> Samples:
        """(M,) samples still held back. The stream has ended: the next push begins a new one."""
        rest = np.empty(0, np.float32)
        if self._stream is not None and self._pushed:
            rest = _floats(self._stream.resample_chunk(rest, last=True))
        self.reset()
        return rest

    def reset(self) -> None:
        """Drop the stream; the next samples begin a new one."""
        self._downmix.reset()
        self._pushed = 0
        if self._stream is not None:
            self._stream.clear()


def _stream(source_rate: int, target_rate: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32", quality=_QUALITY)


def _without_denormals(samples: Samples) -> Samples:
    """The end of a long fade would cost a processor fifty times its usual work."""
    nothing = np.abs(samples) < _SILENCE
    return np.where(nothing, np.float32(0), samples) if nothing.any() else samples


def _floats(samples: np.ndarray) -> Samples:
    return samples.astype(np.float32, copy=False)


@lru_cache
def _latency(source_rate: int, target_rate: int) -> Fraction:
    # soxr works in blocks whose size it does not tell: push silence by the millisecond and watch
    if source_rate == target_rate:
        return Fraction(0)
    stream = _stream(source_rate, target_rate)
    step = np.zeros(max(1, source_rate // 1000), np.float32)
    pushed = came = 0
    worst = Fraction(0)
    while pushed < source_rate:
        pushed += len(step)
        worst = max(worst, Fraction(pushed, source_rate) - Fraction(came, target_rate))
        came += len(stream.resample_chunk(step))
    return worst
