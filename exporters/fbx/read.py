"""FBX through ufbx: weights of blend shapes, user properties and joints as clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from ...arrays import Doubles, Floats
from ...clip import MAX_FPS, POSE_JOINTS, SAMPLE_RATE, exact_fps
from ...errors import FileFormatError
from ...mesh.files.ufbx_scene import UfbxScene, ufbx_module
from ...rig import Rig, rig_names
from ...source import BLOCK_FRAMES, Block, ClipInfo, FrameSource
from ..rates import require_plausible
from ..rigs import Columns, bare_rig, file_rig, on_rig
from ..scene.skeleton import joint_called
from .document import RIG
from .times import CUSTOM, TIME_MODES

_MAX_BYTES = 1 << 31
_MAX_SECONDS = 1e9
_MAX_FRAMES = 1 << 24
_KEY_BYTES = 20
"""Least bytes of a key."""
_MAX_CHANNELS = 4096


def read_fbx(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open the first animation stack of a file."""
    return read_stacks(file, rig)[0]


def read_stacks(file: BinaryIO, rig: Rig | None = None) -> Sequence[FrameSource]:
    """Open all animation stacks of a file, at the file's frame rate.

    Controls are blend shapes and user properties that have curves; a pose comes from joints called
    as heads, necks and eyes usually are.
    """
    name = str(getattr(file, "name", "fbx"))
    scene = _load(file, name)
    try:
        stacks = scene.listed(scene.anim_stacks)
        if not stacks:
            raise FileFormatError("the file holds no animation: expected an animation stack")
        fps = _rate(scene)
        return [_Stack(scene, stack, fps, rig) for stack in stacks]
    except FileFormatError as error:
        raise FileFormatError(f"{name}: {error}") from error


def _load(file: BinaryIO, name: str) -> UfbxScene:
    data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise FileFormatError(f"{name} is longer than {_MAX_BYTES} bytes")
    return UfbxScene.parse(data, name, ignore_embedded=True)


def _rate(scene: UfbxScene) -> Fraction:
    modes = {mode: rate for rate, mode in TIME_MODES.items()}
    settings = scene.settings
    mode, stored = settings.time_mode.value, float(settings.frames_per_second)
    if mode in modes and mode != CUSTOM:
        return modes[mode]
    if not 0 < stored <= MAX_FPS:
        raise FileFormatError(f"the frame rate must lie in (0, {MAX_FPS}], got {stored:g}")
    return exact_fps(stored)


# -------------------------------------------------------------------------- stacks


@dataclass
class _Channels:
    """The channels that a stack animates."""

    weights: dict[str, Any] = field(default_factory=dict)
    """Channels of blend shapes by name."""
    values: dict[str, Any] = field(default_factory=dict)
    """Curves of user properties by name."""
    joints: dict[str, Any] = field(default_factory=dict)
    """Nodes by joint of a pose."""

    @property
    def controls(self) -> dict[str, Any]:
        """Blend shapes and user properties."""
        return self.values | self.weights


class _Stack:
    """One animation stack; the scene stays in memory."""

    def __init__(self, scene: UfbxScene, stack: Any, fps: Fraction, rig: Rig | None) -> None:
        self._scene = scene
        self._channels = _channels(scene, stack)
        self._begin, self._count = _span(stack, fps)
        require_plausible(self._count, scene.size // _KEY_BYTES)
        controls = self._channels.controls
        marked = _marked_rig(scene)
        built_in = Rig.load(marked) if marked in rig_names() else None
        names = _own(list(controls), rig or built_in)
        columns: Columns
        if names:
            found, columns, meta = file_rig(names, rig or marked, deformers=True)
            if marked and not (rig or built_in) and "missing_controls" in meta:  # a rig of its own
                found, columns, meta = bare_rig(names), [(i,) for i in range(len(names))], {}
        elif known := rig or built_in:
            found, columns, meta = known, [()] * len(known), {}
            self._count = 0
        else:
            raise FileFormatError(f"stack {stack.name!r} moves no blend shape and no user property")
        self._columns = columns
        self._controls = [controls[name] for name in names]
        self.info = ClipInfo(
            found,
            fps,
            start_sample=round(self._begin * SAMPLE_RATE),
            meta={"name": stack.name} | ({"imported": meta} if meta else {}),
        )

    def blocks(self) -> Iterator[Block]:
        """Yield curves evaluated at the frames."""
        for first in range(0, max(self._count, 1), BLOCK_FRAMES):
            frames = range(first, min(first + BLOCK_FRAMES, self._count))
            times = [self._begin + float(i / self.info.fps) for i in frames]
            yield Block(self._values(times), self._angles(times))

    def _values(self, times: Sequence[float]) -> Floats:
        table = np.zeros((len(times), len(self._controls)), np.float32)
        used = {place for places in self._columns for place in places}
        for i in used:
            table[:, i] = [self._controls[i](t) for t in times]
        return _finite(on_rig(table, self._columns, self.info.rig))

    def _angles(self, times: Sequence[float]) -> Floats | None:
        if not self._channels.joints:
            return None
        angles = np.zeros((len(times), len(POSE_JOINTS), 3), np.float32)
        for name, turn in self._channels.joints.items():
            angles[:, POSE_JOINTS.index(name)] = turn(times)
        return _finite(angles)


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise FileFormatError("curves must be finite")
    return values


def _span(stack: Any, fps: Fraction) -> tuple[float, int]:
    """Return the seconds of the first frame, and the number of frames."""
    begin, end = float(stack.time_begin), float(stack.time_end)
    frames = (end - begin) * float(fps)
    if not (abs(begin) < _MAX_SECONDS and 0 <= frames < _MAX_FRAMES):
        raise FileFormatError(f"stack {stack.name!r} lasts from {begin:g} to {end:g} s")
    return begin, round(frames) + 1


def _own(names: list[str], rig: Rig | None) -> list[str]:
    """Return the controls of a known rig if all are present, without shapes that follow them."""
    if rig is not None and set(rig.names) <= set(names):
        return list(rig.names)
    return names


def _marked_rig(scene: UfbxScene) -> str | None:
    """Return the name of the rig in a file written by facesdk."""
    for node in scene.listed(scene.nodes):
        found = scene.keep(scene.keep(node.props).find_prop(RIG))
        if found is not None:
            return str(found.value_str)
    return None


# ----------------------------------------------------------------------- channels


def _channels(scene: UfbxScene, stack: Any) -> _Channels:
    """Return the channels that the first layer of a stack animates."""
    ufbx = ufbx_module()
    found, anim = _Channels(), scene.keep(stack.anim)
    layers = scene.listed(stack.layers)
    animated = scene.listed(layers[0].anim_props) if layers else []
    if len(animated) > _MAX_CHANNELS:
        raise FileFormatError(f"stack {stack.name!r} animates more than {_MAX_CHANNELS} properties")
    for entry in animated:
        element, prop = scene.keep(entry.element), str(entry.prop_name)
        if isinstance(element, ufbx.BlendChannel) and prop == "DeformPercent":
            found.weights.setdefault(str(element.name), _weight(element, anim))
        elif isinstance(element, ufbx.Node) and prop == "Lcl Rotation":
            if joint := joint_called(str(element.name)):
                found.joints.setdefault(joint, _turn(scene, element, anim))
        elif isinstance(element, ufbx.Node) and _is_users(scene, element, prop):
            found.values.setdefault(prop, scene.keep(entry.anim_value).evaluate_real)
    return found


def _weight(channel: Any, anim: Any) -> Callable[[float], float]:
    return lambda time: float(channel.evaluate_blend_weight(anim, time))


def _is_users(scene: UfbxScene, node: Any, name: str) -> bool:
    """Whether a property of a node was defined by the user."""
    found = scene.keep(scene.keep(node.props).find_prop(name))
    return found is not None and bool(found.flags & ufbx_module().PropFlags.USER_DEFINED)


# ------------------------------------------------------------------------- joints


def _turn(scene: UfbxScene, node: Any, anim: Any) -> Callable[[Sequence[float]], Doubles]:
    """Return (T, 3) yaw, pitch, roll of a joint away from its rest, about the scene's axes."""
    from ...mesh.rotation import quaternion_angles

    ufbx = ufbx_module()
    rest = np.array(node.local_transform.rotation)
    above = _world_rotation(scene, node.parent)
    undo = _product(_inverse(rest), _inverse(above))

    def angles(times: Sequence[float]) -> Doubles:
        turned = [ufbx.evaluate_transform(anim, node, t).rotation for t in times]
        here = np.array(turned, np.float64).reshape(-1, 4)
        return quaternion_angles(_product(_product(above, here), undo))

    return angles


def _world_rotation(scene: UfbxScene, node: Any) -> Doubles:
    """Return (4,) rotation of a node at rest."""
    turned = np.array([0.0, 0.0, 0.0, 1.0])
    while node is not None:
        scene.keep(node)
        turned = _product(np.array(node.local_transform.rotation), turned)
        node = node.parent
    return turned


def _inverse(quaternion: Doubles) -> Doubles:
    return np.asarray(quaternion * np.array([-1.0, -1.0, -1.0, 1.0]))


def _product(first: Doubles, second: Doubles) -> Doubles:
    """Return (..., 4) quaternions x, y, z, w: the second rotation, then the first."""
    a, b = first[..., :3], second[..., :3]
    v, w = first[..., 3:], second[..., 3:]
    axis = v * b + w * a + np.cross(a, b)
    real = v * w - (a * b).sum(-1, keepdims=True)
    return np.asarray(np.concatenate([axis, real], -1))
