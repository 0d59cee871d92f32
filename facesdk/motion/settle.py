"""The return to rest at the end of a line."""

from __future__ import annotations

import numpy as np

from ..arrays import Floats

SETTLE_SECONDS = 0.2
"""Duration of the return to rest; shorter if the look-ahead is shorter."""


def settle(curves: Floats, rest: Floats, frames: int) -> Floats:
    """(T, C) curves whose last frames ease to `rest` (C,), which the last two equal.

    Two, because a frame at another rate may lie between them.
    """
    count = min(frames, len(curves))
    if not count:
        return curves
    x = np.minimum(np.arange(1, count + 1, dtype=np.float32) / max(1, count - 1), 1)
    weight = (x * x * (3 - 2 * x))[:, None]
    ending = (1 - weight) * curves[-count:] + weight * rest
    return np.concatenate([curves[:-count], ending.astype(np.float32)])
