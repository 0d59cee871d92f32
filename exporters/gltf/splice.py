"""JSON text with entries added or replaced; everything else stays as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Member(NamedTuple):
    """A member of a JSON object, by its places in the text."""

    start: int
    """Of its name."""
    value: int
    end: int


class Splice:
    """Changes to the text of a JSON object."""

    def __init__(self, text: str) -> None:
        """Raises `ValueError` for text that is not a JSON object."""
        self._text = text
        self._edits: list[tuple[int, int, str]] = []
        self._new: dict[str, list[str]] = {}
        self._top = self._members(_SPACE.match(text).end())  # type: ignore[union-attr]

    def append(self, kind: str, entries: Iterable[Any]) -> None:
        """Add entries at the end of a list of the object, which is added if it is missing."""
        added = [_compact(entry) for entry in entries]
        if not added:
            return
        if kind not in self._top:
            self._new.setdefault(kind, []).extend(added)
            return
        places = self._items(self._top[kind].value)
        comma = "," if places else ""
        place = places[-1][1] if places else self._top[kind].value + 1
        self._edits.append((place, place, comma + ",".join(added)))

    def update(self, kind: str, index: int, values: dict[str, Any]) -> None:
        """Set members of an entry of a list; None removes one."""
        at, end = self._items(self._top[kind].value)[index]
        members = self._members(at)
        new = dict(values)
        for name in [n for n in values if n in members]:
            member, value = members[name], new.pop(name)
            if value is not None:
                self._edits.append((member.value, member.end, _compact(value)))
            else:
                self._remove(list(members.values()), member)
        kept = [m for n, m in members.items() if values.get(n, 0) is not None]
        text = ",".join(f"{_compact(n)}:{_compact(v)}" for n, v in new.items() if v is not None)
        if text:
            self._edits.append((end - 1, end - 1, ("," if kept else "") + text))

    def finish(self) -> str:
        """Return the changed text."""
        edits = list(self._edits)
        if self._new:
            last = max((m.end for m in self._top.values()), default=None)
            at = self._text.index("{") + 1 if last is None else last
            lists = ",".join(f"{_compact(n)}:[{','.join(v)}]" for n, v in self._new.items())
            edits.append((at, at, lists if last is None else f",{lists}"))
        parts, done = [], 0
        for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
            parts += [self._text[done:start], new]
            done = end
        return "".join([*parts, self._text[done:]])

    # ------------------------------------------------------------------ places

    def _remove(self, members: list[Member], member: Member) -> None:
        """Remove a member and one comma next to it."""
        i = members.index(member)
        if i + 1 < len(members):
            self._edits.append((member.start, members[i + 1].start, ""))
        else:
            start = members[i - 1].end if i else member.start
            self._edits.append((start, member.end, ""))

    def _members(self, at: int) -> dict[str, Member]:
        """Return the members of the object that begins at a place; of two alike the last."""
        found: dict[str, Member] = {}
        place = self._after(at, "{")
        while self._text[place] != "}":
            name, end = self._value(place)
            value = self._after(self._skip(end), ":")
            _, end = self._value(value)
            found.pop(str(name), None)
            found[str(name)] = Member(place, value, end)
            place = self._next(end)
        return found

    def _items(self, at: int) -> list[tuple[int, int]]:
        """Return begin and end of the entries of the list that begins at a place."""
        found = []
        place = self._after(at, "[")
        while self._text[place] != "]":
            _, end = self._value(place)
            found.append((place, end))
            place = self._next(end)
        return found

    def _value(self, at: int) -> tuple[Any, int]:
        return _DECODER.raw_decode(self._text, at)

    def _skip(self, at: int) -> int:
        return _SPACE.match(self._text, at).end()  # type: ignore[union-attr]

    def _after(self, at: int, sign: str) -> int:
        """Return the next place after a sign, which must be at this place."""
        if self._text[at : at + 1] != sign:
            raise ValueError(f"expected {sign!r} at character {at}")
        return self._skip(at + 1)

    def _next(self, end: int) -> int:
        """Return the place of the next entry, or of the closing bracket."""
        place = self._skip(end)
        return self._after(place, ",") if self._text[place] == "," else place


def _compact(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
