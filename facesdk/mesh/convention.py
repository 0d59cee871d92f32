"""Detect which of two conventions a head's mouthClose follows.

Apple's mouthClose adds to jawOpen: both at 1 are an open jaw with sealed lips. Audio2Face's
contains the jaw motion that it closes. The motion of the chin distinguishes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .head import Head

Array = NDArray[Any]

CHIN = 0.12
"""Share of the vertices moved by jawOpen, the lowest ones, that count as the chin."""


def close_contains_jaw(head: Head) -> bool:
    """Whether mouthClose by itself opens the jaw, as in Audio2Face; False without these shapes."""
    if not {"jawOpen", "mouthClose"} <= set(head.names):
        return False
    return contains_jaw(head.neutral, head.delta("jawOpen"), head.delta("mouthClose"))


def contains_jaw(neutral: Array, jaw_open: Array, mouth_close: Array) -> bool:
    """Apply `close_contains_jaw` to (V, 3) arrays."""
    reach = np.linalg.norm(jaw_open, axis=1)
    moved = np.flatnonzero(reach > 0.3 * reach.max())
    if not reach.max() > 0:
        return False
    chin = moved[neutral[moved, 1] <= np.quantile(neutral[moved, 1], CHIN)]
    along = (jaw_open[chin] * mouth_close[chin]).sum() / (jaw_open[chin] ** 2).sum()
    return bool(along > 0.5)
