"""Unity AnimationClips as text, and the .meta files next to them."""

from __future__ import annotations

from ..format import Format
from ..options import TIMES
from .read import read_anim, read_anims
from .write import SETTINGS, meta_of, write_anim

FORMATS = (
    Format(
        "unity-anim",
        ".anim",
        write_anim,
        read_anim,
        description="Unity AnimationClip as text: blend shapes, joints, events; with its .meta",
        recognizes=lambda head: b"!u!74 " in head or b"AnimationClip:" in head,
        options=TIMES | {"tolerance", "name"},
        settings=SETTINGS,
        read_several=read_anims,
        names_clip=True,
        sidecars={".meta": meta_of},
    ),
)
