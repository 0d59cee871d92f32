"""Several rigs in one pass: their controls side by side, what they have in common computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import ModelError
from ..retarget import RigMap
from ..rig import Rig
from .bank import TableBank
from .output import Output
from .table import RigTable


class _Way(NamedTuple):
    """How the columns of one rig come about."""

    columns: slice
    """Where they stand."""
    source: slice
    """Where their source stands: in the bank, or for what the model tells in its own rows."""
    told: bool
    """Whether the source is a table's."""
    maps: tuple[RigMap, ...]
    own: NDArray[np.intp]
    """Columns that another table tells."""
    beside: NDArray[np.intp]
    """Where these stand in the bank."""


class Outputs:
    """Units to the controls of the wanted rigs, equal to an `Output` for each."""

    def __init__(self, rigs: Sequence[str]) -> None:
        """Names of rigs, at least one and none twice; raises `ModelError` otherwise."""
        outputs = [Output(rig) for rig in rigs]
        self.rigs: tuple[Rig, ...] = tuple(output.rig for output in outputs)
        if not rigs or len({rig.name for rig in self.rigs}) != len(rigs):
            raise ModelError(f"give at least one rig and none twice, got {list(rigs)}")
        ends = np.cumsum([len(rig) for rig in self.rigs]).tolist()
        self.columns = {
            rig.name: slice(end - len(rig), end) for rig, end in zip(self.rigs, ends, strict=True)
        }
        """Where the controls of each rig stand, by its name."""
        self._width: int = ends[-1]
        self._units = len(Rig.load("units"))
        tables = {id(t): t for o in outputs for t in (o.table, o.beside) if t is not None}
        self._bank = TableBank(list(tables.values())) if tables else None
        self._ways = [self._way(output, list(tables)) for output in outputs]
        # nothing but tables: the bank's columns are the output's
        self._plain = len(tables) == len(rigs) and not any(o.maps or o.beside for o in outputs)

    def _way(self, output: Output, tables: Sequence[int]) -> _Way:
        def place(table: RigTable) -> slice:
            assert self._bank is not None
            return self._bank.columns[tables.index(id(table))]

        columns = self.columns[output.rig.name]
        first = self._units if output.rig.name == "articulation" else 0
        heard = slice(first, first + len(output.rig))
        source = heard if output.table is None else place(output.table)
        own = beside = np.zeros(0, np.intp)
        if output.beside is not None:
            told = np.array([output.rig.index(name) for name in output.beside.moved], np.intp)
            own, beside = columns.start + told, place(output.beside).start + told
        return _Way(columns, source, output.table is not None, output.maps, own, beside)

    def __call__(self, units: Floats) -> Floats:
        """(T, units), articulation behind them where it is wanted, to (T, controls of all rigs)."""
        told = units if self._bank is None else self._bank(units[:, : self._units])
        if self._plain:
            return told
        values = np.empty((len(units), self._width), np.float32)
        for columns, source, by_table, maps, own, beside in self._ways:
            part, pose = (told if by_table else units)[:, source], None
            for rig_map in maps:
                part, pose = rig_map(part, pose)
            values[:, columns] = part
            if len(own):
                values[:, own] = told.take(beside, axis=1)
        return values
