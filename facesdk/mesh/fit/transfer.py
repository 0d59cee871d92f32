"""Deformation transfer (Sumner and Popović 2004): the shapes of one head on another neutral.

Every triangle of the target deforms as its corresponding triangle on the source; the surface that
fits best is the solution of one sparse system for all shapes. Lips that touch on the source keep
touching. Components apart from the skin (eyeballs, teeth, tongue) follow those of the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Doubles, Floats
from ...errors import MeshError
from ..head import EYES, Head, Joint
from ..rotation import matrices
from .register import (
    Correspondence,
    Face,
    Triangles,
    Vertices,
    eyeballs,
    fit_sphere,
    nearest,
    pieces,
    register,
    similarity,
)
from .sparse_cholesky import SparseSystem

STILL = 2e-5
"""Meters; vertices that no shape moves further are anchored."""

ANCHOR_WEIGHT, CONTACT_WEIGHT, REGULARIZATION_WEIGHT = 1.0, 30.0, 1e-9
"""Weights of anchored points, touching lips and all points; the surface term has weight 1."""

CONTACT = 0.002
"""Meters between the lips that count as touching."""


def transfer(head: Head, neutral: ArrayLike, name: str = "transferred") -> Head:
    """Transfer the head's shapes to another neutral of the same mesh: another person, a sculpt."""
    points = np.asarray(neutral, np.float64)
    if points.shape != head.neutral.shape or not np.isfinite(points).all():
        raise MeshError(
            f"neutral must be {head.neutral.shape} meters on the mesh of head {head.name!r}, "
            f"got {points.shape}; register heads with other meshes"
        )
    linear, shift = similarity(head.neutral.astype(np.float64), points)
    same = replace(Correspondence.same(points, head.triangles), linear=linear)
    deltas = transfer_shapes(head, Face(points, head.triangles), same)
    return replace(
        head,
        name=name,
        neutral=points.astype(np.float32),
        deltas=deltas.astype(np.float32),
        joints={n: _moved_joint(head, n, points, linear, shift) for n in head.joints},
        rest_transforms=_moved_transforms(head, linear, shift),
        jaw_motion=_moved_motion(head, linear, shift),
    )


def transfer_to(head: Head, other: Head, landmarks: Mapping[str, ArrayLike] | None = None) -> Head:
    """Transfer the head's shapes to a head with another mesh, such as a scan or a template.

    `landmarks` are vertices or positions on the other head by name: `nose_tip`, `mouth_left` and
    the like, as in `head.landmarks`. They are optional if the other head has eyeballs. Raises
    `MeshError` if the heads do not fit.
    """
    target = face_of(other, landmarks)
    matched = register(face_of(head, known_points(head, target)), target)
    return with_transferred_shapes(head, other, target, matched)


def with_transferred_shapes(head: Head, other: Head, target: Face, matched: Correspondence) -> Head:
    """Return another head with the shapes, regions and eyes it gets by its registration."""
    masks = {name: mask[matched.vertices].astype(np.float32) for name, mask in head.masks.items()}
    off_skin = np.ones(len(target.points), bool)
    off_skin[target.skin] = False
    for name in masks:
        if name not in ("head", "neck"):
            masks[name][off_skin != (name in EYES)] = 0
    joints = {n: _moved_joint(head, n, matched.warped, matched.linear, matched.shift)
              for n in head.joints}  # fmt: skip
    for eye, center in zip(EYES, () if target.eyes is None else target.eyes, strict=False):
        if eye in joints and masks.get(eye, off_skin[:0]).any():
            x, y, z = (float(c) for c in center)
            joints[eye] = Joint((x, y, z), joints[eye].radius)
    return replace(
        other,
        names=head.names,
        deltas=transfer_shapes(head, target, matched).astype(np.float32),
        masks={**masks, **other.masks},
        joints={**joints, **other.joints},
        gaze=head.gaze,
        rest_transforms={
            **_moved_transforms(head, matched.linear, matched.shift),
            **other.rest_transforms,
        },
        jaw_motion=_moved_motion(head, matched.linear, matched.shift),
    )


def face_of(head: Head, landmarks: Mapping[str, ArrayLike] | None = None) -> Face:
    """Return a head as a surface to register: its eyes, its jaw and its known points."""
    points = head.neutral.astype(np.float64)
    bare = Face(points, head.triangles)
    known = set(EYES) <= set(head.joints)
    eyes = np.array([head.joints[name].center for name in EYES]) if known else eyeballs(bare)
    opening = jaw_share(head) if "jawOpen" in head.names else None
    return Face(points, head.triangles, eyes=eyes, opening=opening, landmarks=landmarks)


def known_points(head: Head, target: Face) -> dict[str, int]:
    """Return the head's landmarks for the points that are given, not detected, on the target."""
    return {name: head.landmarks[name] for name in target.landmarks or {} if name in head.landmarks}


def _moved_joint(head: Head, name: str, points: Doubles, linear: Doubles, shift: Doubles) -> Joint:
    """Return a joint of the new neutral: at the same place of its eyeball, or of the whole head."""
    joint = head.joints[name]
    center = np.array(joint.center)
    eye = head.masks[name] > 0 if name in EYES and name in head.masks else np.zeros(1, bool)
    own = np.flatnonzero(eye)
    if len(own):
        shift = points[own].mean(0) - linear @ head.neutral[own].mean(0)
    x, y, z = (float(c) for c in linear @ center + shift)
    return Joint((x, y, z), joint.radius * float(np.cbrt(np.linalg.det(linear))))


def _moved_transforms(head: Head, linear: Doubles, shift: Doubles) -> dict[str, Floats]:
    """Return the rest transforms of the new neutral: moved with the head, not scaled."""
    turn = linear / np.cbrt(np.linalg.det(linear))
    frames = {}
    for name, frame in head.rest_transforms.items():
        moved = np.eye(4)
        moved[:3, :3] = turn @ frame[:3, :3]
        moved[:3, 3] = linear @ frame[:3, 3] + shift
        frames[name] = moved.astype(np.float32)
    return frames


def _moved_motion(head: Head, linear: Doubles, shift: Doubles) -> Floats | None:
    """Return the jaw's motion in the space of the new neutral."""
    if head.jaw_motion is None:
        return None
    place = np.eye(4)
    place[:3, :3], place[:3, 3] = linear, shift
    return np.asarray(place @ head.jaw_motion @ np.linalg.inv(place), np.float32)


def transfer_shapes(head: Head, target: Face, matched: Correspondence) -> Doubles:
    """Return (S, V, 3) meters of the head's shapes on a target registered with it."""
    source = Face(head.neutral @ matched.linear.T, head.triangles)
    moves = head.deltas.astype(np.float64) @ matched.linear.T
    result = np.zeros((len(moves), len(target.points), 3))
    result[:, target.skin] = _skin_moves(head, source, moves, target, matched)
    _follow(head, source, moves, target, matched, result)
    return result


# ----------------------------------------------------------------------------------- the skin


def _skin_moves(
    head: Head, source: Face, moves: Doubles, target: Face, matched: Correspondence
) -> Doubles:
    """Return (S, skin, 3) motion of the target's skin."""
    rows = target.skin_triangles
    place = np.full(len(target.points), -1)
    place[target.skin] = np.arange(len(target.skin))
    corners, source_triangles = (
        place[target.triangles[rows]],
        source.triangles[matched.triangles[rows]],
    )
    points, matches = target.points[target.skin], matched.vertices[target.skin]
    gradient, area = _gradients(points, corners)
    still = np.linalg.norm(moves[:, matches], axis=-1).max(0) < STILL
    upper, lower, ends = _contact_pairs(head, points, matches, matched)

    entries = [
        ((gradient[:, i] * gradient[:, j]).sum(1) * area, corners[:, i], corners[:, j])
        for i in range(3)
        for j in range(3)
    ]
    anchors = np.flatnonzero(still)
    entries.append((np.full(len(anchors), ANCHOR_WEIGHT), anchors, anchors))
    for a, b, sign in (
        (upper, upper, 1),
        (lower, lower, 1),
        (upper, lower, -1),
        (lower, upper, -1),
    ):
        entries.append((np.full(len(a), sign * CONTACT_WEIGHT), a, b))
    every = np.arange(len(points))
    entries.append((np.full(len(points), REGULARIZATION_WEIGHT), every, every))
    values, row, column = (np.concatenate(part) for part in zip(*entries, strict=True))
    system = SparseSystem(row, column, values, points=points)

    rhs = np.zeros((len(points), len(moves), 3))
    rest = np.linalg.inv(_edge_matrices(source.points, source_triangles))
    for shape, move in enumerate(moves):
        stretch = (
            _edge_matrices(source.points + move, source_triangles) @ rest - np.eye(3)
        ) * area[:, None, None]
        rhs[:, shape] = _divergence(stretch, gradient, corners, len(points))
        rhs[:, shape] += REGULARIZATION_WEIGHT * move[matches]
        rhs[anchors, shape] += ANCHOR_WEIGHT * move[matches[anchors]]
        apart = CONTACT_WEIGHT * (move[ends[0]] - move[ends[1]])
        np.add.at(rhs[:, shape], upper, apart)
        np.add.at(rhs[:, shape], lower, -apart)
    solved = system.solve(rhs.reshape(len(points), -1))
    return solved.reshape(rhs.shape).swapaxes(0, 1)


def _edge_matrices(points: Doubles, corners: Triangles) -> Doubles:
    """Return (F, 3, 3) two edges and the scaled normal of every triangle, as columns."""
    a, b, c = (points[corners[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.stack([b - a, c - a, normal / np.sqrt(np.maximum(length, 1e-20))], -1)


def _gradients(points: Doubles, corners: Triangles) -> tuple[Doubles, Doubles]:
    """Return (F, 3, 3) gradients of a function by its value at each corner, and (F,) areas."""
    inverse = np.linalg.inv(_edge_matrices(points, corners))
    second, third = inverse[:, 0], inverse[:, 1]
    a, b, c = (points[corners[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return np.stack([-(second + third), second, third], 1), area


def _divergence(stretch: Doubles, gradient: Doubles, corners: Triangles, count: int) -> Doubles:
    """Return (V, 3) the divergence of the target deformation, a right-hand side."""
    pull = np.einsum("fab,fcb->fca", stretch, gradient).reshape(-1, 3)
    flat = corners.reshape(-1)
    return np.stack([np.bincount(flat, pull[:, axis], count) for axis in range(3)], 1)


# ------------------------------------------------------------------------------------ the lips


def _contact_pairs(
    head: Head, points: Doubles, matches: Vertices, matched: Correspondence
) -> tuple[Vertices, Vertices, tuple[Vertices, Vertices]]:
    """Return pairs of target vertices on touching lips, and the source pair that each follows."""
    none = np.zeros(0, np.intp)
    over, under = contacts(head)
    if not len(over):
        return none, none, (none, none)
    partner = np.full(len(head.neutral), -1)
    partner[over] = under
    if np.array_equal(matched.vertices, np.arange(len(head.neutral))):
        place = np.full(len(head.neutral), -1)
        place[matches] = np.arange(len(matches))
        return place[over], place[under], (over, under)
    below = np.flatnonzero(np.isin(matches, under))
    above = np.flatnonzero(partner[matches] >= 0)
    if not len(below) or not len(above):
        return none, none, (none, none)
    facing = below[nearest(points[below], points[above])]
    size = float(np.cbrt(abs(np.linalg.det(matched.linear))))
    close = np.linalg.norm(points[facing] - points[above], axis=1) < 2 * CONTACT * size
    above, facing = above[close], facing[close]
    return above, facing, (matches[above], partner[matches[above]])


def contacts(head: Head) -> tuple[Vertices, Vertices]:
    """Return vertices of the upper lip that touch the lower one at rest, and those they touch."""
    none = np.zeros(0, np.intp)
    if "lips" not in head.masks or "jawOpen" not in head.names:
        return none, none
    opening = jaw_share(head)
    lips = np.intersect1d(np.flatnonzero(head.masks["lips"] > 0.3), _skin(head))
    upper, lower = lips[opening[lips] < 0.3], lips[opening[lips] > 0.4]
    if not len(upper) or not len(lower):
        return none, none
    facing = lower[nearest(head.neutral[lower], head.neutral[upper])]
    close = np.linalg.norm(head.neutral[facing] - head.neutral[upper], axis=1) < CONTACT
    return upper[close], facing[close]


def jaw_share(head: Head) -> Doubles:
    """Return (V,) the share of jawOpen's motion that each vertex follows, 0 to 1."""
    fallen = np.linalg.norm(head.delta("jawOpen").astype(np.float64), axis=1)
    most = np.median(fallen[fallen > 0.5 * fallen.max()])
    return np.asarray(np.clip(fallen / most, 0, 1))


def _skin(head: Head) -> Vertices:
    return Face(head.neutral.astype(np.float64), head.triangles).skin


# -------------------------------------------------------------------------------- floating pieces


def _follow(
    head: Head,
    source: Face,
    moves: Doubles,
    target: Face,
    matched: Correspondence,
    result: Doubles,
) -> None:
    """Move eyeballs, teeth, tongue and lashes of the target like those of the source."""
    labels = pieces(len(target.points), target.triangles)
    parts = pieces(len(source.points), source.triangles)
    used = np.unique(target.triangles)
    skin = set(target.skin.tolist())
    for label in np.unique(labels[used]):
        own = used[labels[used] == label]
        if own[0] in skin:
            continue
        votes = np.bincount(parts[matched.vertices[own]])
        over_skin, votes[parts[source.skin[0]]] = votes[parts[source.skin[0]]], 0
        floats = votes.max() > 0.3 * over_skin  # eyeballs lie near the lids too
        like = np.flatnonzero(parts == votes.argmax()) if floats else source.skin
        if np.array_equal(matched.vertices[own], own):
            result[:, own] = _same_piece(source.points, moves, target.points, own)
        elif np.isin(like[0], source.skin):
            result[:, own] = result[
                :, target.skin[nearest(target.points[target.skin], target.points[own])]
            ]
        else:
            result[:, own] = _affine(matched.warped[like], moves[:, like], target.points[own])
            for shape, turn in _gaze(head, like):
                local = target.points[own] - _center(target.points[own])
                result[shape, own] = local @ (matrices(turn) - np.eye(3)).T


def _gaze(head: Head, piece: Vertices) -> list[tuple[int, Doubles]]:
    """Return the shapes that turn a component as an eyeball, with yaw, pitch and roll."""
    turns = []
    for side, eye in (("Left", "left_eye"), ("Right", "right_eye")):
        if eye in head.masks and (head.masks[eye][piece] > 0).all():
            turns += [
                (head.index(shape), np.array([*angles, 0.0]))
                for shape, angles in head.gaze.items()
                if shape.endswith(side) and shape in head.names
            ]
    return turns


def _same_piece(points: Doubles, moves: Doubles, goal: Doubles, own: Vertices) -> Doubles:
    """Return the moves of a component with the source's vertices, rotated and scaled with it."""
    a, b = points[own] - points[own].mean(0), goal[own] - goal[own].mean(0)
    change = np.linalg.lstsq(a, b - a, rcond=1e-6)[0]  # 0 for a flat piece across its plane
    return np.asarray(moves[:, own] + moves[:, own] @ change)


def _affine(piece: Doubles, moves: Doubles, points: Doubles) -> Doubles:
    """Return (S, n, 3) moves of points by the affine motion that fits a component's."""
    here, there = _center(piece), _center(points)
    flat = np.column_stack([np.ones(len(piece)), piece - here])
    rhs = moves.transpose(1, 0, 2).reshape(len(piece), -1)
    fitted = np.linalg.lstsq(flat, rhs, rcond=1e-6)[0]
    done = np.column_stack([np.ones(len(points)), points - there]) @ fitted
    return np.asarray(done.reshape(len(points), -1, 3).swapaxes(0, 1))


def _center(points: Doubles) -> Doubles:
    """Return the center of the sphere through points, or their mean if they are not on one."""
    center, _, rough = fit_sphere(points)
    return center if rough < 0.05 else np.asarray(points.mean(0))
