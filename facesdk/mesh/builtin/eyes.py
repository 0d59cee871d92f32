"""Eyeballs with a cornea, an iris and a pupil."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..head import Color, Joint, Material
from ..rotation import matrices
from ..surface import Array, MorphMesh, smooth_step

WHITE = np.array([0.90, 0.885, 0.87])
VEINED = np.array([0.80, 0.62, 0.58])
LIMBUS = np.array([0.13, 0.10, 0.08])
PUPIL = np.array([0.015, 0.013, 0.012])
EYE = Material("eye", (0.9, 0.885, 0.87), roughness=0.12, specular=0.6)

IRIS_ANGLE = np.radians(24.5)
"""From the optical axis to the rim of the iris, which is 12 mm wide on an eyeball of 29 mm."""
PUPIL_ANGLE = np.radians(8.5)
CORNEA_BULGE = 0.035
"""Share of the radius, at the middle of the cornea."""

GAZE = {
    f"eyeLook{way}{side}": (float(np.radians(yaw * sign)), float(np.radians(pitch)))
    for side, sign in (("Left", 1), ("Right", -1))
    for way, yaw, pitch in (("Out", 24, 0), ("In", -24, 0), ("Up", 0, -17), ("Down", 0, 19))
}
"""Yaw and pitch in radians of ARKit's gaze shapes; about as far as eyes turn without the head."""

# Rings are dense where the color changes, so that rim and pupil are sharp.
_RINGS = np.radians([1.5, 5, 8.1, 8.9, 12, 16, 20, 22.6, 24.5, 26, 30, 38, 48, 60, 80, 110])


def eyeball(
    joint: Joint, shapes: Sequence[str], *, name: str, iris: Color, segments: int
) -> MorphMesh:
    """Build an eyeball that looks along +Z; the gaze shapes of its side turn it."""
    angle = np.concatenate([[0.0], _RINGS])
    around = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    radius = joint.radius * (1 + CORNEA_BULGE * smooth_step(1.1, 0.0, angle / IRIS_ANGLE))
    x = np.outer(radius * np.sin(angle), np.cos(around))
    y = np.outer(radius * np.sin(angle), np.sin(around))
    z = np.outer(radius * np.cos(angle), np.ones(segments))
    grid = np.stack([x, y, z], -1)
    ball = np.concatenate([grid[:1, 0], grid[1:].reshape(-1, 3)])
    deltas = np.zeros((len(shapes), *ball.shape), np.float32)
    for shape, (yaw, pitch) in GAZE.items():
        if shape.lower().endswith(name.removesuffix("_eye")) and shape in shapes:
            turn = matrices(np.array([yaw, pitch, 0.0]))
            deltas[shapes.index(shape)] = ball @ turn.T - ball
    colors = _colors(angle, around, np.array(iris))
    return MorphMesh.of(
        ball + np.array(joint.center),
        _fan_and_rings(len(_RINGS), segments),
        deltas,
        EYE,
        name=name,
        colors=np.concatenate([colors[:1, 0], colors[1:].reshape(-1, 3)]),
    )


def _colors(angle: Array, around: Array, iris: Array) -> Array:
    """Return (rings, segments, 3) colors by the angle from the axis."""
    out = angle[:, None, None]
    fibers = 0.86 + 0.14 * np.sin(around * 11) * np.sin(around * 7 + 1)
    depth = 0.75 + 0.55 * smooth_step(IRIS_ANGLE, PUPIL_ANGLE, out)
    color = iris * depth * fibers[None, :, None]
    color = _mix(color, LIMBUS, smooth_step(0.86 * IRIS_ANGLE, IRIS_ANGLE, out) * 0.85)
    white = _mix(WHITE, VEINED, smooth_step(np.radians(42), np.radians(80), out) * 0.8)
    color = _mix(color, white, smooth_step(IRIS_ANGLE, IRIS_ANGLE * 1.08, out))
    return _mix(color, PUPIL, smooth_step(np.radians(8.8), np.radians(8.2), out)).clip(0, 1)


def _mix(first: Array, second: Array, share: Array) -> Array:
    return np.asarray(first + share * (second - first))


def _fan_and_rings(rings: int, segments: int) -> Array:
    """Return the triangles of a pole vertex and rings around it, facing outward."""
    here = np.arange(segments)
    there = (here + 1) % segments
    fan = np.stack([np.zeros(segments, int), 1 + here, 1 + there], 1)
    starts = 1 + segments * np.arange(rings - 1)[:, None]
    inner, inner_next = starts + here, starts + there
    lower = np.stack([inner, inner + segments, inner_next + segments], -1)
    upper = np.stack([inner, inner_next + segments, inner_next], -1)
    return np.concatenate([fan, lower.reshape(-1, 3), upper.reshape(-1, 3)])
