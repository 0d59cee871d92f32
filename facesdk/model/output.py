"""The last step of the way: unit curves become the controls of a rig."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..convert import Conversion, conversion
from ..rig import Rig
from .table import RigTable, table_names

Floats = NDArray[np.float32]


class Output:
    """Units to the controls of the wanted rig: by its own table, else through ARKit's."""

    def __init__(self, rig: str) -> None:
        self._table: RigTable | None = None
        self._conversion: Conversion | None = None
        if rig == "units":
            self.rig = Rig.load("units")
            return
        if rig in table_names():
            self._table = RigTable.load(rig)
            self.rig = self._table.rig
            return
        self._table = RigTable.load(_nearest_table(rig))
        self._conversion = conversion(self._table.rig, rig)
        self.rig = self._conversion.target

    def __call__(self, units: Floats) -> Floats:
        """(T, units) to (T, controls)."""
        values: Any = units if self._table is None else self._table(units)
        if self._conversion is not None:
            values, _ = self._conversion(values)
        return np.asarray(values, np.float32)


def _nearest_table(rig: str) -> str:
    """MetaHuman's own table serves its control board; ARKit's serves the rest."""
    return "metahuman" if rig.startswith("metahuman") else "arkit"
