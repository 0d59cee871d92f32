"""Clips in glTF files: animated weights, turns of head and eyes, VRM's expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...clip import MAX_FPS, POSE_JOINTS, SAMPLE_RATE, Clip, Event, Pose, exact_fps
from ...errors import FileFormatError
from ...mesh.files.gltf import MAX_BYTES, Scene, in_words
from ...mesh.rotation import quaternion_angles, slerp
from ...rig import Rig, rig_names
from ..rates import require_plausible, timing
from ..rigs import file_rig, on_rig
from .bones import find_bones

Array = NDArray[Any]

FPS = Fraction(60)
"""Rate that curves are read at whose keys lie on no grid."""

_GRID = 1e-4
"""Seconds by which keys may miss their frames."""

_LONGEST = 24 * 3600


def read_clips(file: BinaryIO, rig: Rig | None = None) -> Sequence[Clip]:
    """Read every animation of a `.glb`, `.gltf` or `.vrma` file that moves a face.

    Morph targets are matched by name, in ARKit's spelling or nearly so. `meta["imported"]` lists
    what was left out.
    """
    path = Path(str(getattr(file, "name", "clip.glb")))
    with in_words(path):
        file.seek(0)
        data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise FileFormatError(f"{path} has more than {MAX_BYTES:,} bytes")
        figure = _Figure(Scene.parse(data, path))
        clips = [clip for clip in figure.clips(rig) if clip is not None]
        if not clips:
            raise FileFormatError(f"{path} animates no morph targets and no expressions")
        return clips


@dataclass(frozen=True, eq=False)
class _Curve:
    """A sampler: its keys and its interpolation."""

    times: Array
    """(K,) seconds, rising."""
    values: Array
    """(K, n), or (3 K, n) of arriving tangent, value and leaving tangent."""
    kind: str
    """STEP, LINEAR or CUBICSPLINE."""

    def at(self, times: Array, *, turning: bool = False) -> Array:
        """Return (T, n) values; `turning` takes the shortest way between quaternions."""
        if len(self.times) == 1:
            return np.repeat(self.keys, len(times), 0)
        last = len(self.times) - 2
        times = self._snapped(times)
        i = np.clip(np.searchsorted(self.times, times, "right") - 1, 0, last)
        span = self.times[i + 1] - self.times[i]
        share = np.clip((times - self.times[i]) / span, 0, 1)[:, None]
        begin, end = self.keys[i], self.keys[i + 1]
        if self.kind == "STEP":
            return np.where(share < 1, begin, end)
        if self.kind == "LINEAR":
            return slerp(begin, end, share) if turning else begin + share * (end - begin)
        leaving, arriving = self.values[2::3][i], self.values[0::3][i + 1]
        return _hermite(share, span[:, None], begin, end, leaving, arriving)

    def _snapped(self, times: Array) -> Array:
        """Return times, with those within float32 rounding of a key set to the key's."""
        after = np.searchsorted(self.times, times).clip(1, len(self.times) - 1)
        before = self.times[after - 1]
        near = np.where(times - before < self.times[after] - times, before, self.times[after])
        return np.where(np.abs(near - times) <= np.spacing(np.float32(near)), near, times)

    @property
    def keys(self) -> Array:
        return self.values[1::3] if self.kind == "CUBICSPLINE" else self.values


def _hermite(
    u: Array, span: Array, begin: Array, end: Array, leaving: Array, arriving: Array
) -> Array:
    rise = 3 * u**2 - 2 * u**3
    bend = (u**3 - 2 * u**2 + u) * leaving + (u**3 - u**2) * arriving
    return np.asarray(begin + rise * (end - begin) + span * bend)


class _Figure:
    """The parts of a scene that form a face."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._nodes = list(scene.document.get("nodes", ()))
        self._extension = dict(scene.document.get("extensions", {}).get("VRMC_vrm_animation", {}))
        self._expressions = self._expression_nodes()
        self._bones = find_bones(scene.document)
        self._joints = {bone.node: joint for joint, bone in self._bones.items()}

    def clips(self, rig: Rig | None) -> Iterator[Clip | None]:
        """Yield a clip per animation, or None for one that moves no face."""
        for animation in self._scene.document.get("animations", ()):
            yield self._clip(animation, rig)

    # ---------------------------------------------------------------- the face

    def _expression_nodes(self) -> dict[int, str]:
        """Return the expression of every node that stands for one, in VRM animations."""
        groups = self._extension.get("expressions", {})
        return {
            int(entry["node"]): str(name)
            for group in ("preset", "custom")
            for name, entry in groups.get(group, {}).items()
        }

    # ------------------------------------------------------------------ a clip

    def _clip(self, animation: Mapping[str, Any], rig: Rig | None) -> Clip | None:
        curves: dict[str, tuple[_Curve, int]] = {}
        turns: dict[str, tuple[_Curve, int]] = {}
        for channel in animation.get("channels", ()):
            target = channel.get("target", {})
            if "node" not in target:
                continue
            node, path = int(target["node"]), target.get("path")
            sampler = animation["samplers"][int(channel["sampler"])]
            if path == "weights":
                curves = self._weights(node, sampler) | curves
            elif path == "translation" and node in self._expressions:
                curves.setdefault(self._expressions[node], (self._curve(sampler), 0))
            elif path == "rotation" and node in self._joints:
                turns.setdefault(self._joints[node], (self._turning(sampler), node))
            elif path == "rotation" and node == self._extension.get("lookAt", {}).get("node"):
                for eye in ("left_eye", "right_eye"):
                    turns.setdefault(eye, (self._turning(sampler), -1))
        if not curves:
            return None
        facts = _facts(animation)
        keys = [curve.times for curve, _ in (*curves.values(), *turns.values())]
        start, fps, count = _grid(keys, facts)
        times = float(start) + np.arange(count) * (fps.denominator / fps.numerator)
        stated = rig or _stated_rig(facts, curves)
        target_rig, values, notes = _on_rig(curves, times, stated)
        meta = {"name": str(animation["name"])} if animation.get("name") else {}
        sample_rate = int(facts.get("sample_rate", SAMPLE_RATE))
        return Clip(
            target_rig,
            values,
            fps,
            pose=self._pose(turns, times),
            start_sample=round(start * sample_rate),
            sample_rate=sample_rate,
            events=_events(facts),
            meta=meta | ({"imported": notes} if notes else {}),
        )

    def _weights(self, node: int, sampler: Mapping[str, Any]) -> dict[str, tuple[_Curve, int]]:
        """Return the curve of a mesh's weights, and the column of each of its targets."""
        names = self._scene.target_names(int(self._nodes[node]["mesh"]))
        curve = self._curve(sampler, width=len(names))
        return {name: (curve, column) for column, name in enumerate(names)}

    def _curve(self, sampler: Mapping[str, Any], width: int | None = None) -> _Curve:
        times = self._scene.accessor(int(sampler["input"]))[:, 0].astype(float)
        values = self._scene.accessor(int(sampler["output"])).astype(float)
        kind = str(sampler.get("interpolation", "LINEAR"))
        if kind not in ("STEP", "LINEAR", "CUBICSPLINE"):
            raise ValueError(f"an interpolation is called {kind[:40]!r}")
        rows = len(times) * (3 if kind == "CUBICSPLINE" else 1)
        values = values if width is None else values.reshape(rows, width)
        if not len(times) or len(values) != rows or (np.diff(times) <= 0).any():
            raise ValueError(f"a sampler has {len(values)} values for {len(times)} rising times")
        if not (np.isfinite(times).all() and np.isfinite(values).all()):
            raise ValueError("a sampler has numbers that are not finite")
        return _Curve(times, values, kind)

    def _turning(self, sampler: Mapping[str, Any]) -> _Curve:
        """Return a curve of quaternions; raises `ValueError` for quaternions near zero."""
        curve = self._curve(sampler)
        if curve.values.shape[1] != 4 or (np.linalg.norm(curve.keys, axis=1) < 1e-3).any():
            raise ValueError("a rotation has keys that are not quaternions")
        return curve

    def _pose(self, turns: Mapping[str, tuple[_Curve, int]], times: Array) -> Pose | None:
        """Return rotations of the joints away from rest, about the axes of the character."""
        if not turns:
            return None
        angles = np.zeros((len(times), len(POSE_JOINTS), 3), np.float32)
        for joint, (curve, node) in turns.items():
            turned = curve.at(times, turning=True)
            turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
            if node >= 0:
                turned = self._bones[joint].turns(turned)
            angles[:, POSE_JOINTS.index(joint)] = quaternion_angles(turned)
        return Pose(angles)


# ------------------------------------------------------------------ time and rig


def _facts(animation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what facesdk wrote about the clip, or nothing."""
    extras = animation.get("extras")
    facts = extras.get("facesdk") if isinstance(extras, dict) else None
    return facts if isinstance(facts, dict) else {}


def _stated_rig(facts: Mapping[str, Any], names: Collection[str]) -> Rig | None:
    """Return the built-in rig that facesdk wrote, if the file has all its controls.

    The mesh may have more shapes than the rig, so that another rig fits its names as well.
    """
    name = facts.get("rig")
    if not isinstance(name, str) or name not in rig_names():
        return None
    rig = Rig.load(name)
    return rig if set(rig.names) <= set(names) else None


def _events(facts: Mapping[str, Any]) -> tuple[Event, ...]:
    return tuple(
        Event(int(e["sample"]), str(e["name"]), dict(e.get("data", {})))
        for e in facts.get("events", ())
    )


def _grid(keys: Sequence[Array], facts: Mapping[str, Any]) -> tuple[Fraction, Fraction, int]:
    """Return start in seconds, frame rate and number of the frames that show all keys."""
    begin = min(float(times[0]) for times in keys)
    end = max(float(times[-1]) for times in keys)
    if end - begin > _LONGEST:
        raise ValueError(f"an animation lasts {end - begin:.0f} s")
    fps = _rate(keys, facts)
    start = Fraction(round(begin * SAMPLE_RATE), SAMPLE_RATE)
    if "start_sample" in facts:
        start = Fraction(int(facts["start_sample"]), int(facts["sample_rate"]))
    count = round((end - float(start)) * float(fps)) + 1
    require_plausible(count, sum(map(len, keys)))
    return start, fps, count


def _rate(keys: Sequence[Array], facts: Mapping[str, Any]) -> Fraction:
    """Return the stored rate, else the one on whose frames all keys lie, else 60."""
    if "fps" in facts:
        return exact_fps(Fraction(*map(int, facts["fps"])))
    times = np.unique(np.concatenate(keys).astype(np.float32).astype(float))
    steps = np.diff(times)
    shortest = float(steps.min(initial=np.inf))
    if not 1 / MAX_FPS <= shortest < np.inf:
        return FPS
    counts = np.rint((times - times[0]) / shortest)
    if np.abs(times - times[0] - counts * shortest).max() > _GRID:
        return FPS
    whole = times[0] + np.arange(counts[-1] + 1) * (times[-1] - times[0]) / counts[-1]
    return timing(whole, resolution=1e-6, default=FPS).fps


def _on_rig(
    curves: Mapping[str, tuple[_Curve, int]], times: Array, rig: Rig | None
) -> tuple[Rig, Floats, dict[str, Any]]:
    """Return the rig of curves, their values on it, and notes for the clip's meta."""
    found, columns, notes = file_rig(list(curves), rig)
    sampled = {id(curve): curve.at(times) for curve, _ in curves.values()}
    table = np.stack([sampled[id(curve)][:, column] for curve, column in curves.values()], 1)
    ignored = set(notes.pop("ignored_targets", ()))
    if moving := [n for n, (c, i) in curves.items() if n in ignored and c.values[:, i].any()]:
        notes["ignored_targets"] = moving
    return found, on_rig(np.asarray(table, np.float32), columns, found), notes
