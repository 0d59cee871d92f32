"""The child process that opens USD files of strangers with usd-core.

usd-core ends the process on some damaged files, and a few kilobytes of references to each other
can occupy it for hours. `read` therefore starts this module in a process with limits, and takes
its answer as plain JSON and numbers: see `answer`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pxr import Ar, Gf, Sdf, Tf, Usd, UsdGeom, UsdSkel

from ...arrays import Floats
from ...clip import MAX_FPS, POSE_JOINTS, exact_fps
from ...errors import FaceSDKError, FileFormatError, unexpected
from ...source import BLOCK_FRAMES
from ..rates import require_plausible, timing
from ..scene.skeleton import joint_called
from .layer import Array

_MAX_FRAMES = 1 << 24
_MAX_ANIMATIONS = 4096
_MAX_PRIMS = 1_000_000
_MAX_LAYERS = 1024
"""Largest number of files that a file may refer to, itself included."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""The beginning of an address; one letter is a drive."""

_GRID = 1e-4
"""Frames by which keys may miss the grid of a rate."""

_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Turns the axes of a stage with Z up."""


def answer(path: str, result: BinaryIO) -> None:
    """Write the animations of a file: a line of JSON, then their values.

    The line is `{"animations": [...]}` or `{"error": "..."}`. The values are float32, little
    endian: per animation (frames, shapes) weights, then (frames, 4, 3) angles if it has joints.
    """
    try:
        animations = [_Animation(*found) for found in _found(Path(path))]
        rows = [list(animation.rows()) for animation in animations]
    except FaceSDKError as error:
        _write_line(result, {"error": str(error)})
        return
    except (Tf.ErrorException, ValueError, TypeError, KeyError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[-200:]
        _write_line(result, {"error": f"it is not valid USD: {reason}"})
        return
    except Exception as error:
        _write_line(result, {"error": unexpected(error)})
        return
    _write_line(result, {"animations": [animation.facts for animation in animations]})
    for parts in rows:
        for part in parts:
            result.write(np.ascontiguousarray(part, "<f4").tobytes())


def _write_line(result: BinaryIO, document: Mapping[str, Any]) -> None:
    result.write(json.dumps(document, default=str).encode() + b"\n")


def main() -> int:
    """Answer for the file in the last argument on standard output."""
    answer(sys.argv[-1], sys.stdout.buffer)
    sys.stdout.flush()
    os._exit(0)  # the destructors of a damaged stage may still crash


# ------------------------------------------------------------------------ opening


def _found(path: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the stage and the prim of every animation."""
    os.chdir(path.parent)  # usd-core also looks for relative paths there
    _require_own_folder(path)
    if (prims := _Census().of_layer(str(path))) > _MAX_PRIMS:
        raise FileFormatError(
            f"its references multiply to {prims:,} prims, expected at most {_MAX_PRIMS:,}"
        )
    stage = Usd.Stage.Open(str(path))
    inside = path.parent.resolve()
    for layer in stage.GetUsedLayers():
        if layer.realPath and not _outer(layer.realPath).is_relative_to(inside):
            raise _outside(layer.realPath)
    found = []
    for prim in Usd.PrimRange.Stage(stage, Usd.TraverseInstanceProxies()):
        if prim.IsA(UsdSkel.Animation) and (
            UsdSkel.Animation(prim).GetBlendShapesAttr().Get() or _facts(prim)
        ):
            found.append(prim)
            if len(found) > _MAX_ANIMATIONS:
                raise FileFormatError(f"expected up to {_MAX_ANIMATIONS} animations, got more")
    yield from ((stage, prim) for prim in found)


def _require_own_folder(path: Path) -> None:
    """Raise `FileFormatError` for a reference to a file outside the folder, before any is opened.

    Sublayers, references, payloads and value clips count, in the file and in all that it refers
    to. Textures and sounds are never opened.
    """
    inside = path.parent.resolve()
    waiting, seen = [str(path)], {str(path)}
    while waiting:
        layer = Sdf.Layer.FindOrOpen(waiting.pop())
        if layer is None:
            continue
        for written in {*layer.GetCompositionAssetDependencies(), *_value_clips(layer)}:
            if not written:
                continue
            if written.startswith("`"):
                raise FileFormatError(f"it refers to an expression, {written[:80]!r}")
            if _SCHEME.match(written):
                raise _outside(written)
            target = Sdf.ComputeAssetPathRelativeToLayer(layer, written)
            target, _ = Sdf.Layer.SplitIdentifier(target)
            if not _outer(target, inside).is_relative_to(inside):
                raise _outside(written)
            if target not in seen:
                seen.add(target)
                waiting.append(target)
            if len(seen) > _MAX_LAYERS:
                raise FileFormatError(f"it refers to more than {_MAX_LAYERS} files")


class _Census:
    """Counts the prims of a stage before it is composed: references may multiply them.

    Of a variant set, the largest variant counts.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def of_layer(self, identifier: str) -> int:
        """Return the number of prims of a layer with its sublayers, references followed."""
        key = (identifier, "/")
        layer = Sdf.Layer.FindOrOpen(identifier)
        if layer is None or key in self._known:
            return self._known.get(key, 0)
        self._known[key] = 0  # what refers to itself is an error of usd-core
        count = sum(self._of_prim(layer, spec) for spec in layer.rootPrims)
        count += sum(self.of_layer(self._target(layer, sub)) for sub in layer.subLayerPaths)
        self._known[key] = count
        return count

    def _of_prim(self, layer: Any, spec: Any) -> int:
        key = (layer.identifier, str(spec.path))
        if key in self._known:
            return self._known[key]
        self._known[key] = 0
        count = 1 + sum(self._of_prim(layer, child) for child in spec.nameChildren)
        for listed in (spec.referenceList, spec.payloadList):
            for arc in listed.GetAddedOrExplicitItems():
                other = layer
                if arc.assetPath:
                    other = Sdf.Layer.FindOrOpen(self._target(layer, arc.assetPath))
                if other is not None:
                    count += self._at(other, str(arc.primPath) or f"/{other.defaultPrim}")
        for listed in (spec.inheritPathList, spec.specializesList):
            for path in listed.GetAddedOrExplicitItems():
                count += self._at(layer, str(path))
        for variants in spec.variantSets.values():
            sizes = [self._of_prim(layer, v.primSpec) for v in variants.variants.values()]
            count += max(sizes, default=0)
        self._known[key] = count
        return count

    def _at(self, layer: Any, path: str) -> int:
        spec = layer.GetPrimAtPath(path)
        return 0 if spec is None else self._of_prim(layer, spec)

    @staticmethod
    def _target(layer: Any, written: str) -> str:
        return str(Sdf.ComputeAssetPathRelativeToLayer(layer, written))


def _outside(written: str) -> FileFormatError:
    return FileFormatError(f"it refers to {written[:200]!r}, which is not in its folder")


def _outer(identifier: str, folder: Path = Path()) -> Path:
    """Return the file of an identifier with all links followed; that of the package within one."""
    if Ar.IsPackageRelativePath(identifier):
        identifier = Ar.SplitPackageRelativePathOuter(identifier)[0]
    return (folder / identifier).resolve()


def _value_clips(layer: Any) -> set[str]:
    """Return the paths of files of value clips, which `clips` of a prim may name."""
    paths: set[str] = set()

    def visit(path: Any) -> None:
        spec = layer.GetObjectAtPath(path)
        if not isinstance(spec, Sdf.PrimSpec) or not spec.HasInfo("clips"):
            return
        for entry in dict(spec.GetInfo("clips")).values():
            for key, value in dict(entry).items():
                if key in ("assetPaths", "manifestAssetPath"):
                    listed = [value] if isinstance(value, Sdf.AssetPath) else value
                    paths.update(asset.path for asset in listed)
                elif key == "templateAssetPath":
                    paths.add(str(value))

    layer.Traverse(Sdf.Path.absoluteRootPath, visit)
    return paths


def _facts(prim: Any) -> Mapping[str, Any]:
    """Return what facesdk wrote about a clip, or nothing."""
    facts = prim.GetCustomDataByKey("facesdk")
    return facts if isinstance(facts, dict) else {}


# ------------------------------------------------------------------------ animations


class _Animation:
    """One `SkelAnimation`: the facts about it, and its rows."""

    def __init__(self, stage: Any, prim: Any) -> None:
        self._stage = stage  # prims do not keep it alive
        self._name = str(prim.GetPath())
        self._query = UsdSkel.Cache().GetAnimQuery(UsdSkel.Animation(prim))
        own = _facts(prim)
        self._shapes = [str(n) for n in self._query.GetBlendShapeOrder() or ()]
        self._joints = _Joints.of(stage, self._query)
        codes = self._codes()
        per_second = float(stage.GetTimeCodesPerSecond())
        fps = _rate(stage, codes, per_second, own)
        self._first = float(codes[0]) if len(codes) else 0.0
        self._step = per_second / float(fps)
        self._count = self._frames(codes, own)
        self.facts = {
            "path": self._name,
            "name": str(prim.GetName()),
            "shapes": self._shapes,
            "facts": dict(own),
            "fps": [fps.numerator, fps.denominator],
            "start": self._first / per_second,
            "frames": self._count,
            "pose": self._joints is not None,
        }

    def _codes(self) -> Array:
        """Return (K,) time codes of all keys."""
        weights = self._query.GetBlendShapeWeightTimeSamples() or ()
        turns = self._query.GetJointTransformTimeSamples() if self._joints else ()
        codes = np.unique(np.array([*weights, *(turns or ())], np.float64))
        if not np.isfinite(codes).all():
            raise FileFormatError("time codes must be finite")
        return codes

    def _frames(self, codes: Array, own: Mapping[str, Any]) -> int:
        """Return the number of frames; values that do not change are one frame."""
        if not len(codes):
            return 0 if own else 1
        frames = (float(codes[-1]) - float(codes[0])) / self._step
        if not frames < _MAX_FRAMES:
            raise FileFormatError(f"animation {self._name} lasts {frames:.0f} frames")
        require_plausible(frames, len(codes))
        return round(frames) + 1

    def rows(self) -> Iterator[Floats]:
        """Yield weights, then joints, as usd-core interpolates them at the frames."""
        for codes in self._blocks():
            yield self._weights(codes)
        if self._joints is not None:
            for codes in self._blocks():
                yield self._joints.angles(codes)

    def _blocks(self) -> Iterator[list[float]]:
        for first in range(0, self._count, BLOCK_FRAMES):
            frames = range(first, min(first + BLOCK_FRAMES, self._count))
            yield [self._first + i * self._step for i in frames]

    def _weights(self, codes: Sequence[float]) -> Floats:
        values = np.zeros((len(codes), len(self._shapes)), np.float32)
        for row, code in zip(values, codes, strict=True):
            weights = np.array(self._query.ComputeBlendShapeWeights(code) or (), np.float32)
            if len(weights) != len(self._shapes):
                raise FileFormatError(f"animation {self._name} has {len(weights)} weights")
            row[:] = weights
        return _finite(values)


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise FileFormatError("weights and joints must be finite")
    return values


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
    return np.array(Gf.Matrix3d(Gf.Quatd(quaternion).GetNormalized())).T


def _angles(turn: Array) -> tuple[float, float, float]:
    """Return yaw, pitch and roll of a rotation."""
    pitch = np.arcsin(np.clip(-turn[1, 2], -1, 1))
    yaw, roll = np.arctan2(turn[0, 2], turn[2, 2]), np.arctan2(turn[1, 0], turn[1, 1])
    return float(yaw), float(pitch), float(roll)


if __name__ == "__main__":
    sys.exit(main())
