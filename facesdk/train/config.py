"""Settings of training as frozen dataclasses: read from tables, checked where they are built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ..errors import FileFormatError, unknown_name

T = TypeVar("T")


def config_from(cls: type[T], table: Mapping[str, Any], source: str, **others: Any) -> T:
    """Build a config dataclass from a TOML table; `others` are fields that no table may set.

    Types are those of the default values; a list becomes a tuple. Raises `UnknownNameError` for a
    key that is not a field, and `FileFormatError` for a value that makes no sense.
    """
    defaults = {f.name: f.default for f in fields(cls) if f.name not in others}  # type: ignore[arg-type]
    for name, value in table.items():
        if name not in defaults:
            raise unknown_name(f"{source}: no setting", name, defaults)
        if not _fits(value, defaults[name]):
            kind = "list" if isinstance(defaults[name], tuple) else type(defaults[name]).__name__
            raise FileFormatError(f"{source}: {name} must be of type {kind}, got {value!r}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    try:
        return cls(**values, **others)
    except (FileFormatError, OverflowError) as error:
        raise FileFormatError(f"{source}: {error}") from error


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, list) and all(type(x) is type(default[0]) for x in value)
    return type(value) in ((int, float) if isinstance(default, float) else (type(default),))


def require(config: object, names: str, low: float, high: float = math.inf) -> None:
    """Raise `FileFormatError` unless the named fields lie in `low..high`, ends included.

    `names` are separated by spaces; infinity is never allowed.
    """
    for name in names.split():
        value = getattr(config, name)
        if not (low <= value <= high and math.isfinite(value)):
            limits = f"at least {low:g}" if high == math.inf else f"in {low:g}..{high:g}"
            raise FileFormatError(f"{name} must be {limits}, got {value}")


def require_positive(config: object, names: str) -> None:
    """Raise `FileFormatError` unless the named fields are above 0 and finite."""
    for name in names.split():
        value = getattr(config, name)
        if not (value > 0 and math.isfinite(value)):
            raise FileFormatError(f"{name} must be above 0, got {value}")
