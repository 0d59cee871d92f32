"""Rig outputs as constant layers of an ONNX graph: tables and conversions on top of units.

Only matrix products with constants and a few element-wise operators are used, all documented by
game engines: Abs, Add, Clip, Concat, Div, MatMul, Max, Min, Mul, Relu, Split, Sub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ..arrays import Floats
from ..clip import POSE_ANGLES
from ..errors import ModelError
from ..model.rig_outputs import RigOutput
from ..model.rig_table import RigTable
from ..retarget import PoseFit, RigMap, Rule
from .builder import LARGE, TINY, GraphBuilder, block_diagonal


def output_by_table(rig: str) -> RigOutput:
    """Return the output for a rig by name, or by the path of a rig, table or map file.

    Raises `ModelError` for rigs that the model computes itself.
    """
    output = RigOutput.of(rig)
    if output.table is None:
        raise ModelError(
            f"the model computes {output.rig.name!r} without a rig table; "
            "it is an output of every export already"
        )
    return output


def rig_layers(
    graph: GraphBuilder, outputs: Mapping[str, RigOutput], units: str, names: Sequence[str]
) -> dict[str, str]:
    """Add (..., controls) of every output for a tensor of (..., units) in the order of `names`.

    Units that are not among the names stay at rest. Raises `ModelError` for a conversion that
    cannot be written with plain operators.
    """
    tables = {
        id(table): table
        for output in outputs.values()
        for table in (output.table, output.override)
        if table is not None
    }
    values = dict(zip(tables, table_layers(graph, [*tables.values()], units, names), strict=True))
    return {name: _output_layers(graph, output, values) for name, output in outputs.items()}


def _output_layers(graph: GraphBuilder, output: RigOutput, from_table: Mapping[int, str]) -> str:
    assert output.table is not None
    values = from_table[id(output.table)]
    moving = set(output.table.moved)
    for rig_map in output.maps:
        values = map_layers(graph, rig_map, values, moving, last=rig_map is output.maps[-1])
        moving = {name for source in moving for name in rig_map.reach.get(source, ())}
    if output.override is None:
        return values
    mask = np.isin(output.rig.names, list(output.override.moved)).astype(np.float32)
    own = graph.times(from_table[id(output.override)], mask)
    return graph.add("Add", graph.times(values, 1 - mask), own)


def table_layers(
    graph: GraphBuilder, tables: Sequence[RigTable], units: str, names: Sequence[str]
) -> list[str]:
    """Add (..., controls) of each table: stretched units, products of these, weights.

    All tables are computed side by side in the same few layers, because an engine pays for the
    number of layers and hardly for their width.
    """
    count = max(len(table.layers.terms) for table in tables)
    factors = [_factors_of_terms(table, names, count) for table in tables]
    scale = np.concatenate([s for s, _ in factors], -1)
    offset = np.concatenate([o for _, o in factors], -1)
    flat = graph.product(units, scale.transpose(1, 0, 2).reshape(len(names), -1))
    clipped = graph.clip(graph.plus(flat, offset.reshape(-1)), 0, 1)
    terms, *others = graph.split(clipped, [scale.shape[-1]] * count)
    for other in others:
        terms = graph.add("Mul", terms, other)
    values = graph.product(terms, block_diagonal(table.layers.weights for table in tables))
    values = graph.plus(values, np.concatenate([table.rig.rest for table in tables]))
    ranges = [_range(table) for table in tables]
    values = graph.clip(values, *(np.concatenate(ends) for ends in zip(*ranges, strict=True)))
    parts = graph.split(values, [len(table.rig) for table in tables])
    return [
        part if table.remainder_control is None
        else _shares(graph, part, len(table.rig), table.rig.index(table.remainder_control))
        for table, part in zip(tables, parts, strict=True)
    ]  # fmt: skip


def table_factors(table: RigTable, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Return (units, factors) scale and (factors,) offset of a table for the named units.

    All other units stay at rest. A factor is `clip(units @ scale + offset, 0, 1)`.
    """
    rows = [table.units.index(name) for name in names]
    others = np.setdiff1d(np.arange(len(table.units)), rows)
    scale = table.layers.scale
    return scale[rows], table.layers.offset + table.units.rest[others] @ scale[others]


def _factors_of_terms(table: RigTable, names: Sequence[str], count: int) -> tuple[Floats, Floats]:
    """Return (count, units, terms) scale and (count, terms) offset of the factors of all terms.

    Terms with fewer than `count` factors are filled up with the factor 1, which is the last one.
    """
    (scale, offset), terms = table_factors(table, names), table.layers.terms
    picks = np.full((count, terms.shape[1]), len(offset) - 1)
    picks[: len(terms)] = terms
    return scale[:, picks].transpose(1, 0, 2), offset[picks]


def _range(table: RigTable) -> tuple[Floats, Floats]:
    """Return the range of every control; shares of a remainder are limited by their sum only."""
    if table.remainder_control is None:
        return table.rig.minimum, table.rig.maximum
    return np.zeros(len(table.rig), np.float32), np.full(len(table.rig), LARGE, np.float32)


def _shares(graph: GraphBuilder, values: str, count: int, remainder: int) -> str:
    """Scale columns down to a sum of 1; the remainder column takes what the others leave."""
    column = np.eye(count, dtype=np.float32)[remainder]
    ones = np.ones((count, 1), np.float32)
    others = graph.times(values, 1 - column)
    total = graph.add("Max", graph.product(others, ones), graph.constant(1.0))
    scaled = graph.add("Div", others, total)
    rest = graph.complement(graph.product(scaled, ones))
    return graph.add("Add", scaled, graph.times(rest, column))


def map_layers(
    graph: GraphBuilder, rig_map: RigMap, values: str, moving: set[str], *, last: bool = True
) -> str:
    """Add (..., target) of a map for (..., source); the pose stays at rest.

    Rules whose inputs are not among the `moving` controls become constants. Raises `ModelError`
    for a pose fit that moves, and for a map that writes the pose for another map.
    """
    source, target = rig_map.source, rig_map.target
    matrix, written = _matrix(rig_map)
    if not last and written & set(POSE_ANGLES):
        raise ModelError(f"map {rig_map.name!r} writes the pose, which is not part of a graph")
    base = target.rest - source.rest @ matrix
    parts = []
    for part in rig_map.parts:
        columns = [target.index(name) for name in part.outputs]
        base[columns] = 0
        if moving.isdisjoint(part.inputs):
            base[columns] = part(source.rest[[source.index(name) for name in part.inputs]])
        else:
            parts.append((part, columns))
    result = graph.plus(graph.product(values, matrix), base)
    for part, columns in parts:
        result = graph.add("Add", result, _part_layers(graph, rig_map, part, values, columns))
    return graph.clip(result, target.minimum, target.maximum) if rig_map.clamp else result


def _matrix(rig_map: RigMap) -> tuple[Floats, set[str]]:
    """Return (source, target) weights of a map, and the names of all controls they write."""
    matrix = np.zeros((len(rig_map.source), len(rig_map.target)), np.float32)
    written = set()
    for name, row in rig_map.weights.items():
        written |= set(row)
        for other, factor in row.items():
            if name not in POSE_ANGLES and other not in POSE_ANGLES:
                matrix[rig_map.source.index(name), rig_map.target.index(other)] = factor
    return matrix, written


def _part_layers(
    graph: GraphBuilder, rig_map: RigMap, part: Rule | PoseFit, values: str, columns: Sequence[int]
) -> str:
    """Add (..., target) of one rule, 0 in all columns that it does not write."""
    if isinstance(part, PoseFit):
        raise ModelError(
            f"map {rig_map.name!r} fits a mix of poses, which takes a loop and cannot be a graph "
            f"layer; give rig {rig_map.target.name!r} a table of its own"
        )
    source, target = rig_map.source, rig_map.target
    read = [source.index(name) for name in part.inputs]
    results = _RULES[part.name](graph, graph.columns(values, len(source), read), len(read))
    place = np.eye(len(target), dtype=np.float32)[list(columns)]
    if part.name in _ONE_VALUE:
        place = place.sum(0, keepdims=True)
    return graph.product(results, place)


# ------------------------------------------------------------------------ rules


def _lips_together(graph: GraphBuilder, x: str, _: int) -> str:
    jaw, close = _columns(graph, x, 2)
    divisor = graph.add("Max", jaw, graph.constant(TINY))
    share = graph.clip(graph.add("Div", close, divisor), 0, 1)
    return graph.add("Mul", share, graph.above_zero(jaw))


def _mouth_close(graph: GraphBuilder, x: str, count: int) -> str:
    mean = np.full((count, 1), 1 / (count - 1), np.float32)
    mean[0] = 0
    return graph.add("Mul", graph.columns(x, count, [0]), graph.product(x, mean))


def _jaw_beside_close(graph: GraphBuilder, x: str, _: int) -> str:
    jaw, close = _columns(graph, x, 2)
    closed = graph.add("Min", jaw, close)
    return graph.add("Concat", graph.add("Sub", jaw, closed), closed, axis=-1)


def _split(graph: GraphBuilder, x: str, count: int) -> str:
    return graph.add("Relu", graph.product(x, np.ones((count, 1)) * [[1.0, -1.0]]))


def _phases(count: int, pace: float) -> Callable[[GraphBuilder, str, int], str]:
    def phases(graph: GraphBuilder, x: str, _: int) -> str:
        centers = np.arange(1, count + 1, dtype=np.float32)
        distance = graph.plus(graph.product(x, np.full((1, count), pace)), -centers)
        return graph.add("Relu", graph.complement(graph.add("Abs", distance)))

    return phases


def _swallow_position(graph: GraphBuilder, x: str, _: int) -> str:
    rising = graph.product(x, np.arange(1, 5)[:, None] / 5)
    *earlier, last = _columns(graph, x, 4)
    early = graph.above_zero(graph.add("Max", *earlier))
    leaving = graph.add("Mul", graph.above_zero(last), graph.complement(early))
    falling = graph.complement(graph.times(last, 0.2))
    change = graph.add("Mul", leaving, graph.add("Sub", falling, rising))
    return graph.add("Add", rising, change)


def _inner_brow(graph: GraphBuilder, x: str, _: int) -> str:
    raise_in, outer, lateral = (graph.columns(x, 6, [i, i + 3]) for i in range(3))
    limited = graph.add("Min", lateral, raise_in)
    inner = graph.add("Max", graph.add("Sub", raise_in, outer), limited)
    return graph.product(inner, [[0.5], [0.5]])


def _shared_blink(graph: GraphBuilder, x: str, _: int) -> str:
    both = graph.add("Min", *_columns(graph, x, 2))
    return graph.add("Concat", both, graph.add("Sub", x, both), axis=-1)


def _columns(graph: GraphBuilder, x: str, count: int) -> Iterator[str]:
    return (graph.columns(x, count, [i]) for i in range(count))


_RULES: dict[str, Callable[[GraphBuilder, str, int], str]] = {
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
"""(graph, tensor of a rule's inputs, number of inputs) -> tensor of its outputs."""

_ONE_VALUE = {"lips_together"}
"""Rules with one value for all of their outputs."""
