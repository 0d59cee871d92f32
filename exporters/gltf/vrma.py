"""VRM animations (`VRMC_vrm_animation` 1.0): expressions, head, neck and gaze for any avatar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...clip import POSE_ANGLES
from ...rig import Rig
from ...source import FrameSource
from ..options import DEFAULTS, WriteOptions, clip_name, name_style, spelled
from ..spool import Spool, spooled
from .document import Document, new_document

Array = NDArray[Any]

_LOOKS = ("lookUp", "lookDown", "lookLeft", "lookRight")
"""Presets that an animation may not have: it has a gaze instead."""

_EXTENSION = "VRMC_vrm_animation"

_BONES = {
    "hips": (None, (0, 0.95, 0)),
    "spine": ("hips", (0, 0.12, 0)),
    "chest": ("spine", (0, 0.16, 0)),
    "neck": ("chest", (0, 0.24, 0)),
    "head": ("neck", (0, 0.08, 0.01)),
    "leftUpperLeg": ("hips", (0.09, -0.05, 0)),
    "leftLowerLeg": ("leftUpperLeg", (0, -0.42, 0)),
    "leftFoot": ("leftLowerLeg", (0, -0.4, 0)),
    "rightUpperLeg": ("hips", (-0.09, -0.05, 0)),
    "rightLowerLeg": ("rightUpperLeg", (0, -0.42, 0)),
    "rightFoot": ("rightLowerLeg", (0, -0.4, 0)),
    "leftUpperArm": ("chest", (0.17, 0.19, 0)),
    "leftLowerArm": ("leftUpperArm", (0.28, 0, 0)),
    "leftHand": ("leftLowerArm", (0.26, 0, 0)),
    "rightUpperArm": ("chest", (-0.17, 0.19, 0)),
    "rightLowerArm": ("rightUpperArm", (-0.28, 0, 0)),
    "rightHand": ("rightLowerArm", (-0.26, 0, 0)),
}
"""Parent and meters from it of the bones that VRM asks for, and of chest and neck: a T-pose."""

NAMES = name_style("custom expressions")


def write_vrma(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write presets for controls of the `vrm` rig, custom expressions for those of others.

    Returns what the format does not hold: `lookUp` and its like, which it forbids, where they
    move; angles of eyes that do not look the same way, roll among them.
    """
    from .animation import Animation

    with new_document() as document, spooled(source, options.tolerance) as spool:
        bones = _skeleton(document)
        expressions = _expressions(document, source.info.rig)
        gaze = document.add("nodes", {"name": "lookAt"}) if spool.has_pose else None
        if spool.frames:
            animation = Animation(document, source, spool, options.tolerance)
            for control, node in expressions.items():
                animation.shift(node, source.info.rig.index(control))
            animation.rotations((bones["head"], bones["neck"]))
            if gaze is not None:
                animation.rotation(gaze, _gaze)
            animation.finish(clip_name(source, options))
        _describe(document, bones, expressions, gaze, options)
        document.write_binary(file)
        return _dropped(source, spool)


def _skeleton(document: Document) -> dict[str, int]:
    """Add the nodes of the bones, and a scene with them."""
    nodes: dict[str, int] = {}
    for bone, (parent, offset) in _BONES.items():
        entry = {"name": bone, "translation": [float(np.float32(x)) for x in offset]}
        nodes[bone] = document.add("nodes", entry)
        if parent:
            document.json["nodes"][nodes[parent]].setdefault("children", []).append(nodes[bone])
    document.json |= {"scene": document.add("scenes", {"nodes": [nodes["hips"]]})}
    return nodes


def _expressions(document: Document, rig: Rig) -> dict[str, int]:
    """Add a node for every control that becomes an expression."""
    scene = document.json["scenes"][0]["nodes"]
    nodes = {}
    for name in rig.names:
        if name not in _LOOKS:
            nodes[name] = document.add("nodes", {"name": name})
            scene.append(nodes[name])
    return nodes


def _gaze(rows: Array) -> Array:
    """Return (n, 3) gaze: the mean of both eyes, without roll."""
    mean = (rows[:, -6:-3] + rows[:, -3:]) / 2
    mean[:, 2] = 0
    return np.asarray(mean)


def _describe(
    document: Document,
    bones: Mapping[str, int],
    expressions: Mapping[str, int],
    gaze: int | None,
    options: WriteOptions,
) -> None:
    """Add the extension, which gives nodes their meaning."""
    presets = Rig.load("vrm")
    style = NAMES.chosen(options)
    groups: dict[str, dict[str, Any]] = {"preset": {}, "custom": {}}
    for name, node in expressions.items():
        group = "preset" if name in presets else "custom"
        groups[group][name if group == "preset" else spelled(name, style)] = {"node": node}
    extension: dict[str, Any] = {
        "specVersion": "1.0",
        "humanoid": {"humanBones": {name: {"node": node} for name, node in bones.items()}},
        "expressions": {group: entries for group, entries in groups.items() if entries},
    }
    if gaze is not None:
        document.json["scenes"][0]["nodes"].append(gaze)
        extension["lookAt"] = {"node": gaze, "offsetFromHeadBone": [0.0, 0.06, 0.0]}
    document.json["extensionsUsed"] = [_EXTENSION]
    document.json["extensions"] = {_EXTENSION: extension}


def _dropped(source: FrameSource, spool: Spool) -> tuple[str, ...]:
    looks = [n for n in _LOOKS if n in source.info.rig]
    dropped = [
        n for n in looks if spool.moving(i := source.info.rig.index(n), source.info.rig.rest[i])
    ]
    if not spool.has_pose:
        return tuple(dropped)
    apart = np.zeros(3, bool)
    rolls = np.zeros(2, bool)
    for rows in spool.rows():
        left, right = rows[:, -6:-3], rows[:, -3:]
        apart |= (left != right).any(0)
        rolls |= np.array([left[:, 2].any(), right[:, 2].any()])
    silent = [[*apart[:2], rolls[0]], [*apart[:2], rolls[1]]]
    eyes = zip(POSE_ANGLES[-6:], np.ravel(silent), strict=True)
    return (*dropped, *(name for name, gone in eyes if gone))
