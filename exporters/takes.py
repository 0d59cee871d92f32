"""Takes as they come out of files: frames have to be there, and weights have to count to 1."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from ..arrays import Floats
from ..errors import FileFormatError
from ..rig import Rig, rig_names
from ..source import Block, ClipInfo, FrameSource

_MOVES = 0.02
"""Weight from which a control moves at all."""
_BEYOND = 1.5
"""Weight that only a control far out of its range reaches."""
_FAR = 3.0
"""Weight that is pointed out."""
_FAINT, _SEVERAL = (0.002, 0.0101), 5
"""Largest weights, of several controls, that are most likely weights of 1 divided by 100."""
_KEPT_BYTES = 2**25
"""Values of a take up to which it is read only once."""
_PERCENT = (10.0, 150.0)
"""Largest weights between which a take counts in percent."""


class Take:
    """A source that has frames, and weights from 0 to 1 where its file counts in percent.

    A file of 0 to 100 is recognized by its largest weight, 10 to 150, if more than half of the
    controls that move go beyond 1.5. Others keep their values. Only controls with a range up to 1
    are looked at. Raises `FileFormatError` for larger weights, and for
    a file without frames.
    """

    def __init__(
        self, source: FrameSource, name: str, *, weights: bool, alone: bool = True
    ) -> None:
        """`weights` is False for files whose values are kept as they are.

        A source that is not `alone` in its file may be empty.
        """
        self.source = source
        self._name = name
        self._weights = weights
        self._alone = alone
        self._scale: Floats | None = None
        self._kept: list[Block] | None = None

    @property
    def info(self) -> ClipInfo:
        """Info of the source."""
        return self.source.info

    def blocks(self) -> Iterator[Block]:
        """Yield the source's blocks."""
        if self._weights and self._scale is None:
            self._scale = self._measured()
        scale, count = self._scale, 0
        for block in self.source.blocks() if self._kept is None else self._kept:
            count += len(block.values)
            if scale is None or (scale == 1).all():
                yield block
            else:
                yield Block(block.values * scale, block.pose)
        if not count and self._alone:
            raise FileFormatError(f"{self._name} has no frames; record it or export it again")

    def _measured(self) -> Floats:
        """Return the factor of every control, from one pass over the values.

        The blocks of a take that is not long are kept, so that they are read only once.
        """
        rig = self.info.rig
        peaks = np.zeros(len(rig), np.float32)
        kept: list[Block] = []
        size = 0
        for block in self.source.blocks():
            if len(block.values):
                peaks = np.maximum(peaks, np.abs(block.values).max(0))
            size += block.values.nbytes
            if size <= _KEPT_BYTES:
                kept.append(block)
        if size <= _KEPT_BYTES:
            self._kept = kept
        factors = np.ones(len(rig), np.float32)
        weights = (rig.maximum == 1) & (rig.minimum >= -1)
        high = peaks[weights]
        largest = float(high.max()) if len(high) else 0.0
        if _FAINT[0] < largest <= _FAINT[1] and (high > _FAINT[0]).sum() >= _SEVERAL:
            warnings.warn(
                f"{self._name}: no value goes beyond {largest:.4g}; if it counts from 0 to 1 "
                "where its format counts to 100, multiply the values by 100",
                stacklevel=2,
            )
        if largest <= _FAR:
            return factors
        beyond = float((high[high > _MOVES] > _BEYOND).mean())
        if largest < _PERCENT[0] or beyond <= 0.5:
            control = rig.names[int(np.flatnonzero(weights)[high.argmax()])]
            warnings.warn(
                f"{self._name}: {control!r} reaches {largest:.4g}, far beyond its range up to 1; "
                "values are kept",
                stacklevel=2,
            )
            return factors
        if largest > _PERCENT[1]:
            raise FileFormatError(
                f"{self._name}: expected weights of 0 to 1, or of 0 to 100, got up to "
                f"{largest:.4g}; divide them by their full scale"
            )
        warnings.warn(
            f"{self._name}: values reach {largest:.4g}, so they are taken as percent and divided "
            "by 100",
            stacklevel=2,
        )
        factors[weights] = 0.01
        return factors


def has_weights(rig: Rig, given: Rig | None) -> bool:
    """Whether the ranges of a file's rig are known: it is built in or was given."""
    return given is not None or rig.name in rig_names()
