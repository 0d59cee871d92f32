"""Joints of an FBX scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import Doubles
from ...clip import POSE_JOINTS
from ..scene.skeleton import PARENTS, joint_offsets
from .nodes import Node, number, prop, properties, vector
from .objects import ROOT, Objects

YAW_LAST = 4
"""Rotation order of FBX in which roll about Z comes first, then pitch about X, then yaw about Y:
about turned axes that is yaw, pitch, roll, as poses are. The three curves are the three angles."""


@dataclass(frozen=True)
class Skeleton:
    """The keys of the joints in a file, and their positions."""

    keys: Mapping[str, int]
    places: Mapping[str, Doubles]
    """(3,) in the file's unit, at rest."""


def add_skeleton(
    objects: Objects, places: Mapping[str, Doubles], extras: Sequence[Node] = ()
) -> Skeleton:
    """Add joints without rotation at rest; `extras` are further properties of the root."""
    keys: dict[str, int] = {}
    offsets = joint_offsets(places)
    for name, parent in PARENTS.items():
        entries = [
            prop("RotationOrder", "enum", "", "", YAW_LAST if name in POSE_JOINTS else 0),
            prop("RotationActive", "bool", "", "", 1),
            prop("InheritType", "enum", "", "", 1),
            vector("Lcl Translation", offsets[name]),
            vector("Lcl Rotation", np.zeros(3)),
            vector("Lcl Scaling", np.ones(3)),
            *(extras if parent is None else ()),
        ]
        keys[name] = objects.add(
            "Model", name, "Model", "LimbNode",
            children=[Node("Version", 232), properties(*entries), Node("Shading", True),
                      Node("Culling", "CullingOff")],
        )  # fmt: skip
        limb = [properties(number("Size", 1.0, "")), Node("TypeFlags", "Skeleton")]
        shape = objects.add("NodeAttribute", name, "NodeAttribute", "LimbNode", children=limb)
        objects.connect(keys[name], keys[parent] if parent else ROOT)
        objects.connect(shape, keys[name])
    return Skeleton(keys, dict(places))
