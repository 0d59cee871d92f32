"""Conversions: a performance on one rig, carried over to another.

A conversion is data: a map file `<source>-to-<target>.json` in `facesdk/data/maps/` or in the
user's cache, where `facesdk flame calibrate` puts one, or a file given by its path. Controls are
always matched by name. What weights cannot say is left to a few named rules; each target control is
written by one thing only: weights, a rule or the mix of poses.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .clip import POSE_JOINTS, Clip, Event, Floats, Frame, FrameSource, Pose
from .errors import ClipError, RigError, UnknownNameError, unknown_name
from .files import cache_folder
from .rig import Rig, json_lines, read_json

Weights = Mapping[str, Mapping[str, float]]
"""Source name -> target name -> factor."""

POSE_ANGLES = tuple(
    f"pose.{joint}.{axis}" for joint in POSE_JOINTS for axis in ("yaw", "pitch", "roll")
)
"""How maps name the twelve angles of a `Pose`, in its order; a map may read and write them."""

_MADE_BY_USERS = {"flame": "Make one from your own FLAME model: facesdk flame calibrate MODEL"}
"""What to do for a map that cannot come with facesdk, by target rig."""


# ---------------------------------------------------------------------------------------- rules


def lips_together(jaw_and_close: Floats) -> Floats:
    """ARKit (jawOpen, mouthClose) -> MetaHuman lips together: the share of the jaw they close.

    As in Epic's `ABP_MH_LiveLink`: clamp(mouthClose / jawOpen, 0, 1), and 0 with a shut jaw.
    """
    jaw, close = jaw_and_close[..., :1], jaw_and_close[..., 1:]
    share = np.divide(close, jaw, out=np.zeros_like(close), where=jaw > 0)
    return np.clip(share, 0, 1)


def mouth_close(jaw_and_lips: Floats) -> Floats:
    """MetaHuman (jawOpen, lips together of several quadrants) -> ARKit mouthClose.

    The inverse of `lips_together`; the quadrants count with their mean.
    """
    jaw, lips = jaw_and_lips[..., :1], jaw_and_lips[..., 1:]
    return np.asarray(jaw * lips.mean(-1, keepdims=True), np.float32)


def jaw_beside_close(jaw_and_close: Floats) -> Floats:
    """ARKit (jawOpen, mouthClose) -> Audio2Face (JawOpen, MouthClose).

    Audio2Face's MouthClose contains the jaw that it closes (MouthClose = ARKit's jawOpen +
    mouthClose as shapes), so what is closed is taken out of JawOpen. The inverse is a weight.
    """
    jaw, close = jaw_and_close[..., :1], jaw_and_close[..., 1:]
    closed = np.minimum(close, jaw)
    return np.concatenate([jaw - closed, closed], -1)


def split(slider: Floats) -> Floats:
    """Slider from -1 to 1 -> (positive part, negated negative part); several sliders add up."""
    total = slider.sum(-1, keepdims=True)
    return _positive(np.concatenate([total, -total], -1))


def sticky_phases(slider: Floats) -> Floats:
    """Slider -> three phases: each one fades into the next, the last stays at 1."""
    return _positive(1 - np.abs(slider * 3 - np.arange(1, 4)))


def swallow_phases(slider: Floats) -> Floats:
    """Slider -> four phases: each one fades into the next, the last fades out at 1."""
    return _positive(1 - np.abs(slider * 5 - np.arange(1, 5)))


def swallow_position(phases: Floats) -> Floats:
    """Four swallow phases -> slider, the inverse of `swallow_phases`; all at rest is 0."""
    last = phases[..., 3:]
    rising = (phases * np.arange(1, 5)).sum(-1, keepdims=True) / 5
    leaving = (last > 0) & (phases[..., :3] <= 0).all(-1, keepdims=True)
    return np.where(leaving, 1 - last / 5, rising).astype(np.float32)


def inner_brow(brow: Floats) -> Floats:
    """MetaHuman (raiseIn, raiseOuter, lateral) of either side -> ARKit browInnerUp, the mean.

    ARKit's inner and outer raise both lift raiseIn; the inner share is what the outer raise leaves.
    Where raiseIn is at its end that share is cut off, and lateral, which only the inner raise
    moves in Epic's poses, still tells it. Lateral alone is a frown and counts nothing.
    """
    raise_in, raise_outer, lateral = (brow[..., i::3] for i in range(3))
    inner = np.maximum(raise_in - raise_outer, np.minimum(lateral, raise_in))
    return np.asarray(inner.mean(-1, keepdims=True), np.float32)


def shared_blink(lids: Floats) -> Floats:
    """(left, right) -> (both, left, right): what the eyes share, and what each adds to it."""
    both = np.min(lids, -1, keepdims=True)
    return np.asarray(np.concatenate([both, lids - both], -1), np.float32)


def _positive(values: NDArray[Any]) -> Floats:
    return np.asarray(np.maximum(values, 0), np.float32)


class RuleKind(NamedTuple):
    """A rule's function and how many controls it reads and writes; 0 for any number."""

    function: Callable[[Floats], Floats]
    inputs: int
    outputs: int


RULES: Mapping[str, RuleKind] = {
    kind.function.__name__: kind
    for kind in (
        RuleKind(lips_together, 2, 0),
        RuleKind(mouth_close, 5, 1),
        RuleKind(jaw_beside_close, 2, 2),
        RuleKind(split, 0, 2),
        RuleKind(sticky_phases, 1, 3),
        RuleKind(swallow_phases, 1, 4),
        RuleKind(swallow_position, 4, 1),
        RuleKind(inner_brow, 6, 1),
        RuleKind(shared_blink, 2, 3),
    )
}
"""What maps may name: (..., inputs) -> (..., outputs), one value where any number may have it."""


@dataclass(frozen=True)
class Rule:
    """One of `RULES`, from named source controls to named target controls."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise unknown_name("no rule", self.name, RULES)
        _, *counts = RULES[self.name]
        for count, names, verb in zip(counts, self._ends, ("reads", "writes"), strict=True):
            if len(names) != (count or max(1, len(names))):
                raise RigError(
                    f"rule {self.name!r} {verb} {count or 'some'} controls, got {len(names)}"
                )

    @property
    def _ends(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.inputs, self.outputs

    def __call__(self, inputs: Floats) -> Floats:
        """(..., outputs) of (..., inputs), or (..., 1) for one value that all outputs get."""
        return RULES[self.name].function(inputs)


# ---------------------------------------------------------------------------------- mix of poses


@dataclass(frozen=True, eq=False)
class Mix:
    """Target controls that each stand for a pose of the source rig: visemes, emotions.

    A frame becomes the mix of poses, none of them negative, that comes nearest to it. One pose may
    be empty; it is the face at rest, and then the weights are shares that sum to 1.
    """

    poses: Weights
    """Target control -> source control -> value in its pose."""
    measure: Weights = field(default_factory=dict)
    """Source control -> what it counts as, in source controls; one not listed counts as itself."""

    def __post_init__(self) -> None:
        if not self._shapes or len(self.poses) > len(self._shapes) + 1:
            raise RigError("a mix needs poses, and only one of them may be empty")
        lengths = self._solver[2]
        if not lengths.all():
            raise RigError(f"pose {self._shapes[int(lengths.argmin())]!r} counts as no pose")

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Source controls that the mix looks at."""
        seen = [name for pose in self.poses.values() for name in pose]
        return tuple(dict.fromkeys(n for s in seen for n in (s, *self.measure.get(s, ()))))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Target controls in the order of the mix's result, the one for rest last."""
        return (*self._shapes, *(name for name, pose in self.poses.items() if not pose))

    @property
    def _shapes(self) -> tuple[str, ...]:
        return tuple(name for name, pose in self.poses.items() if pose)

    @cached_property
    def _solver(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Projection of a frame on the poses, their products, their lengths (poses scaled to 1)."""
        column = {name: i for i, name in enumerate(self.inputs)}
        counts = np.zeros((len(column), len(column)))
        for name, i in column.items():
            for other, factor in self.measure.get(name, {name: 1.0}).items():
                counts[i, column[other]] = factor
        table = np.zeros((len(self._shapes), len(column)))
        for i, name in enumerate(self._shapes):
            for control, value in self.poses[name].items():
                table[i, column[control]] = value
        seen = table @ counts.T
        lengths = np.linalg.norm(seen, axis=1)
        seen /= np.where(lengths > 0, lengths, 1)[:, None]
        return counts.T @ seen.T, seen @ seen.T, lengths

    def __call__(self, inputs: Floats) -> Floats:
        """(..., outputs) weights of the mix that comes nearest to (..., inputs)."""
        projection, products, lengths = self._solver
        weights = _nonnegative(inputs @ projection, products) / lengths
        if len(self.outputs) > len(self._shapes):
            weights /= np.maximum(weights.sum(-1, keepdims=True), 1)
            weights = np.concatenate([weights, 1 - weights.sum(-1, keepdims=True)], -1)
        return weights.astype(np.float32)


def _nonnegative(
    projected: NDArray[np.float64], products: NDArray[np.float64], *, steps: int = 150
) -> NDArray[np.float64]:
    """(..., n) weights w >= 0 that minimise w P w / 2 - w b, by accelerated projected gradient."""
    rate = 1 / np.linalg.eigvalsh(products)[-1]
    weights = ahead = np.zeros_like(projected)
    for step in range(steps):
        last, weights = weights, np.maximum(ahead - rate * (ahead @ products - projected), 0)
        ahead = weights + step / (step + 3) * (weights - last)
    return weights


# ------------------------------------------------------------------------------------------ maps


@dataclass(frozen=True, eq=False)
class RigMap:
    """One map file: what every control of the source does on the target.

    Raises `RigError` or `UnknownNameError` when a name is on neither rig, or two things write the
    same target control.
    """

    source: Rig
    target: Rig
    weights: Weights = field(default_factory=dict)
    """What controls and pose angles add, as they move away from rest, to the target's rest; an
    empty row is for a control that means rest itself."""
    rules: tuple[Rule, ...] = ()
    mix: Mix | None = None
    clamp: bool = True
    """Cut the result to the target's ranges; off where a map only gives controls other names."""
    description: str = ""

    def __post_init__(self) -> None:
        _check_names(self.source, [*self.weights, *(n for r in self.parts for n in r.inputs)])
        weighted = dict.fromkeys(name for row in self.weights.values() for name in row)
        written = [*weighted, *(name for part in self.parts for name in part.outputs)]
        _check_names(self.target, written)
        twice = sorted({name for name in written if written.count(name) > 1})
        if twice:
            raise RigError(f"written twice: {', '.join(twice)}; give one rule or weights")

    @property
    def name(self) -> str:
        """Stem of the map's file."""
        return f"{self.source.name}-to-{self.target.name}"

    @property
    def parts(self) -> tuple[Rule | Mix, ...]:
        """The rules, and the mix where there is one."""
        return self.rules if self.mix is None else (*self.rules, self.mix)

    @cached_property
    def reach(self) -> Mapping[str, frozenset[str]]:
        """Target controls and pose angles that each source control or pose angle moves."""
        reached: dict[str, set[str]] = {name: set(row) for name, row in self.weights.items()}
        for part in self.parts:
            for name in part.inputs:
                reached.setdefault(name, set()).update(part.outputs)
        for angle in POSE_ANGLES:
            if angle not in self._linear.written:
                reached.setdefault(angle, set()).add(angle)
        return {name: frozenset(targets) for name, targets in reached.items()}

    @cached_property
    def _linear(self) -> _Linear:
        return _Linear.compile(self.weights, _channels(self.source), _channels(self.target))

    @cached_property
    def _steps(self) -> list[_Step]:
        """Rules, those of a kind at once, and the mix, with the columns they read and write."""
        alike: dict[tuple[str, int, int], list[Rule]] = {}
        for rule in self.rules:
            alike.setdefault((rule.name, len(rule.inputs), len(rule.outputs)), []).append(rule)
        groups: list[Sequence[Rule | Mix]] = list(alike.values())
        if self.mix is not None:
            groups.append([self.mix])
        source, target = self.source.index, self.target.index
        return [
            (
                group[0],
                np.array([[source(name) for name in part.inputs] for part in group]),
                np.array([[target(name) for name in part.outputs] for part in group]),
            )
            for group in groups
        ]

    def __call__(self, values: Floats, pose: Floats | None) -> tuple[Floats, Floats | None]:
        """(..., C) values and (..., 4, 3) angles on the target rig."""
        result: Floats
        if pose is None and not self._linear.replaced:
            moved: Floats = np.subtract(values, self.source.rest)
            result = moved @ self._matrix
            result += self.target.rest
        else:
            result, pose = self._with_pose(values, pose)
        for part, inputs, outputs in self._steps:
            result[..., outputs] = part(values[..., inputs])
        if self.clamp:
            np.maximum(result, self.target.minimum, out=result)
            np.minimum(result, self.target.maximum, out=result)
        return result, pose

    def _with_pose(self, values: Floats, pose: Floats | None) -> tuple[Floats, Floats]:
        """What weights alone make of values and pose."""
        frames = values.shape[:-1]
        sums = _room(frames, self.target, pose)
        sums[..., : len(self.target)] = self.target.rest
        moved = _room(frames, self.source, pose)
        np.subtract(values, self.source.rest, out=moved[..., : len(self.source)])
        self._linear.write(sums, moved)
        angles = sums[..., len(self.target) :].reshape(*frames, 4, 3)
        return sums[..., : len(self.target)], angles

    @cached_property
    def _matrix(self) -> Floats:
        """(source, target) weights between controls: quicker than columns while the pose rests."""
        matrix = np.zeros((len(self.source), len(self.target)), np.float32)
        for name, row in self.weights.items():
            for other, factor in row.items():
                if name not in POSE_ANGLES and other not in POSE_ANGLES:
                    matrix[self.source.index(name), self.target.index(other)] = factor
        return matrix

    def to_json(self) -> dict[str, Any]:
        """JSON document that `from_json` reads."""
        document: dict[str, Any] = {
            "format": "facesdk.map",
            "version": 1,
            "source": self.source.name,
            "target": self.target.name,
            "description": self.description,
        }
        if not self.clamp:
            document["clamp"] = False
        if self.weights:
            document["weights"] = {n: _short(row) for n, row in self.weights.items()}
        if self.rules:
            document["rules"] = [
                {"rule": r.name, "from": list(r.inputs), "to": list(r.outputs)} for r in self.rules
            ]
        if self.mix is not None:
            document["poses"] = {n: dict(pose) for n, pose in self.mix.poses.items()}
            if self.mix.measure:
                document["measure"] = {n: dict(row) for n, row in self.mix.measure.items()}
        return document

    def to_text(self) -> str:
        """Text of a map file, one control a line."""
        return json_lines(self.to_json())

    @classmethod
    def from_json(cls, document: Any, *, source: str = "map", folder: Path | None = None) -> RigMap:
        """Build a map from its JSON document; `source` names it in errors.

        Rigs are given by name, or by the path of a rig file relative to `folder`.
        """
        if not isinstance(document, dict) or document.get("format") != "facesdk.map":
            raise RigError(f'{source} is no map file: expected "format": "facesdk.map"')
        if document.get("version") != 1:
            raise RigError(
                f"{source} has map file version {document.get('version')!r}; this facesdk reads 1"
            )
        try:
            return cls(
                source=_rig_of_map(document["source"], folder),
                target=_rig_of_map(document["target"], folder),
                weights=_weights(document.get("weights", {})),
                rules=tuple(
                    Rule(r["rule"], tuple(r["from"]), tuple(r["to"]))
                    for r in document.get("rules", ())
                ),
                mix=_mix(document),
                clamp=bool(document.get("clamp", True)),
                description=str(document.get("description", "")),
            )
        except UnknownNameError as error:
            raise UnknownNameError(f"{source}: {error}") from error
        except RigError as error:
            raise RigError(f"{source}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RigError(f"{source} lacks or misspells a field: {error}") from error


_Step = tuple[Rule | Mix, NDArray[np.intp], NDArray[np.intp]]
"""What computes, (k, inputs) columns of the source and (k, outputs) columns of the target."""


@dataclass(frozen=True, eq=False)
class _Linear:
    """Weights as columns, sorted by target: a few gathers and sums instead of a wide matrix."""

    sources: NDArray[np.intp]
    factors: Floats
    starts: NDArray[np.intp]
    targets: NDArray[np.intp]
    replaced: list[int]
    """Columns that start from 0 before the sums arrive: pose angles that the map writes."""
    written: frozenset[str]

    @classmethod
    def compile(cls, weights: Weights, source: Sequence[str], target: Sequence[str]) -> _Linear:
        column = {name: i for i, name in enumerate(source)}
        place = {name: i for i, name in enumerate(target)}
        entries = sorted(
            (place[t], column[s], factor) for s, row in weights.items() for t, factor in row.items()
        )
        targets, starts = np.unique(np.array([t for t, _, _ in entries], int), return_index=True)
        return cls(
            sources=np.array([s for _, s, _ in entries], np.intp),
            factors=np.array([factor for _, _, factor in entries], np.float32),
            starts=starts,
            targets=targets,
            replaced=[int(t) for t in targets if target[t] in POSE_ANGLES],
            written=frozenset(target[t] for t in targets),
        )

    def write(self, sums: Floats, moved: Floats) -> None:
        if not len(self.sources):
            return
        sums[..., self.replaced] = 0
        parts = moved[..., self.sources] * self.factors
        sums[..., self.targets] += np.add.reduceat(parts, self.starts, axis=-1)


def _channels(rig: Rig) -> tuple[str, ...]:
    return (*rig.names, *POSE_ANGLES)


def _room(frames: tuple[int, ...], rig: Rig, pose: Floats | None) -> Floats:
    """(..., C + 12) room for the controls of a rig, and the pose behind them."""
    room = np.zeros((*frames, len(rig) + len(POSE_ANGLES)), np.float32)
    if pose is not None:
        room[..., len(rig) :] = pose.reshape(*frames, len(POSE_ANGLES))
    return room


def _check_names(rig: Rig, names: Sequence[str]) -> None:
    for name in names:
        if name not in POSE_ANGLES:
            rig.index(name)


def _short(row: Mapping[str, float]) -> str | dict[str, float]:
    """A row as maps write it: just the name for a control that is passed on as it is."""
    return next(iter(row)) if list(row.values()) == [1.0] else dict(row)


def _weights(document: Mapping[str, Any]) -> Weights:
    return {
        source: {row: 1.0} if isinstance(row, str) else {t: _number(f) for t, f in row.items()}
        for source, row in document.items()
    }


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"weights must be finite, got {value!r}")
    return number


def _mix(document: Mapping[str, Any]) -> Mix | None:
    if "poses" not in document:
        return None
    return Mix(_weights(document["poses"]), _weights(document.get("measure", {})))


def _rig_of_map(name: str, folder: Path | None) -> Rig:
    return Rig.load(folder / name if folder is not None and name.endswith(".json") else name)


# ----------------------------------------------------------------------------------- conversions


@dataclass(frozen=True, eq=False)
class Conversion:
    """Values on one rig to values on another, through one map or a chain of them."""

    source: Rig
    target: Rig
    maps: tuple[RigMap, ...] = ()
    """Applied in order; none when both rigs are the same."""

    def __post_init__(self) -> None:
        rigs = [self.source, *(rig for m in self.maps for rig in (m.source, m.target)), self.target]
        for left, right in zip(rigs[::2], rigs[1::2], strict=True):
            if left.names != right.names:
                raise RigError(
                    f"rig {left.name!r} with {len(left)} controls is not the rig {right.name!r} "
                    f"with {len(right)} controls that the map was made for"
                )

    @property
    def name(self) -> str:
        """Rigs on the way, such as `"livelink-to-arkit-to-metahuman"`."""
        return "-to-".join([self.source.name, *(m.target.name for m in self.maps)])

    def __call__(self, values: Floats, pose: Floats | None = None) -> tuple[Floats, Floats | None]:
        """(..., C) values and (..., 4, 3) pose angles, or None, on the target rig."""
        if values.shape[-1:] != (len(self.source),):
            raise ClipError(
                f"values must be (..., {len(self.source)}) for rig {self.source.name!r}, "
                f"got {values.shape}"
            )
        values = np.asarray(values, np.float32)
        for rig_map in self.maps:
            values, pose = rig_map(values, pose)
        return values, pose

    def clip(self, clip: Clip) -> Clip:
        """The same performance on the target rig."""
        _require_rig(clip.rig, self.source)
        values, angles = self(clip.values, None if clip.pose is None else clip.pose.angles)
        pose = None if angles is None else Pose(angles)
        return replace(clip, rig=self.target, values=values, pose=pose)

    def then(self, other: Conversion) -> Conversion:
        """This conversion followed by another."""
        return Conversion(self.source, other.target, self.maps + other.maps)

    @property
    def uncarried(self) -> tuple[str, ...]:
        """Source controls whose motion is lost on the way, in the rig's order."""
        alive = frozenset((*self.target.names, *POSE_ANGLES))
        for rig_map in reversed(self.maps):
            reach = rig_map.reach.items()
            alive = frozenset(name for name, reached in reach if not reached or reached & alive)
        return tuple(name for name in self.source.names if name not in alive)

    def to_json(self) -> dict[str, Any]:
        """JSON document of the conversion's map; raises `RigError` for a chain of them."""
        if len(self.maps) != 1:
            raise RigError(f"{self.name!r} is {len(self.maps)} maps; write each one by itself")
        return self.maps[0].to_json()

    @classmethod
    def from_json(
        cls, document: Any, *, source: str = "map", folder: Path | None = None
    ) -> Conversion:
        """Conversion through the one map that a JSON document holds."""
        rig_map = RigMap.from_json(document, source=source, folder=folder)
        return cls(rig_map.source, rig_map.target, (rig_map,))


@dataclass(frozen=True, eq=False)
class Converted:
    """Frames of another source, converted one by one as they are asked for."""

    source: FrameSource
    conversion: Conversion

    def __post_init__(self) -> None:
        _require_rig(self.source.rig, self.conversion.source)

    @property
    def rig(self) -> Rig:
        """Rig of the converted frames."""
        return self.conversion.target

    @property
    def fps(self) -> Fraction:
        """Frame rate of the source."""
        return self.source.fps

    @property
    def sample_rate(self) -> int:
        """Clock of the source."""
        return self.source.sample_rate

    @property
    def start_sample(self) -> int:
        """First sample of the source."""
        return self.source.start_sample

    @property
    def events(self) -> Sequence[Event]:
        """Events of the source."""
        return self.source.events

    @property
    def meta(self) -> Mapping[str, Any]:
        """Facts about the source."""
        return self.source.meta

    @property
    def extra(self) -> Mapping[str, Any]:
        """Unknown keys of the source's file."""
        return self.source.extra

    def frames(self) -> Iterator[Frame]:
        """The source's frames on the target rig."""
        for frame in self.source.frames():
            values, pose = self.conversion(frame.values, frame.pose)
            yield replace(frame, values=values, pose=pose)


def conversion(source: str | Rig, target: str | Rig) -> Conversion:
    """Way from one rig to another through the fewest maps; nothing to do for the same rig.

    Raises `RigError` naming the rigs that can be reached when no map leads to the target.
    """
    start = source if isinstance(source, Rig) else Rig.load(source)
    goal = target if isinstance(target, Rig) else Rig.load(target)
    if start == goal:
        return Conversion(start, goal)
    paths = _paths(start.name)
    if goal.name not in paths:
        known = ", ".join(reachable(start.name)) or "none"
        raise RigError(
            f"no map leads from rig {start.name!r} to rig {goal.name!r}; it reaches: {known}. "
            + _MADE_BY_USERS.get(goal.name, "Give a map file of your own")
        )
    return Conversion(start, goal, tuple(_map(name) for name in paths[goal.name]))


def convert(clip: Clip, target: str | Rig) -> Clip:
    """The same performance on another rig."""
    return conversion(clip.rig, target).clip(clip)


def conversion_from_file(path: str | Path) -> Conversion:
    """Conversion through a map file of the user's own."""
    file = Path(path)
    document = read_json(file, "map")
    return Conversion.from_json(document, source=str(file), folder=file.parent)


def reachable(rig: str) -> tuple[str, ...]:
    """Names of the rigs that facesdk's own maps, and those in `user_maps`, lead to from a rig."""
    return tuple(sorted(_paths(rig)))


def map_names() -> tuple[str, ...]:
    """Names of the maps that come with facesdk, `<source>-to-<target>`."""
    files = (f.name for f in _map_folder().iterdir())
    return tuple(sorted(f.removesuffix(".json") for f in files if f.endswith(".json")))


def user_maps() -> Path:
    """Folder of maps that were made on this machine; they are used like facesdk's own."""
    return cache_folder() / "maps"


def _user_map_names() -> tuple[str, ...]:
    own = {f.stem for f in user_maps().glob("*-to-*.json")}
    return tuple(sorted(name for name in own - set(map_names()) if name.count("-to-") == 1))


def _require_rig(given: Rig, expected: Rig) -> None:
    if given.names != expected.names:
        raise RigError(f"this conversion starts from rig {expected.name!r}, got rig {given.name!r}")


def _paths(start: str) -> dict[str, tuple[str, ...]]:
    """Every rig that maps lead to, with the fewest maps on the way."""
    steps = [(name, *name.split("-to-")) for name in (*map_names(), *_user_map_names())]
    paths: dict[str, tuple[str, ...]] = {start: ()}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for name, source, target in steps:
            if source == here and target not in paths:
                paths[target] = (*paths[here], name)
                queue.append(target)
    del paths[start]
    return paths


def _map_folder() -> Traversable:
    return resources.files("facesdk") / "data" / "maps"


def _map(name: str) -> RigMap:
    if name in map_names():
        return _builtin_map(name)
    file = user_maps() / f"{name}.json"
    return RigMap.from_json(read_json(file, "map"), source=str(file), folder=file.parent)


@cache
def _builtin_map(name: str) -> RigMap:
    with resources.as_file(_map_folder() / f"{name}.json") as path:
        return RigMap.from_json(read_json(path, "map"), source=f"map {name!r}")
