"""Sources on another rig, converted block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..retarget import Converted
from .blocks import Block, blocks


@dataclass(frozen=True, eq=False)
class ConvertedBlocks(Converted):
    """A converted source that notes what moves in it and has no place on the target rig."""

    _moved: set[str] = field(default_factory=set, init=False, repr=False)
    _counts: list[int] = field(default_factory=list, init=False, repr=False)

    @property
    def lost(self) -> tuple[str, ...]:
        """Controls of the source that moved in the last pass and move nothing on the target."""
        return tuple(name for name in self.conversion.uncarried if name in self._moved)

    @property
    def count(self) -> int:
        """Frames in the last pass so far."""
        return sum(self._counts)

    def blocks(self) -> Iterator[Block]:
        """The frames in blocks, as `exporters.blocks.blocks` gives them."""
        rig = self.source.rig
        self._moved.clear()
        self._counts.clear()
        for values, angles in blocks(self.source):
            moves = np.any(values != rig.rest, axis=0)
            self._moved.update(n for n, moved in zip(rig.names, moves, strict=True) if moved)
            self._counts.append(len(values))
            yield Block(*self.conversion(values, angles))
