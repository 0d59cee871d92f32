"""Choosing channels of a clip by words: controls of its rig, and the angles of its pose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate

from .clip import POSE_ANGLES
from .errors import unknown_name
from .rig import Rig

_GROUPS = ("region", "side")


def channel_names(rig: Rig) -> tuple[str, ...]:
    """Return the controls of a rig, then the angles of a pose (`pose.head.yaw`, ...)."""
    return (*rig.names, *POSE_ANGLES)


def select(rig: Rig, words: Sequence[str]) -> list[int]:
    """Return the columns that words name, in the rig's order; the twelve pose angles follow it.

    A word is a name (`jawOpen`, `pose.head.yaw`), a pattern (`mouthSmile*`, `pose.*`), a group of
    controls (`region:mouth`, `side:left`), or groups joined by `+`, which all must hold
    (`region:brow+side:left`). Patterns ignore case and may leave out a prefix that all controls of
    the rig share. Only words that begin with `pose` name angles. Raises `UnknownNameError` with
    suggestions for a word that names nothing.
    """
    return sorted({column for word in words for column in _columns(rig, word)})


def _columns(rig: Rig, word: str) -> Sequence[int]:
    names = channel_names(rig)
    if word in names:
        return [names.index(word)]
    if word.startswith(tuple(f"{group}:" for group in _GROUPS)):
        return _group(rig, word)
    if re.search(r"[*?\[]", word) is None:
        if word.lower().startswith("pose"):
            raise unknown_name(f"rig {rig.name!r} and its pose have no channel", word, names)
        return [rig.index(word)]  # raises, with suggestions
    matches = re.compile(translate(word), re.IGNORECASE).match
    prefix = rig.prefix
    candidates = POSE_ANGLES if word.lower().startswith("pose") else rig.names
    found = [n for n in candidates if matches(n) or matches(n.removeprefix(prefix))]
    if not found:
        letters = re.sub(r"[^\w.]", "", word)
        starts = {n.removeprefix(prefix)[: len(letters)] + "*": n for n in candidates}
        raise unknown_name(
            f"rig {rig.name!r} has no control that matches", word, [*starts, *candidates]
        )
    return [names.index(name) for name in found]


def _group(rig: Rig, word: str) -> list[int]:
    columns = set(range(len(rig)))
    for part in word.split("+"):
        kind, _, name = part.partition(":")
        if kind not in _GROUPS:
            raise unknown_name("controls are grouped by region or side, not by", kind, _GROUPS)
        groups = [getattr(control, kind) for control in rig.controls]
        if name not in groups:
            raise unknown_name(f"rig {rig.name!r} has no {kind}", name, dict.fromkeys(groups))
        columns &= {i for i, group in enumerate(groups) if group == name}
    if not columns:
        raise unknown_name(f"rig {rig.name!r} has no control in", word, rig.names)
    return sorted(columns)
