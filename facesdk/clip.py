"""Animation on a rig: one frame, a head pose, a finished clip.

Time is counted in audio samples and frame rates are exact fractions. Frame `i` of a clip is the
face at audio sample `start_sample + i * sample_rate / fps`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats
from .errors import ClipError
from .frozen import FrozenDict, Rebuilt
from .resample import Interpolation, frame_count, resample
from .rig import Rig

SAMPLE_RATE = 16_000
"""Hz; default clock of clips."""

MAX_FPS = 1000
BLOCK_FRAMES = 256
"""Frames per block in readers and writers."""
POSE_JOINTS = ("head", "neck", "left_eye", "right_eye")
POSE_ANGLES = tuple(f"pose.{j}.{a}" for j in POSE_JOINTS for a in ("yaw", "pitch", "roll"))
"""Channel names of the twelve angles of a `Pose`, in its order, as used in maps."""
_SWAP_EYES = (0, 1, 3, 2)
_MIRROR_ANGLES = np.array([-1, 1, -1], np.float32)  # yaw and roll change sign


def exact_fps(fps: Fraction | float | str) -> Fraction:
    """Return a frame rate as an exact fraction.

    Accepts `60`, `"30000/1001"` or `Fraction(24)`. The decimal NTSC rates (23.976, 29.97, 47.952,
    59.94, 119.88) become their exact fractions. Raises `ClipError` outside (0, 1000].
    """
    try:
        rate = Fraction(str(fps)) if isinstance(fps, float) else Fraction(fps)
    except (ValueError, TypeError, ZeroDivisionError):
        raise ClipError(
            f"fps must be a number or a fraction like 30000/1001, got {fps!r}"
        ) from None
    nominal = round(rate)
    ntsc = Fraction(nominal * 1000, 1001)
    if rate.denominator != 1 and abs(rate - ntsc) < Fraction(6, 10_000):
        rate = ntsc
    if not 0 < rate <= MAX_FPS:
        raise ClipError(f"fps must lie in (0, {MAX_FPS}], got {fps}")
    return rate


def _is_frozen(array: ArrayLike) -> TypeGuard[Floats]:
    """Whether an array can be shared: float32 that owns its memory and is read-only."""
    return (
        isinstance(array, np.ndarray)
        and array.dtype == np.float32
        and array.base is None
        and not array.flags.writeable
    )


def _frozen(array: ArrayLike, shape_rule: str) -> Floats:
    try:
        with np.errstate(over="ignore"):  # overflow becomes infinity, which is checked below
            values = array if _is_frozen(array) else np.array(array, np.float32)
    except (ValueError, TypeError) as error:
        raise ClipError(f"{shape_rule}, got {type(array).__name__}: {error}") from error
    if not np.isfinite(values).all():
        where = np.argwhere(~np.isfinite(values))[0]
        raise ClipError(f"values must be finite, got {values[tuple(where)]} at {tuple(where)}")
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False, repr=False)
class Pose(Rebuilt):
    """Rotations of head, neck and eyes, in addition to the controls of a rig."""

    angles: Floats
    """(T, 4, 3) radians: head, neck, left eye, right eye, each yaw, pitch, roll.

    Right-handed, Y up, the character looks along +Z: positive yaw turns towards the character's
    left, positive pitch looks down, positive roll tilts towards the character's right shoulder.
    The neck turns on the body, the head on the neck, the eyes in the head. Yaw is applied first,
    then pitch, then roll, each about the axes as already turned.
    """

    def __post_init__(self) -> None:
        rule = "pose angles must be (T, 4, 3)"
        angles = _frozen(self.angles, rule)
        if angles.ndim != 3 or angles.shape[1:] != (4, 3):
            raise ClipError(f"{rule}, got {angles.shape}")
        object.__setattr__(self, "angles", angles)

    @classmethod
    def rest(cls, frames: int) -> Pose:
        """Return the rest pose, looking straight ahead, for `frames` frames."""
        return cls(np.zeros((frames, 4, 3), np.float32))

    def __repr__(self) -> str:
        return f"<Pose {len(self)} frames>"

    def __len__(self) -> int:
        return len(self.angles)

    def __eq__(self, other: object) -> bool:
        """Return whether the angles are bit-identical."""
        if not isinstance(other, Pose):
            return NotImplemented
        return np.array_equal(self.angles, other.angles)

    __hash__ = None  # type: ignore[assignment]

    def mirror(self) -> Pose:
        """Return the pose with left and right exchanged."""
        return Pose(mirror_angles(self.angles))


def mirror_angles(angles: Floats) -> Floats:
    """Return (..., 4, 3) mirrored joint angles: eyes are swapped, yaw and roll change sign."""
    return np.asarray(angles[..., _SWAP_EYES, :] * _MIRROR_ANGLES, np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """All controls at one instant."""

    index: int
    """Position in the stream, from 0."""
    sample: int
    """Audio sample the frame belongs to, rounded down, at `sample_rate`."""
    values: Floats
    """(C,) one value per control, in the rig's order."""
    pose: Floats | None = None
    """(4, 3) radians as in `Pose.angles`; None for a source without a pose."""
    sample_rate: int = SAMPLE_RATE
    """Hz of the clock that `sample` counts in: that of the clip, or of the session's model. It is
    not the rate of audio that a session resamples."""

    @property
    def seconds(self) -> float:
        """Time of the frame in seconds, on the clock of `sample` and exact to one sample."""
        return self.sample / self.sample_rate

    def __repr__(self) -> str:
        pose = "" if self.pose is None else " and a pose"
        return f"<Frame {self.index} at sample {self.sample}, {len(self.values)} values{pose}>"


@dataclass(frozen=True)
class Event:
    """A named instant of a clip: a cue, a mark, a note."""

    sample: int
    """Audio sample, on the clock of the clip."""
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


def frame_sample(index: int, fps: Fraction, *, sample_rate: int, start_sample: int = 0) -> int:
    """Return the audio sample of a frame, rounded down."""
    return start_sample + index * sample_rate * fps.denominator // fps.numerator


class Block(NamedTuple):
    """Consecutive frames as arrays."""

    values: Floats
    """(n, C) each column in its control's own range."""
    pose: Floats | None
    """(n, 4, 3) radians as in `Pose.angles`; None throughout a source without a pose."""


@dataclass(frozen=True, eq=False)
class ClipInfo:
    """The properties of a clip, without its frames."""

    rig: Rig
    fps: Fraction
    """Exact frames per second."""
    sample_rate: int = SAMPLE_RATE
    """Hz of the clock that `start_sample` and the events count in."""
    start_sample: int = 0
    events: Sequence[Event] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: where the clip came from (audio, model, settings)."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys of a clip file that this version does not define; kept when it is written again."""

    @property
    def start(self) -> Fraction:
        """Seconds of the first frame, exact."""
        return Fraction(self.start_sample, self.sample_rate)

    def sample_of(self, index: int) -> int:
        """Return the audio sample of a frame, rounded down."""
        return frame_sample(
            index, self.fps, sample_rate=self.sample_rate, start_sample=self.start_sample
        )


@dataclass(frozen=True, eq=False, repr=False)
class Clip(Rebuilt):
    """Animation curves sampled at a fixed rate on one rig. Immutable; edits return a new clip.

    Raises `ClipError` when shapes do not match, when a value is not finite or when a rate is out
    of range. Values outside a control's range are allowed; `clamped` limits them.
    """

    rig: Rig
    values: Floats
    """(T, C) float32, each column in its control's own range."""
    fps: Fraction
    """Exact: 30000/1001 stays 30000/1001."""
    pose: Pose | None = None
    start_sample: int = 0
    sample_rate: int = SAMPLE_RATE
    """Hz of the clock that `start_sample` and the events count in."""
    events: tuple[Event, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: where the clip came from (audio, model, settings)."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys of a clip file that this version does not define; kept when it is written again."""

    def __post_init__(self) -> None:
        rule = f"values must be (T, {len(self.rig)}) for rig {self.rig.name!r}"
        values = _frozen(self.values, rule)
        if values.ndim != 2 or values.shape[1] != len(self.rig):
            raise ClipError(f"{rule}, got {values.shape}")
        if self.pose is not None and len(self.pose) != len(values):
            raise ClipError(f"pose has {len(self.pose)} frames, values have {len(values)}")
        if self.sample_rate <= 0:
            raise ClipError(f"sample_rate must be positive, got {self.sample_rate}")
        set_field = object.__setattr__
        set_field(self, "values", values)
        set_field(self, "fps", exact_fps(self.fps))
        set_field(self, "events", tuple(sorted(self.events, key=lambda e: e.sample)))
        set_field(self, "meta", FrozenDict(self.meta))
        set_field(self, "extra", FrozenDict(self.extra))

    def __repr__(self) -> str:
        pose = "" if self.pose is None else " with a pose"
        return (
            f"<Clip {len(self)} frames at {float(self.fps):.6g} fps on {self.rig.name!r}{pose}, "
            f"{float(self.duration):.2f} s>"
        )

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        """Return whether rig, rates, start and events agree and all curves are bit-identical.

        `meta` and `extra` are not compared.
        """
        if not isinstance(other, Clip):
            return NotImplemented
        facts = (self.rig, self.fps, self.start_sample, self.sample_rate, self.events)
        if facts != (other.rig, other.fps, other.start_sample, other.sample_rate, other.events):
            return False
        return self.pose == other.pose and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    @property
    def duration(self) -> Fraction:
        """Seconds, exact."""
        return len(self) / self.fps

    def curve(self, control: str) -> Floats:
        """Return the (T,) values of one control; raises `UnknownNameError`."""
        return self.values[:, self.rig.index(control)]

    @property
    def info(self) -> ClipInfo:
        """Properties of the clip, without its frames."""
        return ClipInfo(
            self.rig, self.fps, self.sample_rate, self.start_sample, self.events, self.meta,
            self.extra,
        )  # fmt: skip

    def blocks(self) -> Iterator[Block]:
        """Yield the frames in blocks of `BLOCK_FRAMES`: at least one, which may be empty."""
        for start in range(0, max(len(self), 1), BLOCK_FRAMES):
            part = slice(start, start + BLOCK_FRAMES)
            yield Block(self.values[part], None if self.pose is None else self.pose.angles[part])

    def frames(self) -> Iterator[Frame]:
        """Yield the frames one by one."""
        for i, row in enumerate(self.values):
            pose = None if self.pose is None else self.pose.angles[i]
            yield Frame(i, self._sample(i), row, pose, self.sample_rate)

    def _sample(self, index: int) -> int:
        return self.info.sample_of(index)

    # ------------------------------------------------------------------ editing

    def resample(
        self, fps: Fraction | float | str, *, interpolation: Interpolation = "cubic"
    ) -> Clip:
        """Return the same motion at another frame rate; the duration changes by at most one frame.

        Frame times are computed from integers and do not drift. Raises `ClipError` for a rate
        that `exact_fps` does not accept.
        """
        rate = exact_fps(fps)
        if rate == self.fps or not len(self):
            return replace(self, fps=rate)
        count = frame_count(len(self), self.fps, rate)
        values = resample(self.values, self.fps, rate, count, interpolation=interpolation)
        pose = None
        if self.pose is not None:
            angles = self.pose.angles.reshape(len(self), -1)
            angles = resample(angles, self.fps, rate, count, interpolation=interpolation)
            pose = Pose(angles.reshape(-1, 4, 3))
        return replace(self, values=values, pose=pose, fps=rate)

    def slice(self, start: int, stop: int) -> Clip:
        """Return frames `start` to `stop` (exclusive) as a clip at its original time.

        Raises `ClipError` for frames that the clip does not have.
        """
        if not 0 <= start <= stop <= len(self):
            raise ClipError(f"slice must lie in 0..{len(self)}, got {start}..{stop}")
        first = self._sample(start)
        return replace(
            self,
            values=self.values[start:stop],
            pose=None if self.pose is None else Pose(self.pose.angles[start:stop]),
            start_sample=first,
            events=self._events_within(start, stop),
        )

    def _events_within(self, start: int, stop: int) -> tuple[Event, ...]:
        """Return the events of a slice: each belongs to one frame, early ones to the first."""
        if start == stop and len(self):
            return ()
        first = -math.inf if start == 0 else self._sample(start)
        end = math.inf if stop == len(self) else self._sample(stop)
        return tuple(e for e in self.events if first <= e.sample < end)

    def mirror(self) -> Clip:
        """Return the clip with left and right exchanged."""
        values = self.values[:, self.rig.mirror_order] * self.rig.mirror_signs
        return replace(self, values=values, pose=None if self.pose is None else self.pose.mirror())

    def mix(self, other: Clip, weight: float) -> Clip:
        """Return a blend of this clip (weight 0) with another (weight 1).

        Raises `ClipError` unless the other clip has the same rig, rate and length.
        """
        self._require_match(other)
        return self._combine(other, 1 - weight, weight)

    def add(self, other: Clip, weight: float = 1.0) -> Clip:
        """Return the clip plus `weight` times another clip's offset from rest.

        Raises `ClipError` unless the other clip has the same rig, rate and length.
        """
        self._require_match(other)
        offset = replace(other, values=other.values - self.rig.rest)
        return self._combine(offset, 1.0, weight)

    def clamped(self) -> Clip:
        """Return the clip with every value limited to its control's range."""
        return replace(self, values=np.clip(self.values, self.rig.minimum, self.rig.maximum))

    def _require_match(self, other: Clip) -> None:
        mine = (self.rig.name, self.rig.version, str(self.fps), len(self))
        theirs = (other.rig.name, other.rig.version, str(other.fps), len(other))
        if mine != theirs:
            raise ClipError(
                f"clips must have the same rig, rate and length; got {mine} and {theirs}: "
                "convert, resample or slice one of them first"
            )

    def _combine(self, other: Clip, mine: float, theirs: float) -> Clip:
        values = np.float32(mine) * self.values + np.float32(theirs) * other.values
        pose = None
        if self.pose is not None or other.pose is not None:
            a = self.pose or Pose.rest(len(self))
            b = other.pose or Pose.rest(len(self))
            pose = Pose(np.float32(mine) * a.angles + np.float32(theirs) * b.angles)
        return replace(self, values=values, pose=pose)


def concat(clips: Sequence[Clip], *, crossfade: int = 0) -> Clip:
    """Return clips joined into one, with a cross-fade of `crossfade` frames between neighbors.

    Cross-faded frames overlap: the result has `sum(lengths) - crossfade * (n - 1)` frames. Start
    and metadata are those of the first clip; events move with their clip. Raises `ClipError` when
    rigs or rates differ, or when a clip is shorter than the cross-fade.
    """
    if not clips:
        raise ClipError("concat needs at least one clip")
    if crossfade < 0 or (len(clips) > 1 and crossfade > min(map(len, clips))):
        raise ClipError(
            f"crossfade must lie in 0..{min(map(len, clips))} frames, the shortest clip, "
            f"got {crossfade}"
        )
    for clip in clips[1:]:
        _require_joinable(clips[0], clip)
    starts = _starts(clips, crossfade)
    first, rate = clips[0], clips[0]._sample
    moved = [
        replace(event, sample=event.sample + rate(begin) - clip.start_sample)
        for clip, begin in zip(clips, starts, strict=True)
        for event in clip.events
    ]
    pose = None
    if any(clip.pose is not None for clip in clips):
        angles = [(clip.pose or Pose.rest(len(clip))).angles for clip in clips]
        pose = Pose(_overlapped(angles, starts, crossfade))
    values = _overlapped([clip.values for clip in clips], starts, crossfade)
    return replace(first, values=values, pose=pose, events=tuple(moved))


def _require_joinable(first: Clip, second: Clip) -> None:
    if (first.rig, first.fps, first.sample_rate) != (second.rig, second.fps, second.sample_rate):
        raise ClipError(
            f"cannot join rig {first.rig.name!r} at {first.fps} fps with "
            f"{second.rig.name!r} at {second.fps} fps: convert or resample one of them first"
        )


def _starts(clips: Sequence[Clip], crossfade: int) -> list[int]:
    """Return the first frame of every clip in the result."""
    return [0, *accumulate(len(clip) - crossfade for clip in clips[:-1])]


def _overlapped(parts: Sequence[Floats], starts: Sequence[int], overlap: int) -> Floats:
    """Return the arrays (n, ...) placed at their starts and blended where they overlap."""
    whole = np.empty((starts[-1] + len(parts[-1]), *parts[0].shape[1:]), np.float32)
    weight = ((np.arange(overlap) + 1) / (overlap + 1)).astype(np.float32)
    weight = weight.reshape(-1, *[1] * (whole.ndim - 1))
    whole[: len(parts[0])] = parts[0]
    for part, begin in zip(parts[1:], starts[1:], strict=True):
        shared = whole[begin : begin + overlap]
        shared[:] = (1 - weight) * shared + weight * part[:overlap]
        whole[begin + overlap : begin + len(part)] = part[overlap:]
    return whole
