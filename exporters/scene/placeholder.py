"""A mesh that carries curves into programs which animate blend shapes of meshes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from ...arrays import Floats
from ...mesh import Head, Joint, Material, Part
from ..options import WriteOptions

NAME = "curves"
"""Of the mesh and its material."""

TRIANGLE: Floats = np.array([[0, 0, 0], [0.001, 0, 0], [0, 0.001, 0]], np.float32)
"""Corners in meters."""


def placeholder(controls: Sequence[str], options: WriteOptions) -> Head:
    """Return a triangle of a millimeter with a shape of every control that moves nothing.

    It has the joints of the head in the options.
    """
    head = options.mesh
    joints = {} if head is None else head.joints
    return _built(tuple(controls), tuple(joints.items()))


@lru_cache(2)
def _built(controls: tuple[str, ...], joints: tuple[tuple[str, Joint], ...]) -> Head:
    known: Mapping[str, Joint] = dict(joints)
    return Head(
        NAME,
        TRIANGLE,
        np.array([[0, 1, 2]], np.int32),
        controls,
        np.zeros((len(controls), 3, 3), np.float32),
        parts=(Part(NAME, slice(0, 1), Material(NAME)),),
        joints=known,
    )
