"""Rigs: the characters that facesdk animates, as ordered sets of named controls.

A rig is data: a JSON file in `facesdk/data/rigs/` or one of the user's own.
"""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .documents import check_header, json_lines, load_json
from .errors import RigError, UnknownNameError, is_short, reading, unknown_name
from .frozen import FrozenDict, Rebuilt

Side = Literal["left", "right", "center"]
Region = Literal["brow", "eye", "nose", "cheek", "jaw", "mouth", "tongue", "teeth", "head", "neck",
                 "ear", "expression", "viseme", "other"]  # fmt: skip


@dataclass(frozen=True)
class Control:
    """One named slider of a rig."""

    name: str
    minimum: float = 0.0
    maximum: float = 1.0
    rest: float = 0.0
    side: Side = "center"
    """The character's own side, not the viewer's."""
    region: Region = "other"
    mirror: str | None = None
    """Control on the other side of the face; None for one that mirrors to itself."""
    mirror_sign: Literal[-1, 1] = 1
    """-1 where mirroring flips the value, as for a jaw that slides sideways on one control."""
    label: str | None = None
    """Column title in the format's own files, where titles are not unique; None for `name`."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise RigError(f"a control's name must be a non-empty string, got {self.name!r}")
        if not all(map(math.isfinite, (self.minimum, self.maximum, self.rest))):
            raise RigError(
                f"control {self.name!r}: range and rest must be finite, got "
                f"{self.rest} in [{self.minimum}, {self.maximum}]"
            )
        if not self.minimum <= self.rest <= self.maximum:
            raise RigError(
                f"control {self.name!r}: rest {self.rest} must lie in "
                f"[{self.minimum}, {self.maximum}]"
            )
        for value, allowed in ((self.side, get_args(Side)), (self.region, get_args(Region))):
            if value not in allowed:
                raise RigError(
                    f"control {self.name!r}: expected one of {', '.join(allowed)}, got {value!r}"
                )


@dataclass(frozen=True, repr=False)
class Rig(Rebuilt):
    """A target character: its ordered controls.

    Raises `RigError` when a name occurs twice, when a mirror partner does not point back, or when
    one of the `orders` does not contain every control once.
    """

    name: str
    version: str
    controls: tuple[Control, ...]
    description: str = ""
    orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    """Other orders of the same controls, by name, such as `"udp"` for Live Link's packets."""
    _indices: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise RigError(f"a rig's name must be a non-empty string, got {self.name!r}")
        if not self.controls:
            raise RigError(f"rig {self.name!r} has no controls")
        indices = {c.name: i for i, c in enumerate(self.controls)}
        if len(indices) != len(self.controls):
            counts = Counter(c.name for c in self.controls)
            twice = sorted(name for name, count in counts.items() if count > 1)
            raise RigError(f"rig {self.name!r} has duplicate controls: {', '.join(twice)}")
        object.__setattr__(self, "_indices", indices)
        object.__setattr__(self, "orders", FrozenDict(self.orders))
        for control in self.controls:
            self._check_mirror(control)
        for name, order in self.orders.items():
            if sorted(order) != sorted(indices):
                odd = ", ".join(sorted(set(order) ^ set(indices))) or "a duplicate"
                raise RigError(
                    f"rig {self.name!r}: order {name!r} must contain every control once; "
                    f"check {odd}"
                )

    def _check_mirror(self, control: Control) -> None:
        if control.mirror is None:
            return
        partner = self.controls[self.index(control.mirror)]
        if partner.mirror != control.name or partner.mirror_sign != control.mirror_sign:
            raise RigError(
                f"rig {self.name!r}: {control.name!r} mirrors to {partner.name!r}, "
                f"which mirrors to {partner.mirror!r} with sign {partner.mirror_sign}"
            )

    def __repr__(self) -> str:
        return f"<Rig {self.name!r} version {self.version}, {len(self)} controls>"

    def __len__(self) -> int:
        return len(self.controls)

    def __contains__(self, control: object) -> bool:
        return control in self._indices

    @property
    def names(self) -> tuple[str, ...]:
        """Control names in the rig's own order."""
        return tuple(self._indices)

    def index(self, control: str) -> int:
        """Return the column of a control; `UnknownNameError` suggests the nearest controls."""
        try:
            return self._indices[control]
        except KeyError:
            raise self._unknown(control) from None

    def _unknown(self, control: str) -> UnknownNameError:
        kind = f"rig {self.name!r} has no control"
        prefix = self.prefix  # users leave it out
        short = {n.removeprefix(prefix).lower(): n for n in self.names}
        near = []
        if prefix and is_short(control, short):
            near = difflib.get_close_matches(control.lower(), short, n=3, cutoff=0.75)
        if not near:
            return unknown_name(kind, control, self.names)
        suggestions = [short[n] for n in near]
        hint = " or ".join(map(repr, suggestions))
        return UnknownNameError(f"{kind} {control!r}; did you mean {hint}?", control, suggestions)

    @cached_property
    def prefix(self) -> str:
        """Letters with which every control begins, such as `CTRL_expressions_`; may be empty."""
        return _common_prefix(self.names)

    def order(self, name: str) -> tuple[str, ...]:
        """Return the control names in one of the rig's `orders`, such as `"udp"` of Live Link.

        Raises `UnknownNameError` for an order that the rig does not have.
        """
        try:
            return self.orders[name]
        except KeyError:
            raise unknown_name(f"rig {self.name!r} has no order", name, self.orders) from None

    @property
    def labels(self) -> tuple[str, ...]:
        """Column titles of the format's own files, in the rig's order; a title may occur twice."""
        return tuple(c.label or c.name for c in self.controls)

    @cached_property
    def minimum(self) -> NDArray[np.float32]:
        """(C,) lowest value of every control."""
        return _constants(c.minimum for c in self.controls)

    @cached_property
    def maximum(self) -> NDArray[np.float32]:
        """(C,) highest value of every control."""
        return _constants(c.maximum for c in self.controls)

    @cached_property
    def rest(self) -> NDArray[np.float32]:
        """(C,) value of every control on a resting face."""
        return _constants(c.rest for c in self.controls)

    @property
    def mirror_order(self) -> NDArray[np.intp]:
        """(C,) source column of each column when the face is mirrored."""
        return np.array([self.index(c.mirror or c.name) for c in self.controls])

    @property
    def mirror_signs(self) -> NDArray[np.float32]:
        """(C,) factor applied after `mirror_order`."""
        return np.array([c.mirror_sign for c in self.controls], np.float32)

    def columns(self, *, region: str | None = None, side: str | None = None) -> list[int]:
        """Return the columns of the controls in a region, on a side, or both."""
        return [
            i
            for i, c in enumerate(self.controls)
            if region in (None, c.region) and side in (None, c.side)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document that `from_json` reads."""
        document: dict[str, Any] = {
            "format": "facesdk.rig",
            "version": 1,
            "name": self.name,
            "rig_version": self.version,
            "description": self.description,
            "controls": [_control_to_json(c) for c in self.controls],
        }
        if self.orders:
            document["orders"] = {name: list(order) for name, order in self.orders.items()}
        return document

    def to_text(self) -> str:
        """Return the text of a rig file, one control per line."""
        return json_lines(self.to_json())

    @classmethod
    def from_json(cls, document: Any, *, source: str = "rig") -> Rig:
        """Build a rig from its JSON document; `source` names it in errors.

        Raises `RigError` for a document of another kind or version, or with wrong fields.
        """
        check_header(document, format="facesdk.rig", source=source)
        with reading(source, RigError):
            return cls._built(document, source)

    @classmethod
    def _built(cls, document: Any, source: str) -> Rig:
        try:
            controls = tuple(_control_from_json(c) for c in document["controls"])
            return cls(
                name=document["name"],
                version=str(document["rig_version"]),
                controls=controls,
                description=document.get("description", ""),
                orders={n: tuple(order) for n, order in document.get("orders", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, RigError):
                raise
            raise RigError(f"{source} lacks or misspells a field: {error}") from error

    @classmethod
    def load(cls, rig: str | Path) -> Rig:
        """Return a rig by name (`"arkit"`) or from the path of a JSON file.

        Raises `UnknownNameError` for an unknown name, `RigError` for a file that is missing or
        not a rig file.
        """
        path = Path(rig)
        if path.suffix == ".json":
            return cls.from_json(load_json(path, "rig"), source=str(path))
        return _builtin(str(rig))


def rig_names() -> tuple[str, ...]:
    """Return the names of the built-in rigs."""
    files = (f.name for f in _rig_folder().iterdir())
    return tuple(sorted(f.removesuffix(".json") for f in files if f.endswith(".json")))


def rigs() -> Iterator[Rig]:
    """Return an iterator over the built-in rigs."""
    return (Rig.load(name) for name in rig_names())


def _rig_folder() -> Traversable:
    return resources.files("facesdk") / "data" / "rigs"


@cache
def _builtin(name: str) -> Rig:
    file = _rig_folder() / f"{name}.json"
    if name not in rig_names():
        raise unknown_name("no rig", name, rig_names())
    return Rig.from_json(json.loads(file.read_text("utf-8")), source=f"rig {name!r}")


def _constants(values: Iterable[float]) -> NDArray[np.float32]:
    array = np.array(list(values), np.float32)
    array.flags.writeable = False
    return array


def _common_prefix(names: Sequence[str]) -> str:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    return "".join(letter for letter, _ in pairs)


def _control_to_json(control: Control) -> dict[str, Any]:
    document: dict[str, Any] = {"name": control.name}
    if (control.minimum, control.maximum) != (0.0, 1.0):
        document["range"] = [control.minimum, control.maximum]
    if control.rest:
        document["rest"] = control.rest
    document |= {"side": control.side, "region": control.region}
    if control.mirror is not None:
        document["mirror"] = control.mirror
    if control.mirror_sign != 1:
        document["mirror_sign"] = control.mirror_sign
    if control.label is not None:
        document["label"] = control.label
    return document


def _control_from_json(document: dict[str, Any]) -> Control:
    minimum, maximum = document.get("range", (0.0, 1.0))
    return Control(
        name=document["name"],
        minimum=float(minimum),
        maximum=float(maximum),
        rest=float(document.get("rest", 0.0)),
        side=document.get("side", "center"),
        region=document.get("region", "other"),
        mirror=document.get("mirror"),
        mirror_sign=document.get("mirror_sign", 1),
        label=document.get("label"),
    )
