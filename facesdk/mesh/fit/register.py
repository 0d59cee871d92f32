"""Registration: find corresponding points of two heads with different meshes.

Landmarks that every face has are detected and align the heads; a thin-plate warp and a few rounds
of closest points (ICP) do the rest. The share of the jaw's motion distinguishes the lips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Doubles
from ...errors import MeshError

Triangles = NDArray[np.integer[Any]]
Vertices = NDArray[np.intp]

NORMAL = 0.012
"""Meters that half the difference of opposite normals counts as when points are matched."""

OPENING = 0.010
"""Meters that a difference of 1 in the share of the jaw's motion counts as."""

ROUNDS = 8
REACH = 0.025
"""Meters within which a surface is attracted by the other."""

MAX_LANDMARK_ERROR = 0.02
"""Meters by which a landmark may be off because faces differ; above that it is an outlier."""

MAX_DISTANCE = 0.006
"""Mean distance in meters after registration above which the heads do not fit."""

_BLOCK = 1000


@dataclass(frozen=True, eq=False)
class Face:
    """A surface to register, with known features."""

    points: Doubles
    """(V, 3) meters, Y up, looking along +Z."""
    triangles: Triangles
    eyes: Doubles | None = None
    """(2, 3) centers of the left and the right eyeball."""
    opening: Doubles | None = None
    """(V,) share of the jaw's motion that each vertex follows, 0 to 1."""
    landmarks: Mapping[str, ArrayLike] | None = None
    """Known points by name, as vertices or as positions; they replace detected ones."""

    @cached_property
    def skin(self) -> Vertices:
        """Vertices of the largest connected component, ascending."""
        labels = pieces(len(self.points), self.triangles)
        used = np.unique(self.triangles)
        return np.asarray(used[labels[used] == np.bincount(labels[used]).argmax()], np.intp)

    @cached_property
    def skin_triangles(self) -> Vertices:
        """Rows of `triangles` on the skin."""
        return np.flatnonzero(np.isin(self.triangles[:, 0], self.skin))

    @cached_property
    def normals(self) -> Doubles:
        """(V, 3) outward normals."""
        return vertex_normals(self.points, self.triangles)

    @cached_property
    def marks(self) -> dict[str, Doubles]:
        """Positions of the landmarks that are known or detected."""
        found: dict[str, Doubles] = {}
        if self.eyes is not None:
            found |= {"left_eye": self.eyes[0], "right_eye": self.eyes[1]}
            found |= {name: self.points[i] for name, i in _found_marks(self).items()}
        for name, place in (self.landmarks or {}).items():
            position = np.asarray(place)
            found[name] = self.points[position] if position.ndim == 0 else position.astype(float)
        return found


def eyeballs(face: Face) -> Doubles | None:
    """Return the (2, 3) centers of the left and the right eyeball if two components are spheres."""
    labels = pieces(len(face.points), face.triangles)
    labels[face.skin] = -1
    found: list[tuple[int, Doubles]] = []
    for label in np.unique(labels[np.unique(face.triangles)]):
        own = face.points[labels == label]
        if label >= 0 and len(own) >= 12:
            center, radius, rough = fit_sphere(own)
            if 0.007 < radius < 0.025 and rough < 0.1:
                found.append((len(own), center))
    if len(found) < 2:
        return None
    pair = [center for _, center in sorted(found, key=lambda entry: -entry[0])[:2]]
    return np.array(sorted(pair, key=lambda center: -center[0]))


def fit_sphere(points: Doubles) -> tuple[Doubles, float, float]:
    """Fit a sphere; return its center, its radius, and the relative spread of the distances."""
    mean = points.mean(0)
    local = points - mean
    rows = np.column_stack([2 * local, np.ones(len(local))])
    center = np.linalg.lstsq(rows, np.square(local).sum(1), rcond=None)[0][:3]
    away = np.linalg.norm(local - center, axis=1)
    radius = float(away.mean())
    return np.asarray(mean + center), radius, float(away.std()) / max(radius, 1e-12)


@dataclass(frozen=True, eq=False)
class Correspondence:
    """Source vertex and triangle for every vertex and triangle of a target."""

    vertices: Vertices
    """(Vt,) source vertex of each target vertex."""
    triangles: Vertices
    """(Ft,) source triangle of each target triangle."""
    warped: Doubles
    """(Vs, 3) source points warped onto the target."""
    linear: Doubles
    """(3, 3) rotation and scale from source to target."""
    shift: Doubles
    """(3,) meters added after `linear`."""
    distance: float = 0.0
    """Mean distance in meters between the two surfaces after the warp."""

    @classmethod
    def same(cls, points: ArrayLike, triangles: Triangles) -> Correspondence:
        """Return the identity for a target with the source's mesh and neutral `points`."""
        warped = np.asarray(points, np.float64)
        return cls(
            np.arange(len(warped)), np.arange(len(triangles)), warped, np.eye(3), np.zeros(3)
        )


def register(source: Face, target: Face) -> Correspondence:
    """Register a source with a target; raises `MeshError` if they do not fit."""
    names = sorted(set(source.marks) & set(target.marks))
    if len(names) < 4:
        raise MeshError(
            f"registration needs at least 4 points that both heads have, got {names or 'none'}; "
            "give landmarks"
        )
    here, there = _agreeing(
        np.array([source.marks[name] for name in names]),
        np.array([target.marks[name] for name in names]),
    )
    linear, shift = similarity(here, there)
    points = source.points @ linear.T + shift
    points = points + thin_plate(here @ linear.T + shift, there, points)
    points = _icp(source, target, points)
    distance = _distance(source, target, points)
    if distance > MAX_DISTANCE:
        raise MeshError(
            f"after registration the heads are {distance * 1000:.1f} mm apart, expected less than "
            f"{MAX_DISTANCE * 1000:.0f} mm; both must be in meters, Y up, looking along +Z. "
            "Give landmarks"
        )
    return _matched(source, target, points, linear, shift, distance)


# ----------------------------------------------------------------------------------- landmarks


def _found_marks(face: Face) -> dict[str, int]:
    """Detect points on the midline's profile and the corners of the mouth."""
    assert face.eyes is not None
    eye, eye_distance = face.eyes.mean(0), float(np.linalg.norm(face.eyes[0] - face.eyes[1]))
    x, y, z = ((face.points - eye) / eye_distance).T
    on_skin = np.zeros(len(x), bool)
    on_skin[face.skin] = True
    middle = on_skin & (np.abs(x) < 0.05) & (z > -0.1)
    found: dict[str, int] = {}

    def take(name: str, score: Doubles, among: NDArray[np.bool_]) -> None:
        if among.any():
            found[name] = int(np.where(among, score, -np.inf).argmax())

    take("nose_tip", z, middle & (y < -0.2) & (y > -1.2))
    take("nasion", -z, middle & (np.abs(y - 0.1) < 0.25))
    if face.opening is None or "nose_tip" not in found:
        return found
    nose, still, falls = found["nose_tip"], face.opening < 0.3, face.opening > 0.5
    front = middle & (y < y[nose] - 0.15) & (y > y[nose] - 1.2) & (z > z[nose] - 0.5)
    take("stomion_upper", -y, front & still)
    take("stomion_lower", y, front & falls)
    if not {"stomion_upper", "stomion_lower"} <= set(found):
        return found
    mouth = float(y[[found["stomion_upper"], found["stomion_lower"]]].mean())
    take("lip_upper", z, front & still & (y < mouth + 0.25))
    take("lip_lower", z, front & falls & (y > mouth - 0.25))
    take("chin", z, front & falls & (np.abs(y - mouth + 0.65) < 0.2))
    upper = _parting(face, on_skin & (np.abs(y - mouth) < 0.3) & (z > z[nose] - 0.9), eye_distance)
    take("mouth_left", x, upper)
    take("mouth_right", -x, upper)
    return found


def _parting(face: Face, near: NDArray[np.bool_], eye_distance: float) -> NDArray[np.bool_]:
    """Return vertices of the upper lip that touch the lower one but do not move with it."""
    assert face.opening is not None
    upper = np.flatnonzero(near & (face.opening < 0.35))
    lower = np.flatnonzero(near & (face.opening > 0.35))
    parting = np.zeros(len(near), bool)
    if len(upper) and len(lower):
        closest = lower[nearest(face.points[lower], face.points[upper])]
        close = (
            np.linalg.norm(face.points[closest] - face.points[upper], axis=1) < 0.05 * eye_distance
        )
        parting[upper[close & (face.opening[closest] - face.opening[upper] > 0.25)]] = True
    return parting


# ------------------------------------------------------------------------------------- warping


def similarity(source: Doubles, target: Doubles) -> tuple[Doubles, Doubles]:
    """Return the (3, 3) rotation times scale and (3,) shift that fit points to others best."""
    center, goal = source.mean(0), target.mean(0)
    a, b = source - center, target - goal
    left, sizes, right = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    linear = (left * sign) @ right * (sizes @ sign / np.square(a).sum())
    return np.asarray(linear), np.asarray(goal - linear @ center)


def _agreeing(source: Doubles, target: Doubles) -> tuple[Doubles, Doubles]:
    """Return the points without outliers, removing the worst one first."""
    while len(source) > 5:
        linear, shift = similarity(source, target)
        apart = np.linalg.norm(source @ linear.T + shift - target, axis=1)
        if apart.max() < MAX_LANDMARK_ERROR:
            break
        keep = np.arange(len(source)) != apart.argmax()
        source, target = source[keep], target[keep]
    return source, target


def thin_plate(source: Doubles, target: Doubles, points: Doubles) -> Doubles:
    """Return a (V, 3) smooth displacement of points that moves source points to target points."""
    count = len(source)
    flat = np.column_stack([np.ones(count), source])
    bend = np.linalg.norm(source[:, None] - source, axis=-1)
    soft = 1e-3 * bend.mean() * np.eye(count)  # landmarks are right to some millimeters
    system = np.block([[bend + soft, flat], [flat.T, np.zeros((4, 4))]])
    rhs = np.concatenate([target - source, np.zeros((4, 3))])
    weights = np.linalg.lstsq(system, rhs, rcond=None)[0]
    far = np.linalg.norm(points[:, None] - source, axis=-1)
    return np.asarray(far @ weights[:count] + weights[count] + points @ weights[count + 1 :])


def _icp(source: Face, target: Face, points: Doubles) -> Doubles:
    """Move the source onto the target's surface, neighbors together (iterative closest points)."""
    skin, edges = source.skin, _edges(source.triangles)
    for round_ in range(ROUNDS):
        here = Face(points, source.triangles, opening=source.opening)
        closest = _closest(here, skin, target)
        gap = target.points[closest] - points[skin]
        normal = target.normals[closest]
        agree = (here.normals[skin] * normal).sum(1)
        apart = np.linalg.norm(gap, axis=1)
        pull = np.where((apart < REACH) & (agree > 0.4), 1.0, 0.0)
        toward = (gap * normal).sum(1, keepdims=True) * normal + 0.2 * gap
        moves, trust = np.zeros_like(points), np.zeros(len(points))
        moves[skin], trust[skin] = toward * pull[:, None], pull
        points = points + _smoothed(moves, trust, edges, times=24 // (1 + round_ // 2))
    return points


def _smoothed(moves: Doubles, trust: Doubles, edges: Vertices, *, times: int) -> Doubles:
    """Return displacements averaged over neighbors; vertices without one take their neighbors'."""
    start, end = np.concatenate([edges, edges[:, ::-1]]).T
    total: Doubles = moves
    share: Doubles = trust
    for _ in range(times):
        around = [np.bincount(end, total[start, axis], len(total)) for axis in range(3)]
        total = (total + np.stack(around, 1)) / 2
        share = (share + np.bincount(end, share[start], len(share))) / 2
        scale = np.maximum(share, 1e-9)
        total = total / scale[:, None] * (share > 1e-9)[:, None]
        share = (share > 1e-9).astype(np.float64)
    return total


# ------------------------------------------------------------------------------------ matching


def _matched(
    source: Face,
    target: Face,
    points: Doubles,
    linear: Doubles,
    shift: Doubles,
    distance: float,
) -> Correspondence:
    warped = Face(points, source.triangles, opening=source.opening)
    vertices = nearest(points, target.points)
    skin = source.skin
    own = nearest(_features(warped, skin, target), _features(target, target.skin, source))
    vertices[target.skin] = skin[own]
    rows = source.skin_triangles
    triangles = rows[
        nearest(
            _triangle_features(warped, rows, target),
            _triangle_features(target, np.arange(len(target.triangles)), source),
        )
    ]
    return Correspondence(vertices, triangles, points, linear, shift, distance)


def _closest(face: Face, which: Vertices, other: Face) -> Vertices:
    """Return the vertex of the other face's skin that is closest to each of some vertices."""
    found = nearest(_features(other, other.skin, face), _features(face, which, other))
    return other.skin[found]


def _features(face: Face, which: Vertices, other: Face) -> Doubles:
    """Return features that agree for corresponding points: position, normal, share of the jaw."""
    parts = [face.points[which], NORMAL * face.normals[which]]
    if face.opening is not None and other.opening is not None:
        parts.append(OPENING * face.opening[which, None])
    return np.concatenate(parts, 1)


def _triangle_features(face: Face, rows: Vertices, other: Face) -> Doubles:
    corners = face.triangles[rows]
    position = face.points[corners].mean(1)
    parts = [position, NORMAL * _unit(_crossed(face.points, corners))]
    if face.opening is not None and other.opening is not None:
        parts.append(OPENING * face.opening[corners].mean(1)[:, None])
    return np.concatenate(parts, 1)


def _distance(source: Face, target: Face, points: Doubles) -> float:
    """Return the mean distance from the target's face to the warped source, along normals."""
    warped = Face(points, source.triangles)
    closest = _closest(target, target.skin, warped)
    gap = points[closest] - target.points[target.skin]
    return float(np.abs((gap * warped.normals[closest]).sum(1)).mean())


def nearest(among: ArrayLike, points: ArrayLike) -> Vertices:
    """Return the row of `among` that is nearest to each of `points`."""
    center = np.asarray(among, np.float64).mean(0)
    pool = (np.asarray(among, np.float64) - center).astype(np.float32)
    queries = (np.asarray(points, np.float64) - center).astype(np.float32)
    half = np.square(pool).sum(1) / 2
    found = [
        (half - queries[start : start + _BLOCK] @ pool.T).argmin(1)
        for start in range(0, len(queries), _BLOCK)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.intp)


# ------------------------------------------------------------------------------------ surfaces


def vertex_normals(points: Doubles, triangles: Triangles) -> Doubles:
    """Return (V, 3) outward normals, weighted by triangle area."""
    across = _crossed(points, triangles)
    sums = [
        sum(np.bincount(corner, across[:, axis], len(points)) for corner in triangles.T)
        for axis in range(3)
    ]
    return _unit(np.stack([np.asarray(s, np.float64) for s in sums], 1))


def pieces(count: int, triangles: Triangles) -> Vertices:
    """Return (V,) the number of the connected component of each vertex."""
    label = np.arange(count)
    while True:
        lowest = label[triangles].min(1)
        fresh = label.copy()
        for corner in triangles.T:
            np.minimum.at(fresh, corner, lowest)
        fresh = fresh[fresh]
        if np.array_equal(fresh, label):
            return np.unique(label, return_inverse=True)[1]
        label = fresh


def _crossed(points: Doubles, triangles: Triangles) -> Doubles:
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    return np.asarray(np.cross(b - a, c - a))


def _unit(vectors: Doubles) -> Doubles:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20))


def _edges(triangles: Triangles) -> Vertices:
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.unique(np.sort(pairs, 1), axis=0).astype(np.intp)
