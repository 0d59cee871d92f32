"""Clips as `SkelAnimation`s: weights of blend shapes, rotations of joints at time codes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ...clip import POSE_ANGLES, POSE_JOINTS
from ...mesh.rotation import quaternion_angles, quaternions, slerp
from ...source import Block, ClipInfo, FrameSource
from ..keys import LinearKeys, longest_pieces
from ..rigs import bare_rig
from ..scene.head_curves import head_curves
from ..scene.skeleton import PARENTS
from ..spool import Spool
from .figure import joint_paths, local_places
from .layer import Array, Prim, Samples, text

if TYPE_CHECKING:
    from ...mesh import Head

_RUN = 1024
"""Frames whose numbers are in memory at once."""

_JOINTS = [list(PARENTS).index(name) for name in POSE_JOINTS]
"""Place among the skeleton's joints of those that a pose turns."""


# ----------------------------------------------------------------------- sources


class SkeletonCurves:
    """A source as a skeleton plays it: weights by name, joints with the eyes as they look.

    Controls called as shapes are the weights. Those of other rigs come after the shapes that they
    drive: UsdSkel ignores weights without a shape on any mesh.
    """

    def __init__(self, source: FrameSource, head: Head | None) -> None:
        """Raises `ExportError` for a head without shapes."""
        self._source = _Passing(source)
        self._driven = head_curves(self._source, head)
        shapes = () if self._driven is None else self._driven.info.rig.names
        own = source.info.rig.names
        self._beside = () if set(shapes) & set(own) else shapes
        self.info = ClipInfo(
            bare_rig((*self._beside, *own)),
            source.info.fps,
            source.info.sample_rate,
            source.info.start_sample,
        )

    def blocks(self) -> Iterator[Block]:
        """Yield weights (n, S) and angles (n, 4, 3)."""
        if self._driven is None:
            yield from self._source.blocks()
            return
        for weights, angles in self._driven.blocks():
            own = self._source.passed.values
            yield Block(np.hstack([weights, own]) if self._beside else own, angles)


class _Passing:
    """A source that keeps its last block: a stream can be read only once."""

    passed: Block

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self.info = ClipInfo(
            source.info.rig, source.info.fps, source.info.sample_rate, source.info.start_sample
        )

    def blocks(self) -> Iterator[Block]:
        """Yield the source's blocks."""
        for block in self._source.blocks():
            self.passed = block
            yield block


# ------------------------------------------------------------------------- times


@dataclass(frozen=True)
class SpooledClip:
    """One clip, its channels on disk."""

    name: str
    source: FrameSource
    spool: Spool

    def codes(self, rate: Fraction, frames: Array) -> Array:
        """Return time codes of frames, `rate` of them per second."""
        start = self.source.info.start * rate
        step = rate / self.source.info.fps
        exact: Array = float(start) + frames * step.numerator / step.denominator
        return exact

    def span(self, rate: Fraction) -> tuple[float, float]:
        """Return the time codes of the first and the last frame."""
        first, last = self.codes(rate, np.array([0, max(self.spool.frames - 1, 0)]))
        return float(first), float(last)


def add_animation(
    parent: Prim,
    prim: str,
    clip: SpooledClip,
    rate: Fraction,
    places: Mapping[str, Array],
    tolerance: float | None,
) -> None:
    """Add a clip under the name `prim`, for joints that rest at `places`."""
    animation = parent.child("SkelAnimation", prim)
    animation.facts = _facts(clip)
    spool = clip.spool
    width = len(spool.names) - len(POSE_ANGLES) * spool.has_pose
    animation.add("token[]", "blendShapes", list(map(text, spool.names[:width])), uniform=True)
    if spool.frames:
        keys = None if tolerance is None else _weight_keys(spool, width, tolerance)
        weights = Samples(
            _times(clip, rate, keys), lambda: (r[:, :width] for r in _rows(spool, keys))
        )
        animation.add("float[]", "blendShapeWeights", samples=weights)
    else:
        animation.add("float[]", "blendShapeWeights", np.zeros(width))
    animation.add("token[]", "joints", list(joint_paths().values()), uniform=True)
    if spool.frames and spool.has_pose:
        turned = None if tolerance is None else _rotation_keys(spool, tolerance)
        turns = Samples(_times(clip, rate, turned), lambda: map(_rotations, _rows(spool, turned)))
        animation.add("quatf[]", "rotations", samples=turns)
    else:
        animation.add("quatf[]", "rotations", _still(1)[0])
    animation.add("half3[]", "scales", np.ones((len(PARENTS), 3)))
    animation.add("float3[]", "translations", local_places(places))


def _facts(clip: SpooledClip) -> Mapping[str, str | int]:
    """Return the facts that our reader restores."""
    source = clip.source
    events: list[Any] = [
        {"sample": e.sample, "name": e.name, "data": dict(e.data)} for e in source.info.events
    ]
    facts: dict[str, str | int] = {
        "clip": text(clip.name),
        "controls": len(source.info.rig),
        "fps": str(source.info.fps),
        "rig": text(source.info.rig.name),
        "rigVersion": text(source.info.rig.version),
        "sampleRate": source.info.sample_rate,
        "startSample": source.info.start_sample,
    }
    return facts | ({"events": json.dumps(events)} if events else {})


def _times(clip: SpooledClip, rate: Fraction, keys: Array | None) -> Array:
    return clip.codes(rate, np.arange(clip.spool.frames) if keys is None else keys)


def _rows(spool: Spool, keys: Array | None) -> Iterator[Array]:
    """Channels of every frame or of the keys, some at a time."""
    begin = 0
    for rows in spool.rows():
        if keys is None:
            yield rows
        else:
            first, last = np.searchsorted(keys, [begin, begin + len(rows)])
            yield rows[keys[first:last] - begin]
        begin += len(rows)


def _weight_keys(spool: Spool, width: int, tolerance: float) -> Array:
    """Return the frames where all weights have a key; weights of a time are one array."""
    chooser = LinearKeys(width, tolerance, shared=True)
    kept = [chooser.push(rows[:, :width]).any(1) for rows in spool.rows()]
    return np.flatnonzero(np.concatenate([*kept, chooser.flush().any(1)]))


# ------------------------------------------------------------------------- turns


def _angles(rows: Array) -> Array:
    """Return (n, 4, 3) angles of rows that end with a pose."""
    angles: Array = rows[:, -len(POSE_ANGLES) :].reshape(-1, len(POSE_JOINTS), 3)
    return angles


def _still(frames: int) -> Array:
    """Return (n, J, 4) identity quaternions w, x, y, z."""
    return np.tile(np.eye(1, 4), (frames, len(PARENTS), 1))


def _rotations(rows: Array) -> Array:
    turns = _still(len(rows))
    turns[:, _JOINTS] = np.roll(quaternions(_angles(rows)), 1, -1)
    return turns


def _rotation_keys(spool: Spool, tolerance: float) -> Array:
    """Return the frames where the joints have a key; slerp applies between them."""
    angles = np.concatenate([_angles(rows) for rows in spool.rows()])
    turns = quaternions(angles)

    def deviation(first: Array, span: int) -> Array:
        inside = np.arange(1, span)
        share = (inside / span)[None, :, None, None]
        between = slerp(turns[first][:, None], turns[first + span][:, None], share)
        missed = quaternion_angles(between) - angles[first[:, None] + inside]
        wrapped = (missed + np.pi) % (2 * np.pi) - np.pi
        return np.asarray(np.abs(wrapped).max((1, 2, 3)))

    return longest_pieces(len(turns), deviation, tolerance)
