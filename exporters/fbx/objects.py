"""Objects of a scene with their numbers, and the connections between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .nodes import Long, Node, group

ROOT = 0
"""Parent of objects without another one: the scene itself."""

_FIRST = 1_000_000


class Objects:
    """The objects of a file and their connections, in the order in which they were added."""

    def __init__(self) -> None:
        self._objects: list[Node] = []
        self._connections: list[Node] = []
        self._kinds: Counter[str] = Counter()

    def add(
        self, record: str, name: str, kind: str, detail: str = "", *, children: Sequence[Node] = ()
    ) -> int:
        """Add an object and return its number.

        `record` names its record and `kind` what it is, as in `Deformer`, `SubDeformer`, `Cluster`.
        """
        key = _FIRST + len(self._objects)
        self._kinds[record] += 1
        self._objects.append(
            Node(record, Long(key), f"{name}\0\1{kind}", detail, children=children)
        )
        return key

    def connect(self, child: int, parent: int, prop: str | None = None) -> None:
        """Connect an object to its parent, or to a property that it drives."""
        keys = (Long(child), Long(parent))
        ends = ("OO", *keys) if prop is None else ("OP", *keys, prop)
        self._connections.append(Node("C", *ends))

    def nodes(self) -> list[Node]:
        """Return the three sections of a file that list objects."""
        kinds = {"GlobalSettings": 1} | dict(self._kinds)
        types = [
            Node("ObjectType", kind, children=[Node("Count", count)])
            for kind, count in kinds.items()
        ]
        total = Node("Count", sum(kinds.values()))
        return [
            group("Definitions", Node("Version", 100), total, *types),
            group("Objects", *self._objects),
            group("Connections", *self._connections),
        ]
