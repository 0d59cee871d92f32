"""Rig tables: the conversion of units to the controls of a rig, as data.

Every control is a weighted sum of units, of their complements, and of products of these. Products
keep lips sealed at any jaw opening, and the whole table can be a constant layer of an exported
graph.
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
from ..documents import check_header, load_json
from ..errors import FaceSDKError, RigError, reading, unknown_name
from ..frozen import Rebuilt
from ..rig import Rig

if TYPE_CHECKING:
    from .table_bank import TableBank


_MAX_WEIGHTS = 1 << 24
_MAX_WEIGHT = 1e6
_MAX_FACTORS = 64
"""Most factors of one product."""


class Layers(NamedTuple):
    """A table as arrays: factors `clip(units @ scale + offset, 0, 1)`, terms, weights."""

    scale: Floats
    """(units, factors)."""
    offset: Floats
    """(factors,)."""
    terms: NDArray[np.intp]
    """(K, terms) factors; their product along K is the term."""
    weights: Floats
    """(terms, controls)."""


@dataclass(frozen=True)
class Derived:
    """A rescaled unit: 0 below `begin`, 1 above `end`, linear between."""

    name: str
    unit: str
    begin: float
    end: float
    less: str | None = None
    """Unit that is subtracted first."""

    def __post_init__(self) -> None:
        if not self.begin < self.end:
            raise RigError(
                f"derived unit {self.name!r}: `from` must be less than `to`, "
                f"got {self.begin} to {self.end}"
            )


@dataclass(frozen=True, eq=False, repr=False)
class RigTable(Rebuilt):
    """A table that computes the controls of one rig from units."""

    rig: Rig
    units: Rig
    controls: Mapping[str, Mapping[str, float]]
    """Weight by control and by term; a term is `unit`, `a*b`, `~a` (1 - a) or `1`."""
    derived: tuple[Derived, ...] = ()
    remainder_control: str | None = None
    """Control that gets 1 minus the sum of all others, which are scaled to a sum of at most 1."""
    fallback_rig: str | None = None
    """Rig whose table and map compute the controls that are not in this table."""
    superseded_by: str | None = None
    """Rig whose table replaces this one if a map from it to this rig exists."""
    layers: Layers = field(init=False, repr=False, compare=False)
    """The table as constant arrays, for graphs and training."""

    def __post_init__(self) -> None:
        names = sorted({term for weights in self.controls.values() for term in weights})
        if len(names) * len(self.rig) > _MAX_WEIGHTS:
            raise RigError(f"table of rig {self.rig.name!r} has too many terms: {len(names)}")
        rows = {name: row for row, name in enumerate(names)}
        weights = np.zeros((len(names), len(self.rig)), np.float32)
        for control, shares in self.controls.items():
            for term, weight in shares.items():
                if not abs(weight) < _MAX_WEIGHT:
                    raise RigError(
                        f"table of rig {self.rig.name!r}: weights must be finite and below "
                        f"{_MAX_WEIGHT:g}, got {weight} for {control!r}"
                    )
                weights[rows[term], self.rig.index(control)] = weight
        scale, offset, columns = self._factors()
        layers = Layers(scale, offset, self._products(names, columns), weights)
        object.__setattr__(self, "layers", layers)

    def __repr__(self) -> str:
        return f"<RigTable for {self.rig.name!r}, {len(self.moved)} of {len(self.rig)} controls>"

    def _factors(self) -> tuple[Floats, Floats, dict[str, int]]:
        """Return `scale` and `offset` of all factors, and the column of each by name.

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
        """Return the (K, terms) factor columns of each term."""
        rows = []
        for name in names:
            factors = [factor.strip() for factor in name.split("*")]
            if len(factors) > _MAX_FACTORS:
                raise RigError(f"a term has {len(factors)} factors, at most {_MAX_FACTORS}")
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
        """Return (T, controls) within the rig's ranges for (T, units) curves."""
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

        The `rig` in it is a name, or the path of a rig file relative to `folder`. Raises
        `RigError` for another kind or version of document or for wrong fields, and
        `UnknownNameError` for unknown units or controls.
        """
        check_header(document, format="facesdk.table", source=source)
        with reading(source, RigError):
            return cls._built(document, source, folder)

    @classmethod
    def _built(cls, document: Any, source: str, folder: Path | None) -> RigTable:
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
        """Return the built-in table of a rig (`"arkit"`), or one from a JSON file.

        Raises `UnknownNameError` for a rig without a table, and the errors of `from_json`.
        """
        path = Path(table)
        if path.suffix == ".json":
            document = load_json(path, "table")
            return cls.from_json(document, source=str(path), folder=path.parent)
        return _builtin(str(table))


def table_names() -> tuple[str, ...]:
    """Return the names of the rigs with a built-in table."""
    files = (resources.files("facesdk") / "data" / "tables").iterdir()
    return tuple(sorted(f.name.removesuffix(".json") for f in files if f.name.endswith(".json")))


@cache
def _builtin(rig: str) -> RigTable:
    if rig not in table_names():
        raise unknown_name("no table for rig", rig, table_names())
    file = resources.files("facesdk") / "data" / "tables" / f"{rig}.json"
    return RigTable.from_json(json.loads(file.read_text("utf-8")), source=f"table {rig!r}")
