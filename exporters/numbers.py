"""Numbers as text: the shortest decimals that read back as the same float32, and fast."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats

_POWERS = 10.0 ** np.arange(23)  # all exact in a double
_SMALLEST, _LARGEST = 1e-12, 1e5  # between them every scale below is one of _POWERS


def shortest(values: Floats) -> NDArray[np.float64]:
    """Return doubles whose `repr` is the shortest decimal that rounds to the same float32.

    A double divided by an exact power of ten is the double nearest to that decimal, and `repr`
    gives the decimal back; so the search for digits is array arithmetic and not a loop.
    """
    exact = values.astype(np.float64)
    magnitude = np.abs(exact)
    plain = (magnitude >= _SMALLEST) & (magnitude < _LARGEST)
    exponent = np.floor(np.log10(np.where(plain, magnitude, 1.0))).astype(np.int64)
    result = exact.copy()
    for digits in (9, 8, 7, 6):  # 9 always suffice, 6 always survive
        scale = _POWERS[digits - 1 - exponent]
        with np.errstate(over="ignore"):
            decimal = np.rint(exact * scale) / scale
            fits = plain & (decimal.astype(np.float32) == values)
        result[fits] = decimal[fits]
    rare = ~plain & (magnitude > 0)
    result[rare] = [float(str(v)) for v in values[rare]]
    return result


def json_rows(values: Floats) -> bytes:
    """Return (T, N) numbers as T JSON arrays, one per line, without brackets around them."""
    text = json.dumps(shortest(values).tolist(), separators=(",", ":"))
    return text[1:-1].replace("],[", "],\n[").encode()


def csv_rows(values: Floats) -> list[str]:
    """Return (T, N) numbers as T lines of comma-separated cells with six decimals."""
    if not values.shape[1]:
        return [""] * len(values)
    line = ",".join(["%.6f"] * values.shape[1])
    rounded = np.round(values.astype(np.float64), 6) + 0.0  # no "-0.000000"
    return [line % tuple(row) for row in rounded.tolist()]
