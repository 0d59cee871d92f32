"""Unity's AnimationClip as text (`.anim`), and its `.meta`.

Blend shapes are float curves of a SkinnedMeshRenderer, joints are Euler curves of transforms.
Keys are joined by cubic Hermite curves whose slopes are written, so Unity shows the clip's curve.
Unity is left-handed: seen from our axes X points the other way, so yaw and roll change their sign.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Doubles
from ...clip import POSE_ANGLES, POSE_JOINTS, Event
from ...errors import ExportError
from ...source import FrameSource
from ..keys import hermite_keys, slopes
from ..options import DEFAULTS, Setting, WriteOptions, clip_name, name_style, spelled
from ..spool import Spool, spooled

EVENT = "OnFaceEvent"
"""Method that Unity calls for an event, unless another one is asked for."""

_PATHS = ("root/neck/head", "root/neck", "root/neck/head/left_eye", "root/neck/head/right_eye")
"""Where joints are in the hierarchy that Unity makes of our FBX, in the order of a pose."""

_RENDERER = Setting("renderer", "face", "path of the SkinnedMeshRenderer below the Animator")
_PREFIX = Setting("prefix", "", "what stands before the names of blend shapes, such as Face_BS.")
_NAMES = name_style("blend shapes")
_JOINTS = tuple(
    Setting(joint, path, f"path of the {joint.replace('_', ' ')}'s transform; empty for none")
    for joint, path in zip(POSE_JOINTS, _PATHS, strict=True)
)
_EVENT = Setting("event", EVENT, "method that events call, with their name as its text")
_EDITOR = Setting("editor_curves", False, "all curves a second time, as Unity's editor saves them")
_GUID = Setting("guid", "", "of the .meta: 32 hexadecimal digits; by default of the file's name")
SETTINGS = (_RENDERER, _PREFIX, _NAMES, *_JOINTS, _EVENT, _EDITOR, _GUID)

_AXES = (1, 0, 2)
"""Pitch, yaw and roll, which turn about x, y and z, as they stand in a pose."""

_TURNS = np.degrees([1.0, -1.0, -1.0])
"""Degrees about Unity's x, y and z for a radian of pitch, yaw and roll."""

_ZXY = 4
"""Rotation order of Unity: roll, then pitch, then yaw about fixed axes, which is yaw, pitch, roll
about turned ones."""

_RENDERER_CLASS, _TRANSFORM_CLASS = 137, 4
_BLEND_SHAPE, _EULER = 20, 4
_RUN = 128
"""Keys that are text at one time."""


def write_anim(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write blend shapes from 0 to 100, joints in degrees, events; times in seconds.

    Returns the pose channels that move joints without a path. Raises `ExportError` for times
    before zero.
    """
    if source.info.start_sample < 0:
        raise ExportError(
            "Unity's clips count time from 0, this one begins at "
            f"{source.info.start_sample / source.info.sample_rate:g} s; give it another start"
        )
    _guid("", options)
    with spooled(source) as spool:
        clip = _Clip(source, spool, options)
        for part in clip.text():
            file.write(part.encode())
        return clip.dropped


def meta_of(file_name: str, _: FrameSource, options: WriteOptions) -> bytes:
    """Return the `.meta` of an asset; the GUID depends only on the file name."""
    lines = ["fileFormatVersion: 2", f"guid: {_guid(file_name, options)}", "NativeFormatImporter:",
             "  externalObjects: {}", "  mainObjectFileID: 7400000", "  userData: ",
             "  assetBundleName: ", "  assetBundleVariant: "]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()


def _guid(file_name: str, options: WriteOptions) -> str:
    asked = _text(options, _GUID).lower()
    if asked and not re.fullmatch(r"[0-9a-f]{32}", asked):
        raise ExportError(f"setting 'guid' must be 32 hexadecimal digits, got {asked!r}")
    name = f"facesdk/{file_name}".encode("utf-8", "surrogateescape")
    return asked or hashlib.sha256(name).hexdigest()[:32]


def _text(options: WriteOptions, setting: Setting) -> str:
    return str(options.settings.get(setting.name, setting.default)).strip()


class _Keys(NamedTuple):
    """Keys of a curve in Unity's units, slopes per second."""

    times: Doubles
    """(K,)."""
    values: Doubles
    """(K,) or (K, 3)."""
    slopes: Doubles


@dataclass(frozen=True)
class _Binding:
    """The target of a curve."""

    path: str
    attribute: str
    kind: int

    def lines(self) -> str:
        return (
            f"    attribute: {_scalar(self.attribute)}\n    path: {_scalar(self.path)}\n"
            f"    classID: {self.kind}\n    script: {{fileID: 0}}\n"
        )


class _Clip:
    """One clip, in the order in which Unity writes it."""

    def __init__(self, source: FrameSource, spool: Spool, options: WriteOptions) -> None:
        self._source = source
        self._spool = spool
        self._options = options
        self._start = source.info.start
        self._paths = [_text(options, joint) for joint in _JOINTS] if spool.has_pose else []
        self._shapes = [
            _Binding(_text(options, _RENDERER), f"blendShape.{name}", _RENDERER_CLASS)
            for name in _spelled(source, options)
        ]

    @property
    def dropped(self) -> tuple[str, ...]:
        """Pose channels that move and whose joint has no path."""
        first = len(self._source.info.rig)
        return tuple(
            name
            for i, name in enumerate(POSE_ANGLES if self._paths else ())
            if not self._paths[i // 3] and self._spool.moving(first + i)
        )

    def text(self) -> Iterator[str]:
        """Yield the file in pieces."""
        yield _OPENING.format(name=_scalar(clip_name(self._source, self._options)))
        yield from _listed("m_EulerCurves", self._euler_curves())
        yield "  m_PositionCurves: []\n  m_ScaleCurves: []\n"
        yield from _listed("m_FloatCurves", self._float_curves())
        yield _MIDDLE.format(rate=float(self._source.info.fps))
        yield from _listed("genericBindings", self._bindings(), indent=4)
        stop = self._start + Fraction(max(self._spool.frames - 1, 0)) / self._source.info.fps
        yield SETTINGS_TEXT.format(start=float(self._start), stop=float(stop))
        wanted = self._options.settings.get(_EDITOR.name, _EDITOR.default)
        yield from _listed("m_EditorCurves", self._editor_curves() if wanted else ())
        yield _CLOSING
        yield from _listed("m_Events", map(self._event, self._source.info.events))

    # ---------------------------------------------------------------- curves

    def _float_curves(self) -> Iterator[str]:
        for i, binding in enumerate(self._shapes):
            keys = self._keys(self._spool.column(i), np.float64(100))
            yield "  - curve:\n"
            yield from _curve(keys)
            yield binding.lines()

    def _euler_curves(self) -> Iterator[str]:
        for joint, path in enumerate(self._paths):
            if path:
                yield "  - curve:\n"
                yield from _curve(self._turns(joint))
                yield f"    path: {_scalar(path)}\n"

    def _editor_curves(self) -> Iterator[str]:
        yield from self._float_curves()
        for joint, path in enumerate(self._paths):
            if path:
                keys = self._turns(joint)
                for axis, letter in enumerate("xyz"):
                    yield "  - curve:\n"
                    one = _Keys(keys.times, keys.values[:, axis], keys.slopes[:, axis])
                    yield from _curve(one)
                    yield _Binding(path, f"localEulerAnglesRaw.{letter}", _TRANSFORM_CLASS).lines()

    def _turns(self, joint: int) -> _Keys:
        """Return the Euler angles of a joint."""
        first = len(self._source.info.rig) + 3 * joint
        columns = [self._spool.column(first + axis) for axis in _AXES]
        return self._keys(np.stack(columns, -1), _TURNS)

    def _keys(self, column: NDArray[np.float32], unit: Doubles | np.float64) -> _Keys:
        """Return keys of some frames or of all."""
        tolerance, fps = self._options.tolerance, float(self._source.info.fps)
        if tolerance is None:
            frames, tangents = np.arange(len(column)), slopes(column)
        else:
            frames, tangents = hermite_keys(column, tolerance)
        times = float(self._start) + frames / fps
        return _Keys(times, column[frames] * unit, tangents * (unit * fps))

    def _bindings(self) -> Iterator[str]:
        """Yield hashes by which Unity finds the targets of curves; Unity can recompute them."""
        for path in filter(None, self._paths):
            yield _BINDING.format(
                path=_hash(path), attribute=_EULER, kind=_TRANSFORM_CLASS, custom=_EULER
            )
        for shape in self._shapes:
            yield _BINDING.format(
                path=_hash(shape.path),
                attribute=_hash(shape.attribute),
                kind=shape.kind,
                custom=_BLEND_SHAPE,
            )

    def _event(self, event: Event) -> str:
        """Yield an optional call with the event's name, or with name and data as JSON."""
        plain = not event.data and not event.name.startswith("{")
        call = {"name": event.name, "data": dict(event.data)}
        text = event.name if plain else json.dumps(call, ensure_ascii=False)
        return _EVENT_TEXT.format(
            time=event.sample / self._source.info.sample_rate,
            method=_scalar(_text(self._options, _EVENT) or EVENT),
            text=_scalar(text),
        )


# --------------------------------------------------------------------------- text


def _spelled(source: FrameSource, options: WriteOptions) -> Sequence[str]:
    """Return the blend shape of every control."""
    prefix, style = _text(options, _PREFIX), _NAMES.chosen(options)
    return [prefix + spelled(name, style) for name in source.info.rig.names]


def _listed(name: str, items: Iterable[str], *, indent: int = 2) -> Iterator[str]:
    """Yield a list under its name; `[]` if it is empty."""
    parts = iter(items)
    first = next(parts, None)
    if first is None:
        yield f"{' ' * indent}{name}: []\n"
        return
    yield f"{' ' * indent}{name}:\n{first}"
    yield from parts


def _curve(keys: _Keys) -> Iterator[str]:
    """Yield an AnimationCurve without its target."""
    yield "      serializedVersion: 2\n"
    yield "      m_Curve:\n" if len(keys.times) else "      m_Curve: []\n"
    for begin in range(0, len(keys.times), _RUN):
        yield _key_lines(_Keys(*(part[begin : begin + _RUN] for part in keys)))
    yield f"      m_PreInfinity: 2\n      m_PostInfinity: 2\n      m_RotationOrder: {_ZXY}\n"


def _key_lines(keys: _Keys) -> str:
    """Yield keys of numbers or of vectors."""
    times = keys.times.reshape(-1, 1)
    values, tangents = (a.reshape(len(times), -1) for a in (keys.values, keys.slopes))
    numbers = np.round(np.hstack([values, tangents, tangents]), 6) + 0.0  # no "-0.000000"
    rows = np.hstack([times, numbers])
    template = _KEY if keys.values.ndim == 1 else _VECTOR_KEY
    return "".join(template % tuple(row) for row in rows.tolist())


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


def _scalar(text: str) -> str:
    """Return text as YAML: plain where nothing in it can be misread, else quoted."""
    if re.fullmatch(r"[A-Za-z_][\w./-]*(?: [\w./-]+)*", text, re.ASCII) and len(text) > 5:
        return text
    if not text:
        return ""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


_THIRD = "0.33333334"
_KEY = f"""\
      - serializedVersion: 3
        time: %.9f
        value: %.6f
        inSlope: %.6f
        outSlope: %.6f
        tangentMode: 0
        weightedMode: 0
        inWeight: {_THIRD}
        outWeight: {_THIRD}
"""
_VECTOR = "{x: %.6f, y: %.6f, z: %.6f}"
_THIRDS = f"{{x: {_THIRD}, y: {_THIRD}, z: {_THIRD}}}"
_VECTOR_KEY = f"""\
      - serializedVersion: 3
        time: %.9f
        value: {_VECTOR}
        inSlope: {_VECTOR}
        outSlope: {_VECTOR}
        tangentMode: 0
        weightedMode: 0
        inWeight: {_THIRDS}
        outWeight: {_THIRDS}
"""
"""Tangent mode 0 is free and smooth: Unity keeps the slopes and does not make its own."""

_OPENING = """\
%YAML 1.1
%TAG !u! tag:unity3d.com,2011:
--- !u!74 &7400000
AnimationClip:
  m_ObjectHideFlags: 0
  m_CorrespondingSourceObject: {{fileID: 0}}
  m_PrefabInstance: {{fileID: 0}}
  m_PrefabAsset: {{fileID: 0}}
  m_Name: {name}
  serializedVersion: 6
  m_Legacy: 0
  m_Compressed: 0
  m_UseHighQualityCurve: 1
  m_RotationCurves: []
  m_CompressedRotationCurves: []
"""
_MIDDLE = """\
  m_PPtrCurves: []
  m_SampleRate: {rate:.8g}
  m_WrapMode: 0
  m_Bounds:
    m_Center: {{x: 0, y: 0, z: 0}}
    m_Extent: {{x: 0, y: 0, z: 0}}
  m_ClipBindingConstant:
"""
_BINDING = """\
    - serializedVersion: 2
      path: {path}
      attribute: {attribute}
      script: {{fileID: 0}}
      typeID: {kind}
      customType: {custom}
      isPPtrCurve: 0
"""
SETTINGS_TEXT = """\
    pptrCurveMapping: []
  m_AnimationClipSettings:
    serializedVersion: 2
    m_AdditiveReferencePoseClip: {{fileID: 0}}
    m_AdditiveReferencePoseTime: 0
    m_StartTime: {start:.9f}
    m_StopTime: {stop:.9f}
    m_OrientationOffsetY: 0
    m_Level: 0
    m_CycleOffset: 0
    m_HasAdditiveReferencePose: 0
    m_LoopTime: 0
    m_LoopBlend: 0
    m_LoopBlendOrientation: 0
    m_LoopBlendPositionY: 0
    m_LoopBlendPositionXZ: 0
    m_KeepOriginalOrientation: 0
    m_KeepOriginalPositionY: 1
    m_KeepOriginalPositionXZ: 0
    m_HeightFromFeet: 0
    m_Mirror: 0
"""
_CLOSING = """\
  m_EulerEditorCurves: []
  m_HasGenericRootTransform: 0
  m_HasMotionFloatCurves: 0
"""
_EVENT_TEXT = """\
  - time: {time:.9f}
    functionName: {method}
    data: {text}
    objectReferenceParameter: {{fileID: 0}}
    floatParameter: 0
    intParameter: 0
    messageOptions: 1
"""
