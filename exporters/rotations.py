"""Rotations as quaternions with sparse keys, interpolated along the shortest way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays import Doubles
from ..mesh.rotation import quaternion_angles, quaternions, slerp
from .keys import longest_pieces


def rotation_keys(
    angles: NDArray[np.float32], tolerance: float
) -> tuple[NDArray[np.int64], Doubles]:
    """Return keys of (T, 3) yaw, pitch, roll for slerp: frames and (K, 4) quaternions.

    No angle of a source frame is further off than the tolerance. Keys are at most 64 frames apart.
    """
    turns = quaternions(angles)

    def deviation(first: NDArray[np.int64], span: int) -> Doubles:
        inside = np.arange(1, span)
        between = slerp(
            turns[first][:, None], turns[first + span][:, None], (inside / span)[None, :, None]
        )
        missed = quaternion_angles(between) - angles[first[:, None] + inside]
        return np.asarray(np.abs(_wrapped(missed)).max((1, 2)))

    chosen = longest_pieces(len(turns), deviation, tolerance)
    return chosen, turns[chosen]


def _wrapped(angles: Doubles) -> Doubles:
    """Return differences of angles within half a turn."""
    return np.asarray((angles + np.pi) % (2 * np.pi) - np.pi)
