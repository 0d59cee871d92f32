"""Hair on the scalp: a cap that follows the skull, and locks that lie over it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..head import Material
from ..surface import Array, MorphMesh, joined, normals, smooth_step
from .noise import noise

STRANDS = Material("strands", (0.20, 0.14, 0.10), roughness=0.58, specular=0.4)
"""Of hair on the scalp, with a name of its own so that engines can give it their hair shader."""


@dataclass(frozen=True)
class Style:
    """A haircut. Lengths in meters, for an adult's head."""

    top: float
    """Length of locks on top."""
    sides: float
    """Length above the ears and at the nape."""
    lift: float
    """Height of a lock's middle over the scalp, as a share of its length."""
    thickness: float
    """Of the cap."""
    wide: float
    """Width of a lock."""
    sideways: float
    """How far the front is combed to the left: 0 is straight forward."""
    tousled: float
    """Radians by which locks differ in direction."""
    locks: tuple[int, int]
    """Number of locks at low detail, where they lie flat, and at high detail; 0 for a cap only."""


STYLES = {
    "short": Style(0.036, 0.015, 0.16, 0.0050, 0.0034, 1.5, 0.20, (90, 3400)),
    "crop": Style(0.0085, 0.0065, 0.20, 0.0028, 0.0020, 0.30, 0.60, (0, 6000)),
}
"""Haircuts by name; `none` is a shaved head."""


def hair(
    skin: MorphMesh,
    mean: Array,
    scalp: Array,
    coarse: int,
    style: Style,
    *,
    color: Array,
    fine: bool,
    size: float,
) -> MorphMesh:
    """Build hair as one part, `hair`.

    `mean` (V, 3) is the mean person's skin and `scalp` (V,) 1 where its hair grows, so that the
    same haircut has the same triangles on everybody. `color` is sRGB, `size` the height of the
    skull relative to an adult's. The first `coarse` vertices are enough to place locks on.
    """
    ground = _Scalp.of(skin, mean, scalp)
    places = ground.vertices < coarse
    cap_points, cap_triangles, cap_colors = _cap(ground, style, color, size=size)
    cap_moves = skin.deltas[:, ground.vertices]
    cap = MorphMesh.of(
        cap_points, cap_triangles, cap_moves, STRANDS, name="hair", colors=cap_colors.clip(0, 1)
    )
    if not (count := style.locks[fine]):
        return cap
    points, triangles, colors, near = _locks(
        ground, places, style, color, count=count, size=size, fine=fine
    )
    deltas = np.zeros((len(skin.deltas), *points.shape), np.float32)
    used = np.flatnonzero(np.abs(cap_moves).max((1, 2)) > 0)
    deltas[used] = cap_moves[used][:, near]
    locks = MorphMesh.of(points, triangles, deltas, STRANDS, name="hair", colors=colors.clip(0, 1))
    both = joined([cap, locks])
    whole = replace(both.parts[0], triangles=slice(0, len(both.triangles)))
    return replace(both, parts=(whole,))


def hidden(skin: MorphMesh, mean: Array, scalp: Array) -> Array:
    """Return (V,) 1 for vertices of the skin that lie under the cap, well inside its border."""
    ground = _Scalp.of(skin, mean, scalp)
    mask = np.zeros(len(skin.points), np.float32)
    mask[ground.vertices[_covered(ground) > 0.7]] = 1
    return mask


def _covered(ground: _Scalp) -> Array:
    """Return (N,) how far the cap has risen over the scalp, 0..1."""
    return smooth_step(0.30, 1.0, ground.share) * ground.inner


@dataclass(frozen=True, eq=False)
class _Scalp:
    """The part of the skin on which hair grows."""

    vertices: Array
    """(N,) vertices of the skin."""
    points: Array
    mean: Array
    """(N, 3) meters; of this person and of the mean one."""
    up: Array
    """(N, 3) unit normals."""
    share: Array
    """(N,) 1 where hair grows, less at its borders."""
    inner: Array
    """(N,) the same, falling off over a wider border."""
    triangles: Array

    @classmethod
    def of(cls, skin: MorphMesh, mean: Array, scalp: Array) -> _Scalp:
        rows = skin.triangles[skin.parts[0].triangles]
        rows = rows[(scalp[rows] > 0.02).any(1)]
        vertices, triangles = np.unique(rows, return_inverse=True)
        up = normals(skin.points.astype(float), skin.triangles)
        triangles = triangles.reshape(-1, 3)
        inner = scalp[vertices].copy()
        for _ in range(3):  # lower near the hairline
            total = np.bincount(triangles.ravel(), np.repeat(inner[triangles].min(1), 3))
            inner = total / np.bincount(triangles.ravel())
        return cls(
            vertices,
            skin.points[vertices].astype(float),
            mean[vertices],
            up[vertices].astype(float),
            scalp[vertices],
            inner,
            triangles,
        )

    def placed(self, places: Array, height: Array, on: Array) -> tuple[Array, Array, Array]:
        """Return places moved to a height over the scalp, the way up, and the nearest point.

        `on` (N,) selects the points of the scalp to measure from.
        """
        rows_of = np.flatnonzero(on)
        base, up = self.points[rows_of], self.up[rows_of]
        away = (base**2).sum(1) - 2 * places @ base.T + (places**2).sum(1)[:, None]
        away = away.astype(np.float32)
        near = np.argpartition(away, 3, axis=1)[:, :3]
        weight = 1 / (np.take_along_axis(away, near, 1) + 4e-6)
        weight /= weight.sum(1, keepdims=True)
        outward = (up[near] * weight[..., None]).sum(1)
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        over = ((places - (base[near] * weight[..., None]).sum(1)) * outward).sum(1)
        moved = places + outward * (height - over)[:, None]
        return moved, outward, rows_of[near[:, 0]]


def _cap(ground: _Scalp, style: Style, color: Array, *, size: float) -> tuple[Array, Array, Array]:
    """Return points, triangles and colors of the cap; its border lies under the skin."""
    inside = _covered(ground)
    crown = ground.points[ground.points[:, 1].argmax()]
    flow = _flow(ground.points, ground.up, _whorl(crown, size), crown, style, size)
    along = (ground.points * flow).sum(1, keepdims=True)
    streaked = ground.points - 0.8 * flow * along
    streaks = 0.65 * noise(streaked, 0.0075, seed=21) + 0.35 * noise(streaked, 0.0036, seed=22)
    height = style.thickness * size * (1 + 0.2 * streaks)
    height = -0.0012 + (height + 0.0012) * inside
    points = ground.points + ground.up * height[:, None]
    return points, ground.triangles, color * (0.80 * (1 + 0.40 * streaks))[:, None]


def _whorl(crown: Array, size: float) -> Array:
    """Return the place from which hair lies in all directions."""
    return np.asarray(crown + np.array([0.008, -0.012, -0.060]) * size)


def _locks(
    ground: _Scalp,
    on: Array,
    style: Style,
    color: Array,
    *,
    count: int,
    size: float,
    fine: bool,
) -> tuple[Array, Array, Array, Array]:
    """Return points, triangles and colors of the locks, and the scalp's point they go with."""
    chance = np.random.default_rng(31)
    roots, share = _roots(ground, count, chance)
    crown = ground.points[ground.points[:, 1].argmax()]
    whorl = _whorl(crown, size)
    top = _top(roots, crown, size)
    length = (style.sides + (style.top - style.sides) * top) * size
    length *= chance.uniform(0.72, 1.12, count) * (0.40 + 0.60 * share)
    temple = smooth_step(0.055, 0.070, np.abs(roots[:, 0]) / size) * (roots[:, 2] > -0.03 * size)
    length *= 1 - 0.45 * temple * (1 - top)  # not over the ears
    width = style.wide * size * chance.uniform(0.7, 1.15, count) * (0.6 + 0.4 * share)
    width *= 1.0 if fine else 2.6
    length *= 1.0 if fine else 1.35
    lift = style.lift if fine else 0.1 * style.lift
    stations = 5 if fine else 4
    places, up, near = ground.placed(roots, np.zeros(count), on)
    swing = chance.normal(0, style.tousled, count)
    path, ups = [], []
    base = style.thickness * (0.15 + 0.85 * share**2) * size
    for k in range(stations):
        along = k / (stations - 1)
        arch = lift * length * np.sin(np.pi * min(along * 0.62 + 0.06, 1.0)) * share
        rise = base * (0.4 + 0.8 * along) if fine else base * (0.92 + 0.45 * min(2 * along, 1.0))
        places, up, _ = ground.placed(places, rise + arch, on)
        path.append(places)
        ups.append(up)
        flow = _flow(places, up, whorl, crown, style, size)
        side = np.cross(up, flow)
        turn = (swing * (0.5 + along))[:, None]
        places = (
            places
            + (np.cos(turn) * flow + np.sin(turn) * side) * (length / (stations - 1))[:, None]
        )
    shade = color * chance.uniform(0.72, 1.28, count)[:, None]
    shade = shade * (
        1 + (0.05 if fine else 0.015) * chance.normal(0, 1, (count, 3)) * [1.0, 0.6, 0.4]
    )
    points, triangles, colors = _ribbons(
        np.stack(path), np.stack(ups), width, shade, roof=0.55 if fine else 0.12
    )
    return points, triangles, colors, np.tile(near, len(points) // count)


def _roots(ground: _Scalp, count: int, chance: np.random.Generator) -> tuple[Array, Array]:
    """Return (count, 3) places spread evenly over the scalp, and how dense hair is there."""
    some = ground.share[ground.triangles].min(1) > 0.35
    some &= (ground.inner[ground.triangles].min(1) > 0.4) | (
        ground.mean[ground.triangles, 2].min(1) > 0.035
    )  # none right above the ears
    triangles = ground.triangles[some]
    a, b, c = ground.mean[triangles].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    edges = np.cumsum(area) / area.sum()
    pick = np.searchsorted(edges, (np.arange(count) + chance.random(count)) / count)
    pick = pick.clip(max=len(triangles) - 1)
    u, v = chance.random(count), chance.random(count)
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], 1)
    corners = triangles[pick]
    places = (ground.points[corners] * weights[..., None]).sum(1)
    return places, (ground.share[corners] * weights).sum(1)


def _top(places: Array, crown: Array, size: float) -> Array:
    """Return (N,) 1 on top of the head, 0 at the sides and the nape."""
    return smooth_step(-0.075 * size, -0.025 * size, places[:, 1] - crown[1])


def _flow(places: Array, up: Array, whorl: Array, crown: Array, style: Style, size: float) -> Array:
    """Return (N, 3) unit directions along the scalp in which hair lies."""
    out = places - whorl
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    top = _top(places, crown, size)[:, None]
    front = smooth_step(0.0, 0.07 * size, places[:, 2] - whorl[2] - 0.05 * size)[:, None]
    down = np.stack([0 * places[:, 0], -np.ones(len(places)), -0.30 * (places[:, 2] > -0.02)], 1)
    combed = out + front * style.sideways * np.array([1.0, 0.1, -0.25])
    want = top * combed + (1 - top) * (down + 0.25 * out)
    want -= (want * up).sum(1, keepdims=True) * up
    return np.asarray(want / np.maximum(np.linalg.norm(want, axis=1, keepdims=True), 1e-9))


def _ribbons(
    path: Array, up: Array, width: Array, shade: Array, *, roof: float
) -> tuple[Array, Array, Array]:
    """Return tapered locks along (K, N, 3) paths.

    In cross-section they are roofs, `roof` half widths high.
    """
    stations, count = path.shape[:2]
    ahead = np.gradient(path, axis=0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=2, keepdims=True), 1e-9)
    side = np.cross(up, ahead)
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-9)
    taper = np.interp(np.linspace(0, 1, stations), [0, 0.25, 0.6, 1], [0.75, 1.0, 0.85, 0.0])
    points, colors = [], []
    for k in range(stations - 1):
        half = (width * taper[k] / 2)[:, None]
        ridge = up[k] * half * roof
        points += [path[k] - side[k] * half, path[k] + ridge, path[k] + side[k] * half]
        light = 0.70 + 0.30 * k / (stations - 1)
        colors += [shade * light * 0.82, shade * light * 1.12, shade * light * 0.86]
    points.append(path[-1])
    colors.append(shade * 1.05)
    one = []
    for k in range(stations - 2):
        for j in range(2):
            a, b = 3 * k + j, 3 * k + j + 1
            one += [[a, b, a + 3], [b, b + 3, a + 3]]
    last = 3 * (stations - 2)
    one += [[last, last + 1, last + 3], [last + 1, last + 2, last + 3]]
    triangles = np.array(one)[None] * count + np.arange(count)[:, None, None]
    return np.concatenate(points), triangles.reshape(-1, 3)[:, ::-1], np.concatenate(colors)
