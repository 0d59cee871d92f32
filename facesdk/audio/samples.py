"""Conversion of samples to float32, with checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import AudioError

Samples = NDArray[np.float32]

LOUDEST = 32.0
"""Times full scale; larger floats are rejected as integers stored as floats."""

_ZERO_AND_SCALE = {"u1": (128, 2**7), "i2": (0, 2**15), "i4": (0, 2**31)}


def as_float32(samples: ArrayLike, *, first: int = 0) -> Samples:
    """Return samples as float32 with full scale at 1.0; float32 is returned unchanged.

    Accepts float32, float64, int16, int32 and uint8 (8-bit WAV: 128 is zero). Raises `AudioError`
    for other types, NaN, infinity, and floats beyond 32 times full scale; `first` is the position
    of the first frame in its stream, for the message.
    """
    array = np.asarray(samples)
    if array.dtype.kind == "f":
        _require_sane(array, first)
        return array.astype(np.float32, copy=False)
    try:
        zero, scale = _ZERO_AND_SCALE[array.dtype.str[1:]]
    except KeyError:
        raise AudioError(
            f"samples must be float32, float64, int16, int32 or uint8, got {array.dtype}"
        ) from None
    return ((array.astype(np.float64) - zero) / scale).astype(np.float32)


def _require_sane(array: NDArray[np.floating], first: int) -> None:
    if not array.size or np.abs(array).max() <= LOUDEST:  # also false for NaN
        return
    where = np.argwhere(~(np.abs(array) <= LOUDEST))[0]
    value = array[tuple(where)]
    position = first + int(where[0])
    if not np.isfinite(value):
        raise AudioError(
            f"sample {position} is {value}; samples must be finite: "
            "check the tool that wrote them, or set such samples to 0"
        )
    raise AudioError(
        f"sample {position} is {value:g}, but full scale is 1.0; "
        "divide integers stored as floats by their full scale (32768 for 16 bit)"
    )
