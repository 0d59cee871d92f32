"""USD through usd-core: clips of the skeletal animations in a stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np

from ...arrays import Floats
from ...clip import MAX_FPS, POSE_JOINTS, SAMPLE_RATE, Event, exact_fps
from ...errors import FaceSDKError, FileFormatError, missing_extra
from ...rig import Rig
from ...source import BLOCK_FRAMES, Block, ClipInfo, FrameSource
from ..rates import timing
from ..rigs import Columns, file_rig, listed_rig, on_rig
from ..scene.skeleton import joint_called
from .layer import Array

SUFFIXES = (".usda", ".usdc", ".usd", ".usdz")
_MAX_FRAMES = 1 << 24
_MAX_ANIMATIONS = 4096
_GRID = 1e-4
"""Frames by which keys may miss the grid of a rate."""

_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Turns the axes of a stage with Z up."""


def read_usd(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open the first animation of a file, see `read_usd_clips`."""
    return read_usd_clips(file, rig)[0]


def read_usd_clips(file: BinaryIO, rig: Rig | None = None) -> Sequence[FrameSource]:
    """Open every `SkelAnimation` of a file that has blend shapes.

    Shapes are matched by name, in ARKit's spelling or nearly so; a pose comes from joints called
    as heads, necks and eyes usually are. Raises `MissingExtraError` without usd-core.
    """
    name = str(getattr(file, "name", "usd"))
    with _in_words(name):
        stage = _opened(file, name)
        animations = _animations(stage)
        if not animations:
            raise FileFormatError("expected a SkelAnimation with blend shapes, there is none")
        return [_Animation(stage, prim, rig) for prim in animations]


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Turn errors of usd-core and of damaged numbers into `FileFormatError`."""
    try:
        from pxr import Tf
    except ImportError:
        raise missing_extra("reading USD", "usd") from None

    try:
        yield
    except FileFormatError as error:
        raise FileFormatError(f"{name}: {error}") from error
    except FaceSDKError:
        raise
    except (Tf.ErrorException, ValueError, TypeError, KeyError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[-200:]
        raise FileFormatError(f"{name} cannot be read as USD: {reason}") from error


def _opened(file: BinaryIO, name: str) -> Any:
    """Open the stage of a file; references are found only for files with a path."""
    from pxr import Usd

    if Path(name).suffix.lower() in SUFFIXES and Path(name).is_file():
        return Usd.Stage.Open(str(Path(name).absolute()))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{_suffix(file)}"
        with path.open("wb") as copy:
            copyfileobj(file, copy)
        return _detached(path)


def _detached(path: Path) -> Any:
    """Return a stage that stays usable when its file is gone."""
    from pxr import Sdf, Usd

    stage = Usd.Stage.Open(str(path))
    layer = Sdf.Layer.CreateAnonymous(".usda")
    layer.TransferContent(stage.Flatten())
    return Usd.Stage.Open(layer)


def _suffix(file: BinaryIO) -> str:
    """Return the extension for a file without a name."""
    file.seek(0)
    begin = file.read(8)
    file.seek(0)
    if begin.startswith(b"PXR-USDC"):
        return ".usdc"
    return ".usdz" if begin.startswith(b"PK") else ".usda"


def _animations(stage: Any) -> list[Any]:
    """Return the prims of animations, including our own without any control."""
    from pxr import Usd, UsdSkel

    found = [
        prim
        for prim in Usd.PrimRange.Stage(stage, Usd.TraverseInstanceProxies())
        if prim.IsA(UsdSkel.Animation)
        and (UsdSkel.Animation(prim).GetBlendShapesAttr().Get() or _facts(prim))
    ]
    if len(found) > _MAX_ANIMATIONS:
        raise FileFormatError(f"expected up to {_MAX_ANIMATIONS} animations, got {len(found)}")
    return found


def _facts(prim: Any) -> Mapping[str, Any]:
    """Return what facesdk wrote about a clip, or nothing."""
    facts = prim.GetCustomDataByKey("facesdk")
    return facts if isinstance(facts, dict) else {}


class _Animation:
    """One `SkelAnimation`; the stage stays in memory."""

    def __init__(self, stage: Any, prim: Any, rig: Rig | None) -> None:
        from pxr import UsdSkel

        self._stage = stage
        self._name = str(prim.GetPath())
        self._query = UsdSkel.Cache().GetAnimQuery(UsdSkel.Animation(prim))
        facts = _facts(prim)
        names = [str(n) for n in self._query.GetBlendShapeOrder() or ()]
        found, self._columns, meta = _on_rig(names, facts, rig)
        self._joints = _Joints.of(stage, self._query)
        codes = self._codes()
        per_second = float(stage.GetTimeCodesPerSecond())
        fps = _rate(stage, codes, per_second, facts)
        self._first = float(codes[0]) if len(codes) else 0.0
        self._step = per_second / float(fps)
        self._count = self._frames(codes, facts)
        self.info = ClipInfo(
            found,
            fps,
            int(facts.get("sampleRate", SAMPLE_RATE)),
            int(facts.get("startSample", round(self._first / per_second * SAMPLE_RATE))),
            _events(facts),
            {"name": str(facts.get("clip", prim.GetName()))} | meta,
        )

    def _codes(self) -> Array:
        """Return (K,) time codes of all keys."""
        weights = self._query.GetBlendShapeWeightTimeSamples() or ()
        turns = self._query.GetJointTransformTimeSamples() if self._joints else ()
        codes = np.unique(np.array([*weights, *(turns or ())], np.float64))
        if not np.isfinite(codes).all():
            raise FileFormatError("time codes must be finite")
        return codes

    def _frames(self, codes: Array, facts: Mapping[str, Any]) -> int:
        """Return the number of frames; values that do not change are one frame."""
        if not len(codes):
            return 0 if facts else 1
        frames = (float(codes[-1]) - float(codes[0])) / self._step
        if not frames < _MAX_FRAMES:
            raise FileFormatError(f"animation {self._name} lasts {frames:.0f} frames")
        return round(frames) + 1

    def blocks(self) -> Iterator[Block]:
        """Yield weights and joints as usd-core interpolates them at the frames."""
        for first in range(0, max(self._count, 1), BLOCK_FRAMES):
            frames = range(first, min(first + BLOCK_FRAMES, self._count))
            codes = [self._first + i * self._step for i in frames]
            with _in_words(self._name):
                angles = self._joints.angles(codes) if self._joints else None
                yield Block(self._values(codes), angles)

    def _values(self, codes: Sequence[float]) -> Floats:
        count = len(self._query.GetBlendShapeOrder() or ())
        table = np.zeros((len(codes), count), np.float32)
        for row, code in zip(table, codes, strict=True):
            weights = np.array(self._query.ComputeBlendShapeWeights(code) or (), np.float32)
            if len(weights) != count:
                raise FileFormatError(f"animation {self._name} has {len(weights)} weights")
            row[:] = weights
        return _finite(on_rig(table, self._columns, self.info.rig))


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise FileFormatError("weights and joints must be finite")
    return values


def _on_rig(
    names: Sequence[str], facts: Mapping[str, Any], rig: Rig | None
) -> tuple[Rig, Columns, dict[str, Any]]:
    """Return the rig of blend shapes, the shapes of each of its controls, and notes.

    facesdk's own files have the clip's controls last.
    """
    first = len(names) - int(facts.get("controls", len(names)))
    own = list(names[max(first, 0) :])
    place = {name: max(first, 0) + i for i, name in enumerate(own)}
    if facts and rig is None:
        stored, _ = listed_rig(own, name=str(facts["rig"]), version=str(facts["rigVersion"]))
        return stored, [(place[n],) for n in stored.names], {}
    found, columns, notes = file_rig(own, rig)
    meta = {"imported": notes} if notes else {}
    first = max(first, 0)
    return found, [[first + i for i in places] for places in columns], meta


def _events(facts: Mapping[str, Any]) -> tuple[Event, ...]:
    return tuple(
        Event(int(e["sample"]), str(e["name"]), dict(e["data"]))
        for e in json.loads(str(facts.get("events", "[]")))
    )


def _rate(stage: Any, codes: Array, per_second: float, facts: Mapping[str, Any]) -> Fraction:
    """Return the stored rate, else the stage's if all keys lie on its frames, else the keys'."""
    if "fps" in facts:
        return exact_fps(str(facts["fps"]))
    if not per_second > 0:
        raise FileFormatError(f"expected time codes to pass, {per_second:g} of them a second")
    rates = [r for r in (float(stage.GetFramesPerSecond()), per_second) if 0 < r <= MAX_FPS]
    for rate in rates:
        frames = (codes - codes[:1]) * rate / per_second
        if np.abs(frames - np.rint(frames)).max(initial=0) <= _GRID:
            return exact_fps(rate)
    return timing(codes / per_second, resolution=1e-6, default=Fraction(60)).fps


# ------------------------------------------------------------------------- joints


class _Joints:
    """The joints of a pose in an animation."""

    def __init__(
        self, query: Any, places: Mapping[int, int], rests: Mapping[int, tuple[Array, Array]]
    ) -> None:
        self._query = query
        self._places = places
        self._rests = rests

    @classmethod
    def of(cls, stage: Any, query: Any) -> _Joints | None:
        """Return the pose joints of an animation, or None if none of them moves."""
        if not query.GetJointTransformTimeSamples():
            return None
        paths = [str(path) for path in query.GetJointOrder() or ()]
        places: dict[int, int] = {}
        for i, path in enumerate(paths):
            joint = joint_called(path.rpartition("/")[2])
            if joint is not None:
                places.setdefault(POSE_JOINTS.index(joint), i)
        rests = _rests(stage, set(paths))
        straight = (np.eye(3), np.eye(3))
        found = {i: rests.get(paths[i], straight) for i in places.values()}
        return cls(query, places, found) if places else None

    def angles(self, codes: Sequence[float]) -> Floats:
        """Return (n, 4, 3) yaw, pitch, roll away from rest, about the axes of the scene."""
        angles = np.zeros((len(codes), len(POSE_JOINTS), 3), np.float32)
        for frame, code in enumerate(codes):
            _, turns, _ = self._query.ComputeJointLocalTransformComponents(code)
            for joint, place in self._places.items():
                above, rest = self._rests[place]
                turned = above @ _matrix(turns[place]) @ rest.T @ above.T
                angles[frame, joint] = _angles(turned)
        return _finite(angles)


def _rests(stage: Any, joints: set[str]) -> dict[str, tuple[Array, Array]]:
    """Return by joint the rest rotations of its parent in a Y-up scene, and of it in its parent."""
    from pxr import UsdGeom, UsdSkel

    places, cache = UsdGeom.XformCache(), UsdSkel.Cache()
    upright = _TO_Y_UP if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z else np.eye(3)
    for prim in stage.Traverse():
        if not prim.IsA(UsdSkel.Skeleton):
            continue
        query = cache.GetSkelQuery(UsdSkel.Skeleton(prim))
        paths = [str(path) for path in query.GetJointOrder()]
        if not joints <= set(paths):
            continue
        base = upright @ _rotation(places.GetLocalToWorldTransform(prim))
        world = query.ComputeJointSkelTransforms(0.0, atRest=True) or ()
        local = query.ComputeJointLocalTransforms(0.0, atRest=True) or ()
        turned = {path: base @ _rotation(m) for path, m in zip(paths, world, strict=False)}
        return {
            path: (turned.get(path.rpartition("/")[0], base), _rotation(m))
            for path, m in zip(paths, local, strict=False)
        }
    return {}


def _rotation(matrix: Any) -> Array:
    """Return the (3, 3) rotation for column vectors of a matrix for row vectors."""
    return np.array(matrix.GetOrthonormalized(False).ExtractRotationMatrix()).T


def _matrix(quaternion: Any) -> Array:
    from pxr import Gf

    return np.array(Gf.Matrix3d(Gf.Quatd(quaternion).GetNormalized())).T


def _angles(turn: Array) -> tuple[float, float, float]:
    """Return yaw, pitch and roll of a rotation."""
    pitch = np.arcsin(np.clip(-turn[1, 2], -1, 1))
    yaw, roll = np.arctan2(turn[0, 2], turn[2, 2]), np.arctan2(turn[1, 0], turn[1, 1])
    return float(yaw), float(pitch), float(roll)
