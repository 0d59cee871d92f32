"""Names of curves in Unreal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...clip import POSE_JOINTS

POSE_CURVES = tuple(
    joint.title().replace("_", "") + axis
    for joint in POSE_JOINTS
    for axis in ("Yaw", "Pitch", "Roll")
)
"""Curves of the joints, in radians and in the order of a pose, called as Live Link calls them."""

_ATTRIBUTE = re.compile(r"-translate([XYZ])$")


def curve_name(control: str) -> str:
    """Return the curve of a control: CTRL_C_jaw-translateX of the board is CTRL_C_jaw.tx."""
    return _ATTRIBUTE.sub(lambda match: f".t{match[1].lower()}", control)


def curve_names(channels: Sequence[str], controls: int) -> dict[int, str]:
    """Return the curve of every channel: controls, then joints without a control."""
    names = {i: curve_name(name) for i, name in enumerate(channels[:controls])}
    own = {name.lower() for name in names.values()}
    joints = enumerate(POSE_CURVES[: len(channels) - controls], controls)
    return names | {i: name for i, name in joints if name.lower() not in own}
