"""Rig tables: what each unit does to each control of a rig, as data.

A table is a sum of products: every control is a weighted sum of units, of products of units and
of their complements. That is enough for lips that seal whatever the jaw does, and little enough
to be a constant layer of an exported graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import FaceSDKError, RigError, unknown_name
from ..rig import Rig


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


@dataclass(frozen=True)
class RigTable:
    """Units to the controls of one rig."""

    rig: Rig
    units: Rig
    controls: Mapping[str, Mapping[str, float]]
    """Weight by control and by term; a term is `unit`, `a*b`, `~a` (1 - a) or `1`."""
    derived: tuple[Derived, ...] = ()
    remainder: str | None = None
    """Control that takes what all others leave of 1; they are scaled to fit in 1 together."""
    beside: str | None = None
    """Rig whose table, carried over by a map, tells all controls that this table does not."""
    until: str | None = None
    """Rig whose table takes this one's place once a map leads here from it."""
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
        rest = () if self.remainder is None else (self.remainder,)
        return (*self.controls, *rest)

    def __call__(self, units: Floats) -> Floats:
        """(T, units) curves to (T, controls), inside the rig's ranges."""
        layers = self.layers
        factors = np.clip(units @ layers.scale + layers.offset, 0, 1)
        first, *others = layers.terms
        terms = factors[:, first]
        for other in others:
            terms *= factors[:, other]
        values = terms @ layers.weights + self.rig.rest
        if self.remainder is not None:
            values = _share_out(values, self.rig.index(self.remainder))
        return np.asarray(np.clip(values, self.rig.minimum, self.rig.maximum), np.float32)

    @classmethod
    def from_json(cls, document: Any, *, source: str = "table") -> RigTable:
        """Build a table from its JSON document; `source` names it in errors."""
        if not isinstance(document, dict) or document.get("format") != "facesdk.table":
            raise RigError(f'{source} is no rig table: expected "format": "facesdk.table"')
        if document.get("version") != 1:
            raise RigError(
                f"{source} has version {document.get('version')!r}; this facesdk reads 1"
            )
        try:
            derived = tuple(
                Derived(name, d["unit"], float(d["from"]), float(d["to"]), d.get("less"))
                for name, d in document.get("derived", {}).items()
            )
            rig, units = Rig.load(document["rig"]), Rig.load("units")
            words = [document.get(key) for key in ("remainder", "beside", "until")]
            return cls(rig, units, document["controls"], derived, *words)
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
            return cls.from_json(document, source=str(path))
        return _builtin(str(table))


def _share_out(values: Floats, rest: int) -> Floats:
    """Scale rows down to a sum of 1 and give the rest column what is left."""
    values = np.maximum(values, 0)
    values[:, rest] = 0
    total = values.sum(1, keepdims=True)
    values = values / np.maximum(total, 1)
    values[:, rest] = 1 - values.sum(1)
    return values


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
