"""Values that cannot change: what frozen dataclasses hold, and how they are copied and pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict that raises `TypeError` when it is changed; it can be pickled, copied and dumped."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this mapping is part of a frozen value; make a dict of it and change that")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return (FrozenDict, (dict(self),))


def frozen_dict(mapping: Mapping[K, V]) -> FrozenDict[K, V]:
    """Return the mapping as it is now; later changes of the original do not show."""
    return FrozenDict(mapping)


class Rebuilt:
    """A dataclass that is copied and unpickled through its constructor.

    Its checks run again, and its arrays come out read-only as they went in.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.init}  # type: ignore[arg-type]
        return (_rebuild, (type(self), given))


def _rebuild(kind: type[Any], given: dict[str, Any]) -> Any:
    return kind(**given)
