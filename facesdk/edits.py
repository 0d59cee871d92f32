"""Edits of clips: arithmetic on chosen curves within a range of time, as frozen values.

    softer = Edit(scale=0.8, controls=("jaw*",), begin=1.2, end=2.0)
    clip = softer(clip)

The command line derives its options from the fields of `Edit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Floats
from .channels import select
from .clip import POSE_ANGLES, Clip, Pose
from .errors import ClipError
from .frozen import FrozenDict

MAX_SMOOTH = 2.0
"""Seconds."""

Curves = NDArray[np.float64]


@dataclass(frozen=True)
class Edit:
    """A change of some curves of a clip. Call it with a clip to get the changed one.

    The parts apply in the order of the fields: blend, factors, offset, smoothing, limits. Nothing
    outside the range from `begin` to `end` changes; inside, the change grows and fades over `ease`
    seconds, so the curves have no step at its borders. Raises `ClipError` for a value that makes no
    sense.
    """

    controls: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "what to change: names, patterns such as 'mouth*', region:mouth, side:left, "
            "region:brow+side:left, pose.head.yaw; repeatable (default: every control)",
            "metavar": "NAME",
        },
    )
    """Words as in `channels.select`; none means every control. A pose changes only where its angles
    are named, except that a blend of every control includes it."""
    blend: Clip | None = field(
        default=None,
        metadata={"help": "animation file to blend with, from its first frame", "metavar": "FILE"},
    )
    """Clip with the same rig and rate. Where it has no frame, nothing is blended."""
    weight: float = field(
        default=0.5,
        metadata={"help": "share of --blend: 0 changes nothing, 1 replaces (default: 0.5)",
                  "metavar": "W"},
    )  # fmt: skip
    scale: float = field(
        default=1.0, metadata={"help": "multiply the distance from rest", "metavar": "FACTOR"}
    )
    gains: Mapping[str, float] = field(
        default_factory=dict,
        metadata={
            "option": "--gain",
            "help": "multiply the distance from rest of these controls, whatever --controls names; "
            "repeatable, the last one that matches a control counts",
            "metavar": "NAME=FACTOR",
        },
    )
    """Factors by name, pattern or group; they multiply `scale`."""
    offset: float = field(
        default=0.0,
        metadata={"help": "add to the values (radians for angles)", "metavar": "VALUE"},
    )
    smooth: float = field(
        default=0.0,
        metadata={"help": "smooth over this time, without delay (width of a Gaussian at half "
                  f"its height, up to {MAX_SMOOTH:g} s)", "metavar": "SECONDS"},
    )  # fmt: skip
    clamp: bool = field(
        default=False, metadata={"help": "limit every value to its control's range"}
    )
    """Whether values are limited to the ranges of their controls; angles have none."""
    minimum: float | None = field(
        default=None, metadata={"help": "raise lower values to this one", "metavar": "VALUE"}
    )
    maximum: float | None = field(
        default=None, metadata={"help": "lower higher values to this one", "metavar": "VALUE"}
    )
    begin: float | None = field(
        default=None,
        metadata={"help": "where the change begins, in seconds after the first frame "
                  "(default: the first frame)", "metavar": "SECONDS"},
    )  # fmt: skip
    end: float | None = field(
        default=None,
        metadata={"help": "where the change ends (default: the last frame)", "metavar": "SECONDS"},
    )
    ease: float = field(
        default=0.1,
        metadata={"help": "seconds inside --begin and --end over which the change grows and "
                  "fades, at most half of the range; 0 is a hard cut (default: 0.1)",
                  "metavar": "SECONDS"},
    )  # fmt: skip

    def __post_init__(self) -> None:
        if isinstance(self.controls, str):
            raise ClipError(f"controls must be a tuple of names, got {self.controls!r}")
        object.__setattr__(self, "controls", tuple(self.controls))
        object.__setattr__(self, "gains", FrozenDict(self.gains))
        for name, low, high in (
            ("weight", 0.0, 1.0), ("scale", -math.inf, math.inf), ("offset", -math.inf, math.inf),
            ("smooth", 0.0, MAX_SMOOTH), ("minimum", -math.inf, math.inf),
            ("maximum", -math.inf, math.inf), ("begin", 0.0, math.inf), ("end", 0.0, math.inf),
            ("ease", 0.0, math.inf),
        ):  # fmt: skip
            _require(name, getattr(self, name), low, high, none=name in _OPEN)
        for name, gain in self.gains.items():
            _require(f"the gain of {name!r}", gain, -math.inf, math.inf)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ClipError(
                f"minimum must not be above maximum, got {self.minimum:g} and {self.maximum:g}"
            )
        if self.end is not None and self.end <= (self.begin or 0.0):
            raise ClipError(f"end must lie after begin, got {self.begin or 0:g} to {self.end:g} s")
        if self.blend is not None and not isinstance(self.blend, Clip):
            raise ClipError(f"blend must be a Clip, got {type(self.blend).__name__}")

    @property
    def changes_nothing(self) -> bool:
        """Whether the edit has no part that could change a value."""
        idle = (self.blend is None, self.scale == 1, not self.gains, self.offset == 0,
                self.smooth == 0, not self.clamp, self.minimum is None,
                self.maximum is None)  # fmt: skip
        return all(idle)

    def __call__(self, clip: Clip) -> Clip:
        """Return the edited clip: same rig, rate, length, events and clock.

        The edit is added to the list `edits` in its `meta`. Raises `UnknownNameError` for a control
        that the rig does not have, `ClipError` for a range outside the clip or a blend on another
        rig or rate.
        """
        share = self._share(clip)
        chosen = select(clip.rig, self.controls or ("*",))
        width = len(clip.rig)
        before = _table(clip)
        after = before.copy()
        if self.blend is not None:
            self._blend(after, clip, chosen)
        factors = self._factors(clip, chosen)
        rest = np.concatenate([clip.rig.rest, np.zeros(len(POSE_ANGLES))])
        after = np.where(factors == 1, after, rest + (after - rest) * factors)
        after[:, chosen] += self.offset
        if self.smooth:
            after[:, chosen] = smoothed(after[:, chosen], self.smooth * float(clip.fps))
        if self.clamp:
            own = [column for column in chosen if column < width]
            low, high = clip.rig.minimum[own], clip.rig.maximum[own]
            after[:, own] = np.clip(after[:, own], low, high)
        if self.minimum is not None or self.maximum is not None:
            after[:, chosen] = np.clip(after[:, chosen], self.minimum, self.maximum)
        after = before + share[:, None] * (after - before)
        with np.errstate(over="ignore"):
            table = after.astype(np.float32)
        table = np.where(after == before, before.astype(np.float32), table)
        pose = clip.pose
        if pose is not None or table[:, width:].any():
            pose = Pose(table[:, width:].reshape(-1, 4, 3))
        earlier = clip.meta.get("edits", ())
        done = list(earlier) if isinstance(earlier, list | tuple) else [earlier]
        meta = {**clip.meta, "edits": [*done, self.to_json()]}
        return replace(clip, values=table[:, :width], pose=pose, meta=meta)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults as JSON values."""
        document: dict[str, Any] = {}
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name == "blend":
                if value is not None:
                    document |= {"blend": str(value.meta.get("name", "clip"))}
                    document |= {"weight": self.weight}
            elif option.name == "gains":
                document |= {"gains": dict(value)} if value else {}
            elif option.name == "controls":
                document |= {"controls": list(value)} if value else {}
            elif option.name != "weight" and value != option.default:
                document[option.name] = value
        return document

    # ------------------------------------------------------------------ parts

    def _share(self, clip: Clip) -> Curves:
        """Return the (T,) share of the change in every frame."""
        seconds = float(clip.duration)
        begin = self.begin or 0.0
        if begin and begin >= seconds:
            raise ClipError(f"begin must lie in 0..{seconds:.3f} s, the clip, got {begin:g} s")
        end = math.inf if self.end is None or self.end >= seconds else self.end
        share = eased(len(clip), float(clip.fps), begin=begin, end=end, ease=self.ease)
        if len(clip) and not share.any():
            raise ClipError(
                f"no frame changes from {begin:g} to {end:g} s at {float(clip.fps):g} fps; "
                "make the range longer or ease shorter"
            )
        return share

    def _blend(self, after: Curves, clip: Clip, chosen: list[int]) -> None:
        other = self.blend
        assert other is not None
        if other.rig.names != clip.rig.names:
            raise ClipError(
                f"cannot blend rig {clip.rig.name!r} with rig {other.rig.name!r}; "
                "convert one of them with facesdk.convert"
            )
        if other.fps != clip.fps:
            raise ClipError(
                f"cannot blend {clip.fps} fps with {other.fps} fps; resample one of them"
            )
        columns = list(chosen)
        if not self.controls and (clip.pose is not None or other.pose is not None):
            columns += range(len(clip.rig), after.shape[1])
        count = min(len(clip), len(other))
        end = math.inf if len(other) >= len(clip) else len(other) / float(clip.fps)
        weight = self.weight * eased(count, float(clip.fps), end=end, ease=self.ease)[:, None]
        theirs = _table(other)[:count, columns]
        after[:count, columns] += weight * (theirs - after[:count, columns])

    def _factors(self, clip: Clip, chosen: list[int]) -> Curves:
        """Return the factor of every column."""
        factors = np.ones(len(clip.rig) + len(POSE_ANGLES))
        factors[chosen] = self.scale
        gains = np.ones_like(factors)
        for word, gain in self.gains.items():
            gains[select(clip.rig, (word,))] = gain
        result: Curves = factors * gains
        return result


_OPEN = ("minimum", "maximum", "begin", "end")
"""Fields that may be None."""


def eased(
    frames: int, fps: float, *, begin: float = 0.0, end: float = math.inf, ease: float = 0.1
) -> Curves:
    """Return (frames,) weights: 1 within a range of seconds, 0 outside, smooth at its borders.

    The weight grows from 0 to 1 within `ease` seconds after `begin` and fades before `end`, each at
    most half of the range. A range that begins at 0 or never ends has no border there.
    """
    times = np.arange(frames) / fps
    slack = 1e-6  # a border given in decimals belongs to its frame
    weights = ((times >= begin - slack) & (times <= end + slack)).astype(np.float64)
    ease = min(ease, (min(end, frames / fps) - begin) / 2 if end < math.inf else math.inf)
    if ease <= slack:
        return weights
    if begin > 0:
        weights *= _smoothstep((times - begin) / ease)
    if end < math.inf:
        weights *= _smoothstep((end - times) / ease)
    return weights


def _smoothstep(share: Curves) -> Curves:
    inside = np.clip(share, 0.0, 1.0)
    result: Curves = inside * inside * (3 - 2 * inside)
    return result


def smoothed(rows: Curves, frames: float) -> Curves:
    """Return (T, C) curves smoothed by a Gaussian, without delay.

    `frames` is the width of the Gaussian at half its height. The curves are continued at both ends
    by their first and last values, so a constant curve stays as it is.
    """
    sigma = frames / (2 * math.sqrt(2 * math.log(2)))
    reach = math.ceil(3 * sigma)
    if not len(rows) or reach < 1:
        return rows
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    padded = np.pad(rows, ((reach, reach), (0, 0)), mode="edge")
    result = np.zeros_like(rows)
    for i, tap in enumerate(taps):
        result += tap * padded[i : i + len(rows)]
    return result


def _table(clip: Clip) -> Curves:
    """Return (T, C + 12) values and angles; a clip without a pose is at rest."""
    pose: Floats = (clip.pose or Pose.rest(len(clip))).angles
    angles = pose.reshape(len(clip), len(POSE_ANGLES))
    return np.concatenate([clip.values, angles], axis=1, dtype=np.float64)


def _require(name: str, value: object, low: float, high: float, *, none: bool = False) -> None:
    if none and value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and low <= value <= high:  # type: ignore[arg-type,operator]
        return
    limits = "a finite number" if low == -high else (
        f"{low:g} or more" if high == math.inf else f"in {low:g}..{high:g}"
    )  # fmt: skip
    raise ClipError(f"{name} must be {limits}, got {value!r}")
