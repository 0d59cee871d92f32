"""Cameras: named views, and the projection from meters to pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Floats
from ..errors import unknown_name
from ..mesh import Head

FIELD_OF_VIEW = 18.0
"""Vertical, in degrees; narrow like a portrait lens, which flatters."""

_MOVES = 1e-3
"""Meters that a vertex must move in some shape to belong to the face."""


@dataclass(frozen=True)
class Camera:
    """A camera that looks at a point, turned about it by yaw and raised by pitch."""

    target: tuple[float, float, float]
    """Meters; in the middle of the image."""
    height: float
    """Meters visible from top to bottom at the target."""
    yaw: float = 0.0
    """Radians; positive moves toward the character's left, so that its left side is visible."""
    pitch: float = 0.0
    """Radians; positive looks down from above."""

    @property
    def distance(self) -> float:
        """Meters from the target."""
        return self.height / 2 / float(np.tan(np.radians(FIELD_OF_VIEW) / 2))

    def turned(self, yaw: float) -> Camera:
        """Return the same camera turned further around the head."""
        return replace(self, yaw=self.yaw + yaw)

    def axes(self) -> Floats:
        """Return (3, 3) rows right, up and toward the camera, in the head's space."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        rows = [[cy, 0, -sy], [-sy * sp, cp, -cy * sp], [sy * cp, sp, cy * cp]]
        return np.array(rows, np.float32)

    def seen(self, points: Floats) -> Floats:
        """Return (V, 3) points in meters right, up and toward the camera, from the target."""
        return (points - np.array(self.target, np.float32)) @ self.axes().T

    def project(self, seen: Floats, width: int, height: int) -> Floats:
        """Return (V, 3) of `seen` points: x and y in samples, y down, and nearness (1 / meters)."""
        near = 1 / np.maximum(np.float32(self.distance) - seen[:, 2], np.float32(1e-3))
        scale = np.float32(self.distance * height / self.height)
        x = np.float32(width / 2) + scale * seen[:, 0] * near
        y = np.float32(height / 2) - scale * seen[:, 1] * near
        return np.stack([x, y, near], axis=1)


VIEWS = {
    "front": (0.0, 0.0),
    "three-quarter": (32.0, 3.0),
    "side": (90.0, 0.0),
    "right": (-90.0, 0.0),
    "below": (12.0, -22.0),
    "face": (0.0, 0.0),
    "mouth": (0.0, 0.0),
}
"""Yaw and pitch in degrees; `face` and `mouth` are close-ups."""


def camera(head: Head, view: str = "front") -> Camera:
    """Return a camera that frames a head's face; raises `UnknownNameError` for an unknown view.

    A view is a name from `VIEWS` or degrees: `30` is yaw, `30,-10` yaw and pitch.
    """
    yaw, pitch = angles(view)
    low, high = _box(head)
    tall = max(high[1] - low[1], (high[0] - low[0]) / 1.1)
    middle, share = (low + high) / 2, 1.2
    middle[1] -= 0.025 * tall
    if view == "face":
        middle[1] = low[1] + 0.40 * tall
        share = 0.86
    if view == "mouth":
        middle = np.array([middle[0], low[1] + 0.2 * tall, high[2]])
        share = 0.42
    x, y, z = (float(m) for m in middle)
    return Camera((x, y, z), float(tall) * share, np.radians(yaw), np.radians(pitch))


def angles(view: str) -> tuple[float, float]:
    """Return yaw and pitch in degrees of a view; raises `UnknownNameError`."""
    if view in VIEWS:
        return VIEWS[view]
    try:
        numbers = [float(n) for n in view.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not np.isfinite(numbers).all():
        raise unknown_name("no view", view, [*VIEWS, "degrees such as 30 or 30,-10"])
    return numbers[0], numbers[1] if len(numbers) == 2 else 0.0


def _box(head: Head) -> tuple[Floats, Floats]:
    """Return the corners of the box around a head from the chin up, without any bust."""
    moves = np.zeros(len(head.neutral), bool)
    for delta in head.deltas:
        moves |= np.abs(delta).max(axis=1) > _MOVES
    points = head.neutral
    if moves.any():
        points = points[points[:, 1] >= points[moves, 1].min()]
    return points.min(axis=0), points.max(axis=0)
