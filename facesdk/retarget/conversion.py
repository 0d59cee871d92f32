"""Conversions: one map or a chain of maps, for arrays, clips and sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats
from ..clip import POSE_ANGLES, Block, Clip, ClipInfo, Pose
from ..errors import ClipError, RigError
from ..rig import Rig
from ..source import FrameSource, moving_controls
from .rig_map import RigMap


@dataclass(frozen=True, eq=False)
class Conversion:
    """A conversion from one rig to another, through one map or a chain of them."""

    source: Rig
    target: Rig
    maps: tuple[RigMap, ...] = ()
    """Applied in order; empty if both rigs are the same."""

    def __post_init__(self) -> None:
        rigs = [self.source, *(rig for m in self.maps for rig in (m.source, m.target)), self.target]
        for left, right in zip(rigs[::2], rigs[1::2], strict=True):
            if left.names != right.names:
                raise RigError(
                    f"rig {left.name!r} with {len(left)} controls is not the rig {right.name!r} "
                    f"with {len(right)} controls that the map was made for"
                )

    @property
    def name(self) -> str:
        """Rigs on the way, such as `"livelink-to-arkit-to-metahuman"`."""
        return "-to-".join([self.source.name, *(m.target.name for m in self.maps)])

    def __call__(self, values: Floats, pose: Floats | None = None) -> tuple[Floats, Floats | None]:
        """Return (..., C) values and (..., 4, 3) pose angles, or None, on the target rig."""
        if values.shape[-1:] != (len(self.source),):
            raise ClipError(
                f"values must be (..., {len(self.source)}) for rig {self.source.name!r}, "
                f"got {values.shape}"
            )
        values = np.asarray(values, np.float32)
        for rig_map in self.maps:
            values, pose = rig_map(values, pose)
        return values, pose

    def clip(self, clip: Clip) -> Clip:
        """Return the same performance on the target rig."""
        require_rig(clip.rig, self.source)
        values, angles = self(clip.values, None if clip.pose is None else clip.pose.angles)
        pose = None if angles is None else Pose(angles)
        return replace(clip, rig=self.target, values=values, pose=pose)

    def then(self, other: Conversion) -> Conversion:
        """Return this conversion followed by another."""
        return Conversion(self.source, other.target, self.maps + other.maps)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Source controls that have no effect on the target rig, in the source's order."""
        alive = self.reaching((*self.target.names, *POSE_ANGLES))
        return tuple(name for name in self.source.names if name not in alive)

    def reaching(self, targets: Iterable[str]) -> frozenset[str]:
        """Return the source controls and pose angles that move any of some target channels.

        Those that a map sends nowhere on purpose count too.
        """
        alive = frozenset(targets)
        for rig_map in reversed(self.maps):
            reach = rig_map.reach.items()
            alive = frozenset(name for name, reached in reach if not reached or reached & alive)
        return alive

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the conversion's map; raises `RigError` for a chain."""
        if len(self.maps) != 1:
            raise RigError(f"{self.name!r} is a chain of {len(self.maps)} maps; write each one")
        return self.maps[0].to_json()

    @classmethod
    def from_json(
        cls, document: Any, *, source: str = "map", folder: Path | None = None
    ) -> Conversion:
        """Build a conversion through the one map in a JSON document."""
        rig_map = RigMap.from_json(document, source=source, folder=folder)
        return cls(rig_map.source, rig_map.target, (rig_map,))


class Converted:
    """A source retargeted block by block; counts its frames and notes the controls it drops.

    Raises `RigError` when the source is not on the rig that the conversion starts from.
    """

    def __init__(self, source: FrameSource, conversion: Conversion) -> None:
        require_rig(source.info.rig, conversion.source)
        self.source = source
        self.conversion = conversion
        self.count = 0
        """Frames in the last pass so far."""
        self._moved: set[str] = set()

    @property
    def info(self) -> ClipInfo:
        """Info of the source, on the target rig."""
        return replace(self.source.info, rig=self.conversion.target)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Source controls that moved in the last pass and have no effect on the target rig."""
        return tuple(name for name in self.conversion.dropped if name in self._moved)

    def blocks(self) -> Iterator[Block]:
        """Return the source's blocks on the target rig."""
        self.count = 0
        self._moved.clear()
        for values, pose in self.source.blocks():
            self.count += len(values)
            self._moved |= moving_controls(values, self.conversion.source)
            yield Block(*self.conversion(values, pose))


def require_rig(given: Rig, expected: Rig) -> None:
    """Raise `RigError` unless a rig has exactly the controls of the expected one."""
    if given.names != expected.names:
        raise RigError(f"this conversion starts from rig {expected.name!r}, got rig {given.name!r}")
