"""glTF 2.0: a head with morph targets, joints and materials, and clips as its animations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from ...clip import Clip
from ...errors import ExportError
from ...rig import Rig
from ...source import FrameSource
from ..options import DEFAULTS, Setting, WriteOptions
from ..scene.head_curves import HeadCurves, default_head
from ..spool import spooled
from .document import Document, new_document

if TYPE_CHECKING:
    from .head import Figure

MESH = Setting("mesh", True, "a head with its shapes; no for a triangle that carries the curves")
SPARSE = Setting("sparse", True, "shapes in sparse accessors; no for readers without them")


def write_glb_clips(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write a head in one binary file with an animation for every clip that has frames.

    Returns the controls that move and have no shape on the head. Raises `ExportError` for times
    before zero or too late for glTF's float32, and for a clip that needs another head.
    """
    with new_document() as document:
        dropped = _add_clips(document, clips, options)
        document.write_binary(file)
    return dropped


def write_gltf_clips(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write the same as text with its numbers inside."""
    with new_document() as document:
        dropped = _add_clips(document, clips, options)
        document.write_gltf(file)
    return dropped


def read_gltf(file: BinaryIO, rig: Rig | None = None) -> Clip:
    """Read the first animation of a file that moves morph targets or VRM expressions.

    Its rate is the one that facesdk stored, else the one that its keys lie on, else 60.
    """
    from .read import read_clips

    return read_clips(file, rig)[0]


def read_gltf_clips(file: BinaryIO, rig: Rig | None = None) -> Sequence[Clip]:
    """Read all animations of a file that move morph targets or VRM expressions."""
    from .read import read_clips

    return read_clips(file, rig)


def _add_clips(
    document: Document, clips: Mapping[str, FrameSource], options: WriteOptions
) -> tuple[str, ...]:
    """Add the figure and its animations; returns the dropped controls."""
    from .head import add_head, add_placeholder

    if not MESH.chosen(options):
        figure = add_placeholder(document, _shared_names(clips), options.head)
        for name, source in clips.items():
            _add_animation(document, figure, name, source, options.tolerance)
        return ()
    head = options.head or default_head()
    driven = {name: HeadCurves(source, head) for name, source in clips.items()}
    figure = add_head(document, head, sparse=bool(SPARSE.chosen(options)))
    for name, frames in driven.items():
        _add_animation(document, figure, name, frames, options.tolerance)
    return tuple(dict.fromkeys(name for frames in driven.values() for name in frames.dropped))


def _shared_names(clips: Mapping[str, FrameSource]) -> tuple[str, ...]:
    rigs = {source.info.rig.names: source.info.rig.name for source in clips.values()}
    if len(rigs) > 1:
        raise ExportError(
            f"with mesh=no all clips of a file must be on one rig, got {', '.join(rigs.values())}"
        )
    return next(iter(rigs))


def _add_animation(
    document: Document,
    figure: Figure,
    name: str,
    source: FrameSource,
    tolerance: float | None,
) -> None:
    from .animation import Animation

    with spooled(source) as spool:
        animation = Animation(document, source, spool, tolerance)
        if spool.frames:
            animation.weights(figure.faces, len(source.info.rig))
            animation.rotations(figure.joints)
        animation.finish(name)
