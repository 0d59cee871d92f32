"""Rig outputs as constant layers of an ONNX graph: tables and conversions on top of its units.

Everything is matrix products with constants and a few operators by element, so it holds no more
than what game engines document: Abs, Add, Clip, Concat, Div, MatMul, Max, Min, Mul, Relu, Split,
Sub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

from ..arrays import Floats
from ..clip import POSE_ANGLES
from ..errors import ModelError
from ..model.rig_outputs import RigOutput
from ..model.rig_table import RigTable
from ..retarget import PoseFit, RigMap, Rule

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

    def split(self, tensor: str, widths: Sequence[int]) -> list[str]:
        """Columns in groups of these widths."""
        if len(widths) == 1:
            return [tensor]
        names = [self._name() for _ in widths]
        sizes = self.constant(widths, np.int64)
        self._graph.node.append(helper.make_node("Split", [tensor, sizes], names, axis=-1))
        return names

    def above_zero(self, tensor: str) -> str:
        """1 where the tensor is above 0, else 0."""
        return self.within(self.times(tensor, _LARGE), 0, 1)

    def complement(self, tensor: str) -> str:
        """1 minus the tensor."""
        return self.add("Sub", self.constant(1.0), tensor)


# ---------------------------------------------------------------------- outputs


def rig_layers(
    layers: Layers, outputs: Mapping[str, RigOutput], units: str, names: Sequence[str]
) -> dict[str, str]:
    """(..., controls) of every output for a tensor of (..., units) in the order of `names`.

    Units that are not among the names stay at rest. Raises `ModelError` for a conversion that no
    plain operator computes.
    """
    tables = {id(t): t for o in outputs.values() for t in (o.table, o.override) if t is not None}
    found = dict(zip(tables, table_layers(layers, [*tables.values()], units, names), strict=True))
    return {name: _output_layers(layers, output, found) for name, output in outputs.items()}


def _output_layers(layers: Layers, output: RigOutput, found: Mapping[int, str]) -> str:
    """One rig, from what its tables gave."""
    assert output.table is not None
    values = found[id(output.table)]
    moving = set(output.table.moved)
    for rig_map in output.maps:
        values = map_layers(layers, rig_map, values, moving, last=rig_map is output.maps[-1])
        moving = {name for source in moving for name in rig_map.reach.get(source, ())}
    if output.override is not None:
        own = np.isin(output.rig.names, list(output.override.moved)).astype(np.float32)
        added = layers.times(found[id(output.override)], own)
        values = layers.add("Add", layers.times(values, 1 - own), added)
    return values


def table_layers(
    layers: Layers, tables: Sequence[RigTable], units: str, names: Sequence[str]
) -> list[str]:
    """(..., controls) of each table: stretched units, products of these, weights.

    All tables at once, side by side in the same few layers: for a game it is the number of layers
    that costs, not their width.
    """
    stretched = [_stretched(table, names, max(len(t.layers.terms) for t in tables))
                 for table in tables]  # fmt: skip
    scale = np.concatenate([s for s, _ in stretched], -1)
    offset = np.concatenate([o for _, o in stretched], -1)
    count, _, width = scale.shape
    flat = layers.product(units, scale.transpose(1, 0, 2).reshape(len(names), -1))
    factors = layers.within(layers.plus(flat, offset.reshape(-1)), 0, 1)
    terms, *others = layers.split(factors, [width] * count)
    for other in others:
        terms = layers.add("Mul", terms, other)
    values = layers.product(terms, _side_by_side([t.layers.weights for t in tables]))
    values = layers.plus(values, np.concatenate([t.rig.rest for t in tables]))
    ranges = [_range(table) for table in tables]
    values = layers.within(values, *(np.concatenate(ends) for ends in zip(*ranges, strict=True)))
    parts = layers.split(values, [len(table.rig) for table in tables])
    return [
        part if table.remainder_control is None
        else _shares(layers, part, len(table.rig), table.rig.index(table.remainder_control))
        for table, part in zip(tables, parts, strict=True)
    ]  # fmt: skip


def _stretched(table: RigTable, names: Sequence[str], count: int) -> tuple[Floats, Floats]:
    """(count, units, terms) scale and (count, terms) offset of all factors of every term."""
    arrays = table.layers
    given = [table.units.index(name) for name in names]
    absent = np.setdiff1d(np.arange(len(table.units)), given)
    resting = arrays.offset + table.units.rest[absent] @ arrays.scale[absent]
    one = len(arrays.offset) - 1
    picks = np.full((count, arrays.terms.shape[1]), one)
    picks[: len(arrays.terms)] = arrays.terms
    return arrays.scale[given][:, picks].transpose(1, 0, 2), resting[picks]


def _side_by_side(blocks: Sequence[Floats]) -> Floats:
    """A matrix with the blocks on its diagonal."""
    whole = np.zeros(np.sum([block.shape for block in blocks], 0), np.float32)
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole


def _range(table: RigTable) -> tuple[Floats, Floats]:
    """Range of every control; shares are only kept above 0, their sum does the rest."""
    if table.remainder_control is None:
        return table.rig.minimum, table.rig.maximum
    return np.zeros(len(table.rig), np.float32), np.full(len(table.rig), _LARGE, np.float32)


def _shares(layers: Layers, values: str, count: int, rest: int) -> str:
    """Columns scaled down to a sum of 1; one of them takes what the others leave."""
    alone = np.eye(count, dtype=np.float32)[rest]
    ones = np.ones((count, 1), np.float32)
    others = layers.times(values, 1 - alone)
    total = layers.add("Max", layers.product(others, ones), layers.constant(1.0))
    scaled = layers.add("Div", others, total)
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
    layers: Layers, rig_map: RigMap, part: Rule | PoseFit, values: str, columns: Sequence[int]
) -> str:
    """(..., target) of one rule, 0 in all columns that it does not write."""
    if isinstance(part, PoseFit):
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
