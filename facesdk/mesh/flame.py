"""FLAME, the head model of the research data sets, posed by linear blend skinning.

The model is the user's own copy; none comes with facesdk. A file in its format may have any
topology: it needs five joints, expression directions and skinning weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Doubles, Floats, Indices
from ..clip import Clip
from ..errors import FileFormatError, MeshError, reading
from .files.unpickle import load_arrays

JOINTS = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose")
"""Joints in the model's order, by their usual names."""

GLOBAL, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)
PARENTS = (-1, 0, 1, 1, 1)

IDENTITY = 300
"""Identity directions of a full model; its expression directions follow them."""

EXPRESSIONS = 100

BLOCK = 64
"""Frames posed at once: enough for an efficient matrix product, little memory."""

_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")


def is_flame(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the arrays of a file are a FLAME model rather than only a template."""
    return set(_KEYS) <= set(arrays)


@dataclass(frozen=True, eq=False)
class FlameModel:
    """A neutral head with identity, expression and pose directions and skinning weights.

    Meters, Y up, looking along +Z. Raises `MeshError` if the arrays do not fit each other.
    """

    name: str
    template: Doubles
    """(V, 3) neutral of the identity."""
    triangles: Indices
    """(F, 3)."""
    identity_dirs: Doubles
    """(V, 3, I) meters that each identity coefficient, `betas`, adds."""
    expression_dirs: Doubles
    """(V, 3, E) meters that each expression coefficient adds; E is 100 in a full model."""
    pose_dirs: Doubles
    """(V, 3, 36) meters that each rotation matrix entry of the joints after the first adds."""
    joint_regressor: Doubles
    """(5, V) weights that place the joints as means of vertices."""
    weights: Doubles
    """(V, 5) skinning weights; rows sum to 1."""

    def __post_init__(self) -> None:
        count = len(self.template)
        rules: dict[str, tuple[NDArray[Any], tuple[int, ...]]] = {
            "v_template": (self.template, (count, 3)),
            "f": (self.triangles, (len(self.triangles), 3)),
            "identity directions": (self.identity_dirs, (count, 3, self.identity_dirs.shape[-1])),
            "expression directions": (self.expression_dirs, (count, 3, self.expressions)),
            "posedirs": (self.pose_dirs, (count, 3, 36)),
            "J_regressor": (self.joint_regressor, (5, count)),
            "weights": (self.weights, (count, 5)),
        }
        for what, (array, shape) in rules.items():
            if array.shape != shape:
                raise MeshError(f"{what} of {self.name} must be {shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise MeshError(f"{what} of {self.name} must be finite")
        inside = (self.triangles >= 0) & (self.triangles < count)
        if not count or not inside.all():
            raise MeshError(f"triangles of {self.name} refer to vertices it does not have")

    @classmethod
    def load(cls, path: str | Path) -> FlameModel:
        """Load a model from FLAME's own `.pkl`, or from an `.npz` with the same array names.

        The file is read as data; see `load_arrays`. In a model with fewer than 400 shape directions
        the last ten, or half of them, are taken as expressions.
        """
        with reading(path, FileFormatError):
            return cls.from_arrays(load_arrays(path), path)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], path: str | Path) -> FlameModel:
        """Build a model from the arrays of its file; `path` names it in errors."""
        if missing := [key for key in _KEYS if key not in arrays]:
            raise FileFormatError(f"{path} is not a FLAME model; missing: {', '.join(missing)}")
        for key in _KEYS:
            if arrays[key].dtype.kind not in "fiub":
                raise FileFormatError(f"{path}: {key} must be numbers, got {arrays[key].dtype}")
        _check_joints(arrays["kintree_table"], path)
        template = np.asarray(arrays["v_template"], np.float64)
        shape_dirs = np.asarray(arrays["shapedirs"], np.float64)
        if template.ndim != 2 or not len(arrays["f"].shape) == 2:
            raise FileFormatError(f"{path}: v_template and f must be (V, 3) and (F, 3)")
        if shape_dirs.ndim != 3:
            raise FileFormatError(f"{path}: shapedirs must be (V, 3, S), got {shape_dirs.shape}")
        start, stop = _expressions_of(shape_dirs.shape[-1])
        return cls(
            name=Path(path).stem,
            template=template,
            triangles=np.asarray(arrays["f"], np.int32),
            identity_dirs=shape_dirs[..., :start],
            expression_dirs=shape_dirs[..., start:stop],
            pose_dirs=np.asarray(arrays["posedirs"], np.float64),
            joint_regressor=np.asarray(arrays["J_regressor"], np.float64),
            weights=np.asarray(arrays["weights"], np.float64),
        )

    @property
    def expressions(self) -> int:
        """Number of expression coefficients."""
        return int(self.expression_dirs.shape[-1])

    @cached_property
    def joints(self) -> Doubles:
        """(5, 3) centers of the joints in the neutral."""
        return np.asarray(self.joint_regressor @ self.template)

    def with_identity(self, betas: ArrayLike) -> FlameModel:
        """Return the model of one person, given the first or all identity coefficients."""
        person = np.asarray(betas, np.float64).reshape(-1)
        if len(person) > self.identity_dirs.shape[-1]:
            raise MeshError(
                f"{self.name} has {self.identity_dirs.shape[-1]} identity coefficients, "
                f"got {len(person)}"
            )
        return replace(
            self, template=self.template + self.identity_dirs[..., : len(person)] @ person
        )

    # ------------------------------------------------------------------ posing

    def vertices(
        self,
        expression: ArrayLike | None = None,
        *,
        pose: ArrayLike | None = None,
        translation: ArrayLike | None = None,
    ) -> Floats:
        """Return (T, V, 3) meters for (T, up to E) coefficients and (T, 5, 3) axis-angle rotations.

        An argument that is left out is zero; a single row holds for all frames.
        """
        blocks = list(self.blocks(expression, pose=pose, translation=translation))
        return np.concatenate(blocks)

    def blocks(
        self,
        expression: ArrayLike | None = None,
        *,
        pose: ArrayLike | None = None,
        translation: ArrayLike | None = None,
        size: int = BLOCK,
    ) -> Iterator[Floats]:
        """Yield the `vertices` of a long clip, up to `size` frames at a time."""
        psi = self._rows("expression", expression, (self.expressions,))
        theta = self._rows("pose", pose, (5, 3))
        move = self._rows("translation", translation, (3,))
        frames = {len(rows) for rows in (psi, theta, move)} - {1} or {1}
        if len(frames) > 1:
            raise MeshError(f"expression, pose and translation have {sorted(frames)} frames")
        (count,) = frames
        psi, theta, move = (_repeated(rows, count) for rows in (psi, theta, move))
        for start in range(0, count, size):
            here = slice(start, start + size)
            yield self._block(psi[here], theta[here], move[here])

    def clip_vertices(self, clip: Clip) -> Floats:
        """Return (T, V, 3) meters of a clip on the rig `flame`."""
        expression, pose = self.parameters(clip)
        return self.vertices(expression, pose=pose)

    def parameters(self, clip: Clip) -> tuple[Floats, Floats]:
        """Return the (T, E) expression and (T, 5, 3) pose of a clip on the rig `flame`."""
        if clip.rig.name != "flame":
            raise MeshError(
                f"expected a clip on rig 'flame', got rig {clip.rig.name!r}; convert it first"
            )
        expression = clip.values[:, clip.rig.columns(region="expression")]
        pose = clip.values[:, [clip.rig.index(f"{j}_{axis}") for j in JOINTS for axis in "xyz"]]
        return expression[:, : self.expressions], pose.reshape(-1, 5, 3)

    def _rows(self, name: str, given: ArrayLike | None, shape: tuple[int, ...]) -> Floats:
        if given is None:
            return np.zeros((1, *shape), np.float32)
        rows = np.asarray(given, np.float32)
        rows = rows[None] if rows.ndim == len(shape) else rows
        fits = rows.ndim == len(shape) + 1 and rows.shape[1:-1] == shape[:-1]
        short = name == "expression" and rows.shape[-1] < shape[-1]
        if not fits or not (short or rows.shape[-1] == shape[-1]):
            raise MeshError(f"{name} must be (T, {', '.join(map(str, shape))}), got {rows.shape}")
        if not short:
            return rows
        return np.pad(rows, [(0, 0), (0, shape[-1] - rows.shape[-1])])

    @cached_property
    def _basis(self) -> Floats:
        """(1 + E + 36, 3 V) neutral, expression and pose directions; all x, all y, all z."""
        parts = (self.template[..., None], self.expression_dirs, self.pose_dirs)
        columns = np.concatenate(parts, -1).transpose(2, 1, 0)
        return np.ascontiguousarray(columns.reshape(len(columns), -1), np.float32)

    @cached_property
    def _joint_basis(self) -> Floats:
        """(1 + E, 15) joint positions as a function of the expression."""
        shaped = np.concatenate([self.template[..., None], self.expression_dirs], -1)
        moved = np.einsum("jv,vce->ejc", self.joint_regressor, shaped)
        return np.asarray(moved.reshape(len(moved), -1), np.float32)

    @cached_property
    def _carried(self) -> Floats:
        """(5, V) skinning weights."""
        return np.ascontiguousarray(self.weights.T, np.float32)

    def _block(self, psi: Floats, theta: Floats, move: Floats) -> Floats:
        """Return (T, V, 3): add all offsets in the neutral by one product, then skin."""
        turns = rotations(theta)
        features = (turns[:, 1:] - np.eye(3, dtype=np.float32)).reshape(len(psi), -1)
        ones = np.ones((len(psi), 1), np.float32)
        shaped = np.concatenate([ones, psi, features], 1) @ self._basis
        joints = (np.concatenate([ones, psi], 1) @ self._joint_basis).reshape(-1, 5, 3)
        turn, shift = _chain(turns, joints)
        points = shaped.reshape(len(psi), 3, -1)
        motion = np.concatenate([turn, shift[..., None]], -1).reshape(len(psi), 5, 12)
        carried = (motion.swapaxes(1, 2) @ self._carried).reshape(len(psi), 3, 4, -1)
        posed = carried[:, :, 3] + move[:, :, None]
        for axis in range(3):
            posed += carried[:, :, axis] * points[:, None, axis]
        return np.ascontiguousarray(posed.swapaxes(1, 2))


def rotations(axis_angle: NDArray[Any]) -> Floats:
    """Return (..., 3, 3) rotation matrices of (..., 3) axis-angle vectors."""
    vector = np.asarray(axis_angle, np.float64)
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    half = np.sinc(angle / (2 * np.pi))  # sin(a / 2) / (a / 2), 1 at rest
    turned = np.eye(3) + np.sinc(angle / np.pi) * cross + half**2 / 2 * (cross @ cross)
    return np.asarray(turned, np.float32)


def _chain(turns: Floats, joints: Floats) -> tuple[Floats, Floats]:
    """Return the (T, 5, 3, 3) rotation and (T, 5, 3) shift of every joint with its parents."""
    turn, shift = np.empty_like(turns), np.empty_like(joints)
    for joint, parent in enumerate(PARENTS):
        own, center = turns[:, joint], joints[:, joint]
        stay = center - _apply(own, center)
        if parent < 0:
            turn[:, joint], shift[:, joint] = own, stay
        else:
            turn[:, joint] = turn[:, parent] @ own
            shift[:, joint] = _apply(turn[:, parent], stay) + shift[:, parent]
    return turn, shift


def _apply(turn: Floats, point: Floats) -> Floats:
    return np.asarray((turn @ point[..., None])[..., 0], np.float32)


def _repeated(rows: Floats, count: int) -> Floats:
    return np.broadcast_to(rows, (count, *rows.shape[1:])) if len(rows) == 1 else rows


def _expressions_of(directions: int) -> tuple[int, int]:
    """Return the range of shape directions that are expressions."""
    if directions >= IDENTITY + EXPRESSIONS:
        return IDENTITY, IDENTITY + EXPRESSIONS
    start = min(10, directions // 2)
    return start, min(2 * start, directions) if start == 10 else directions


def _check_joints(table: NDArray[Any], path: str | Path) -> None:
    parents = tuple(int(p) for p in np.asarray(table)[0][1:]) if table.ndim == 2 else ()
    if parents != PARENTS[1:]:
        raise FileFormatError(
            f"{path} has joints with parents {parents}, expected {PARENTS[1:]}; "
            "is it a model of a body or a hand?"
        )
