"""Rig outputs as constant layers of an ONNX graph: tables and conversions on top of its units.

Everything is matrix products with constants and a few operators by element, so it holds no more
than what game engines document: Abs, Add, Clip, Concat, Div, MatMul, Max, Min, Mul, Relu, Sub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

from ..convert import POSE_ANGLES, Mix, RigMap, Rule
from ..errors import ModelError
from ..model.output import Output
from ..model.table import RigTable
from ..rig import Rig

Floats = NDArray[np.float32]

_LARGE, _TINY = 1e30, 1e-30
"""What turns anything above 0 into a 1, and what keeps a division from one by 0."""


class Layers:
    """Nodes that are added to a graph, tensors known by their names."""

    def __init__(self, graph: onnx.GraphProto, prefix: str) -> None:
        """Names of new tensors begin with the prefix, made longer where it is taken."""
        names = [n for node in graph.node for n in node.output]
        names += [c.name for c in graph.initializer]
        while any(name.startswith(prefix) for name in names):
            prefix += "_"
        self._graph, self._prefix = graph, prefix
        self._count = 0

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One more node with one output."""
        name = self._name()
        self._graph.node.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: ArrayLike, kind: type = np.float32) -> str:
        """A constant tensor."""
        name = self._name()
        array: NDArray[Any] = np.asarray(value, kind, order="C")
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"

    # ------------------------------------------------------------- arithmetic

    def plus(self, tensor: str, value: Floats) -> str:
        """The tensor plus a constant, where that changes anything."""
        return self.add("Add", tensor, self.constant(value)) if np.any(value) else tensor

    def product(self, tensor: str, matrix: ArrayLike) -> str:
        """(..., n) @ (n, m) with a constant matrix."""
        return self.add("MatMul", tensor, self.constant(matrix))

    def times(self, tensor: str, value: ArrayLike) -> str:
        """The tensor times a constant."""
        return self.add("Mul", tensor, self.constant(value))

    def column(self, tensor: str, width: int, *columns: int) -> str:
        """(..., len(columns)) columns of (..., width)."""
        return self.product(tensor, np.eye(width, dtype=np.float32)[:, list(columns)])

    def within(self, tensor: str, low: ArrayLike, high: ArrayLike) -> str:
        """The tensor cut to a range, one for all or one for each column."""
        if len(np.unique(low)) == len(np.unique(high)) == 1:
            ends = (self.constant(np.ravel(end)[0]) for end in (low, high))
            return self.add("Clip", tensor, *ends)
        raised = self.add("Max", tensor, self.constant(low))
        return self.add("Min", raised, self.constant(high))

    def above_zero(self, tensor: str) -> str:
        """1 where the tensor is above 0, else 0."""
        return self.within(self.times(tensor, _LARGE), 0, 1)

    def complement(self, tensor: str) -> str:
        """1 minus the tensor."""
        return self.add("Sub", self.constant(1.0), tensor)


# ----------------------------------------------------------------------- output


def rig_layers(layers: Layers, output: Output, units: str, names: Sequence[str]) -> str:
    """(..., controls) of an output for a tensor of (..., units), given in the order of `names`.

    Units that are not among the names stay at rest. Raises `ModelError` for a conversion that no
    plain operator computes.
    """
    if output.table is None:
        return units_layer(layers, output.rig, units, names)
    values = table_layers(layers, output.table, units, names)
    moving = set(output.table.moved)
    for rig_map in output.maps:
        values = map_layers(layers, rig_map, values, moving, last=rig_map is output.maps[-1])
        moving = {name for source in moving for name in rig_map.reach.get(source, ())}
    if output.beside is not None:
        own = np.isin(output.rig.names, list(output.beside.moved)).astype(np.float32)
        added = layers.times(table_layers(layers, output.beside, units, names), own)
        values = layers.add("Add", layers.times(values, 1 - own), added)
    return values


def units_layer(layers: Layers, rig: Rig, units: str, names: Sequence[str]) -> str:
    """All units, those that are not among the names at rest."""
    place = np.zeros((len(names), len(rig)), np.float32)
    rest = rig.rest.copy()
    for row, name in enumerate(names):
        place[row, rig.index(name)] = 1
        rest[rig.index(name)] = 0
    return layers.plus(layers.product(units, place), rest)


def table_layers(layers: Layers, table: RigTable, units: str, names: Sequence[str]) -> str:
    """(..., controls) of a rig table: stretched units, products of these, weights."""
    arrays = table.layers
    given = [table.units.index(name) for name in names]
    absent = np.setdiff1d(np.arange(len(table.units)), given)
    resting = arrays.offset + table.units.rest[absent] @ arrays.scale[absent]
    terms = None
    for columns in arrays.terms:
        stretched = layers.product(units, arrays.scale[given][:, columns])
        factor = layers.within(layers.plus(stretched, resting[columns]), 0, 1)
        terms = factor if terms is None else layers.add("Mul", terms, factor)
    assert terms is not None
    values = layers.plus(layers.product(terms, arrays.weights), table.rig.rest)
    if table.remainder is not None:
        values = _shares(layers, values, len(table.rig), table.rig.index(table.remainder))
    return layers.within(values, table.rig.minimum, table.rig.maximum)


def _shares(layers: Layers, values: str, count: int, rest: int) -> str:
    """Columns scaled down to a sum of 1; one of them takes what the others leave."""
    alone = np.eye(count, dtype=np.float32)[rest]
    ones = np.ones((count, 1), np.float32)
    positive = layers.times(layers.add("Relu", values), 1 - alone)
    total = layers.add("Max", layers.product(positive, ones), layers.constant(1.0))
    scaled = layers.add("Div", positive, total)
    left = layers.complement(layers.product(scaled, ones))
    return layers.add("Add", scaled, layers.times(left, alone))


def map_layers(
    layers: Layers, rig_map: RigMap, values: str, moving: set[str], *, last: bool = True
) -> str:
    """(..., target) of a map for (..., source); the pose stays at rest.

    Rules that read nothing of what moves become constants. Raises `ModelError` for a mix of poses
    that moves, and for a map that writes the pose for another one.
    """
    source, target = rig_map.source, rig_map.target
    matrix, written = _linear(rig_map)
    if not last and written & set(POSE_ANGLES):
        raise ModelError(f"map {rig_map.name!r} writes the pose, which has no place in a graph")
    base = target.rest - source.rest @ matrix
    parts = []
    for part in rig_map.parts:
        columns = [target.index(name) for name in part.outputs]
        base[columns] = 0
        if moving.isdisjoint(part.inputs):
            rest = source.rest[[source.index(name) for name in part.inputs]]
            base[columns] = part(rest)
        else:
            parts.append((part, columns))
    result = layers.plus(layers.product(values, matrix), base)
    for part, columns in parts:
        result = layers.add("Add", result, _part_layers(layers, rig_map, part, values, columns))
    return layers.within(result, target.minimum, target.maximum) if rig_map.clamp else result


def _linear(rig_map: RigMap) -> tuple[Floats, set[str]]:
    """(source, target) weights, and everything that weights write."""
    matrix = np.zeros((len(rig_map.source), len(rig_map.target)), np.float32)
    written = set()
    for name, row in rig_map.weights.items():
        written |= set(row)
        for other, factor in row.items():
            if name not in POSE_ANGLES and other not in POSE_ANGLES:
                matrix[rig_map.source.index(name), rig_map.target.index(other)] = factor
    return matrix, written


def _part_layers(
    layers: Layers, rig_map: RigMap, part: Rule | Mix, values: str, columns: Sequence[int]
) -> str:
    """(..., target) of one rule, 0 in all columns that it does not write."""
    if isinstance(part, Mix):
        raise ModelError(
            f"map {rig_map.name!r} finds the nearest mix of poses, which takes a loop and not a "
            f"layer; give rig {rig_map.target.name!r} a table of its own"
        )
    source, target = rig_map.source, rig_map.target
    read = [source.index(name) for name in part.inputs]
    results = _RULES[part.name](layers, layers.column(values, len(source), *read), len(read))
    place = np.eye(len(target), dtype=np.float32)[list(columns)]
    if part.name in _ONE_FOR_ALL:
        place = place.sum(0, keepdims=True)
    return layers.product(results, place)


# ------------------------------------------------------------------------ rules


def _lips_together(layers: Layers, x: str, _: int) -> str:
    jaw, close = _columns(layers, x, 2)
    divisor = layers.add("Max", jaw, layers.constant(_TINY))
    share = layers.within(layers.add("Div", close, divisor), 0, 1)
    return layers.add("Mul", share, layers.above_zero(jaw))


def _mouth_close(layers: Layers, x: str, count: int) -> str:
    mean = np.full((count, 1), 1 / (count - 1), np.float32)
    mean[0] = 0
    return layers.add("Mul", layers.column(x, count, 0), layers.product(x, mean))


def _jaw_beside_close(layers: Layers, x: str, _: int) -> str:
    jaw, close = _columns(layers, x, 2)
    closed = layers.add("Min", jaw, close)
    return layers.add("Concat", layers.add("Sub", jaw, closed), closed, axis=-1)


def _split(layers: Layers, x: str, count: int) -> str:
    return layers.add("Relu", layers.product(x, np.ones((count, 1)) * [[1.0, -1.0]]))


def _phases(count: int, pace: float) -> Callable[[Layers, str, int], str]:
    def phases(layers: Layers, x: str, _: int) -> str:
        centers = np.arange(1, count + 1, dtype=np.float32)
        beside = layers.plus(layers.product(x, np.full((1, count), pace)), -centers)
        return layers.add("Relu", layers.complement(layers.add("Abs", beside)))

    return phases


def _swallow_position(layers: Layers, x: str, _: int) -> str:
    rising = layers.product(x, np.arange(1, 5)[:, None] / 5)
    *earlier, last = _columns(layers, x, 4)
    early = layers.above_zero(layers.add("Max", *earlier))
    leaving = layers.add("Mul", layers.above_zero(last), layers.complement(early))
    falling = layers.complement(layers.times(last, 0.2))
    change = layers.add("Mul", leaving, layers.add("Sub", falling, rising))
    return layers.add("Add", rising, change)


def _inner_brow(layers: Layers, x: str, _: int) -> str:
    raise_in, outer, lateral = (layers.column(x, 6, i, i + 3) for i in range(3))
    seen = layers.add("Min", lateral, raise_in)
    inner = layers.add("Max", layers.add("Sub", raise_in, outer), seen)
    return layers.product(inner, [[0.5], [0.5]])


def _shared_blink(layers: Layers, x: str, _: int) -> str:
    both = layers.add("Min", *_columns(layers, x, 2))
    return layers.add("Concat", both, layers.add("Sub", x, both), axis=-1)


def _columns(layers: Layers, x: str, count: int) -> Iterator[str]:
    return (layers.column(x, count, i) for i in range(count))


_RULES: dict[str, Callable[[Layers, str, int], str]] = {
    "lips_together": _lips_together,
    "mouth_close": _mouth_close,
    "jaw_beside_close": _jaw_beside_close,
    "split": _split,
    "sticky_phases": _phases(3, 3.0),
    "swallow_phases": _phases(4, 5.0),
    "swallow_position": _swallow_position,
    "inner_brow": _inner_brow,
    "shared_blink": _shared_blink,
}
"""(layers, tensor of what the rule reads, how many these are) -> tensor of what it writes."""

_ONE_FOR_ALL = {"lips_together"}
"""Rules with one value for everything they write."""
