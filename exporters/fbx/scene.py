"""A whole FBX file: its head, the scene, the takes."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ...clip import POSE_ANGLES
from ...errors import ExportError, RigError
from ...source import FrameSource, OffsetSource
from ..driven import Driven, chosen_head
from ..options import WriteOptions, settle
from ..spool import Spool, spooled
from .document import RIG, closing, opening
from .nodes import Node, number, prop, properties, ticks, write_nodes
from .objects import Objects
from .settings import CENTIMETRES, SETTINGS
from .skeleton import POSED, Skeleton, add_skeleton, joint_places
from .stacks import Reread, Take, Track, add_take
from .times import TICKS

if TYPE_CHECKING:
    from ...mesh import Head

_AXES = ("d|Y", "d|X", "d|Z")
"""Of yaw, pitch and roll."""

_DEGREES = float(np.degrees(1.0))
"""In a radian."""


def write_takes(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions
) -> tuple[str, ...]:
    """Several clips as the takes of one scene; returns `events` where there are any."""
    settings = settle(SETTINGS, options.settings)
    head = chosen_head(options, bool(settings["mesh"]))
    _require_names(clips)
    with ExitStack() as stack:

        def spool(source: FrameSource) -> Spool:
            return stack.enter_context(spooled(source, options.tolerance))

        takes = []
        for name, source in clips.items():
            channels = spool(source)
            frames = _driven(source, channels, head)
            takes.append(Take(name, source, channels, spool(frames) if frames else None))
        objects = Objects()
        scale = 100.0 if settings["unit"] == CENTIMETRES else 1.0
        _fill(objects, takes, head, scale, options.tolerance)
        if options.audio is not None:
            _add_audio(objects, str(options.audio), takes[0])
        nodes = [*opening(takes, settings), *objects.nodes(), closing(takes)]
        write_nodes(nodes, file, int(settings["version"]))
    return ("events",) if any(source.info.events for source in clips.values()) else ()


def _require_names(clips: Mapping[str, FrameSource]) -> None:
    """Raise `ExportError` for clips that one file cannot hold."""
    names = [*clips, *(n for source in clips.values() for n in source.info.rig.names)]
    if bad := next((n for n in names if "\0" in n), None):
        raise ExportError(f"FBX cannot hold a name with a zero character, got {bad!r}")
    rates = {str(source.info.fps) for source in clips.values()}
    if len(rates) > 1:
        raise ExportError(
            f"an FBX file has one frame rate, the clips have {', '.join(sorted(rates))}: "
            "resample them first"
        )


def _driven(source: FrameSource, channels: Spool, head: Head | None) -> Driven | None:
    """What a clip does to a head, where its rig moves any."""
    if head is None:
        return None
    try:
        return Driven(Reread(source, channels), head)
    except RigError:  # nothing leads from a rig of the user's own to the head's shapes
        return None


# ---------------------------------------------------------------------- the scene


def _fill(
    objects: Objects,
    takes: Sequence[Take],
    head: Head | None,
    scale: float,
    tolerance: float | None,
) -> None:
    """Add joints, head and takes."""
    skeleton = add_skeleton(objects, joint_places(head, scale), _user_properties(takes, head))
    channels: dict[str, int] = {}
    if head is not None:
        from .surface import add_surface

        channels = add_surface(objects, head, skeleton, scale)
    for take in takes:
        properties = _property_tracks(take, channels, skeleton.keys["root"])
        joints = _joint_tracks(take, head, skeleton, tolerance)
        add_take(objects, take, [*properties, *joints, *_shape_tracks(take, channels)])


def _user_properties(takes: Sequence[Take], head: Head | None) -> list[Node]:
    """Properties of the root for every control that the head has no shape for."""
    shapes = set(head.names) if head is not None else set()
    rests = {c.name: c.rest for take in takes for c in take.source.info.rig.controls}
    numbers = [number(name, rest, "A+U") for name, rest in rests.items() if name not in shapes]
    return [prop(RIG, "KString", "", "U", takes[0].source.info.rig.name), *numbers]


def _property_tracks(take: Take, shapes: Container[str], root: int) -> Iterator[Track]:
    """Controls that the head has no shape for."""
    for i, name in enumerate(take.source.info.rig.names):
        if name not in shapes:
            yield Track(take.spool, i, root, name, name, f"d|{name}")


def _joint_tracks(
    take: Take, head: Head | None, skeleton: Skeleton, tolerance: float | None
) -> Iterator[Track]:
    """The pose, eyes as gaze shapes turn them; of a clip without one, joints that are turned."""
    posed = take.spool.has_pose
    for place, joint in enumerate(POSED):
        gaze = head is not None and bool(head.gaze) and joint.startswith("eye")
        spool = take.spool if posed and not gaze else take.driven or take.spool
        first = len(spool.names) - len(POSE_ANGLES) + 3 * place
        columns = range(first, first + 3) if spool.has_pose else ()
        if not posed and not any(map(spool.moving, columns)):
            continue
        frames = None
        if tolerance is not None:
            from .rotation_keys import turn_frames

            frames = turn_frames(np.stack([spool.column(i) for i in columns], 1), tolerance)
        for i, axis in zip(columns, _AXES, strict=True):
            yield Track(spool, i, skeleton.keys[joint], "Lcl Rotation", "R", axis, _DEGREES, frames)


def _shape_tracks(take: Take, channels: Mapping[str, int]) -> Iterator[Track]:
    """Shapes that controls are called after, or all where none is."""
    if take.driven is None:
        return
    controls = set(take.source.info.rig.names)
    wanted = controls & channels.keys() or channels.keys()
    name = "DeformPercent"
    for i, shape in enumerate(take.driven.names):
        if shape in wanted:
            yield Track(take.driven, i, channels[shape], name, name, f"d|{name}", 100.0)


def _add_audio(objects: Objects, path: str, take: Take) -> None:
    """A reference to the recording, which begins where the clip's sample 0 is."""
    begin = 0
    if isinstance(take.source, OffsetSource):
        begin = round(take.source.samples * TICKS / take.source.info.sample_rate)
    layer = objects.add("AudioLayer", "audio_track1", "AudioLayer")
    audio = objects.add(
        "Audio", path.replace("\\", "/").rpartition("/")[2], "Audio", "Clip",
        children=[properties(prop("Path", "KString", "XRefUrl", "", path),
                             prop("RelPath", "KString", "XRefUrl", "", path),
                             ticks("Offset", begin),
                             ticks("ClipOut", max(take.span[1] - begin, 0)))],
    )  # fmt: skip
    objects.connect(audio, layer)
