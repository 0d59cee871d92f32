"""Skinning: how far the vertices of a head follow each joint."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...arrays import Doubles
from ...mesh import Head
from .skeleton import PARENTS


@lru_cache(2)
def skin_weights(head: Head) -> Doubles:
    """Return (V, J) weights that sum to 1 per vertex, joints in the order of `PARENTS`.

    Eyeballs follow their joint rigidly; an eye turns only where the head has its joint and mask.
    """
    free = np.ones(len(head.neutral))
    weights = {}
    for joint in ("left_eye", "right_eye", "head", "neck"):
        eye = joint.endswith("eye")
        if joint not in head.masks or (eye and joint not in head.joints):
            mask = np.full(len(free), float(not eye))
        else:
            mask = np.asarray(head.masks[joint], np.float64)
            mask = (mask > 0).astype(float) if eye else np.clip(mask, 0, 1)
        weights[joint] = free * mask
        free = free - weights[joint]
    weights["root"] = free
    return np.stack([weights[joint] for joint in PARENTS], 1)
