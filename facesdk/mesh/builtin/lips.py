"""Seal the lips at rest: the base mesh leaves a gap at the corners of the mouth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..surface import Array, smooth_step

PRESSED = 0.0002
"""Meters that each lip extends beyond the line where the lips meet, in the middle."""
PRESSED_AT_CORNERS = 0.00065
REACH = 0.0040
"""Meters above and below that line in which vertices move."""


def sealed(points: Array, lips: Array, landmarks: Mapping[str, int]) -> Array:
    """Return points of skin and mouth cavity with both lips moved to where they meet."""
    left, right = (points[landmarks[f"mouth_{side}"]] for side in ("left", "right"))
    half = (left[0] - right[0]) / 2
    across = np.abs(points[:, 0]) / half
    middle = _meeting(points, lips)
    line = middle + (left[1] - middle) * across**2
    above = points[:, 1] - line
    pressed = PRESSED + (PRESSED_AT_CORNERS - PRESSED) * smooth_step(0.1, 0.85, across)
    share = smooth_step(REACH, 0.0003, np.abs(above)) * smooth_step(1.12, 1.0, across)
    share *= smooth_step(left[2] - 0.012, left[2] - 0.006, points[:, 2])
    moved = points.copy()
    moved[:, 1] -= np.clip(above / 0.0001, -1, 1) * pressed * share
    return moved


def _meeting(points: Array, lips: Array) -> float:
    """Return the height at which the lips meet on the midline, the dip in their profile."""
    middle = (np.abs(points[:, 0]) < 0.0015) & (lips > 0.5)
    deep = points[middle, 2] < np.quantile(points[middle, 2], 0.35)
    return float(points[middle, 1][deep].mean())
