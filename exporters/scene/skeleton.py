"""The joints of a character: root, neck, head and two eyes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Doubles

if TYPE_CHECKING:
    from ...mesh import Head

PARENTS = {"root": None, "neck": "root", "head": "neck", "left_eye": "head", "right_eye": "head"}
"""Parent of every joint, parents first."""

_ORIGIN = (0.0, 0.0, 0.0)
USUAL = {
    "neck": (0.0, -0.10087, -0.039175),
    "head": (0.0, 0.0, 0.0),
    "left_eye": (0.028878, 0.038799, 0.073769),
    "right_eye": (-0.028878, 0.038799, 0.073769),
}
"""Meters; joints of the built-in head, for files without a head."""

_ALIASES = {
    "head": {"head"},
    "neck": {"neck"},
    "left_eye": {"eyeleft", "lefteye", "eyel", "leye"},
    "right_eye": {"eyeright", "righteye", "eyer", "reye"},
}
"""Joints of a pose by the names that skeletons give them, in small letters without signs."""


def joint_places(head: Head | None, scale: float = 1.0) -> dict[str, Doubles]:
    """Return (3,) rest positions by joint, in units of which `scale` make a meter.

    A neck or head without a joint turns about the head's origin, as `Head.vertices` turns it; an
    eye without a joint is placed at the head's.
    """
    centers = USUAL
    if head is not None:
        known = {n: j.center for n, j in head.joints.items() if n in USUAL}
        top = known.get("head", _ORIGIN)
        centers = {"neck": _ORIGIN, "head": top, "left_eye": top, "right_eye": top} | known
    places = {"root": _ORIGIN} | centers
    return {name: scale * np.array(places[name], np.float64) for name in PARENTS}


def joint_offsets(places: Mapping[str, Doubles]) -> dict[str, Doubles]:
    """Return (3,) positions by joint, each from its parent's."""
    return {n: places[n] - (places[p] if p else 0) for n, p in PARENTS.items()}


def joint_called(name: str) -> str | None:
    """Return the pose joint that a bone's name ends in: `left_eye` for `FACIAL_L_Eye`."""
    words = re.sub(r"[^a-z]+", " ", name.lower()).split()
    ends = {"".join(words[i:]) for i in range(len(words))}
    return next((joint for joint, known in _ALIASES.items() if ends & known), None)
