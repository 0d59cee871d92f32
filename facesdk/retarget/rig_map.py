"""Map files: the effect of every control of one rig on another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..clip import POSE_ANGLES
from ..documents import check_header, json_lines
from ..errors import RigError, UnknownNameError, reading
from ..rig import Rig
from .pose_fit import PoseFit, Weights
from .rules import Rule


@dataclass(frozen=True, eq=False)
class RigMap:
    """One map file: the effect of every source control on the target.

    Raises `RigError` or `UnknownNameError` when a name is on neither rig, or two things write the
    same target control.
    """

    source: Rig
    target: Rig
    weights: Weights = field(default_factory=dict)
    """Added to the target's rest, by controls and pose angles, in proportion to their distance from
    rest; an empty row is for a control that stands for rest."""
    rules: tuple[Rule, ...] = ()
    pose_fit: PoseFit | None = None
    clamp: bool = True
    """Clip the result to the target's ranges; off for maps that only rename controls."""
    description: str = ""

    def __post_init__(self) -> None:
        _check_names(self.source, [*self.weights, *(n for r in self.parts for n in r.inputs)])
        weighted = dict.fromkeys(name for row in self.weights.values() for name in row)
        written = [*weighted, *(name for part in self.parts for name in part.outputs)]
        _check_names(self.target, written)
        twice = sorted(name for name, count in Counter(written).items() if count > 1)
        if twice:
            raise RigError(f"written twice: {', '.join(twice)}; give one rule or weights")

    @property
    def name(self) -> str:
        """Stem of the map's file."""
        return f"{self.source.name}-to-{self.target.name}"

    @property
    def parts(self) -> tuple[Rule | PoseFit, ...]:
        """The rules, and the pose fit if there is one."""
        return self.rules if self.pose_fit is None else (*self.rules, self.pose_fit)

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
        """Rules grouped by kind, and the pose fit, with the columns they read and write."""
        alike: dict[tuple[str, int, int], list[Rule]] = {}
        for rule in self.rules:
            alike.setdefault((rule.name, len(rule.inputs), len(rule.outputs)), []).append(rule)
        groups: list[Sequence[Rule | PoseFit]] = list(alike.values())
        if self.pose_fit is not None:
            groups.append([self.pose_fit])
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
        """Return (..., C) values and (..., 4, 3) angles on the target rig."""
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
        """Apply only the weights to values and pose."""
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
        """(source, target) weights between controls: faster than columns without a pose."""
        matrix = np.zeros((len(self.source), len(self.target)), np.float32)
        for name, row in self.weights.items():
            for other, factor in row.items():
                if name not in POSE_ANGLES and other not in POSE_ANGLES:
                    matrix[self.source.index(name), self.target.index(other)] = factor
        return matrix

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document that `from_json` reads."""
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
        if self.pose_fit is not None:
            document["poses"] = {n: dict(pose) for n, pose in self.pose_fit.poses.items()}
            if self.pose_fit.metric:
                document["metric"] = {n: dict(row) for n, row in self.pose_fit.metric.items()}
        return document

    def to_text(self) -> str:
        """Return the text of a map file, one control per line."""
        return json_lines(self.to_json())

    @classmethod
    def from_json(cls, document: Any, *, source: str = "map", folder: Path | None = None) -> RigMap:
        """Build a map from its JSON document; `source` names it in errors.

        Rigs are given by name, or by the path of a rig file relative to `folder`.
        """
        check_header(document, format="facesdk.map", source=source)
        with reading(source, RigError):
            return cls._built(document, source, folder)

    @classmethod
    def _built(cls, document: Any, source: str, folder: Path | None) -> RigMap:
        try:
            return cls(
                source=_rig_of_map(document["source"], folder),
                target=_rig_of_map(document["target"], folder),
                weights=_weights(document.get("weights", {})),
                rules=tuple(
                    Rule(r["rule"], tuple(r["from"]), tuple(r["to"]))
                    for r in document.get("rules", ())
                ),
                pose_fit=_pose_fit(document),
                clamp=bool(document.get("clamp", True)),
                description=str(document.get("description", "")),
            )
        except UnknownNameError as error:
            raise UnknownNameError(f"{source}: {error}", error.name, error.suggestions) from error
        except RigError as error:
            raise RigError(f"{source}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RigError(f"{source} lacks or misspells a field: {error}") from error


_Step = tuple[Rule | PoseFit, NDArray[np.intp], NDArray[np.intp]]
"""A rule or fit, (k, inputs) columns of the source and (k, outputs) columns of the target."""


@dataclass(frozen=True, eq=False)
class _Linear:
    """Weights as columns, sorted by target: a few gathers and sums replace a wide matrix."""

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
    """Return (..., C + 12) zeros for the controls of a rig, followed by the pose."""
    room = np.zeros((*frames, len(rig) + len(POSE_ANGLES)), np.float32)
    if pose is not None:
        room[..., len(rig) :] = pose.reshape(*frames, len(POSE_ANGLES))
    return room


def _check_names(rig: Rig, names: Sequence[str]) -> None:
    for name in names:
        if name not in POSE_ANGLES:
            rig.index(name)


def _short(row: Mapping[str, float]) -> str | dict[str, float]:
    """Return a row as maps write it: only the name for a control that is passed on unchanged."""
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


def _pose_fit(document: Mapping[str, Any]) -> PoseFit | None:
    if "poses" not in document:
        return None
    return PoseFit(_weights(document["poses"]), _weights(document.get("metric", {})))


def _rig_of_map(name: str, folder: Path | None) -> Rig:
    return Rig.load(folder / name if folder is not None and name.endswith(".json") else name)
