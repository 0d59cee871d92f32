"""Rotations of joints, in the angles of a `Pose`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def matrices(angles: NDArray[Any]) -> NDArray[np.float32]:
    """(..., 3, 3) rotations of (..., 3) yaw, pitch and roll, in that order, about turned axes."""
    (sy, sx, sz), (cy, cx, cz) = (np.moveaxis(f(angles), -1, 0) for f in (np.sin, np.cos))
    rows = [
        [cy * cz + sy * sx * sz, sy * sx * cz - cy * sz, sy * cx],
        [cx * sz, cx * cz, -sx],
        [cy * sx * sz - sy * cz, cy * sx * cz + sy * sz, cy * cx],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2).astype(np.float32)
