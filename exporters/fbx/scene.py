"""A whole FBX file: its head, the scene, one animation stack per clip."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ...clip import POSE_ANGLES, POSE_JOINTS
from ...errors import ExportError
from ...source import FrameSource, OffsetSource
from ..options import WriteOptions, with_defaults
from ..scene.head_curves import chosen_head, head_curves
from ..scene.placeholder import placeholder
from ..scene.skeleton import joint_places
from ..spool import Spool, spooled
from .document import RIG, closing, opening
from .nodes import Node, number, prop, properties, ticks, write_nodes
from .objects import Objects
from .settings import CENTIMETERS, SETTINGS
from .skeleton import Skeleton, add_skeleton
from .stacks import SpooledSource, Stack, Track, add_stack
from .times import TICKS

if TYPE_CHECKING:
    from ...mesh import Head

_AXES = ("d|Y", "d|X", "d|Z")
"""Of yaw, pitch and roll."""

_DEGREES = float(np.degrees(1.0))
"""In a radian."""


def write_stacks(
    clips: Mapping[str, FrameSource], file: BinaryIO, options: WriteOptions
) -> tuple[str, ...]:
    """Write clips as the animation stacks of one scene; returns `events` where there are any."""
    settings = with_defaults(SETTINGS, options.settings)
    head = chosen_head(options, bool(settings["mesh"]))
    _require_names(clips)
    with ExitStack() as opened:

        def spool(source: FrameSource) -> Spool:
            return opened.enter_context(spooled(source, options.tolerance))

        stacks = []
        for name, source in clips.items():
            channels = spool(source)
            frames = head_curves(SpooledSource(source, channels), head)
            stacks.append(Stack(name, source, channels, spool(frames) if frames else None))
        objects = Objects()
        scale = 100.0 if settings["unit"] == CENTIMETERS else 1.0
        _fill(objects, stacks, head, scale, options)
        if options.audio is not None:
            _add_audio(objects, options.audio_path, stacks[0])
        nodes = [*opening(stacks, settings), *objects.nodes(), closing(stacks)]
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


# ---------------------------------------------------------------------- the scene


def _fill(
    objects: Objects,
    stacks: Sequence[Stack],
    head: Head | None,
    scale: float,
    options: WriteOptions,
) -> None:
    """Add joints, head and stacks."""
    from .surface import add_surface

    places = joint_places(head or options.mesh, scale)
    skeleton = add_skeleton(objects, places, _user_properties(stacks, head))
    if head is not None:
        channels = add_surface(objects, head, skeleton, scale)
    else:
        triangle = placeholder(list(_controls(stacks)), options)
        channels = add_surface(objects, triangle, skeleton, scale, name=triangle.name)
    for stack in stacks:
        properties = _property_tracks(stack, channels if head else {}, skeleton.keys["root"])
        joints = _joint_tracks(stack, head, skeleton, options.tolerance)
        add_stack(objects, stack, [*properties, *joints, *_shape_tracks(stack, channels)])


def _controls(stacks: Sequence[Stack]) -> dict[str, float]:
    """Return the controls of all stacks, and their values at rest."""
    return {c.name: c.rest for stack in stacks for c in stack.source.info.rig.controls}


def _user_properties(stacks: Sequence[Stack], head: Head | None) -> list[Node]:
    """Return a property of the root for every control that has no shape on the head."""
    shapes = set(head.names) if head is not None else set()
    rests = _controls(stacks).items()
    numbers = [number(name, rest, "A+U") for name, rest in rests if name not in shapes]
    return [prop(RIG, "KString", "", "U", stacks[0].source.info.rig.name), *numbers]


def _property_tracks(stack: Stack, shapes: Container[str], root: int) -> Iterator[Track]:
    """Yield tracks of the controls that have no shape on the head."""
    for i, name in enumerate(stack.source.info.rig.names):
        if name not in shapes:
            yield Track(stack.spool, i, root, name, name, f"d|{name}")


def _joint_tracks(
    stack: Stack, head: Head | None, skeleton: Skeleton, tolerance: float | None
) -> Iterator[Track]:
    """Yield tracks of the pose and of the gaze; without a pose, of joints that rotate."""
    posed = stack.spool.has_pose
    for place, joint in enumerate(POSE_JOINTS):
        gaze = head is not None and bool(head.gaze) and joint.endswith("eye")
        spool = stack.spool if posed and not gaze else stack.driven or stack.spool
        first = len(spool.names) - len(POSE_ANGLES) + 3 * place
        columns = range(first, first + 3) if spool.has_pose else ()
        if not posed and not any(map(spool.moving, columns)):
            continue
        frames = None
        if tolerance is not None:
            from .rotation_keys import rotation_frames

            frames = rotation_frames(np.stack([spool.column(i) for i in columns], 1), tolerance)
        for i, axis in zip(columns, _AXES, strict=True):
            yield Track(spool, i, skeleton.keys[joint], "Lcl Rotation", "R", axis, _DEGREES, frames)


def _shape_tracks(stack: Stack, channels: Mapping[str, int]) -> Iterator[Track]:
    """Yield tracks of the shapes with the names of controls, or of all if there are none."""
    controls = set(stack.source.info.rig.names)
    wanted = controls & channels.keys() or channels.keys()
    spool, name = stack.driven or stack.spool, "DeformPercent"
    for i, shape in enumerate(spool.names):
        if shape in wanted:
            yield Track(spool, i, channels[shape], name, name, f"d|{name}", 100.0)


def _add_audio(objects: Objects, path: str, stack: Stack) -> None:
    """Add a reference to the recording, which begins at the clip's sample 0."""
    begin = 0
    if isinstance(stack.source, OffsetSource):
        begin = round(stack.source.samples * TICKS / stack.source.info.sample_rate)
    layer = objects.add("AudioLayer", "audio_track1", "AudioLayer")
    audio = objects.add(
        "Audio", path.replace("\\", "/").rpartition("/")[2], "Audio", "Clip",
        children=[properties(prop("Path", "KString", "XRefUrl", "", path),
                             prop("RelPath", "KString", "XRefUrl", "", path),
                             ticks("Offset", begin),
                             ticks("ClipOut", max(stack.span[1] - begin, 0)))],
    )  # fmt: skip
    objects.connect(audio, layer)
