"""Samples of any type as float32, and what is refused at the door."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import AudioError

Samples = NDArray[np.float32]

LOUDEST = 32.0
"""Full scales; floats beyond it are integers in disguise. A hot mix stays far below."""

_ZERO_AND_SCALE = {"u1": (128, 2**7), "i2": (0, 2**15), "i4": (0, 2**31)}


def as_float32(samples: ArrayLike, *, first: int = 0) -> Samples:
    """Samples as float32 with full scale at 1.0; float32 comes back as it is.

    Takes float32, float64, int16, int32 and uint8 (wav's 8 bit: 128 is zero). Raises `AudioError`
    for other types, for NaN and infinity, and for floats beyond 32 full scales; `first` is the
    position of the first frame in its stream, for that message.
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
    if not array.size or np.abs(array).max() <= LOUDEST:  # false for NaN too
        return
    where = np.argwhere(~(np.abs(array) <= LOUDEST))[0]
    value = array[tuple(where)]
    position = first + int(where[0])
    if not np.isfinite(value):
        raise AudioError(
            f"sample {position} is {value}; samples must be finite: "
            "look at the tool that wrote them, or replace such samples by 0"
        )
    raise AudioError(
        f"sample {position} is {value:g}, but full scale is 1.0: these look like integers stored "
        "as floats; divide them by their full scale (32768 for 16 bit)"
    )
