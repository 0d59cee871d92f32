"""Conversions between rigs as definitions for the RigMapper of Unreal 5.8.

A definition is a graph: weighted sums, piecewise linear functions and products, from input curves
to output curves. Rules of maps are built of these; what cannot be built is reported. The layout is
the reported one of Unreal 5.8; we have not loaded it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...clip import POSE_ANGLES
from ...errors import RigError
from ...retarget import Conversion, RigMap
from ...rig import Rig
from .names import POSE_CURVES, curve_name

_JAW_KNOTS = np.geomspace(0.001, 1, 81)
"""Where the reciprocal of a jaw is exact; between, lips are off by 0.002 at most."""


def definition(way: Conversion) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a definition as JSON, and the converted controls that it leaves unset.

    Raises `RigError` for conversions that mix poses (visemes, emotions) or where rest is not zero.
    """
    graph = _Graph()
    here = {n: graph.input(_curve(n)) for n in _channels(way.source)}
    unset: dict[str, None] = {}
    for step in way.maps:
        here, dropped = _mapped(graph, step, here)
        unset = dict.fromkeys(dropped)
    outputs = {_curve(n): here[n] for n in way.target.names if n in here}
    used = graph.used(outputs.values())
    document = {
        "inputs": [name for name in graph.inputs if name in used],
        "features": {name: node for name, node in graph.features.items() if name in used},
        "parameters": {},
        "outputs": outputs,
        "null_outputs": [_curve(n) for n in way.target.names if n not in here],
    }
    return document, tuple(unset)


def _channels(rig: Rig) -> tuple[str, ...]:
    """Return the controls, and the joints without a control."""
    own = {name.lower() for name in rig.names}
    return (*rig.names, *(a for a in POSE_ANGLES if _curve(a).lower() not in own))


def _curve(channel: str) -> str:
    """Return the curve of a control or a pose angle."""
    return dict(zip(POSE_ANGLES, POSE_CURVES, strict=True)).get(channel) or curve_name(channel)


class _Graph:
    """A graph of features under construction; every method returns a feature's name."""

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.features: dict[str, dict[str, Any]] = {}

    def input(self, curve: str) -> str:
        self.inputs.append(curve)
        return curve

    def sum(
        self,
        name: str,
        terms: Mapping[str, float],
        low: float | None = None,
        high: float | None = None,
    ) -> str:
        """Add a weighted sum, clipped to a range."""
        params: dict[str, Any] = {"weights": list(terms.values())}
        params |= {} if low is None else {"min": low}
        params |= {} if high is None else {"max": high}
        return self._add(name, "weighted_sum", list(terms), params)

    def lines(self, name: str, feature: str, knots: Iterable[tuple[float, float]]) -> str:
        """Add a piecewise linear function, constant beyond its ends."""
        given, wanted = (list(column) for column in zip(*knots, strict=True))
        return self._add(name, "sdk", [feature], {"in_val": given, "out_val": wanted})

    def product(self, name: str, features: Sequence[str]) -> str:
        return self._add(name, "multiply", list(features), {})

    def _add(self, name: str, kind: str, features: list[str], params: dict[str, Any]) -> str:
        self.features[name] = {
            "type": kind,
            "input_features": features,
            "input_params": [],
            "params": params,
        }
        return name

    def used(self, ends: Iterable[str]) -> set[str]:
        """Return features and everything that they depend on."""
        found: set[str] = set()
        open_ = list(ends)
        while open_:
            name = open_.pop()
            if name not in found:
                found.add(name)
                open_ += self.features.get(name, {}).get("input_features", [])
        return found


def _mapped(
    graph: _Graph, step: RigMap, here: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return the feature of every target control that moves, and those without a graph."""
    if step.pose_fit is not None or np.any(step.source.rest) or np.any(step.target.rest):
        raise RigError(
            f"map {step.name!r} fits poses or has a rest other than zero; RigMapper cannot"
        )
    there = {n: _weighted(graph, step, n, terms, here)
             for n, terms in _by_target(step, here).items()}  # fmt: skip
    dropped: list[str] = []
    for rule in step.rules:
        build = _RULES.get(rule.name)
        if build is None or not all(name in here for name in rule.inputs):
            dropped += rule.outputs
            continue
        names = [f"{step.target.name}:{_curve(n)}" for n in rule.outputs]
        made = build(graph, names, [here[n] for n in rule.inputs])
        there |= dict(zip(rule.outputs, made, strict=True))
    untouched = [a for a in POSE_ANGLES if a in here and a not in there]
    return there | {a: here[a] for a in untouched}, dropped


def _by_target(step: RigMap, here: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return the weights of every target control, by source."""
    found: dict[str, dict[str, float]] = {}
    for source, row in step.weights.items():
        for target, factor in row.items():
            if source in here:
                found.setdefault(target, {})[source] = float(factor)
    return {n: found[n] for n in (*step.target.names, *POSE_ANGLES) if n in found}


def _weighted(
    graph: _Graph, step: RigMap, target: str, terms: Mapping[str, float], here: Mapping[str, str]
) -> str:
    """Return a sum within the target's range, or the one curve that equals it."""
    if list(terms.values()) == [1.0]:
        return here[next(iter(terms))]
    low = high = None
    if step.clamp and target in step.target:
        control = step.target.controls[step.target.index(target)]
        low, high = control.minimum, control.maximum
    features: dict[str, float] = {}
    for name, factor in terms.items():
        features[here[name]] = features.get(here[name], 0.0) + factor
    return graph.sum(f"{step.target.name}:{_curve(target)}", features, low, high)


# -------------------------------------------------------------------------- rules


def _lips_together(graph: _Graph, names: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """Return the share of the jaw that lips close, with the reciprocal as a table."""
    jaw, close = inputs
    knots = [(0.0, 0.0), *((float(x), float(1 / x)) for x in _JAW_KNOTS)]
    over = graph.lines(f"{names[0]}:over_jaw", jaw, knots)
    share = graph.product(f"{names[0]}:of_jaw", [close, over])
    return [graph.sum(f"{names[0]}:share", {share: 1.0}, 0.0, 1.0)] * len(names)


def _mouth_close(graph: _Graph, names: Sequence[str], inputs: Sequence[str]) -> list[str]:
    jaw, *lips = inputs
    mean = graph.sum(f"{names[0]}:lips", dict.fromkeys(lips, 1 / len(lips)))
    return [graph.product(names[0], [jaw, mean])]


def _jaw_beside_close(graph: _Graph, names: Sequence[str], inputs: Sequence[str]) -> list[str]:
    jaw, close = inputs
    open_ = graph.sum(names[0], {jaw: 1.0, close: -1.0}, 0.0)
    return [open_, graph.sum(names[1], {jaw: 1.0, open_: -1.0})]


def _split(graph: _Graph, names: Sequence[str], inputs: Sequence[str]) -> list[str]:
    return [graph.sum(name, dict.fromkeys(inputs, sign), 0.0, 1.0)
            for name, sign in zip(names, (1.0, -1.0), strict=True)]  # fmt: skip


def _phases(steps: int) -> _Build:
    """Return the phases of a slider, each fading into the next."""

    def build(graph: _Graph, names: Sequence[str], inputs: Sequence[str]) -> list[str]:
        return [
            graph.lines(name, inputs[0], [((k + d) / steps, 1.0 - abs(d)) for d in (-1, 0, 1)])
            for k, name in enumerate(names, 1)
        ]

    return build


def _shared_blink(graph: _Graph, names: Sequence[str], inputs: Sequence[str]) -> list[str]:
    left, right = inputs
    only_left = graph.sum(names[1], {left: 1.0, right: -1.0}, 0.0)
    only_right = graph.sum(names[2], {right: 1.0, left: -1.0}, 0.0)
    return [graph.sum(names[0], {left: 1.0, only_left: -1.0}), only_left, only_right]


def _inner_brow(graph: _Graph, names: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """Return the mean of both sides' max(raise_in - raise_outer, min(lateral, raise_in))."""
    sides = []
    for side, (raise_in, outer, lateral) in enumerate((inputs[:3], inputs[3:])):
        base = f"{names[0]}:{side}"
        above = graph.sum(f"{base}:above", {lateral: 1.0, raise_in: -1.0}, 0.0)
        least = {lateral: 1.0, above: -1.0}
        more = {raise_in: 1.0, outer: -1.0, lateral: -1.0, above: 1.0}
        sides.append(least | {graph.sum(f"{base}:more", more, 0.0): 1.0})
    halves = {name: factor / 2 for terms in sides for name, factor in terms.items()}
    return [graph.sum(names[0], halves, 0.0, 1.0)]


_Build = Callable[[_Graph, Sequence[str], Sequence[str]], list[str]]

_RULES: Mapping[str, _Build] = {
    "lips_together": _lips_together,
    "mouth_close": _mouth_close,
    "jaw_beside_close": _jaw_beside_close,
    "split": _split,
    "sticky_phases": _phases(3),
    "swallow_phases": _phases(5),
    "shared_blink": _shared_blink,
    "inner_brow": _inner_brow,
}
"""Graphs of rules: functions of output names and input features."""
