"""Downmix to mono.

Surround is mixed with the coefficients of ITU-R BS.775 (1/0 downmix: C 1, L and R 0.7071,
surrounds 0.5; the LFE is left out). The mix is scaled so that a voice in the center channel, or
panned equally to left and right where there is no center, keeps its level. For stereo this is the
mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import AudioError
from .samples import Samples, as_float32

Layout = tuple[str, ...]

MAX_CHANNELS = 32


def _layouts(*orders: str) -> MappingProxyType[int, Layout]:
    return MappingProxyType({len(order.split()): tuple(order.split()) for order in orders})


WAV_LAYOUTS = _layouts(
    "FC",
    "FL FR",
    "FL FR FC",
    "FL FR BL BR",
    "FL FR FC BL BR",
    "FL FR FC LFE BL BR",
    "FL FR FC LFE BC SL SR",
    "FL FR FC LFE BL BR SL SR",
)
"""Channel order of WAV and FLAC, by number of channels."""

VORBIS_LAYOUTS = _layouts(
    "FC",
    "FL FR",
    "FL FC FR",
    "FL FR BL BR",
    "FL FC FR BL BR",
    "FL FC FR BL BR LFE",
    "FL FC FR SL SR BC LFE",
    "FL FC FR SL SR BL BR LFE",
)
"""Channel order of Ogg (Vorbis I, section 4.3.9; Opus, RFC 7845, section 5.1.1.2)."""

MASK_SPEAKERS = ("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR")
"""Channels by bit of the channel mask of WAVEFORMATEXTENSIBLE."""

_FRONT, _SURROUND = 0.5**0.5, 0.5
_WEIGHTS = {
    "FC": 1.0,
    **dict.fromkeys(("FL", "FR", "FLC", "FRC"), _FRONT),
    **dict.fromkeys(("BL", "BR", "SL", "SR", "BC"), _SURROUND),
    "LFE": 0.0,
}


def mono_weights(channels: int, layout: Sequence[str] | None = None) -> Samples:
    """Return the (C,) weights of the mono mix; equal weights for an unknown layout."""
    layout = layout or WAV_LAYOUTS.get(channels)
    if layout is None or not {"FC", "FL", "FR"} & set(layout):
        return np.full(channels, 1 / channels, np.float32)
    weights = np.array([_WEIGHTS[speaker] for speaker in layout])
    if "FC" not in layout:
        weights /= sum(_WEIGHTS[s] for s in layout if s in ("FL", "FR"))
    return weights.astype(np.float32)


class Downmix:
    """A mono downmix of one stream that handles channels of opposite phase.

    A voice with one channel inverted would cancel in the plain mix. While the mix has less than
    -15 dB of the summed power of its channels, only the strongest channel is used, until the mix
    is above -6 dB again. The decision is made per block of 2048 frames from the start of the
    stream and applied with a cross-fade in the next block. This adds no delay, and the result
    does not depend on the sizes of the chunks.
    """

    _BLOCK = 2048
    _MEMORY = 0.9  # per block: about half a second at 44.1 kHz
    _LOST, _BACK = 10**-1.5, 10**-0.6

    def __init__(self, channels: int, *, layout: Sequence[str] | None = None) -> None:
        """`layout` names the channels (`FL`, `FR`, `FC`, ...), by default as in WAV.

        Raises `AudioError` for 0 or more than 32 channels, or a layout of another length.
        """
        if not 1 <= channels <= MAX_CHANNELS:
            raise AudioError(f"audio must have 1 to {MAX_CHANNELS} channels, got {channels}")
        if layout is not None and len(layout) != channels:
            raise AudioError(
                f"layout {' '.join(layout)} must name {channels} channels, got {len(layout)}"
            )
        self.channels = channels
        self._plain = mono_weights(channels, layout)
        self._block = np.zeros((self._BLOCK, channels), np.float32)
        self._ramp = (np.arange(self._BLOCK, dtype=np.float32) + 1) / self._BLOCK
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._fill = 0
        self._old = self._new = self._plain
        self._mixed_power = 0.0
        self._channel_power = np.zeros(self.channels)

    def __call__(self, samples: Samples) -> Samples:
        """Return (N,) mono for (N, C) samples, or (N,) of one channel, which are not changed."""
        if samples.ndim == 1 and self.channels == 1:
            return samples
        if samples.ndim != 2 or samples.shape[1] != self.channels:
            raise AudioError(f"samples must be (N, {self.channels}), got {samples.shape}")
        if self.channels == 1:
            return samples[:, 0]
        mono = np.empty(len(samples), np.float32)
        done = 0
        while done < len(samples):
            piece = samples[done : done + self._BLOCK - self._fill]
            mono[done : done + len(piece)] = self._mix(piece)
            done += len(piece)
        return mono

    def _mix(self, piece: Samples) -> Samples:
        span = slice(self._fill, self._fill + len(piece))
        mixed = _weighted(piece, self._old)
        if self._new is not self._old:
            mixed += self._ramp[span] * (_weighted(piece, self._new) - mixed)
        self._block[span] = piece
        self._fill = span.stop
        if self._fill == self._BLOCK:
            self._decide()
        return mixed

    def _decide(self) -> None:
        self._fill = 0
        self._old = self._new
        mixed = _weighted(self._block, self._plain).astype(np.float64)
        parts = (self._block * self._plain).astype(np.float64)
        self._mixed_power = self._MEMORY * self._mixed_power + float(np.mean(mixed**2))
        self._channel_power = self._MEMORY * self._channel_power + np.mean(parts**2, axis=0)
        total = self._channel_power.sum()
        if self._new is self._plain and self._mixed_power < self._LOST * total:
            self._new = np.zeros_like(self._plain)
            self._new[np.argmax(self._channel_power)] = 1
        elif self._new is not self._plain and self._mixed_power > self._BACK * total:
            self._new = self._plain


def _weighted(samples: Samples, weights: NDArray[np.float32]) -> Samples:
    # one channel at a time: rounding of a matrix product depends on its shape
    mixed: Samples = samples[:, 0] * weights[0]
    for channel in range(1, len(weights)):
        mixed += samples[:, channel] * weights[channel]
    return mixed


def to_mono(samples: ArrayLike, *, layout: Sequence[str] | None = None) -> Samples:
    """Return (N,) mono float32 for (N, C) or (N,) samples of a type that `as_float32` accepts.

    Raises `AudioError` for other types, shapes or layouts.
    """
    array = as_float32(samples)
    if array.ndim not in (1, 2):
        raise AudioError(f"samples must be (N,) or (N, channels), got {array.shape}")
    return Downmix(1 if array.ndim == 1 else array.shape[1], layout=layout)(array)
