"""Clips out of Unity's `.anim` files: ours, and those that Unity's editor saves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from ...arrays import Doubles, Floats
from ...clip import POSE_JOINTS, SAMPLE_RATE, Event, exact_fps
from ...errors import ClipError, FileFormatError
from ...rig import Rig
from ...source import BLOCK_FRAMES, Block, ClipInfo, FrameSource
from ..rates import require_plausible
from ..rigs import file_rig, on_rig
from ..scene.skeleton import joint_called
from .yaml import Keys, objects

Turn = Callable[[Doubles], Doubles]
"""(T, 3) yaw, pitch and roll at (T,) seconds."""

_CLIP_CLASS = 74
_RENDERER_CLASS = 137
_SHAPE = "blendShape."
_EVENT = "OnFaceEvent"
_LONGEST = 24 * 3600
_WANTED = {"m_Name", "m_SampleRate", "m_Compressed", "m_FloatCurves", "m_EulerCurves",
           "m_RotationCurves", "m_CompressedRotationCurves", "m_EditorCurves", "m_Events",
           "m_AnimationClipSettings"}  # fmt: skip
_ORDERS = ("XYZ", "XZY", "YZX", "YXZ", "ZXY", "ZYX")
"""Unity's rotation orders by number: the axes about which is turned one after the other."""


def read_anim(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open the first clip of a file, see `read_anims`."""
    return read_anims(file, rig)[0]


def read_anims(file: BinaryIO, rig: Rig | None = None) -> Sequence[FrameSource]:
    """Open every AnimationClip of a file that moves blend shapes.

    Blend shapes are matched by name, whatever stands before it and in ARKit's spelling or nearly
    so; joints by the names of their transforms. Angles are taken as turns away from rest.
    """
    name = str(getattr(file, "name", "clip.anim"))
    file.seek(0)
    head = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith((b"%YAML", b"---", b"#")):
        raise FileFormatError(
            f"{name} is not text of Unity's; in the project settings under Editor set Asset "
            "Serialization to Force Text and save the clip again"
        )
    found = []
    for document in objects(file, name, kind=_CLIP_CLASS, keys=_WANTED):
        try:
            channels = _channels(document)
            if channels.shapes:
                found.append(AnimClip(document, channels, rig))
        except FileFormatError:
            raise
        except KeyError as error:
            raise FileFormatError(f"{name}: an AnimationClip's curve lacks {error}") from error
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise FileFormatError(f"{name}: {error}") from error
    if not found:
        raise FileFormatError(f"{name} has no AnimationClip that moves blend shapes")
    return found


class Curve:
    """Keys joined as Unity joins them: cubic Hermite curves, steps, weighted tangents."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def at(self, times: Doubles) -> Doubles:
        """Return (T, n) values; constant before the first key and after the last."""
        k = self.keys
        if len(k.times) < 2:
            return np.repeat(k.values[:1], len(times), 0)
        times = _snapped(times, k.times)
        i = np.clip(np.searchsorted(k.times, times, "right") - 1, 0, len(k.times) - 2)
        span = (k.times[i + 1] - k.times[i])[:, None]
        share = (times - k.times[i])[:, None] / np.where(span > 0, span, 1)
        share = np.clip(np.where(span > 0, share, 1), 0, 1)
        leaving, arriving = k.leaving[i], k.arriving[i + 1]
        stepped = ~(np.isfinite(leaving) & np.isfinite(arriving))
        leaving, arriving = (np.where(stepped, 0, m) * span for m in (leaving, arriving))
        first = np.where(k.modes[i, None] & 2, k.weight_out[i], 1 / 3)
        last = np.where(k.modes[i + 1, None] & 1, k.weight_in[i + 1], 1 / 3)
        begin, end = k.values[i], k.values[i + 1]
        along = _along(share, first, last)
        joined = _bezier(along, begin, begin + first * leaving, end - last * arriving, end)
        return np.where(stepped, np.where(share < 1, begin, end), joined)


def _snapped(times: Doubles, keys: Doubles) -> Doubles:
    """Return times, with those within float32 rounding of a key set to the key's."""
    after = np.searchsorted(keys, times).clip(1, len(keys) - 1)
    before = keys[after - 1]
    near = np.where(times - before < keys[after] - times, before, keys[after])
    return np.where(
        np.abs(near - times) <= np.spacing(np.abs(near).astype(np.float32)), near, times
    )


def _along(share: Doubles, first: Doubles, last: Doubles) -> Doubles:
    """Return the parameter of a Bezier curve at shares of its time, by bisection if weighted."""
    if np.all(first == 1 / 3) and np.all(last == 1 / 3):
        return share
    low, high = np.zeros_like(first), np.ones_like(first)
    for _ in range(48):
        middle = (low + high) / 2
        early = _bezier(middle, 0.0, first, 1 - last, 1.0) < share
        low, high = np.where(early, middle, low), np.where(early, high, middle)
    return np.asarray((low + high) / 2)


def _bezier(u: Doubles, a: Any, b: Any, c: Any, d: Any) -> Doubles:
    v = 1 - u
    return np.asarray(v * v * v * a + 3 * v * v * u * b + 3 * v * u * u * c + u * u * u * d)


@dataclass(eq=False)
class _Channels:
    """The channels of a clip."""

    shapes: dict[str, Curve] = field(default_factory=dict)
    joints: dict[str, Turn] = field(default_factory=dict)
    keys: list[Doubles] = field(default_factory=list)
    """(K,) times of the keys of every curve."""
    other_renderers: list[str] = field(default_factory=list)


def _channels(document: Mapping[str, Any]) -> _Channels:
    """Return curves of blend shapes and joints; raises `ValueError` if Unity packed them."""
    if _entries(document, "m_CompressedRotationCurves"):
        raise ValueError(
            "the clip's rotations are compressed; turn off Anim. Compression in the import "
            "settings of its model, or duplicate the clip without it"
        )
    found = _Channels()
    floats = _entries(document, "m_FloatCurves")
    eulers, turns = _entries(document, "m_EulerCurves"), _entries(document, "m_RotationCurves")
    if not (floats or eulers or turns):
        floats = _entries(document, "m_EditorCurves")
        eulers = _gathered(floats)
    _add_shapes(found, floats)
    for entry in eulers:
        _add_joint(found, entry, _euler_turn)
    for entry in turns:
        _add_joint(found, entry, _quaternion_turn)
    return found


def _entries(document: Mapping[str, Any], key: str) -> list[Any]:
    listed = document.get(key) or []
    if not isinstance(listed, list):
        raise ValueError(f"{key} must be a list")
    return listed


def _add_shapes(found: _Channels, floats: Sequence[Mapping[str, Any]]) -> None:
    """Add the blend shapes of the renderer that has most, and those of others that it lacks."""
    by_path: dict[str, dict[str, Curve]] = {}
    for entry in floats:
        attribute = str(entry["attribute"])
        if int(entry.get("classID", 0)) == _RENDERER_CLASS and attribute.startswith(_SHAPE):
            shapes = by_path.setdefault(str(entry.get("path", "")), {})
            shapes.setdefault(attribute.removeprefix(_SHAPE), _curve(entry))
    ranked = sorted(by_path.items(), key=lambda item: -len(item[1]))
    found.other_renderers = [path for path, _ in ranked[1:]]
    for _, shapes in ranked:
        found.shapes = shapes | found.shapes
    order = [str(e["attribute"]).removeprefix(_SHAPE) for e in floats]
    found.shapes = {n: found.shapes[n] for n in order if n in found.shapes}
    found.keys += [curve.keys.times for curve in found.shapes.values()]


def _curve(entry: Mapping[str, Any]) -> Curve:
    keys = entry["curve"].get("m_Curve")
    return Curve(keys if isinstance(keys, Keys) else _no_keys())


def _no_keys() -> Keys:
    none, numbers = np.empty(0), np.empty((0, 1))
    return Keys(none, numbers, numbers, numbers, np.empty(0, np.int64), numbers, numbers)


# ------------------------------------------------------------------------- joints


def _add_joint(
    found: _Channels, entry: Mapping[str, Any], turn: Callable[[Mapping[str, Any]], Turn]
) -> None:
    """Add the rotations of a transform that is a joint."""
    joint = joint_called(str(entry.get("path", "")).rpartition("/")[2])
    if joint and joint not in found.joints:
        times = [c.keys.times for c in entry.get("axes", ())] or [_curve(entry).keys.times]
        if all(map(len, times)):
            found.joints[joint] = turn(entry)
            found.keys += times


def _gathered(curves: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Gather Euler angles that have one curve per axis, by transform."""
    paths: dict[str, dict[str, Curve]] = {}
    for entry in curves:
        kind, _, axis = str(entry["attribute"]).rpartition(".")
        if kind in ("localEulerAnglesRaw", "localEulerAngles", "m_LocalEulerAngles"):
            paths.setdefault(str(entry.get("path", "")), {})[axis] = _curve(entry)
    return [
        {"path": path, "curve": {}, "axes": [axes[a] for a in "xyz"]}
        for path, axes in paths.items()
        if axes.keys() == set("xyz")
    ]


def _euler_turn(entry: Mapping[str, Any]) -> Turn:
    """Return quaternions of degrees about x, y, z, in the curve's rotation order."""
    order = int(entry["curve"].get("m_RotationOrder", 4))
    if not 0 <= order < len(_ORDERS):
        raise ValueError(f"rotation order {order} is none of Unity's")
    curves = entry.get("axes") or [_curve(entry)]
    if sum(c.keys.values.shape[1] for c in curves) != 3:
        raise ValueError("Euler angles need x, y and z")

    def angles(times: Doubles) -> Doubles:
        x, y, z = np.radians(np.hstack([c.at(times) for c in curves])).T
        if _ORDERS[order] == "ZXY":
            return np.stack([-y, x, -z], -1)
        return _from_unity(_ordered({"X": x, "Y": y, "Z": z}, _ORDERS[order]))

    return angles


def _quaternion_turn(entry: Mapping[str, Any]) -> Turn:
    curve = _curve(entry)
    if curve.keys.values.shape[1] != 4:
        raise ValueError("rotations need x, y, z and w")

    def angles(times: Doubles) -> Doubles:
        turns = curve.at(times)
        return _from_unity(turns / np.maximum(np.linalg.norm(turns, axis=1, keepdims=True), 1e-12))

    return angles


def _ordered(angles: Mapping[str, Doubles], order: str) -> Doubles:
    """Return (T, 4) quaternions x, y, z, w of rotations about fixed axes in sequence."""
    from ...mesh.rotation import product

    turned = np.array([0.0, 0.0, 0.0, 1.0])
    for axis in order:
        half = angles[axis] / 2
        about = np.zeros((len(half), 4))
        about[:, "XYZ".index(axis)], about[:, 3] = np.sin(half), np.cos(half)
        turned = product(about, turned)
    return turned


def _from_unity(quaternions: Doubles) -> Doubles:
    """Return (T, 3) yaw, pitch, roll of quaternions in Unity's axes."""
    from ...mesh.rotation import quaternion_angles

    return quaternion_angles(quaternions * [1, -1, -1, 1])


# -------------------------------------------------------------------------- clips


class AnimClip:
    """A clip whose curves are evaluated on demand, at its own rate."""

    def __init__(self, document: Mapping[str, Any], channels: _Channels, rig: Rig | None) -> None:
        """Raises `ValueError` where the numbers make no clip."""
        self._channels = channels
        found, self._columns, notes = file_rig(list(channels.shapes), rig, deformers=True)
        if channels.other_renderers:
            notes["other_renderers"] = channels.other_renderers
        fps = _rate(document.get("m_SampleRate", "60"))
        self._start, self._count = _span(channels.keys, fps)
        meta = {"name": str(document["m_Name"])} if document.get("m_Name") else {}
        self.info = ClipInfo(
            found,
            fps,
            start_sample=round(self._start * SAMPLE_RATE),
            events=tuple(map(_event, _entries(document, "m_Events"))),
            meta=meta | ({"imported": notes} if notes else {}),
        )

    def blocks(self) -> Iterator[Block]:
        """Yield the curves at the clip's frames."""
        for first in range(0, max(self._count, 1), BLOCK_FRAMES):
            frames = np.arange(first, min(first + BLOCK_FRAMES, self._count))
            times = self._start + frames / float(self.info.fps)
            yield Block(self._values(times), self._angles(times))

    def _values(self, times: Doubles) -> Floats:
        table = np.zeros((len(times), len(self._channels.shapes)), np.float32)
        for column, curve in zip(table.T, self._channels.shapes.values(), strict=True):
            if len(curve.keys.times):
                column[:] = curve.at(times)[:, 0] / 100
        return _finite(on_rig(table, self._columns, self.info.rig))

    def _angles(self, times: Doubles) -> Floats | None:
        if not self._channels.joints:
            return None
        angles = np.zeros((len(times), len(POSE_JOINTS), 3), np.float32)
        for joint, turn in self._channels.joints.items():
            angles[:, POSE_JOINTS.index(joint)] = turn(times)
        return _finite(angles)


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise FileFormatError("curves must be finite")
    return values


def _rate(text: Any) -> Fraction:
    try:
        return exact_fps(float(text))
    except (ClipError, ValueError, TypeError) as error:
        raise ValueError(f"m_SampleRate: {error}") from error


def _span(keys: Sequence[Doubles], fps: Fraction) -> tuple[float, int]:
    """Return the seconds of the first frame, and the number of frames that show all keys."""
    times = [t for t in keys if len(t)]
    if not times:
        return 0.0, 0
    begin, end = min(float(t[0]) for t in times), max(float(t[-1]) for t in times)
    if end - begin > _LONGEST or abs(begin) > 1e6:
        raise ValueError(f"the clip lasts from {begin:g} to {end:g} s")
    count = round((end - begin) * float(fps)) + 1
    require_plausible(count, sum(map(len, times)))
    return begin, count


def _event(entry: Mapping[str, Any]) -> Event:
    """Return a call as an event: name and data from our files, else the method and its text."""
    sample = round(float(entry["time"]) * SAMPLE_RATE)
    method, text = str(entry.get("functionName", "")), str(entry.get("data", ""))
    if method != _EVENT or not text:
        return Event(sample, method, {"text": text} if text else {})
    if not text.startswith("{"):
        return Event(sample, text)
    call = json.loads(text)
    return Event(sample, str(call["name"]), dict(call["data"]))
