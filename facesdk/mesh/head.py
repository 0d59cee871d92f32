"""Heads that can be animated: a neutral surface with shapes, parts and joints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Floats, Indices
from ..clip import Clip, Pose
from ..errors import MeshError, unknown_name
from ..frozen import Rebuilt, frozen_dict
from ..rig import Rig
from .drive import Binding, Drive
from .rotation import matrices

Color = tuple[float, float, float]
"""Red, green, blue as sRGB in 0..1, as in a color picker."""

BLOCK = 32
"""Frames computed at once: enough for an efficient matrix product, little memory."""

EYES = ("left_eye", "right_eye")


@dataclass(frozen=True)
class Texture:
    """An image on a surface, by the head's `uvs`."""

    data: bytes = field(repr=False)
    """The PNG or JPEG file, as it is in the head's file."""
    color: Color = (1.0, 1.0, 1.0)
    """Linear light by which the image is multiplied."""


@dataclass(frozen=True)
class Material:
    """Appearance of a part of a head."""

    name: str
    color: Color = (0.8, 0.8, 0.8)
    """sRGB of the part; vertex colors of the head replace it."""
    roughness: float = 0.6
    """0 is a mirror, 1 is chalk."""
    specular: float = 0.5
    """Strength of the highlight; 0.5 for everything that is not metal, as in glTF and Unreal."""
    opacity: float = 1.0
    texture: Texture | None = None
    """Image that replaces the color where images can be drawn; else its colors at the vertices."""
    alpha: Literal["opaque", "cut", "blend"] = "opaque"
    """What the alpha of the texture does: nothing, cut holes, or let through what is behind."""
    cutoff: float = 0.5
    """Alpha below which `cut` leaves a hole."""
    both_sides: bool = False
    """Whether the surface is seen from behind too."""


@dataclass(frozen=True)
class Part:
    """A named part of a head's surface, such as the skin, the upper teeth or the left eye."""

    name: str
    triangles: slice
    """Rows of `Head.triangles`."""
    material: Material


@dataclass(frozen=True)
class Joint:
    """Pivot of a part of the head."""

    center: tuple[float, float, float]
    """Meters, in the neutral."""
    radius: float = 0.0
    """Meters, for an eyeball."""


@dataclass(frozen=True, eq=False, repr=False)
class Head(Rebuilt):
    """A neutral face, its shapes and its parts. Immutable; can be compared, copied and pickled.

    Meters, right-handed, Y up, looking along +Z, the character's left at +X. The origin is a point
    inside the head on its plane of symmetry. Raises `MeshError` for arrays that do not fit.
    """

    name: str
    neutral: Floats
    """(V, 3) meters."""
    triangles: Indices
    """(F, 3) vertex indices, counter-clockwise seen from outside, ordered by part."""
    names: tuple[str, ...]
    """Names of the shapes: those of ARKit that the head has, then all others."""
    deltas: Floats
    """(S, V, 3) meters that each shape adds to the neutral at weight 1.

    `mouthClose` follows ARKit: it lifts the lips that `jawOpen` parts and does not move the chin.
    The deltas of gaze shapes include the eyeballs, but `vertices` rotates eyeballs rigidly.
    """
    parts: tuple[Part, ...] = ()
    colors: Floats | None = None
    """(V, 3) sRGB albedo in 0..1."""
    uvs: Floats | None = None
    """(V, 2) texture coordinates, origin at the lower left."""
    joints: Mapping[str, Joint] = field(default_factory=dict)
    """`head`, `neck`, `jaw`, `left_eye`, `right_eye`, as far as they are known."""
    masks: Mapping[str, Floats] = field(default_factory=dict)
    """(V,) weights in 0..1 by region: `lips`, `eyelids`, `brows`, `left_eye`, ... `head` and
    `neck` are the share of these joints' motion that a vertex follows, 1 without a mask."""
    landmarks: Mapping[str, int] = field(default_factory=dict)
    """Vertex indices of named points: `nose_tip`, `chin`, `mouth_left`, ..."""
    gaze: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Yaw and pitch in radians that a shape adds to the eyeball of its side, by shape."""
    rest_transforms: Mapping[str, Floats] = field(default_factory=dict)
    """(4, 4) matrices of `skull` and `jaw` at rest, as far as they are known: axes in the first
    columns, origin in the last. The skull's lies between the eyes, the jaw's on its hinge."""
    bindings: Mapping[str, Mapping[str, Binding]] = field(default_factory=dict)
    """Shapes that controls of a rig move, by rig and control, in addition to the shapes that are
    called as a control: expressions of a VRM avatar (`vrm`), visemes (`oculus`)."""
    jaw_motion: Floats | None = None
    """(S, 4, 4) rigid motion of the lower jaw by each shape at weight 1; None if it is not known.
    `jaw_motion[s] @ rest_transforms["jaw"]` is the jaw's matrix under shape s."""

    def __post_init__(self) -> None:
        count, shapes = len(self.neutral), len(self.names)
        rules = {
            "neutral": (self.neutral, (count, 3)),
            "triangles": (self.triangles, (len(self.triangles), 3)),
            "deltas": (self.deltas, (shapes, count, 3)),
            "colors": (self.colors, (count, 3)),
            "uvs": (self.uvs, (count, 2)),
            "jaw_motion": (self.jaw_motion, (shapes, 4, 4)),
            **{f"mask {n!r}": (mask, (count,)) for n, mask in self.masks.items()},
            **{
                f"rest transform {n!r}": (matrix, (4, 4))
                for n, matrix in self.rest_transforms.items()
            },
        }
        for what, (array, shape) in rules.items():
            if array is None:
                continue
            if array.shape != shape:
                raise MeshError(f"{what} of head {self.name!r} must be {shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise MeshError(f"{what} of head {self.name!r} must be finite")
        if not count or (self.triangles.size and not self.triangles.min() >= 0):
            raise MeshError(
                f"head {self.name!r} has no vertices, or triangles with negative corners"
            )
        if self.triangles.size and self.triangles.max() >= count:
            raise MeshError(
                f"triangles of head {self.name!r} refer to vertex {self.triangles.max()}, "
                f"expected less than {count}"
            )
        if len(set(self.names)) != shapes:
            raise MeshError(f"head {self.name!r} names a shape twice")
        for name in ("joints", "masks", "landmarks", "gaze", "rest_transforms", "bindings"):
            object.__setattr__(self, name, frozen_dict(getattr(self, name)))

    def __repr__(self) -> str:
        return f"<Head {self.name!r}: {len(self.neutral)} vertices, {len(self.names)} shapes>"

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, arrays bit by bit."""
        if self is other:
            return True
        if not isinstance(other, Head):
            return NotImplemented
        return all(_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash((self.name, len(self.neutral), self.names))

    def index(self, shape: str) -> int:
        """Return the row of a shape; raises `UnknownNameError` with the nearest names."""
        try:
            return self.names.index(shape)
        except ValueError:
            raise unknown_name(f"head {self.name!r} has no shape", shape, self.names) from None

    def delta(self, shape: str) -> Floats:
        """Return the (V, 3) meters that one shape adds."""
        delta: Floats = self.deltas[self.index(shape)]
        return delta

    def part(self, name: str) -> Part:
        """Return a part by name; raises `UnknownNameError`."""
        for part in self.parts:
            if part.name == name:
                return part
        raise unknown_name(f"head {self.name!r} has no part", name, [p.name for p in self.parts])

    def part_vertices(self, name: str) -> NDArray[np.intp]:
        """Return the vertices of a part's triangles, in ascending order."""
        return np.unique(self.triangles[self.part(name).triangles])

    # ------------------------------------------------------------------ motion

    def weights(self, animation: Clip | ArrayLike, rig: Rig | None = None) -> Floats:
        """Return (T, S) shape weights for a clip, or (..., S) for (..., C) values on `rig`.

        Without `rig`, values are on ARKit.
        """
        if isinstance(animation, Clip):
            return self.drive(animation.rig).weights(animation.values)
        return self.drive(rig or Rig.load("arkit")).weights(animation)

    def drive(self, rig: Rig) -> Drive:
        """Return how the controls of a rig move this head."""
        if rig not in self._drives:
            self._drives[rig] = Drive(self.names, rig, self.bindings, head=self.name)
        return self._drives[rig]

    @cached_property
    def _drives(self) -> dict[Rig, Drive]:
        return {}

    def vertices(self, weights: ArrayLike, pose: Pose | ArrayLike | None = None) -> Floats:
        """Return (T, V, 3) meters for (T, S) weights in the order of `names`; (V, 3) for one row.

        `pose` holds the angles of a `Pose`, (T, 4, 3) or (4, 3). An eyeball turns by its gaze
        shapes or by its pose, whichever is larger on an axis, since tracked clips often have both.
        """
        rows = np.asarray(weights, np.float32)
        result = np.empty((*rows.shape[:-1], len(self.neutral), 3), np.float32)
        frames = result.reshape(-1, len(self.neutral), 3)
        start = 0
        for block in self.blocks(rows, pose):
            frames[start : start + len(block)] = block
            start += len(block)
        return result

    def blocks(
        self, weights: ArrayLike, pose: Pose | ArrayLike | None = None, *, size: int = BLOCK
    ) -> Iterator[Floats]:
        """Yield the `vertices` of a long clip, up to `size` frames at a time."""
        rows, angles = self._rows(weights), None
        if pose is not None:
            angles = _angles(pose, len(rows))
        for start in range(0, len(rows), size):
            here = slice(start, start + size)
            yield self._block(rows[here], None if angles is None else angles[here])

    def _rows(self, weights: ArrayLike) -> Floats:
        rows = np.asarray(weights, np.float32)
        if rows.ndim not in (1, 2) or rows.shape[-1] != len(self.names):
            raise MeshError(
                f"weights must be (T, {len(self.names)}) for head {self.name!r}, got {rows.shape}"
            )
        return rows[None] if rows.ndim == 1 else rows

    def _block(self, weights: Floats, angles: Floats | None) -> Floats:
        flat = weights @ self.basis
        flat += self.neutral.reshape(-1)
        points = flat.reshape(len(weights), -1, 3)
        for eye, name in enumerate(EYES):
            if name in self.joints and name in self.masks:
                posed = None if angles is None else angles[:, 2 + eye]
                self._turn_eye(points, name, self.gaze_angles(weights, name, posed))
        if angles is not None and angles[:, :2].any():
            self._turn_head(points, angles)
        return points

    @cached_property
    def basis(self) -> Floats:
        """(S, 3 V) deltas without the eyeballs' share of gaze shapes, which becomes a rotation."""
        basis = self.deltas.copy()
        for shape in self.gaze:
            for eye in EYES:
                if eye in self.joints and eye in self.masks and shape in self.names:
                    basis[self.index(shape), self.masks[eye] > 0] = 0
        return basis.reshape(len(self.names), 3 * len(self.neutral))

    def gaze_angles(self, weights: Floats, eye: str, posed: Floats | None = None) -> Floats:
        """Return (T, 3) yaw, pitch, roll of an eyeball for (T, S) weights and its (T, 3) pose."""
        side = "Left" if eye == "left_eye" else "Right"
        angles = np.zeros((len(weights), 3), np.float32)
        for shape, turn in self.gaze.items():
            if shape.endswith(side) and shape in self.names:
                angles[:, :2] += weights[:, self.index(shape), None] * np.array(turn, np.float32)
        if posed is None:
            return angles
        return np.where(np.abs(posed) > np.abs(angles), posed, angles)

    def _turn_eye(self, points: Floats, name: str, angles: Floats) -> None:
        """Turn an eyeball in place about its center, which shapes do not move."""
        if not angles.any():
            return
        own = self._eyeball[name]
        center = np.array(self.joints[name].center, np.float32)
        turned = (points[:, own] - center) @ matrices(angles).swapaxes(-1, -2)
        points[:, own] = turned + center

    @cached_property
    def _eyeball(self) -> dict[str, NDArray[np.intp]]:
        return {name: np.flatnonzero(self.masks[name] > 0) for name in EYES if name in self.masks}

    def _turn_head(self, points: Floats, angles: Floats) -> None:
        """Turn neck, then head, in place, scaled by their masks."""
        turns = matrices(angles[:, :2])
        for i, name in enumerate(("head", "neck")):
            if angles[:, i].any():
                turned = (points - self._pivot(name)) @ turns[:, i].swapaxes(-1, -2)
                turned += self._pivot(name)
                turned -= points
                if name in self.masks:
                    turned *= self.masks[name][:, None]
                points += turned

    def _pivot(self, name: str) -> Floats:
        joint = self.joints.get(name)
        return np.zeros(3, np.float32) if joint is None else np.array(joint.center, np.float32)


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_equal(v, two[k]) for k, v in one.items())
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        return np.array_equal(one, two)
    return bool(one == two)


def _angles(pose: Pose | ArrayLike, frames: int) -> Floats:
    angles = np.asarray(pose.angles if isinstance(pose, Pose) else pose, np.float32)
    angles = angles[None] if angles.ndim == 2 else angles
    if angles.shape != (frames, 4, 3):
        raise MeshError(f"pose must be ({frames}, 4, 3) angles, got {angles.shape}")
    return angles
