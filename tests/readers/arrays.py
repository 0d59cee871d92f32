"""Arrays by NumPy's own loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import Curves, Row, Track


def read(path: Path) -> Curves:
    with np.load(path, allow_pickle=False) as arrays:
        times, values = arrays["times"], arrays["values"]
        tracks = {str(n): Track(times, values[:, i]) for i, n in enumerate(arrays["controls"])}
        for j, joint in enumerate(arrays["joints"]):
            for a, axis in enumerate(("yaw", "pitch", "roll")):
                tracks[f"pose.{joint}.{axis}"] = Track(times, arrays["pose"][:, j, a])
    return tracks


ROWS = (
    Row("npz", "NumPy", read, value=0, time=1e-12),
    Row("npz", "NumPy", read, rig="metahuman-gui", value=0, time=1e-12),
)
