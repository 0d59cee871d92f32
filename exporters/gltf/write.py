"""glTF 2.0: a head with morph targets, joints and materials, and clips as its animations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
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
    from .character import Character
    from .head import Figure

KEEP = Setting("keep", True, "keep a .glb, .gltf or .vrm of head as it is and add an animation; "
               "no for a head of its shapes alone")  # fmt: skip
MESH = Setting("mesh", True, "a head with its shapes; no for a triangle that carries the curves")
SPARSE = Setting("sparse", True, "shapes in sparse accessors; no for readers without them")


def write_glb_clips(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write a head in one binary file with an animation for every clip that has frames.

    A head given as the path of a `.glb`, `.gltf` or `.vrm` file is kept as it is, see `character`.

    Returns the controls that move and have no shape on the head. Raises `ExportError` for times
    before zero or too late for glTF's float32, and for a clip that needs another head.
    """
    if (character := kept(options)) is not None:
        return _write_onto(character, clips, file, options, binary=True)
    with new_document() as document:
        dropped = _add_clips(document, clips, options)
        document.write_binary(file)
    return dropped


def write_gltf_clips(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write the same as text with its numbers inside."""
    if (character := kept(options)) is not None:
        return _write_onto(character, clips, file, options, binary=False)
    with new_document() as document:
        dropped = _add_clips(document, clips, options)
        document.write_gltf(file)
    return dropped


def write_vrm_clips(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write a VRM avatar, given as the head, with an animation for every clip that has frames."""
    if (character := kept(options)) is None or not character.is_avatar:
        given = (
            "" if options.head is None else f", got {getattr(options.head, 'name', options.head)}"
        )
        raise ExportError(
            f"a .vrm file is an avatar with an animation; give the avatar as head: a .vrm{given}"
        )
    return _write_onto(character, clips, file, options, binary=True)


def keeps(options: WriteOptions) -> bool:
    """Whether the options ask to keep the file of a character as it is."""
    from .character import KEPT

    if not isinstance(options.head, str | Path):
        return False
    if not (KEEP.chosen(options) and MESH.chosen(options)):
        return False
    return Path(options.head).suffix.lower() in KEPT


def kept(options: WriteOptions) -> Character | None:
    """Return the character that the options ask to keep, or None."""
    from .character import open_character

    if not keeps(options):
        return None
    assert isinstance(options.head, str | Path)
    return open_character(options.head)


def _write_onto(
    character: Character,
    clips: Mapping[str, FrameSource],
    file: BinaryIO,
    options: WriteOptions,
    *,
    binary: bool,
) -> tuple[str, ...]:
    from .character import write_onto

    return write_onto(character, clips, file, options, binary=binary)


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
        figure = add_placeholder(document, _shared_names(clips), options.mesh)
        for name, source in clips.items():
            _add_animation(document, figure, name, source, options.tolerance)
        return ()
    head = options.mesh or default_head()
    driven = {name: HeadCurves(source, head) for name, source in clips.items()}
    figure = add_head(document, head, sparse=bool(SPARSE.chosen(options)))
    for name, frames in driven.items():
        rig = clips[name].info.rig.name
        _add_animation(document, figure, name, frames, options.tolerance, rig)
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
    rig: str = "",
) -> None:
    from .animation import Animation

    with spooled(source) as spool:
        animation = Animation(document, source, spool, tolerance)
        if spool.frames:
            width = len(source.info.rig)
            animation.weights(figure.faces, itemgetter((slice(None), slice(width))))
            animation.rotations(figure.joints)
        animation.finish(name, rig)
