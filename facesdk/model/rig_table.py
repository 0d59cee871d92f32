"""Rig tables: what each unit does to each control of a rig, as data.

A table is a sum of products: every control is a weighted sum of units, of products of units and
of their complements. That is enough for lips that seal whatever the jaw does, and little enough
to be a constant layer of an exported graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import FaceSDKError, RigError, unknown_name
from ..frozen import Rebuilt
from ..rig import Rig

if TYPE_CHECKING:
    from .table_bank import TableBank


class Layers(NamedTuple):
    """A table as arrays: `clip(units @ scale + offset, 0, 1)`, products of these, weights."""

    scale: Floats
    """(units, factors)."""
    offset: Floats
    """(factors,)."""
    terms: NDArray[np.intp]
    """(K, terms) factors whose product is each term."""
    weights: Floats
    """(terms, controls)."""


@dataclass(frozen=True)
class Derived:
    """A unit stretched: 0 below `begin`, 1 above `end`, linear between."""

    name: str
    unit: str
    begin: float
    end: float
    less: str | None = None
    """Unit that is taken off first."""

    def __post_init__(self) -> None:
        if not self.begin < self.end:
            raise RigError(
                f"derived unit {self.name!r} must go from less to more, "
                f"got {self.begin} to {self.end}"
            )


@dataclass(frozen=True, eq=False, repr=False)
class RigTable(Rebuilt):
    """Units to the controls of one rig."""

    rig: Rig
    units: Rig
    controls: Mapping[str, Mapping[str, float]]
    """Weight by control and by term; a term is `unit`, `a*b`, `~a` (1 - a) or `1`."""
    derived: tuple[Derived, ...] = ()
    remainder_control: str | None = None
    """Control that takes what all others leave of 1; they are scaled to fit in 1 together."""
    fallback_rig: str | None = None
    """Rig whose table, carried over by a map, moves all controls that this table does not."""
    superseded_by: str | None = None
    """Rig whose table replaces this one as soon as a map leads here from it."""
    layers: Layers = field(init=False, repr=False, compare=False)
    """The same as constant arrays, for graphs and training."""

    def __post_init__(self) -> None:
        names = sorted({term for weights in self.controls.values() for term in weights})
        weights = np.zeros((len(names), len(self.rig)), np.float32)
        for control, shares in self.controls.items():
            for term, weight in shares.items():
                weights[names.index(term), self.rig.index(control)] = weight
        scale, offset, columns = self._factors()
        layers = Layers(scale, offset, self._products(names, columns), weights)
        object.__setattr__(self, "layers", layers)

    def __repr__(self) -> str:
        return f"<RigTable for {self.rig.name!r}, {len(self.moved)} of {len(self.rig)} controls>"

    def _factors(self) -> tuple[Floats, Floats, dict[str, int]]:
        """Every factor as `clip(units @ scale + offset, 0, 1)`, and its column by name.

        Factors are the units, the derived units, the complements of both, and 1.
        """
        factors = [*(Derived(u, u, 0.0, 1.0) for u in self.units.names), *self.derived]
        count = len(factors)
        scale = np.zeros((len(self.units), 2 * count + 1), np.float32)
        offset = np.ones(2 * count + 1, np.float32)
        columns = {"1": 2 * count}
        for i, factor in enumerate(factors):
            slope = 1 / (factor.end - factor.begin)
            scale[self.units.index(factor.unit), i] = slope
            if factor.less is not None:
                scale[self.units.index(factor.less), i] -= slope
            offset[i] = -factor.begin * slope
            scale[:, count + i], offset[count + i] = -scale[:, i], 1 - offset[i]
            columns |= {factor.name: i, f"~{factor.name}": count + i}
        return scale, offset, columns

    def _products(self, names: Sequence[str], columns: Mapping[str, int]) -> NDArray[np.intp]:
        """(K, terms) columns of the factors whose product is each term."""
        rows = []
        for name in names:
            factors = [factor.strip() for factor in name.split("*")]
            for factor in factors:
                if factor not in columns:
                    raise unknown_name(f"table of rig {self.rig.name!r}: no unit", factor, columns)
            rows.append([columns[factor] for factor in factors])
        longest = max(map(len, rows), default=1)
        padded = [row + [columns["1"]] * (longest - len(row)) for row in rows]
        return np.array(padded, np.intp).reshape(-1, longest).T

    @property
    def moved(self) -> tuple[str, ...]:
        """Controls that the table moves."""
        rest = () if self.remainder_control is None else (self.remainder_control,)
        return (*self.controls, *rest)

    def __call__(self, units: Floats) -> Floats:
        """(T, units) curves to (T, controls), inside the rig's ranges."""
        return self._bank(units)

    @cached_property
    def _bank(self) -> TableBank:
        from .table_bank import TableBank

        return TableBank([self])

    @classmethod
    def from_json(
        cls, document: Any, *, source: str = "table", folder: Path | None = None
    ) -> RigTable:
        """Build a table from its JSON document; `source` names it in errors.

        Its rig is given by name, or by the path of a rig file relative to `folder`.
        """
        if not isinstance(document, dict) or document.get("format") != "facesdk.table":
            raise RigError(f'{source} is not a rig table: expected "format": "facesdk.table"')
        if document.get("version") != 1:
            raise RigError(
                f"{source} has version {document.get('version')!r}; this facesdk reads 1"
            )
        try:
            derived = tuple(
                Derived(name, d["unit"], float(d["from"]), float(d["to"]), d.get("less"))
                for name, d in document.get("derived", {}).items()
            )
            name = document["rig"]
            rig = Rig.load(folder / name if folder and name.endswith(".json") else name)
            units = Rig.load("units")
            return cls(
                rig,
                units,
                document["controls"],
                derived,
                remainder_control=document.get("remainder_control"),
                fallback_rig=document.get("fallback_rig"),
                superseded_by=document.get("superseded_by"),
            )
        except FaceSDKError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RigError(f"{source} lacks or misspells a field: {error!r}") from error

    @classmethod
    def load(cls, table: str | Path) -> RigTable:
        """The built-in table of a rig (`"arkit"`), or one from a JSON file."""
        path = Path(table)
        if path.suffix == ".json":
            try:
                document = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise RigError(f"{path} cannot be read as a JSON rig table: {error}") from error
            return cls.from_json(document, source=str(path), folder=path.parent)
        return _builtin(str(table))


def table_names() -> tuple[str, ...]:
    """Rigs that have a table of their own."""
    files = (resources.files("facesdk") / "data" / "tables").iterdir()
    return tuple(sorted(f.name.removesuffix(".json") for f in files if f.name.endswith(".json")))


@cache
def _builtin(rig: str) -> RigTable:
    if rig not in table_names():
        raise unknown_name("no table for rig", rig, table_names())
    file = resources.files("facesdk") / "data" / "tables" / f"{rig}.json"
    return RigTable.from_json(json.loads(file.read_text("utf-8")), source=f"table {rig!r}")
