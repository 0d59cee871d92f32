"""Calibrate a FLAME model: compute the map from ARKit to the model on the user's machine.

The built-in head is registered with the model, its shapes are transferred to the model's surface,
and each one is fitted by FLAME's parameters: expression coefficients, and jaw and eyes as joints.
Nothing of the model leaves the machine, and none of it comes with facesdk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Doubles
from ...retarget import RigMap
from ...rig import Rig
from ..flame import JAW, LEFT_EYE, RIGHT_EYE, FlameModel
from ..head import EYES, Head, Material, Part
from .register import Face, register
from .solve import within_limits
from .transfer import face_of, known_points, with_transferred_shapes

JAW_SHAPES = {"jawOpen": (0,), "jawLeft": (1, 2), "jawRight": (1, 2)}
"""Shapes that turn the jaw, and the axes about which they may turn it."""

JAW_LIMITS = np.array([(-0.1, 0.7), (-0.3, 0.3), (-0.3, 0.3)])
MAX_SIGMA, MAX_TOTAL_SIGMA = 2.5, 3.0
"""Largest expression coefficient, in standard deviations, of one shape and of all together."""

RIDGE = 2e-3
"""Ridge penalty: mm² per squared standard deviation, which prevents large opposing coefficients."""

TINY = 5e-4
_STEPS, _NUDGE = 6, 1e-2

FLAME_POINTS = {
    "nose_tip": 3564, "nasion": 3560, "mouth_left": 1703, "mouth_right": 2820,
    "stomion_upper": 3531, "stomion_lower": 3504,
}  # fmt: skip
"""Vertices of FLAME's own mesh, as numbered by SAiD (Apache-2.0)."""

SKIN, LIPS = (0.78, 0.58, 0.48), (0.68, 0.40, 0.37)
WHITE, IRIS, PUPIL = (0.90, 0.88, 0.86), (0.36, 0.26, 0.17), (0.03, 0.03, 0.03)

FLAME_SIZE = (5023, 9976)
"""Vertices and triangles of FLAME's own mesh."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """ARKit's shapes on a FLAME model."""

    head: Head
    """The model's neutral with the transferred shapes: to render, or to solve FLAME vertices."""
    weights: Mapping[str, Mapping[str, float]]
    """Shape -> control of the rig `flame` -> value at weight 1."""
    errors: Mapping[str, float]
    """Root mean square distance in mm between each shape and its fit, where either moves."""
    distance: float
    """Mean distance in mm between the registered surfaces."""

    def rig_map(self) -> RigMap:
        """Return the map from ARKit to FLAME, with the pose of head and neck on FLAME's neck."""
        turns = {"pitch": "neck_pose_x", "yaw": "neck_pose_y", "roll": "neck_pose_z"}
        pose = {f"pose.{j}.{a}": {c: 1.0} for j in ("head", "neck") for a, c in turns.items()}
        return RigMap(
            Rig.load("arkit"),
            Rig.load("flame"),
            weights={**self.weights, **pose},
            description=(
                f"Made from the FLAME model {self.head.name!r} by facesdk flame calibrate: shapes "
                "of the built-in head transferred and fitted by expression, jaw and eyes. "
                f"Surfaces {self.distance:.2f} mm apart after registration, shapes fitted to "
                f"{np.mean(list(self.errors.values())):.2f} mm."
            ),
        )


def calibrate(
    model: FlameModel, head: Head, landmarks: Mapping[str, ArrayLike] | None = None
) -> Calibration:
    """Fit ARKit's shapes on a FLAME model, given a head that has them.

    `landmarks` are vertices or positions on the model by name; they replace those that are found.
    Raises `MeshError` if the heads do not fit.
    """
    own, target, distance = _transferred(model, head, landmarks)
    fit = _Fit(model, target.skin, _region(own, target.skin))
    names = Rig.load("arkit").names
    weights, errors = fit.all({name: own.delta(name).astype(np.float64) for name in names})
    for shape, (yaw, pitch) in head.gaze.items():
        eye = "leye" if shape.endswith("Left") else "reye"
        weights[shape] |= {f"{eye}_pose_x": pitch, f"{eye}_pose_y": yaw}
    rounded = {shape: _rounded(row) for shape, row in weights.items()}
    carried = {shape: row for shape, row in rounded.items() if row}
    return Calibration(own, carried, errors, distance * 1000)


def flame_head(
    model: FlameModel, head: Head, landmarks: Mapping[str, ArrayLike] | None = None
) -> Head:
    """Return a FLAME model's neutral with ARKit's shapes and plain colors for skin and eyes."""
    own, target, _ = _transferred(model, head, landmarks)
    return _painted(own, target)


def _transferred(
    model: FlameModel, head: Head, landmarks: Mapping[str, ArrayLike] | None
) -> tuple[Head, Face, float]:
    """Return the model's neutral with all shapes, its face, and the distance of the surfaces."""
    given = dict(landmarks or {})
    if (len(model.template), len(model.triangles)) == FLAME_SIZE:
        given = FLAME_POINTS | given
    target = Face(
        model.template,
        model.triangles,
        eyes=model.joints[[LEFT_EYE, RIGHT_EYE]],
        opening=_opening(model),
        landmarks=given,
    )
    matched = register(face_of(head, known_points(head, target)), target)
    return (
        with_transferred_shapes(head, _neutral_only(model), target, matched),
        target,
        matched.distance,
    )


def _painted(own: Head, target: Face) -> Head:
    """Return the head with plain colors: skin, lips, and eyes with an iris and a pupil."""
    colors = np.tile(np.array(SKIN, np.float32), (len(own.neutral), 1))
    if "lips" in own.masks:
        colors += own.masks["lips"][:, None] * (np.array(LIPS, np.float32) - colors)
    for name in EYES:
        ball = np.flatnonzero(own.masks.get(name, np.zeros(0)))
        ahead = own.neutral[ball] - np.array(own.joints[name].center, np.float32)
        off_axis = np.arccos(np.clip(ahead[:, 2] / np.linalg.norm(ahead, axis=1), -1, 1))
        for color, angle in ((WHITE, np.pi), (IRIS, 0.42), (PUPIL, 0.17)):
            colors[ball[off_axis <= angle]] = color
    floating = ~np.isin(own.triangles[:, 0], target.skin)
    order = np.argsort(floating, kind="stable")
    skin = int((~floating).sum())
    parts = (
        Part("skin", slice(0, skin), Material("skin", SKIN, roughness=0.52, specular=0.45)),
        Part("eyes", slice(skin, len(order)), Material("eyes", WHITE, roughness=0.15)),
    )
    return replace(own, triangles=own.triangles[order], colors=colors, parts=parts)


def _neutral_only(model: FlameModel) -> Head:
    """Return the model's neutral without shapes."""
    neutral = model.template.astype(np.float32)
    return Head(model.name, neutral, model.triangles, (), np.zeros((0, *neutral.shape), np.float32))


def _opening(model: FlameModel) -> Doubles:
    """Return (V,) the share of the jaw's motion that each vertex follows, 0 to 1."""
    pose = np.zeros((5, 3))
    pose[JAW, 0] = 0.3
    fallen = np.linalg.norm(model.vertices(pose=pose)[0] - model.template, axis=1)
    return np.asarray(np.clip(fallen / np.median(fallen[fallen > 0.5 * fallen.max()]), 0, 1))


def _region(head: Head, skin: NDArray[np.intp]) -> Doubles:
    """Return (skin,) weights of vertices: lips and eyelids matter most to viewers."""
    counts = np.ones(len(skin))
    for name, more in (("lips", 3.0), ("eyelids", 2.0)):
        if name in head.masks:
            counts += more * head.masks[name][skin]
    return np.asarray(counts / counts.sum())


def _rounded(row: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in row.items() if abs(value) >= TINY}


class _Fit:
    """Fits shapes on a FLAME model's skin by expression coefficients and jaw rotations."""

    def __init__(self, model: FlameModel, skin: NDArray[np.intp], region: Doubles) -> None:
        self._model, self._skin = model, skin
        self._emphasis = 1000 * np.sqrt(region)[:, None]
        self._neutral = model.template[skin]
        self._ridge = RIDGE * np.eye(model.expressions)

    def all(
        self, shapes: Mapping[str, Doubles]
    ) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """Return weights on the rig `flame` by shape, and the remaining error in mm."""
        names = [n for n in shapes if n not in JAW_SHAPES and n != "mouthClose"]
        moves = np.array([shapes[name][self._skin] for name in names])
        none = np.zeros(self._model.expressions)
        fitted = self._expressed(moves, np.zeros((5, 3)), none)
        weights = {n: self._row(psi) for n, psi in zip(names, fitted, strict=True)}
        for name, axes in JAW_SHAPES.items():
            weights[name] = self._row(*self._with_jaw(shapes[name][self._skin], axes))
        weights["mouthClose"] = self._row(self._closing(weights["jawOpen"], shapes))
        errors = {name: self._error(weights, name, shapes) for name in shapes}
        return {name: weights[name] for name in shapes}, errors

    def _row(self, psi: Doubles, jaw: Doubles | None = None) -> dict[str, float]:
        row = {f"expression_{i:03d}": float(value) for i, value in enumerate(psi)}
        if jaw is not None:
            row |= {f"jaw_pose_{axis}": float(v) for axis, v in zip("xyz", jaw, strict=True)}
        return row

    def _split(self, row: Mapping[str, float]) -> tuple[Doubles, Doubles]:
        """Return the (E,) coefficients and (5, 3) pose of a row of weights."""
        pose = np.zeros((5, 3))
        pose[JAW] = [row.get(f"jaw_pose_{axis}", 0.0) for axis in "xyz"]
        psi = [row.get(f"expression_{i:03d}", 0.0) for i in range(self._model.expressions)]
        return np.array(psi), pose

    def _posed(self, psi: Doubles, pose: Doubles) -> Doubles:
        """Return (T, skin, 3) meters."""
        return self._model.vertices(psi, pose=pose)[:, self._skin].astype(np.float64)

    def _weighed(self, moves: Doubles) -> Doubles:
        """Return (T, 3 skin) mm, weighted so that sums of squares are means over the surface."""
        return np.asarray((moves * self._emphasis).reshape(len(moves), -1))

    def _directions(self, pose: Doubles) -> Doubles:
        """Return (E, 3 skin) the effect of each coefficient on a posed head."""
        each = np.eye(self._model.expressions)
        return self._weighed(self._posed(each, pose) - self._posed(0 * each[:1], pose))

    def _expressed(self, moves: Doubles, pose: Doubles, already: Doubles) -> Doubles:
        """Return (T, E) coefficients that fit moves of a posed head, added to `already`."""
        directions = self._directions(pose)
        products = directions @ directions.T + self._ridge
        low, high = (
            np.maximum(-MAX_SIGMA, -MAX_TOTAL_SIGMA - already),
            np.minimum(MAX_SIGMA, MAX_TOTAL_SIGMA - already),
        )
        return within_limits(products, self._weighed(moves) @ directions.T, low, high)

    def _with_jaw(self, move: Doubles, axes: tuple[int, ...]) -> tuple[Doubles, Doubles]:
        """Return (E,) coefficients and a (3,) jaw rotation, which is fitted first."""
        psi, pose = np.zeros(self._model.expressions), np.zeros((5, 3))
        low, high = JAW_LIMITS[list(axes)].T
        for _ in range(_STEPS):
            now = self._posed(psi, pose)
            nudged = np.repeat(pose[None], len(axes), 0)
            nudged[range(len(axes)), JAW, axes] += _NUDGE
            turning = self._weighed(self._posed(psi, nudged) - now) / _NUDGE
            missing = self._weighed(self._neutral + move - now)
            angles = pose[JAW, axes]
            pose[JAW, axes] += within_limits(
                turning @ turning.T, missing @ turning.T, low - angles, high - angles
            )[0]
        rest = self._neutral + move - self._posed(psi, pose)
        return self._expressed(rest, pose, np.zeros_like(psi))[0], pose[JAW]

    def _closing(self, opened: Mapping[str, float], shapes: Mapping[str, Doubles]) -> Doubles:
        """Return (E,) coefficients of mouthClose, fitted on an open jaw, where it is used."""
        psi, pose = self._split(opened)
        goal = self._neutral + (shapes["jawOpen"] + shapes["mouthClose"])[self._skin]
        return np.asarray(self._expressed(goal - self._posed(psi, pose), pose, psi)[0])

    def _error(
        self,
        weights: Mapping[str, Mapping[str, float]],
        name: str,
        shapes: Mapping[str, Doubles],
    ) -> float:
        goal, (psi, pose) = shapes[name][self._skin], self._split(weights[name])
        if name == "mouthClose":
            goal = goal + shapes["jawOpen"][self._skin]
            more, pose = self._split(weights["jawOpen"])
            psi = psi + more
        missed = self._neutral + goal - self._posed(psi, pose)[0]
        moved = np.linalg.norm(goal, axis=1) > 1e-4
        distance = np.square(missed[moved]).sum(1)
        return float(np.sqrt(distance.mean()) * 1000) if moved.any() else 0.0
