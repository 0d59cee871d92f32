"""Takes and sets of takes: the interface that every data set of faces implements."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...arrays import Floats
from ...errors import FileFormatError, unknown_name
from ...rig import Rig

SPLITS = ("train", "val", "test")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""Names of sets, takes and subjects."""


@dataclass(frozen=True)
class Take:
    """One recording of a data set."""

    id: str
    subject: str
    """The speaker; a style belongs to a subject."""
    fps: Fraction
    """Frames per second of the track; frame `i` shows the face at `i / fps` of the audio."""
    split: str = "train"
    """`train`, `val` or `test`."""

    def __post_init__(self) -> None:
        for kind, name in (("take", self.id), ("subject", self.subject)):
            if not NAME.fullmatch(name):
                raise FileFormatError(
                    f"{kind} {name!r}: names are letters, digits, '_', '.' and '-', at most 100"
                )
        if not 1 <= self.fps <= 1000:
            raise FileFormatError(f"take {self.id!r}: fps must lie in 1..1000, got {self.fps}")
        if self.split not in SPLITS:
            raise unknown_name(f"take {self.id!r}: no split", self.split, SPLITS)


class TakeSet(ABC):
    """Takes with one annotation: the controls of a rig, or vertices of one topology.

    A loader for another layout on disk implements `samples`, `track` and, for vertices,
    `template`.
    """

    name: str
    """Short, because it names the learned layer in the exported model."""
    license: str
    rig: Rig | None
    """Rig of the controls; None if the annotation is vertices."""
    takes: Sequence[Take]

    @abstractmethod
    def samples(self, take: Take) -> Floats:
        """Return (N,) mono audio at 16 kHz."""

    @abstractmethod
    def track(self, take: Take) -> Floats:
        """Return (T, C) values in the order of the rig, or (T, V, 3) vertices in meters."""

    def template(self, subject: str) -> Floats:
        """Return (V, 3) meters of a subject's neutral face; only sets of vertices have one."""
        raise FileFormatError(f"{self.name!r} has no template of {subject!r}: it contains controls")

    def lips(self) -> Floats | None:
        """Return (V,) weights of the lips, or None if they are not known."""
        return None

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects of the training takes, in order of appearance."""
        return tuple(dict.fromkeys(t.subject for t in self.takes if t.split == "train"))
