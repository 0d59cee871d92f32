"""Vertex colors of the skin: lips, cheeks, eye sockets, a shaved scalp."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..head import Color, Joint
from ..surface import Array, smooth_step
from .noise import noise

TONES: Mapping[str, Color] = {
    "african": (0.46, 0.31, 0.23),
    "asian": (0.85, 0.68, 0.57),
    "caucasian": (0.86, 0.68, 0.59),
}
"""sRGB of the skin of the three poles of `ethnicity`."""

LIPS = np.array([0.86, 0.58, 0.60])  # times the skin color, to fit any tone
CREASE = np.array([0.80, 0.63, 0.61])
BLOOD = np.array([0.97, 0.88, 0.86])
PALE = np.array([1.01, 1.015, 0.985])
SHADE = np.array([0.91, 0.89, 0.92])
BEARD = np.array([0.86, 0.875, 0.885])
SOCKET = np.array([0.90, 0.83, 0.80])
STUBBLE = np.array([0.13, 0.105, 0.09])
MOUTH = np.array([0.56, 0.25, 0.25])
THROAT = np.array([0.09, 0.03, 0.03])
HAIRS: Mapping[str, Color] = {
    "african": (0.13, 0.11, 0.10),
    "asian": (0.15, 0.122, 0.11),
    "caucasian": (0.43, 0.31, 0.21),
}
GRAY = np.array([0.60, 0.59, 0.58])

# Height of the hairline over depth, in shares of the skull's height and meters from its pivot:
# nape, ear, sideburn, temple, forehead.
_HAIRLINE = np.array([[-0.11, -0.36], [-0.06, -0.30], [-0.02, -0.02], [0.008, 0.04],
                      [0.028, 0.10], [0.036, 0.30], [0.048, 0.47], [0.062, 0.58], [0.074, 0.66],
                      [0.090, 0.75]])  # fmt: skip


def skin_tone(ethnicity: Mapping[str, float]) -> Array:
    """Return the sRGB color of the mixed skin."""
    total = sum(ethnicity.values())
    return np.asarray(sum(np.array(TONES[e]) * w / total for e, w in ethnicity.items()))


def hair_color(ethnicity: Mapping[str, float], age: float) -> Array:
    """Return the sRGB of a person's hair, which turns gray with age."""
    total = sum(ethnicity.values())
    natural = sum(np.array(HAIRS[e]) * w / total for e, w in ethnicity.items())
    lighter = 1 + 0.25 * float(smooth_step(18, 8, np.array(age)))
    gray = 0.85 * float(smooth_step(40, 72, np.array(age)))
    return np.asarray(natural * lighter + gray * (GRAY - natural * lighter))


def brow_color(hair: Array) -> Array:
    """Return the color of brows, which are darker than hair and turn gray later."""
    return np.asarray(0.78 * hair + 0.22 * np.array([0.12, 0.09, 0.07]))


def scalp(points: Array, ears: Array) -> Array:
    """Return (V,) 1 where hair grows on the head, 0 on the face, the ears and the neck."""
    line = points[:, 1].max() * np.interp(points[:, 2], _HAIRLINE[:, 0], _HAIRLINE[:, 1])
    above = smooth_step(-0.004, 0.006, points[:, 1] - line)
    return np.asarray(above * (1 - smooth_step(0.2, 0.6, ears)))


def skin_colors(
    points: Array, masks: Mapping[str, Array], eyes: tuple[Joint, Joint], tone: Array,
    *, marks: Mapping[str, Array], hair: Array, rouge: float, beard: float, roots: Array,
) -> Array:  # fmt: skip
    """Return (V, 3) sRGB of skin vertices.

    `marks` are the (3,) landmarks of the head; `hair` is 1 on the scalp; `rouge` is the contrast
    of the lips to the skin, see `lip_contrast`; `beard` that of a shaved beard; `roots` is
    the sRGB of the scalp under hair.
    """
    color = np.broadcast_to(tone, points.shape).copy()
    nose, chin = marks["nose_tip"], marks["chin"]
    mouth = (marks["mouth_left"], marks["mouth_right"])
    forehead = smooth_step(eyes[0].center[1] + 0.018, eyes[0].center[1] + 0.05, points[:, 1])
    _tint(color, PALE, forehead * (1 - hair))
    for eye in eyes:
        center = np.array(eye.center)
        side = np.sign(center[0])
        cheek = center + np.array([0.010 * side, -0.036, 0.0])
        _tint(color, BLOOD, _near(points, cheek, 0.026) * 0.85)
        _tint(color, SOCKET, _near(points, center + np.array([0, 0, 0.010]), 0.021) * 0.8)
        under = center + np.array([-0.004 * side, -0.014, 0.012])
        _tint(color, SHADE, _near(points, under, 0.009) * 0.6)
        edge = np.abs(np.linalg.norm(points - center, axis=1) / eye.radius - 1.06)
        _tint(color, BLOOD, smooth_step(0.12, 0.02, edge) * masks["eyelids"] * 0.8)
    _tint(color, BLOOD, _near(points, nose, 0.014) * 0.8)
    for name in ("nose_left", "nose_right"):
        _tint(color, BLOOD, _near(points, marks[name], 0.009) * 0.6)
    _tint(color, BLOOD, _near(points, chin, 0.014) * 0.35)
    _tint(color, BLOOD, masks["ears"] * 0.8)
    _mottle(color, points)
    if beard > 0:
        _tint(color, BEARD, beard * _beard(points, masks, marks))
    corners = np.maximum(*(_near(points, corner, 0.0026) for corner in mouth))
    red = np.maximum(smooth_step(0.10, 0.80, masks["lips"]), 0.75 * corners)
    _tint(color, LIPS, rouge * red)
    _tint(color, CREASE, np.maximum(*(_in_crease(points, corner) for corner in mouth)))
    color += hair[:, None] * 0.80 * (roots - color)
    return np.asarray(color.clip(0, 1))


def _mottle(color: Array, points: Array) -> None:
    """Make the tone uneven: patches with more or less blood, and lighter or darker ones."""
    patches = 0.6 * noise(points, 0.021, seed=1) + 0.4 * noise(points, 0.0075, seed=2)
    color *= 1 + patches[:, None] * np.array([0.012, 0.034, 0.040])
    light = 0.5 * noise(points, 0.034, seed=3) + 0.5 * noise(points, 0.0042, seed=4)
    color *= 1 + 0.026 * light[:, None]


def _beard(points: Array, masks: Mapping[str, Array], marks: Mapping[str, Array]) -> Array:
    """Return (V,) 1 where a beard grows: upper lip, chin, jaw, and a little of the throat."""
    corner, chin, nose = marks["mouth_left"], marks["chin"], marks["nose_left"]
    back = points[:, 2] - corner[2]
    line = nose[1] - 0.010 - 0.35 * np.maximum(np.abs(points[:, 0]) - 0.022, 0)
    line = line - 0.10 * np.clip(-back, 0, 0.05) + 0.5 * np.clip(-back - 0.045, 0, 0.03)
    below = smooth_step(0.004, -0.008, points[:, 1] - line)
    above = smooth_step(chin[1] - 0.046, chin[1] - 0.018, points[:, 1])
    front = smooth_step(-0.098, -0.070, back)
    lips = smooth_step(0.05, 0.5, masks["lips"])
    bare = _near(points, (marks["lip_lower"] + chin) / 2 + [0.016, 0.002, 0], 0.007) * 0.5
    bare = bare + _near(points, (marks["lip_lower"] + chin) / 2 + [-0.016, 0.002, 0], 0.007) * 0.5
    uneven = 0.8 + 0.2 * noise(points, 0.006, seed=7)
    return np.asarray(below * above * front * (1 - lips) * (1 - bare) * uneven)


def beard_share(age: float, sex: float) -> float:
    """Return how much a shaved beard shows, 0..1, for years and 0 (female) .. 1 (male)."""
    grown = smooth_step(14, 22, np.array(age))
    return float(grown * smooth_step(0.55, 0.95, np.array(sex)))


def _in_crease(points: Array, corner: Array) -> Array:
    """Return (V,) 1 where the lips meet outside a corner of the red, falling off around it."""
    away = points - corner - [0.0010 * np.sign(corner[0]), 0.0, 0]
    away = away / [0.0028, 0.0016, 0.004]
    return np.asarray(np.exp(-(away**2).sum(1)))


def lip_contrast(age: float, sex: float) -> float:
    """Return how far lips differ from the skin, 0..1, for years and 0 (female) .. 1 (male).

    Lips are reddest in young women; they pale with age and are close to the skin in children.
    """
    grown = float(smooth_step(9, 19, np.array(age)))
    adult = 0.70 - 0.24 * sex
    faded = 1 - 0.40 * float(smooth_step(35, 75, np.array(age)))
    return (0.48 + grown * (adult - 0.48)) * faded


def mouth_colors(points: Array, lips_front: float) -> Array:
    """Return (V, 3) sRGB of the mouth's lining: like lips in front, nearly black in the throat.

    `lips_front` is the z of the lips in meters.
    """
    deep = smooth_step(0.010, 0.055, lips_front - points[:, 2])[:, None] ** 0.8
    return np.asarray(MOUTH + deep * (THROAT - MOUTH))


def _tint(color: Array, factor: Array, share: Array) -> None:
    color *= 1 + share[:, None] * (factor - 1)


def _near(points: Array, center: Array, radius: float) -> Array:
    """Return 1 at a point, falling off as a Gaussian of its radius."""
    return np.asarray(np.exp(-((points - center) ** 2).sum(1) / radius**2))
