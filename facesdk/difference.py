"""The difference between two clips, per control and angle: how large, and when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .channels import channel_names
from .clip import POSE_ANGLES, Clip, Pose
from .errors import ClipError, RigError
from .retarget import convert
from .rig import Control, Rig

Curves = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelDifference:
    """The difference of one control, or of one angle of the pose (`pose.head.yaw`, radians)."""

    name: str
    largest: float
    """Largest absolute difference."""
    seconds: float
    """When it occurs first, after the first frame of the clips."""
    first: float
    """Value of the first clip at that moment."""
    second: float
    """Value of the second clip at that moment."""
    rms: float
    """Root of the mean squared difference over all frames."""


@dataclass(frozen=True)
class Difference:
    """The differences between two clips."""

    channels: tuple[ChannelDifference, ...]
    """Every control, and the angles of the pose if a clip has one; in the rig's order."""
    frames: int
    """Frames compared."""
    fps: float
    """Rate of the first clip, at which both were compared."""
    notes: tuple[str, ...] = ()
    """Everything in which the clips differ apart from values, in words."""
    length_differs: bool = False
    """Whether one clip is longer by more than a frame."""

    @property
    def changed(self) -> tuple[ChannelDifference, ...]:
        """The channels that differ, the largest difference first."""
        found = [channel for channel in self.channels if channel.largest > 0]
        return tuple(sorted(found, key=lambda channel: -channel.largest))

    @property
    def largest(self) -> float:
        """The largest difference of all channels."""
        return max((channel.largest for channel in self.channels), default=0.0)

    @property
    def rms(self) -> float:
        """Root of the mean squared difference over all channels and frames."""
        squares = [channel.rms**2 for channel in self.channels]
        return float(np.sqrt(np.mean(squares))) if squares else 0.0

    def over(self, tolerance: float) -> tuple[str, ...]:
        """Return the channels that differ by more than a tolerance, and `length` if that does."""
        names = [channel.name for channel in self.changed if channel.largest > tolerance]
        return (*names, *(["length"] if self.length_differs else []))

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "frames": self.frames,
            "fps": self.fps,
            "notes": list(self.notes),
            "length_differs": self.length_differs,
            "largest": self.largest,
            "rms": self.rms,
            "changed": [channel.name for channel in self.changed],
            "channels": {
                channel.name: {
                    "largest": channel.largest, "seconds": channel.seconds,
                    "first": channel.first, "second": channel.second, "rms": channel.rms,
                }
                for channel in self.channels
            },
        }  # fmt: skip


def compare(first: Clip, second: Clip) -> Difference:
    """Return the difference between two clips, frame by frame from their first ones.

    The second is converted to the rig and resampled to the rate of the first where these differ,
    and the notes say so. Controls that only one of two rigs of the same name has, and a pose that
    only one clip has, are compared with rest. Frames that only one clip has are not compared.
    Raises `ClipError` for rigs that have nothing in common.
    """
    notes = list(_clock_notes(first, second))
    first, second = _on_one_rig(first, second, notes)
    if first.fps != second.fps:
        notes.append(
            f"the first has {_rate(first)} fps, the second {_rate(second)}: the second is resampled"
        )
    lasts = first.duration, second.duration
    second = second.resample(first.fps)
    frames = min(len(first), len(second))
    length_differs = abs(len(first) - len(second)) > 1
    if len(first) != len(second) or lasts[0] != lasts[1]:
        longer = "first" if len(first) > len(second) else "second"
        left = abs(len(first) - len(second))
        rest = f"the last {left} frames of the {longer} are not compared" if left else "as long"
        notes.append(
            f"the first lasts {float(lasts[0]):.3f} s, the second {float(lasts[1]):.3f} s: {rest}"
        )
    if (first.pose is None) != (second.pose is None):
        which = ("first", "second") if second.pose is None else ("second", "first")
        notes.append(f"only the {which[0]} has a pose: compared with a {which[1]} at rest")
    has_pose = first.pose is not None or second.pose is not None
    a, b = (_table(clip, frames, has_pose=has_pose) for clip in (first, second))
    names = channel_names(first.rig)[: a.shape[1]]
    distance = np.abs(a - b)
    channels = []
    for column, name in enumerate(names):
        at = int(distance[:, column].argmax()) if frames else 0
        channels.append(
            ChannelDifference(
                name,
                largest=float(distance[at, column]) if frames else 0.0,
                seconds=float(at / first.fps),
                first=float(a[at, column]) if frames else 0.0,
                second=float(b[at, column]) if frames else 0.0,
                rms=float(np.sqrt(np.mean(distance[:, column] ** 2))) if frames else 0.0,
            )
        )
    return Difference(
        tuple(channels), frames, float(first.fps), tuple(notes), length_differs=length_differs
    )


def _clock_notes(first: Clip, second: Clip) -> list[str]:
    notes = []
    if first.info.start != second.info.start:
        notes.append(
            f"the first starts at {float(first.info.start):.3f} s, the second at "
            f"{float(second.info.start):.3f} s: compared from their first frames"
        )
    marks = [[(e.sample / c.sample_rate, e.name) for e in c.events] for c in (first, second)]
    if marks[0] != marks[1]:
        notes.append(f"the events differ: {len(marks[0])} in the first, {len(marks[1])}")
    return notes


def _on_one_rig(first: Clip, second: Clip, notes: list[str]) -> tuple[Clip, Clip]:
    """Return the clips with the same controls; controls that one lacks are at rest in it."""
    a, b = first.rig, second.rig
    if a.names == b.names:
        if (a.name, a.version) != (b.name, b.version):
            notes.append(f"rig {a.name!r} {a.version} and {b.name!r} {b.version}: same controls")
        return first, second
    shared = [name for name in a.names if name in b]
    if a.name != b.name:
        try:
            converted = convert(second, a)
        except RigError:
            converted = None
        if converted is not None:
            notes.append(
                f"the first is on rig {a.name!r}, the second on {b.name!r}: it is converted"
            )
            return first, converted
    if not shared:
        raise ClipError(
            f"cannot compare rig {a.name!r} with rig {b.name!r}: they share no control, and there "
            "is no map between them; convert one of them with a map of your own"
        )
    every = [*a.controls, *(control for control in b.controls if control.name not in a)]
    both = replace(a, controls=tuple(map(_alone, every)), orders={})
    for which, rig, other in (("first", a, b), ("second", b, a)):
        if only := [name for name in rig.names if name not in other]:
            notes.append(f"only the {which} has {', '.join(only)}: compared with rest")
    return _widened(first, both), _widened(second, both)


def _alone(control: Control) -> Control:
    return replace(control, mirror=None, mirror_sign=1)


def _widened(clip: Clip, rig: Rig) -> Clip:
    values = np.tile(rig.rest, (len(clip), 1))
    values[:, [rig.index(name) for name in clip.rig.names]] = clip.values
    return replace(clip, rig=rig, values=values)


def _table(clip: Clip, frames: int, *, has_pose: bool) -> Curves:
    values = clip.values[:frames].astype(np.float64)
    if not has_pose:
        return values
    angles = (clip.pose or Pose.rest(len(clip))).angles[:frames]
    return np.concatenate([values, angles.reshape(frames, len(POSE_ANGLES))], axis=1, dtype=float)


def _rate(clip: Clip) -> str:
    fps = clip.fps
    return str(fps.numerator) if fps.denominator == 1 else f"{fps.numerator}/{fps.denominator}"
