"""The rig of a file's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Floats
from ..errors import FileFormatError, RigError, unknown_name
from ..names import best_match, match
from ..rig import Control, Rig, rig_names


def listed_rig(
    names: Sequence[str], *, name: str = "custom", version: str = "0", rig: Rig | None = None
) -> tuple[Rig, list[int] | None]:
    """Return the rig whose controls a file lists, and the file's column of each control.

    The rig is the one given, else the built-in one called `name`, whose version is set to the
    file's; a name that is not built in makes a rig of the listed controls. No columns (None) mean
    that the order is the rig's own. Raises `FileFormatError` when a known rig has other controls.
    """
    if rig is None:
        if name not in rig_names():
            return bare_rig(names, name=name, version=version), None
        rig = Rig.load(name)
        rig = rig if rig.version == version else replace(rig, version=version)
    if tuple(names) == rig.names:
        return rig, None
    missing = [n for n in rig.names if n not in set(names)]
    foreign = [n for n in names if n not in rig]
    if missing or foreign or len(names) != len(rig):
        raise FileFormatError(
            f"the controls are not those of rig {rig.name!r} {rig.version}: "
            f"{_some(missing)} missing, {_some(foreign)} not in the rig; "
            "give the file's own rig another name"
        )
    column = {n: i for i, n in enumerate(names)}
    return rig, [column[n] for n in rig.names]


def bare_rig(names: Sequence[str], *, name: str = "custom", version: str = "0") -> Rig:
    """Return a rig of which only the control names are known."""
    try:
        return Rig(name, version, tuple(Control(n) for n in names))
    except RigError as error:
        raise FileFormatError(str(error)) from error


def _some(names: Sequence[str], limit: int = 5) -> str:
    if not names:
        return "none"
    shown = ", ".join(n[:40] for n in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


Columns = Sequence[Sequence[int]]
"""The places of each control among the names of a file: none if it stays at rest, two for halves
of a control without sides, whose mean counts."""


def file_rig(
    names: Sequence[str],
    rig: Rig | str | None = None,
    *,
    source: str = "the file",
    deformers: bool = False,
) -> tuple[Rig, Columns, dict[str, Any]]:
    """Return the rig of the names in a file, their places on it, and notes for `meta["imported"]`.

    Names are matched by `facesdk.names`: they need be neither complete nor exactly spelled. A rig
    that is only a guess (a name, or None) gives way to the built-in rig that they fit best, else
    to a rig made of them, without the name of a deformer before the dot that all of them share if
    the file has such (`deformers`). Raises `FileFormatError` if none of them is a control of a rig
    given.
    """
    if isinstance(rig, Rig):
        found = match(names, rig, source=source)
        if not found.found:
            first = names[0] if names else ""
            nearest = unknown_name(f"rig {rig.name!r} has no control", first, rig.names)
            raise FileFormatError(
                f"none of the {len(names)} names in the file ({_some(names)}) is known: {nearest}"
            )
        return rig, found.columns(names), found.notes()
    known = best_match(names, rig, source=source)
    if known is not None:
        return known.rig, known.columns(names), known.notes()
    plain = [name.rpartition(".")[2] for name in names]
    shared = len({name.rpartition(".")[0] for name in names}) == 1 and all(plain)
    own = plain if deformers and shared else names
    return bare_rig(own), [(i,) for i in range(len(names))], {}


def on_rig(values: Floats, columns: Columns, rig: Rig) -> Floats:
    """Return (T, C) values on a rig for the (T, N) values of a file's names."""
    result = np.tile(rig.rest, (len(values), 1))
    single = [i for i, places in enumerate(columns) if len(places) == 1]
    result[:, single] = values[:, [columns[i][0] for i in single]]
    for i, places in enumerate(columns):
        if len(places) > 1:
            result[:, i] = values[:, list(places)].mean(1)
    return result
