"""Brows and lashes: single hairs that grow out of the skin and move with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..head import Joint, Material
from ..surface import Array, MorphMesh, grid_triangles, normals, outward

HAIR = Material("hair", (0.13, 0.09, 0.07), roughness=0.75, specular=0.3)


@dataclass(frozen=True, eq=False)
class SurfacePoints:
    """Points on a surface: a triangle or quad per point, and weights of its corners."""

    triangles: Array
    """(N, K) corners."""
    shares: Array
    """(N, K) weights of the corners."""

    def __call__(self, values: Array) -> Array:
        """Return (..., N, n) values for (..., V, n) values at the vertices."""
        corners = values[..., self.triangles, :]
        return np.asarray((corners * self.shares[:, :, None]).sum(-2))


def seen_from_front(
    places: Array, points: Array, triangles: Array, *, behind: float = -np.inf
) -> SurfacePoints:
    """Return the points in which lines along Z through (N, 2) x, y meet the frontmost triangles.

    Triangles with z below `behind` are ignored.
    """
    low, high = places.min(0) - 0.004, places.max(0) + 0.004
    corners = points[triangles]
    around = ((corners[..., :2].max(1) > low) & (corners[..., :2].min(1) < high)).all(1)
    around &= corners[..., 2].max(1) > behind
    near, (a, b, c) = triangles[around], corners[around, :, :2].transpose(1, 0, 2)
    area = _cross(b - a, c - a)
    facing = area > 1e-12
    near, a, b, c, area = near[facing], a[facing], b[facing], c[facing], area[facing]
    to = places[:, None]
    shares = np.stack([_cross(b - to, c - to), _cross(c - to, a - to), _cross(a - to, b - to)], -1)
    shares = shares / area[:, None]
    inside = shares.min(-1) > -1e-6
    depth = (shares * points[near][:, :, 2]).sum(-1)
    best = np.where(inside, depth, -np.inf)
    pick = np.where(inside.any(1), best.argmax(1), shares.min(-1).argmax(1))
    rows = np.arange(len(places))
    return SurfacePoints(near[pick], np.clip(shares[rows, pick], 0, 1))


def _cross(u: Array, v: Array) -> Array:
    return np.asarray(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])


# The line of a brow from the eye's center, in radii of the eyeball: inner end, arch, tail.
BROW_LINE = np.array([[-1.08, 0.98], [-0.50, 1.12], [0.20, 1.27], [0.80, 1.28], [1.30, 1.10],
                      [1.66, 0.84]])  # fmt: skip
BROW_WIDTH = np.array([0.30, 0.38, 0.34, 0.27, 0.17, 0.05])
BROW_LEAN = np.radians([72, 46, 24, 8, -16, -30])
"""Angle of the hairs to the outward horizontal: upright at the inner end, along the tail."""


def brow_places(count: int, *, seed: int = 5) -> tuple[Array, Array, Array]:
    """Return a left brow's hair centers in eyeball radii, directions, and 0..1 along the brow."""
    chance = np.random.default_rng(seed)
    t = np.sort(chance.random(count))
    v = chance.triangular(-0.62, 0.0, 0.62, count)
    knots = np.linspace(0, 1, len(BROW_LINE))
    line = np.stack([np.interp(t, knots, BROW_LINE[:, i]) for i in range(2)], -1)
    lean = np.interp(t, knots, BROW_LEAN) - 1.1 * v + chance.normal(0, 0.12, count)
    line[:, 1] += v * np.interp(t, knots, BROW_WIDTH)
    return line, np.stack([np.cos(lean), np.sin(lean)], -1), t


def brow(
    skin: MorphMesh, eye: Joint, *, side: int, count: int, color: Array, fine: bool
) -> MorphMesh:
    """Build one brow; `side` is 1 for the left. Its hairs lie on the skin and move with it."""
    middle, direction, along = brow_places(count)
    reach = np.interp(along, [0, 0.15, 0.7, 1], [0.30, 0.42, 0.42, 0.28])[:, None]
    reach = reach * np.random.default_rng(8).uniform(0.65, 1.1, count)[:, None]
    ends = [middle + direction * reach * share for share in (-0.35, 0.15, 0.65)]
    places = np.concatenate(ends) * [side, 1] * eye.radius + np.array(eye.center)[:2]
    ground = seen_from_front(
        places,
        skin.points,
        skin.triangles[skin.parts[0].triangles],
        behind=eye.center[2] - 1.5 * eye.radius,
    )
    up = ground(normals(skin.points, skin.triangles))
    lift = np.repeat([-0.0003, 0.0007, 0.0006], count)[:, None]
    paths = (ground(skin.points) + up * lift).reshape(3, count, 3)
    moves = ground(skin.deltas).reshape(len(skin.deltas), 3, count, 3)
    shades = np.random.default_rng(9).uniform(0.75, 1.35, count)
    name = "brow_left" if side > 0 else "brow_right"
    thick = 0.000115 if fine else 0.00022
    colors = color * shades[:, None]
    return spikes(paths, moves, [thick, 0.9 * thick], colors, name=name, flat=not fine)


def lashes(
    strip: Array,
    points: Array,
    deltas: Array,
    skin: MorphMesh,
    eye: Joint,
    *,
    blink: int,
    count: int,
    length: float,
    fine: bool,
    color: Array,
    name: str,
) -> MorphMesh:
    """Build the hairs of one lid along a strip of (columns, rows) vertices, root to tip.

    `points` and `deltas` are those of the strip's mesh. Roots stand on the edge of the lid and
    move with the skin; `blink` is the row of the shape in which they also turn with the lid.
    """
    chance = np.random.default_rng(3)
    columns, rows = strip.shape
    share = (np.arange(count) + chance.uniform(0.2, 0.8, count)) / count
    column = (_BARE + (1 - _BARE) * share) * (columns - 1)
    reach = length * chance.uniform(0.7, 1.05, count) * (rows - 2)
    fan = chance.normal(0.0, 0.14, count) + 0.35 * (column / (columns - 1) - 0.4)
    steps = 4 if fine else 3
    shares = np.linspace(0, 1, steps)
    across = np.concatenate([column + fan * s for s in shares]).clip(0, columns - 1)
    down = np.concatenate([1 + reach * s for s in shares]).clip(0, rows - 1)
    ground = _in_grid(strip, across, down)
    paths = ground(points).reshape(steps, count, 3)
    moves = ground(deltas).reshape(len(deltas), steps, count, 3)
    lid = nearest_points(paths[0], skin.points, skin.triangles[skin.parts[0].triangles])
    root = lid(skin.points).astype(float)
    shaft = paths - paths[0]
    moves = moves - moves[:, :1] + lid(skin.deltas)[:, None]
    center = np.array(eye.center)
    before, after = root - center, root + moves[blink, 0] - center
    turn = np.arctan2(after[:, 1], after[:, 2]) - np.arctan2(before[:, 1], before[:, 2])
    turn *= _LASH_TURN
    moves[blink, :, :, 1] = moves[blink, :1, :, 1] + (
        shaft[..., 1] * (np.cos(turn) - 1) + shaft[..., 2] * np.sin(turn)
    )
    moves[blink, :, :, 2] = moves[blink, :1, :, 2] + (
        shaft[..., 2] * (np.cos(turn) - 1) - shaft[..., 1] * np.sin(turn)
    )
    moves[blink, :, :, 0] = moves[blink, :1, :, 0]
    moves[np.abs(moves) < 1e-6] = 0  # rounding, which files do not keep
    radii = np.linspace(0.00015, 0.00009, steps - 1) * (1.0 if fine else 1.4)
    colors = np.tile(color, (count, 1))
    return spikes(root + shaft, moves, radii.tolist(), colors, name=name, flat=not fine)


_BARE = 0.17
"""Share of a lid next to the nose that has no lashes."""

_LASH_TURN = 1.35
"""How far lashes turn in a blink, relative to the lid: they end up pointing down."""


def nearest_points(places: Array, points: Array, triangles: Array) -> SurfacePoints:
    """Return the points of triangles that are nearest to (N, 3) places."""
    low, high = places.min(0) - 0.004, places.max(0) + 0.004
    corners = points[triangles]
    near = triangles[((corners.max(1) > low) & (corners.min(1) < high)).all(1)]
    a, b, c = points[near].astype(float).transpose(1, 0, 2)
    ab, ac, to = b - a, c - a, places[:, None] - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (to * ab).sum(-1), (to * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01**2, 1e-24)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    shares = np.stack([1 - v - w, v, w], -1).clip(0, None)
    shares /= shares.sum(-1, keepdims=True)
    away = ((shares[..., None] * points[near]).sum(2) - places[:, None]) ** 2
    pick = away.sum(-1).argmin(1)
    return SurfacePoints(near[pick], shares[np.arange(len(places)), pick])


def _in_grid(strip: Array, column: Array, row: Array) -> SurfacePoints:
    """Return points between the vertices of a grid, by fractional column and row."""
    i = np.minimum(column.astype(int), strip.shape[0] - 2)
    j = np.minimum(row.astype(int), strip.shape[1] - 2)
    u, v = column - i, row - j
    corners = [strip[i, j], strip[i + 1, j], strip[i, j + 1], strip[i + 1, j + 1]]
    shares = [(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v]
    return SurfacePoints(np.stack(corners, 1), np.stack(shares, 1))


def spikes(
    paths: Array,
    moves: Array,
    radii: Sequence[float],
    colors: Array,
    *,
    name: str,
    flat: bool,
) -> MorphMesh:
    """Build hairs along (K, N, 3) paths, with (S, K, N, 3) deltas of the paths.

    `radii` are meters at all points of a path but the last, where the hair ends in a point. Hairs
    have three sides, or are `flat`, facing forward, with a third of the triangles.
    """
    steps, count = paths.shape[:2]
    along = paths[-1] - paths[0]
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    aside = np.cross(along, [0.0, 0.0, 1.0]) + np.cross(along, [0.0, 1.0, 0.0]) * 1e-3
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    over = np.cross(along, aside)
    turns = (0, np.pi) if flat else (0, 2 * np.pi / 3, 4 * np.pi / 3)
    rings = [
        path + radius * (np.cos(turn) * aside + np.sin(turn) * over)
        for path, radius in zip(paths[:-1], radii, strict=True)
        for turn in turns
    ]
    points = np.concatenate([*rings, paths[-1]])
    sides = len(turns)
    tip, last = sides * (steps - 1), sides * (steps - 2)
    one = grid_triangles(steps - 1, sides, closed=not flat)
    ends = [[last + i, last + (i + 1) % sides, tip] for i in range(sides - flat)]
    one = np.concatenate([one, ends])
    triangles = (one[None] * count + np.arange(count)[:, None, None]).reshape(-1, 3)
    own = [*np.repeat(np.arange(steps - 1), sides), steps - 1]
    if flat:
        a, b, c = points[triangles].transpose(1, 0, 2)
        if np.cross(b - a, c - a)[:, 2].sum() < 0:
            triangles = triangles[:, ::-1]
    else:
        triangles = outward(points, triangles)
    return MorphMesh.of(
        points,
        triangles,
        moves[:, own].reshape(len(moves), -1, 3),
        HAIR,
        name=name,
        colors=np.tile(colors, (len(own), 1)).clip(0, 1),
    )
