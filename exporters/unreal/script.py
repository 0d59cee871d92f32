"""A Python script that makes an AnimSequence when Unreal's editor runs it.

The script holds the curves as text, so it is a single file. It has never run in the engine; the
tests run it against a module that takes the place of `unreal` and writes down every call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...clip import POSE_JOINTS
from ...errors import ExportError
from ...source import FrameSource
from ..options import DEFAULTS, Setting, WriteOptions, clip_name
from ..spool import Spool, spooled
from .names import curve_names

_RUN = 256
"""Numbers that are text at one time."""

_SKELETON = Setting(
    "skeleton",
    "/Game/MetaHumans/Common/Face/Face_Archetype_Skeleton",
    "path of the skeleton, or of a mesh that has it",
)
_FOLDER = Setting("folder", "/Game/facesdk", "where the AnimSequence is made")
_POSE = Setting("pose", "curves", "joints as curves HeadYaw and on, or as bones that turn",
                ("curves", "bones"))  # fmt: skip
_BONES = tuple(
    Setting(joint, bone, f"bone of the {joint.replace('_', ' ')}; empty for curves")
    for joint, bone in zip(POSE_JOINTS, ("head", "neck_01", "", ""), strict=True)
)
SETTINGS = (_SKELETON, _FOLDER, _POSE, *_BONES)


def write_script(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write curves with linear keys; joints as curves in radians or as bone rotations.

    Returns `start` where the clip does not begin at zero, as an AnimSequence always does.
    """
    folder, skeleton = (_asked(options, setting) for setting in (_FOLDER, _SKELETON))
    for path in (folder, skeleton):
        if not path.startswith("/"):
            raise ExportError(f"paths in Unreal begin with / as in /Game/facesdk, got {path!r}")
    with spooled(source, options.tolerance) as spool:
        for part in _script(source, spool, options):
            file.write(part.encode("ascii"))
    return ("start",) if source.info.start_sample else ()


def _asked(options: WriteOptions, setting: Setting) -> str:
    return str(options.settings.get(setting.name, setting.default)).strip()


def _script(source: FrameSource, spool: Spool, options: WriteOptions) -> Iterator[str]:
    """Yield the script in pieces."""
    turned = _asked(options, _POSE) == "bones" and spool.has_pose
    bones = {j: bone for j, s in enumerate(_BONES) if turned and (bone := _asked(options, s))}
    yield _OPENING
    yield f"NAME = {_asset_name(clip_name(source, options, default=''))!a}\n"
    yield f"FOLDER = {_asked(options, _FOLDER).rstrip('/')!a}\n"
    yield f"SKELETON = {_asked(options, _SKELETON)!a}\n"
    yield f"RATE = ({source.info.fps.numerator}, {source.info.fps.denominator})\n"
    yield f"FRAMES = {spool.frames}\n"
    yield f"EVENTS = {_events(source)!a}\n"
    yield _CURVES
    for i, name in curve_names(spool.names, len(source.info.rig)).items():
        joint = (i - len(source.info.rig)) // 3
        if i < len(source.info.rig) or joint not in bones:
            yield from _curve(spool, i, name)
    yield ")\n" + _TURNS
    for joint, bone in bones.items():
        yield from _turns(spool, len(source.info.rig) + 3 * joint, bone)
    yield ")\n" + _CODE


def _asset_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")


def _events(source: FrameSource) -> str:
    """Return the events as JSON, in seconds from the first frame."""
    begin, rate = source.info.start_sample, source.info.sample_rate
    return json.dumps(
        [
            {"time": (e.sample - begin) / rate, "name": e.name, "data": dict(e.data)}
            for e in source.info.events
        ]
    )


def _curve(spool: Spool, index: int, name: str) -> Iterator[str]:
    """Yield name, frames of the keys (none for all), values."""
    curve = spool.curve(index)
    yield f"    ({name!a}, '"
    if len(curve.frames) < spool.frames:
        yield from _text(curve.frames)
    yield "', '"
    yield from _text(curve.values)
    yield "'),\n"


def _turns(spool: Spool, first: int, bone: str) -> Iterator[str]:
    """Return quaternions of a joint about Unreal's left-handed axes: Y and Z change places."""
    from ...mesh.rotation import quaternions

    yield f"    ({bone!a}, '"
    before = ""
    for run in spool.rows():
        x, y, z, w = quaternions(run[:, first : first + 3]).T
        yield before + "".join(_text(np.stack([-x, -z, -y, w], -1).ravel()))
        before = " "
    yield "'),\n"


def _text(numbers: NDArray[np.generic]) -> Iterator[str]:
    """Yield numbers separated by spaces, some at a time."""
    for begin in range(0, len(numbers), _RUN):
        some = (numbers[begin : begin + _RUN] + 0).tolist()
        yield (" " if begin else "") + " ".join(f"{number:.9g}" for number in some)


_OPENING = '''\
"""Makes an AnimSequence with face curves. Written by facesdk; run it in Unreal's editor.

In the Output Log: py "C:/lines/hello.py"
Without a window: UnrealEditor-Cmd Project.uproject -run=pythonscript -script="C:/lines/hello.py"
"""

import os
import re

import unreal

# Empty: called like this file.
'''
_CURVES = """
# Curve, frames that have a key (none named: all of them), values. Keys are joined by lines.
CURVES = (
"""
_TURNS = """
# Bone, and for every frame its turn away from rest about the axes of the mesh, whose face looks
# along +Y: a quaternion x y z w.
TURNS = (
"""
_CODE = '''

def main(skeleton=SKELETON, folder=FOLDER, name=NAME):
    """The AnimSequence, new or filled anew, and saved."""
    skeleton = loaded_skeleton(skeleton)
    sequence = emptied(folder, name or file_name(), skeleton)
    controller = sequence.get_editor_property("controller")
    controller.open_bracket("facesdk", False)
    try:
        controller.set_frame_rate(unreal.FrameRate(*RATE), False)
        controller.set_number_of_frames(unreal.FrameNumber(max(FRAMES - 1, 1)), False)
        for bone, turns in TURNS:
            turn_bone(controller, skeleton, bone, numbers(turns))
    finally:
        controller.close_bracket(False)
    for curve, frames, values in CURVES:
        add_curve(sequence, curve, frames, values)
    if TURNS:
        keep_rate(sequence)
    unreal.EditorAssetLibrary.set_metadata_tag(sequence, "facesdk.events", EVENTS)
    unreal.EditorAssetLibrary.save_loaded_asset(sequence)
    unreal.log("facesdk: made " + sequence.get_path_name())
    return sequence


def file_name():
    """What this file is called, as far as an asset can be."""
    stem = os.path.splitext(os.path.basename(globals().get("__file__", "")))[0]
    return re.sub("[^A-Za-z0-9_]+", "_", stem).strip("_") or "Take_001"


def loaded_skeleton(path):
    """The skeleton at a path, or of the mesh there."""
    asset = unreal.load_asset(path)
    if asset is None:
        raise RuntimeError("facesdk: nothing at " + path + "; change SKELETON in this script")
    if isinstance(asset, unreal.Skeleton):
        return asset
    return asset.get_editor_property("skeleton")


def emptied(folder, name, skeleton):
    """The AnimSequence of this name without its curves, or a new one."""
    path = folder + "/" + name
    if unreal.EditorAssetLibrary.does_asset_exist(path):
        sequence = unreal.load_asset(path)
        unreal.AnimationLibrary.remove_all_curve_data(sequence)
        return sequence
    factory = unreal.AnimSequenceFactory()
    factory.set_editor_property("target_skeleton", skeleton)
    tools = unreal.AssetToolsHelpers.get_asset_tools()
    return tools.create_asset(name, folder, unreal.AnimSequence, factory)


def numbers(text):
    return [float(word) for word in text.split()]


def add_curve(sequence, curve, frames, values):
    """One float curve with its keys."""
    keys = [int(word) for word in frames.split()] if frames else range(FRAMES)
    times = [frame * RATE[1] / RATE[0] for frame in keys]
    library, kind = unreal.AnimationLibrary, unreal.RawCurveTrackTypes.RCT_FLOAT
    library.add_curve(sequence, curve, kind, False)
    if times:
        library.add_float_curve_keys(sequence, curve, times, numbers(values))


def keep_rate(sequence):
    """Compression samples bones at the rate of the clip."""
    rate = sequence.get_editor_property("platform_target_frame_rate")
    rate.set_editor_property("default", unreal.FrameRate(*RATE))
    sequence.set_editor_property("platform_target_frame_rate", rate)


def turn_bone(controller, skeleton, bone, turns):
    """Keys of one bone: its rest, turned; two frames at least."""
    pose = unreal.AnimPoseExtensions.get_reference_pose(skeleton)
    rest, world = (
        unreal.AnimPoseExtensions.get_ref_bone_pose(pose, bone, space)
        for space in (unreal.AnimPoseSpaces.LOCAL, unreal.AnimPoseSpaces.WORLD)
    )
    local = parts(rest.rotation)
    above = product(parts(world.rotation), inverse(local))
    keys = []
    for start in range(0, len(turns), 4):
        turned = product(product(inverse(above), turns[start : start + 4]), above)
        keys.append(unreal.Quat(*product(turned, local)))
    keys = keys * 2 if len(keys) == 1 else keys
    if keys:
        controller.add_bone_curve(bone, False)
        controller.set_bone_track_keys(
            bone, [rest.translation] * len(keys), keys, [rest.scale3d] * len(keys), False
        )


def parts(quaternion):
    return [quaternion.x, quaternion.y, quaternion.z, quaternion.w]


def inverse(q):
    return [-q[0], -q[1], -q[2], q[3]]


def product(a, b):
    """Two turns, b first."""
    return [
        a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1],
        a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0],
        a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3],
        a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
    ]


if __name__ == "__main__":
    main()
'''
