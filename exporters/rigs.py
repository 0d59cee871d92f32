"""The rig of a file's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import FileFormatError, RigError
from ..rig import Control, Rig, rig_names, rigs


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


def loose_rig(
    columns: Mapping[str, int], rig: Rig | str | None
) -> tuple[Rig, list[int | None], dict[str, Any]]:
    """Return a rig for columns that need not be complete or exactly spelled.

    Columns that are all controls of `rig`, in any case, are read onto it: the file's column of
    each control or None, and a note of what is missing. If `rig` is only a guess (a name or
    None) others belong to the built-in rig of exactly these controls, or to a rig made of them.
    """
    if isinstance(rig, str):
        guess = Rig.load(rig) if rig in rig_names() else None
        rig = guess if guess and _within(columns, guess) else None
    if rig is None:
        rig = matching_rig(list(columns))
    if not _within(columns, rig):
        own = {n.lower() for n in rig.names}
        foreign = [n for n in columns if n.lower() not in own]
        raise FileFormatError(f"rig {rig.name!r} has no control {_some(foreign)}")
    lowered = {name.lower(): column for name, column in columns.items()}
    controls = [lowered.get(name.lower()) for name in rig.names]
    missing = [n for n, column in zip(rig.names, controls, strict=True) if column is None]
    return rig, controls, {"missing_controls": missing} if missing else {}


def _within(columns: Mapping[str, int], rig: Rig) -> bool:
    return {n.lower() for n in columns} <= {n.lower() for n in rig.names}


def matching_rig(names: Sequence[str]) -> Rig:
    """Return the built-in rig of exactly these controls, else a rig made of them."""
    return next((r for r in rigs() if set(r.names) == set(names)), None) or bare_rig(names)


def shape_rig(
    names: Sequence[str], rig: Rig | None
) -> tuple[Rig, list[str | None], dict[str, Any]]:
    """Return the rig of blend shapes, and the shape of each of its controls.

    Names are matched in ARKit's spelling or nearly so; the third value notes what is missing.
    """
    from ..mesh.files.shape_names import shape_name

    given = matching_rig(names) if rig is None else rig
    if rig is None and set(names) < set(Rig.load("vrm").names):
        given = Rig.load("vrm")
    elif rig is None and given.name == "custom":
        arkit = Rig.load("arkit")
        spelled = {shape_name(name): name for name in reversed(names)}
        if len(spelled.keys() & set(arkit.names)) >= min(len(arkit) // 4, len(spelled)):
            missing = [n for n in arkit.names if n not in spelled]
            notes = {"missing_controls": missing} if missing else {}
            return arkit, [spelled.get(n) for n in arkit.names], notes
    spelled = {n: n for n in names}
    if rig is not None:
        own = {n.lower() for n in rig.names}
        spelled = {(n if n.lower() in own else shape_name(n)): n for n in reversed(names)}
        spelled = {n: written for n, written in spelled.items() if n.lower() in own}
    found, columns, notes = loose_rig({n: i for i, n in enumerate(spelled)}, given)
    written = list(spelled.values())
    return found, [None if c is None else written[c] for c in columns], notes
