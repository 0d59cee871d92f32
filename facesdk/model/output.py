"""The last step of the way: unit curves become the controls of a rig."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Floats
from ..retarget import RigMap, conversion, reachable
from ..rig import Rig
from .table import RigTable, table_names

HEARD = ("units", "articulation")
"""What the model itself tells; every other rig is moved by units."""


class Output:
    """Units to the controls of the wanted rig: by its own table, else through another rig's.

    A rig's own table may leave controls to the table of another rig (`beside`), or stand in for it
    as long as no map leads from there (`until`): FLAME before a model was calibrated.
    """

    def __init__(self, rig: str | RigTable) -> None:
        """`rig` is a name, or a table that takes the place of its rig's own."""
        self.table: RigTable | None = None
        """What reads the units; None for what the model itself tells."""
        self.maps: tuple[RigMap, ...] = ()
        """From the table's rig to the wanted one."""
        self.beside: RigTable | None = None
        """What tells some controls in place of table and maps."""
        name = rig.rig.name if isinstance(rig, RigTable) else rig
        own: RigTable | None = None
        if isinstance(rig, RigTable):
            own = rig
        elif rig in table_names():
            own = RigTable.load(rig)
        if name in HEARD:
            self.rig = Rig.load(name)
        elif own is None:
            self._through(_nearest_table(name), name)
        elif own.beside is not None:
            self.beside = own
            self._through(own.beside, name)
        elif own.until is not None and name in reachable(own.until):
            self._through(own.until, name)
        else:
            self.table, self.rig = own, own.rig

    def _through(self, source: str, rig: str) -> None:
        self.table = RigTable.load(source)
        way = conversion(self.table.rig, rig)
        self.maps, self.rig = way.maps, way.target

    @property
    def stand_in(self) -> RigTable | None:
        """The table in use, where it tells less than the map that it waits for will."""
        waits = self.table is not None and self.table.until is not None
        return self.table if waits else None

    def __call__(self, units: Floats) -> Floats:
        """(T, units) to (T, controls); for `articulation` units made by synchronous rules."""
        values: Any = units[..., : len(self.rig)] if self.table is None else self.table(units)
        pose = None
        for rig_map in self.maps:
            values, pose = rig_map(values, pose)
        controls: Floats = np.asarray(values, np.float32)
        if self.beside is not None:
            own = [self.rig.index(name) for name in self.beside.moved]
            controls[..., own] = self.beside(units)[..., own]
        return controls


def _nearest_table(rig: str) -> str:
    """MetaHuman's own table serves its control board; ARKit's serves the rest."""
    return "metahuman" if rig.startswith("metahuman") else "arkit"
