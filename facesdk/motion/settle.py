"""The way back to a resting face at the end of a line."""

from __future__ import annotations

import numpy as np

from ..arrays import Floats


def settle(curves: Floats, rest: Floats, frames: int) -> Floats:
    """(T, C) curves whose last frames ease to `rest` (C,), which the very last one equals."""
    count = min(frames, len(curves))
    if not count:
        return curves
    x = np.arange(1, count + 1, dtype=np.float32) / count
    weight = (x * x * (3 - 2 * x))[:, None]
    ending = (1 - weight) * curves[-count:] + weight * rest
    return np.concatenate([curves[:-count], ending.astype(np.float32)])
