"""Keys of a rotating joint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...mesh.rotation import quaternion_angles, quaternions, slerp
from ..keys import longest_pieces


def rotation_frames(angles: NDArray[np.float32], tolerance: float) -> NDArray[np.int64]:
    """Return the frames of (T, 3) yaw, pitch, roll that need a key in every reader.

    Some go straight from angle to angle, others turn the shortest way: on both no angle of a
    source frame is further off than the tolerance.
    """
    exact = np.asarray(angles, np.float64)
    turns = quaternions(exact)

    def deviation(first: NDArray[np.int64], span: int) -> NDArray[np.float64]:
        share = (np.arange(1, span) / span)[None, :, None]
        begin, end = first[:, None], first[:, None] + span
        wanted = exact[first[:, None] + np.arange(1, span)]
        straight = exact[begin] + share * (exact[end] - exact[begin])
        around = quaternion_angles(slerp(turns[begin], turns[end], share))
        missed = np.maximum(np.abs(straight - wanted), np.abs(around - wanted))
        return np.asarray(missed.max((1, 2)))

    return longest_pieces(len(exact), deviation, tolerance)
