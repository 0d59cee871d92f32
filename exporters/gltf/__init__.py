"""glTF 2.0 and VRM animations: heads with morph targets, joints, and clips as animations."""

from __future__ import annotations

from ..format import Format, single_clip_writer
from ..options import TIMES
from .vrma import NAMES, write_vrma
from .write import (
    KEEP,
    MESH,
    SPARSE,
    keeps,
    kept,
    read_gltf,
    read_gltf_clips,
    write_glb_clips,
    write_gltf_clips,
    write_vrm_clips,
)

__all__ = ["FORMATS", "keeps", "kept"]

_OPTIONS = TIMES | {"tolerance", "head", "name"}

FORMATS = (
    Format(
        "glb",
        ".glb",
        single_clip_writer(write_glb_clips),
        read_gltf,
        description="glTF 2.0 in one file: head, shapes, joints, materials, animations",
        options=_OPTIONS,
        settings=(MESH, SPARSE, KEEP),
        keeps_head=True,
        recognizes=lambda head: head.startswith(b"glTF"),
        write_several=write_glb_clips,
        read_several=read_gltf_clips,
    ),
    Format(
        "gltf",
        ".gltf",
        single_clip_writer(write_gltf_clips),
        read_gltf,
        description="glTF 2.0 as text, its numbers inside",
        options=_OPTIONS,
        settings=(MESH, SPARSE, KEEP),
        keeps_head=True,
        write_several=write_gltf_clips,
        read_several=read_gltf_clips,
    ),
    Format(
        "vrm",
        ".vrm",
        single_clip_writer(write_vrm_clips),
        read_gltf,
        description="a VRM avatar, the head, with the animation added",
        options=_OPTIONS,
        requires=frozenset({"head"}),
        keeps_head=True,
        recognizes=lambda head: head.startswith(b"glTF"),
        write_several=write_vrm_clips,
        read_several=read_gltf_clips,
    ),
    Format(
        "vrma",
        ".vrma",
        write_vrma,
        read_gltf,
        rigs=("vrm", "arkit"),
        description="VRM animation: expressions, head, neck and gaze for any avatar",
        recognizes=lambda head: b'"VRMC_vrm_animation"' in head,
        options=TIMES | {"tolerance", "name"},
        settings=(NAMES,),
        names_clip=True,
        read_several=read_gltf_clips,
    ),
)
