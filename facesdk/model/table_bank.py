"""Joint evaluation of the tables of several rigs, optimized for single rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Floats
from .rig_table import RigTable

_ZERO, _ONE = np.zeros((), np.float32), np.ones((), np.float32)  # faster than Python floats

Factor = bytes
"""One column of a table's `scale` and its `offset`, as a key to find factors in common."""


class TableBank:
    """Several tables for the same units as one, with their controls next to each other.

    Factors and products in common are computed once. Results equal those of the separate tables,
    to float rounding.
    """

    def __init__(self, tables: Sequence[RigTable]) -> None:
        """`tables` has at least one table."""
        ends = np.cumsum([len(table.rig) for table in tables]).tolist()
        starts = [0, *ends[:-1]]
        self.columns = tuple(slice(*span) for span in zip(starts, ends, strict=True))
        """Columns of each table in the result."""
        self._minimum = np.concatenate([table.rig.minimum for table in tables])
        self._maximum = np.concatenate([table.rig.maximum for table in tables])
        self._shared = [
            (columns, table.rig.index(table.remainder_control))
            for table, columns in zip(tables, self.columns, strict=True)
            if table.remainder_control is not None
        ]
        rows = self._rows(tables, ends[-1])
        # longest terms first: each further factor multiplies only a prefix of the terms
        terms = sorted(rows, key=lambda term: (-len(term), term))
        self._weights = np.array([rows[term] for term in terms])
        for columns, rest in self._shared:
            self._weights[:, columns.start + rest] = 0
        self._compile(terms, len(tables[0].units))

    def _rows(self, tables: Sequence[RigTable], width: int) -> dict[tuple[Factor, ...], Floats]:
        """Return the weights of all terms of all tables; the empty product has the rest values."""
        rows: dict[tuple[Factor, ...], Floats] = {(): np.zeros(width, np.float32)}
        for table, columns in zip(tables, self.columns, strict=True):
            rows[()][columns] = table.rig.rest
            factors, layers = _factors(table), table.layers
            for picks, weights in zip(layers.terms.T, layers.weights, strict=True):
                named = (factors[pick] for pick in picks)
                term = tuple(sorted(factor for factor in named if factor is not None))
                rows.setdefault(term, np.zeros(width, np.float32))[columns] += weights
        return rows

    def _compile(self, terms: Sequence[tuple[Factor, ...]], units: int) -> None:
        """Build `scale` and `offset` of the factors, and the factor indices of the terms."""
        one = np.append(np.zeros(units, np.float32), np.float32(1)).tobytes()
        factors = sorted({one, *(factor for term in terms for factor in term)})
        columns = np.array([np.frombuffer(factor, np.float32) for factor in factors]).T
        self._scale, self._offset = np.ascontiguousarray(columns[:-1]), columns[-1].copy()
        place = {factor: i for i, factor in enumerate(factors)}
        longest = max(1, *map(len, terms))
        padded = [term or (one,) for term in terms]
        self._picks = [
            np.array([place[term[nth]] for term in padded if nth < len(term)], np.intp)
            for nth in range(longest)
        ]

    def __call__(self, units: Floats) -> Floats:
        """Return (T, controls of all rigs) within their ranges for (T, units) curves."""
        factors = units @ self._scale
        factors += self._offset
        clip_in_place(factors, _ZERO, _ONE)
        first, *others = self._picks
        terms = factors.take(first, axis=1)
        for pick in others:
            terms[:, : len(pick)] *= factors.take(pick, axis=1)
        values: Floats = terms @ self._weights
        for columns, rest in self._shared:
            _normalize_shares(values[:, columns], rest)
        clip_in_place(values, self._minimum, self._maximum)
        return values


def clip_in_place(values: Floats, low: Floats, high: Floats) -> None:
    """Limit values to a range in place; faster than `np.clip` for single rows."""
    np.maximum(values, low, out=values)
    np.minimum(values, high, out=values)


def _factors(table: RigTable) -> list[Factor | None]:
    """Return the factors of a table's terms; None for the constant 1."""
    scale, offset, *_ = table.layers
    return [
        None if not column.any() and constant >= 1 else np.append(column, constant).tobytes()
        for column, constant in zip(scale.T, offset, strict=True)
    ]


def _normalize_shares(values: Floats, rest: int) -> None:
    """Scale rows to a sum of at most 1 and set column `rest`, which is 0, to the remainder."""
    np.maximum(values, 0, out=values)
    total = np.add.reduce(values, 1, keepdims=True)
    values /= np.maximum(total, 1)
    values[:, rest] = 1 - np.minimum(total[:, 0], 1)
