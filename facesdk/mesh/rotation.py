"""Joint rotations in the angles of a `Pose`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def matrices(angles: NDArray[Any]) -> NDArray[np.float32]:
    """Return (..., 3, 3) rotations of (..., 3) yaw, pitch, roll, in order, about moving axes."""
    (sy, sx, sz), (cy, cx, cz) = (np.moveaxis(f(angles), -1, 0) for f in (np.sin, np.cos))
    rows = [
        [cy * cz + sy * sx * sz, sy * sx * cz - cy * sz, sy * cx],
        [cx * sz, cx * cz, -sx],
        [cy * sx * sz - sy * cz, cy * sx * cz + sy * sz, cy * cx],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2).astype(np.float32)


def quaternions(angles: NDArray[Any]) -> NDArray[np.float64]:
    """Return (..., 4) unit quaternions x, y, z, w of (..., 3) yaw, pitch and roll.

    They follow the angles continuously, without sign flips.
    """
    half = np.asarray(angles, np.float64) / 2
    (sy, sx, sz), (cy, cx, cz) = (np.moveaxis(f(half), -1, 0) for f in (np.sin, np.cos))
    return np.stack(
        [
            cy * sx * cz + sy * cx * sz,
            sy * cx * cz - cy * sx * sz,
            cy * cx * sz - sy * sx * cz,
            cy * cx * cz + sy * sx * sz,
        ],
        -1,
    )


def quaternion_angles(quaternions: NDArray[Any]) -> NDArray[np.float64]:
    """Return (..., 3) yaw, pitch and roll of (..., 4) unit quaternions x, y, z, w."""
    x, y, z, w = np.moveaxis(np.asarray(quaternions, np.float64), -1, 0)
    yaw = np.arctan2(2 * (x * z + w * y), 1 - 2 * (x * x + y * y))
    pitch = np.arcsin(np.clip(2 * (w * x - y * z), -1, 1))
    return np.stack([yaw, pitch, np.arctan2(2 * (x * y + w * z), 1 - 2 * (x * x + z * z))], -1)


def product(second: NDArray[Any], first: NDArray[Any]) -> NDArray[np.float64]:
    """Return the (..., 4) product: `first`, followed by `second`, as quaternions x, y, z, w."""
    a, b = np.asarray(second, np.float64), np.asarray(first, np.float64)
    axis = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + np.cross(a[..., :3], b[..., :3])
    real = a[..., 3:] * b[..., 3:] - (a[..., :3] * b[..., :3]).sum(-1, keepdims=True)
    return np.concatenate([axis, real], -1)


def slerp(begin: NDArray[Any], end: NDArray[Any], share: NDArray[Any]) -> NDArray[np.float64]:
    """Interpolate (..., 4) quaternions along the shorter arc, at a share in 0..1 of it."""
    cosine = (begin * end).sum(-1, keepdims=True)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)
        second = np.where(near, share, np.sin(share * angle) / sine)
    mixed = first * begin + np.where(cosine < 0, -second, second) * end
    return np.asarray(mixed / np.linalg.norm(mixed, axis=-1, keepdims=True))
