"""Smooth noise in space, the same on every machine."""

from __future__ import annotations

import numpy as np

from ..surface import Array


def noise(points: Array, size: float, *, seed: int = 0) -> Array:
    """Return (N,) smooth values in -1..1 for (N, 3) points; features are `size` large."""
    places = np.asarray(points, float) / size
    cell = np.floor(places)
    share = places - cell
    share = share * share * (3 - 2 * share)
    corner = cell.astype(np.int64)
    total = np.zeros(len(places))
    for step in range(8):
        offset = np.array([step & 1, step >> 1 & 1, step >> 2 & 1])
        weight = np.where(offset == 1, share, 1 - share).prod(1)
        total += weight * _at(corner + offset, seed)
    return total


def _at(corner: Array, seed: int) -> Array:
    """Return (N,) values in -1..1 of lattice points."""
    x, y, z = (corner[:, k].astype(np.uint64) & np.uint64(0xFFFF) for k in range(3))
    key = x * np.uint64(73856093) ^ y * np.uint64(19349663) ^ z * np.uint64(83492791)
    key = (key + np.uint64(seed * 2654435761 + 1)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x45D9F3B), (16, 0x45D9F3B)):
        key = ((key ^ key >> np.uint64(shift)) * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    key ^= key >> np.uint64(16)
    return np.asarray(key.astype(float) / 0x7FFFFFFF - 1)
