"""Binary FBX: a head with shapes, joints and takes for Unreal, Unity, Maya and Blender."""

from __future__ import annotations

from ..format import Format, alone
from ..options import TIMES
from .read import read_fbx, read_takes
from .scene import write_takes
from .settings import SETTINGS

FORMATS = (
    Format(
        "fbx",
        ".fbx",
        alone(write_takes),
        read_fbx,
        description="binary FBX: head, blend shapes, joints, takes",
        recognises=lambda head: head.startswith(b"Kaydara FBX Binary"),
        options=TIMES | {"tolerance", "head", "audio", "name"},
        settings=SETTINGS,
        write_several=write_takes,
        read_several=read_takes,
    ),
)
