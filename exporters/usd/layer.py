"""A USD layer before it is written: prims with attributes and relationships, as text or binary."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ExportError

Array = NDArray[Any]
Facts = Mapping[str, str | int | float]
"""A dictionary of texts and numbers that USD keeps and does not look at."""

WORDS = ("string", "token", "asset")
"""Types whose values are text."""

NUMBERS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "bool": ("?", ()),
    "int": ("<i4", ()),
    "half": ("<f2", ()),
    "float": ("<f4", ()),
    "double": ("<f8", ()),
    "timecode": ("<f8", ()),
    "float3": ("<f4", (3,)),
    "color3f": ("<f4", (3,)),
    "normal3f": ("<f4", (3,)),
    "point3f": ("<f4", (3,)),
    "vector3f": ("<f4", (3,)),
    "texCoord2f": ("<f4", (2,)),
    "half3": ("<f2", (3,)),
    "quatf": ("<f4", (4,)),
    "matrix4d": ("<f8", (4, 4)),
}
"""Number and shape of the other types that are written here. Quaternions are w, x, y, z."""


@dataclass(frozen=True)
class Samples:
    """Values at times."""

    times: NDArray[np.float64]
    """(K,) time codes, rising."""
    rows: Callable[[], Iterator[Array]]
    """(n, ...) values of the next times, some at a time; asked for once, when they are written."""


@dataclass(frozen=True)
class Attribute:
    """A property with a value, values at times, another attribute's value, or none."""

    type: str
    """`float[]` is an array of `float`."""
    name: str
    value: Any = None
    samples: Samples | None = None
    uniform: bool = False
    facts: Facts = field(default_factory=dict)
    """`interpolation` and `elementSize`."""
    connected: str | None = None
    """Path of the attribute that gives the value."""

    @property
    def item(self) -> str:
        """Type of a single value."""
        return self.type.removesuffix("[]")

    @property
    def is_array(self) -> bool:
        """Whether the value is an array."""
        return self.type.endswith("[]")


@dataclass(frozen=True)
class Relationship:
    """A property that points at prims."""

    name: str
    targets: Sequence[str]
    """Paths."""


@dataclass
class Prim:
    """A node of the scene; an `over` where it has no type."""

    type: str
    name: str
    apis: Sequence[str] = ()
    """Applied schemas."""
    facts: Facts = field(default_factory=dict)
    """Custom data under `facesdk`."""
    properties: list[Attribute | Relationship] = field(default_factory=list)
    children: list[Prim] = field(default_factory=list)
    variants: Mapping[str, Mapping[str, Prim]] = field(default_factory=dict)
    """By variant set and variant the prim over a child; the first variant is chosen."""

    def add(self, type_: str, name: str, value: Any = None, **more: Any) -> None:
        """Add an attribute."""
        self.properties.append(Attribute(type_, name, value, **more))

    def point(self, name: str, *targets: str) -> None:
        """Add a relationship."""
        self.properties.append(Relationship(name, targets))

    def child(self, type_: str, name: str, apis: Sequence[str] = ()) -> Prim:
        """Add a prim below."""
        self.children.append(Prim(type_, name, apis))
        return self.children[-1]


@dataclass(frozen=True)
class Layer:
    """A whole file: one prim and what is below it."""

    facts: Mapping[str, str | float]
    """`upAxis`, `timeCodesPerSecond` and their like; texts are tokens, numbers doubles."""
    root: Prim


def identifier(name: str, taken: Collection[str] = ()) -> str:
    """Return a name for a prim: letters, digits and underscores, unlike those taken."""
    found = base = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    if base[0].isdigit():
        found = base = f"_{base}"
    again = 2
    while found in taken:
        found, again = f"{base}_{again}", again + 1
    return found


def identifiers(names: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """Return all names as identifiers, no two alike."""
    found: dict[str, None] = {}
    for name in names:
        found[identifier(name, {*taken, *found})] = None
    return list(found)


def text(value: str) -> str:
    """Return text that a layer can hold; raises `ExportError`."""
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise ExportError(f"USD cannot hold a name that is not text, got {value!r}")
    return value
