"""Distances between two animations of one head, in numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import Floats
from ..mesh import Head


class DistanceMeter:
    """Distances between corresponding vertices of two animations, added frame by frame."""

    def __init__(self, head: Head) -> None:
        lips = head.masks.get("lips")
        self._lips = None if lips is None or not np.any(lips) else np.asarray(lips) > 0.5
        self.frames = 0
        """Frames added so far."""
        self._sum = self._squares = self._lip_sum = 0.0
        self._largest, self._lip_largest = 0.0, 0.0
        self._at = 0

    def add(self, distances: Floats) -> None:
        """Add the (V,) distances of one frame, in meters."""
        self._sum += float(distances.mean())
        self._squares += float(np.square(distances, dtype=np.float64).mean())
        if (largest := float(distances.max())) > self._largest:
            self._largest, self._at = largest, self.frames
        if self._lips is not None:
            lips = distances[self._lips]
            self._lip_sum += float(lips.max())
            self._lip_largest = max(self._lip_largest, float(lips.max()))
        self.frames += 1

    def to_json(self, fps: float, *, start: float = 0.0) -> dict[str, Any]:
        """Return the figures as JSON values: millimeters, and seconds after the first frame.

        `start` is the time of the first frame that was added. The mean of the largest distance of
        a frame's lips is there if the head marks them.
        """
        count = max(self.frames, 1)
        facts: dict[str, Any] = {
            "frames": self.frames,
            "mean_mm": 1000 * self._sum / count,
            "rms_mm": 1000 * math.sqrt(self._squares / count),
            "largest_mm": 1000 * self._largest,
            "largest_at": start + self._at / fps,
        }
        if self._lips is not None:
            facts["lips_largest_mean_mm"] = 1000 * self._lip_sum / count
            facts["lips_largest_mm"] = 1000 * self._lip_largest
        return facts
