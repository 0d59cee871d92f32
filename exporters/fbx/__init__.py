"""Binary FBX: a head with shapes, joints and animations for Unreal, Unity, Maya and Blender."""

from __future__ import annotations

from ..format import Format, single_clip_writer
from ..options import TIMES
from .read import read_fbx, read_stacks
from .scene import write_stacks
from .settings import SETTINGS

FORMATS = (
    Format(
        "fbx",
        ".fbx",
        single_clip_writer(write_stacks),
        read_fbx,
        description="binary FBX: head, blend shapes, joints, animation stacks",
        recognizes=lambda head: head.startswith(b"Kaydara FBX Binary"),
        options=TIMES | {"tolerance", "head", "audio", "name"},
        settings=SETTINGS,
        write_several=write_stacks,
        read_several=read_stacks,
    ),
)
