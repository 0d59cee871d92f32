"""Find named points and regions of a face from its geometry and its shapes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..head import Joint
from ..surface import Array, smooth_step


def lip_sides(lips: Array, opening: Array) -> dict[str, Array]:
    """Return masks of the upper and lower lip, which `opening`, the delta of jawOpen, parts."""
    falling = -opening[:, 1] / max(float((-opening[lips > 0.5, 1]).max()), 1e-9)
    lower = (falling > 0.45).astype(float)
    return {"upper_lip": lips * (1 - lower), "lower_lip": lips * lower}


def find_landmarks(
    points: Array, lips: Array, opening: Array, joints: Mapping[str, Joint]
) -> dict[str, int]:
    """Return the vertices of named points on a skin that looks along +Z."""
    sides = lip_sides(lips, opening)
    eye = np.array(joints["left_eye"].center)
    middle = np.abs(points[:, 0]) < 0.0015
    front = points[:, 2] > eye[2] + 0.008
    mouth = float(points[lips > 0.5, 1].mean())
    height = points[:, 1]

    def best(score: Array, allowed: Array) -> int:
        return int(np.where(allowed, score, -np.inf).argmax())

    nose = best(points[:, 2], middle & front & (height > mouth) & (height < eye[1]))
    upper = best(points[:, 2], middle & (sides["upper_lip"] > 0.5))
    lower = best(points[:, 2], middle & (sides["lower_lip"] > 0.5))
    fold = best(-points[:, 2], middle & front & _between(height, mouth - 0.025, mouth - 0.011))
    below = _between(height, points[fold, 1] - 0.04, points[fold, 1] - 0.003)
    above_lip = _between(height, points[upper, 1], points[nose, 1] - 0.004) & (
        points[:, 2] > points[upper, 2] - 0.006
    )
    bridge = _between(height, eye[1] - 0.005, eye[1] + 0.018)
    wings = _between(height, points[nose, 1] - 0.008, points[nose, 1] + 0.003)
    wings &= points[:, 2] > points[nose, 2] - 0.0195
    found = {
        "nose_tip": nose,
        "nasion": best(-points[:, 2], middle & front & bridge),
        "subnasale": best(-points[:, 2], middle & front & above_lip),
        "lip_upper": upper,
        "lip_lower": lower,
        "chin": best(points[:, 2], middle & front & below),
    }
    for side, sign in (("left", 1), ("right", -1)):
        found[f"mouth_{side}"] = best(sign * points[:, 0], lips > 0.5)
        found[f"nose_{side}"] = best(sign * points[:, 0], wings)
    return found


def _between(values: Array, low: float, high: float) -> Array:
    return np.asarray((values > low) & (values < high))


def face_masks(
    points: Array, joints: Mapping[str, Joint], landmarks: Mapping[str, int]
) -> dict[str, Array]:
    """Return soft masks in 0..1 of regions around the landmarks."""
    masks = {name: np.zeros(len(points)) for name in ("brows", "cheeks")}
    for side, sign in (("left", 1), ("right", -1)):
        eye = joints[f"{side}_eye"]
        center = np.array(eye.center)
        for out in (-0.7, 0.0, 0.7, 1.3):
            brow = center + eye.radius * np.array([sign * out, 1.35 - 0.15 * out**2, 0.8])
            masks["brows"] = np.maximum(masks["brows"], _ball(points, brow, 0.014))
        cheek = center + np.array([0.010 * sign, -0.040, 0.0])
        masks["cheeks"] = np.maximum(masks["cheeks"], _ball(points, cheek, 0.032))
    tip, root = points[landmarks["nose_tip"]], points[landmarks["nasion"]]
    masks["nose"] = np.maximum(_ball(points, tip, 0.024), _ball(points, (tip + root) / 2, 0.022))
    masks["jaw"] = _ball(points, points[landmarks["chin"]] - [0, 0.004, 0.01], 0.034)
    return masks


def _ball(points: Array, center: Array, radius: float) -> Array:
    """Return 1 within half a radius of a point, falling to 0 at the radius."""
    return smooth_step(radius, radius / 2, np.linalg.norm(points - center, axis=1))
