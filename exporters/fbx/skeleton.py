"""The joints of a character: root, neck, head and two eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Doubles
from .nodes import Node, number, prop, properties, vector
from .objects import ROOT, Objects

if TYPE_CHECKING:
    from ...mesh import Head


PARENTS = {"root": None, "neck": "root", "head": "neck", "eye_left": "head", "eye_right": "head"}
"""Every joint's parent, parents first."""

POSED = ("head", "neck", "eye_left", "eye_right")
"""Joints in the order of `Pose.angles`."""

YAW_LAST = 4
"""Rotation order of FBX in which roll about Z comes first, then pitch about X, then yaw about Y:
about turned axes that is yaw, pitch, roll, as poses are. The three curves are the three angles."""

_USUAL = {
    "neck": (0.0, -0.1, -0.04),
    "head": (0.0, 0.0, 0.0),
    "eye_left": (0.03, 0.04, 0.07),
    "eye_right": (-0.03, 0.04, 0.07),
}
"""Metres; where joints are in a file without a mesh."""


@dataclass(frozen=True)
class Skeleton:
    """The numbers of the joints in a file, and where they are."""

    keys: Mapping[str, int]
    places: Mapping[str, Doubles]
    """(3,) in the file's unit, at rest."""


def joint_places(head: Head | None, scale: float) -> dict[str, Doubles]:
    """(3,) rest place of every joint in units of which `scale` make a metre."""
    centers = dict(_USUAL)
    if head is not None:
        centers |= {n: j.center for n, j in head.joints.items() if n in centers}
    places = {"root": np.zeros(3)}
    return places | {n: scale * np.array(c, np.float64) for n, c in centers.items()}


def add_skeleton(
    objects: Objects, places: Mapping[str, Doubles], extras: Sequence[Node] = ()
) -> Skeleton:
    """Joints without any rotation at rest; `extras` are further properties of the root."""
    keys: dict[str, int] = {}
    for name, parent in PARENTS.items():
        origin = places[parent] if parent else np.zeros(3)
        entries = [
            prop("RotationOrder", "enum", "", "", YAW_LAST if name in POSED else 0),
            prop("RotationActive", "bool", "", "", 1),
            prop("InheritType", "enum", "", "", 1),
            vector("Lcl Translation", places[name] - origin),
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
