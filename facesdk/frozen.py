"""Building blocks of immutable dataclasses: a frozen dict, and copying through the constructor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """An immutable dict that can be pickled, copied and written as JSON.

    Raises `TypeError` when it is changed.
    """

    def _immutable(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this mapping is immutable; change a copy: dict(mapping)")

    __setitem__ = __delitem__ = __ior__ = _immutable
    clear = pop = popitem = setdefault = update = _immutable

    def __reduce__(self) -> tuple[Any, ...]:
        return (FrozenDict, (dict(self),))


def frozen_dict(mapping: Mapping[K, V]) -> FrozenDict[K, V]:
    """Return an immutable copy of a mapping."""
    return FrozenDict(mapping)


class Rebuilt:
    """A base of dataclasses that are copied and unpickled through their constructor.

    The constructor's checks run again, and arrays stay read-only.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.init}  # type: ignore[arg-type]
        return (_rebuild, (type(self), values))


def _rebuild(kind: type[Any], values: dict[str, Any]) -> Any:
    return kind(**values)
