"""Options of a performance, apart from audio, rig and clock.

Sessions, `bake`, `perform`, batches and the command line all take this value. A new option is
added here and in the motion layer only: keywords, command line options and the settings of a batch
are derived from the fields below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypedDict

from .errors import PerformanceError

MAX_TAIL = 60.0
"""Seconds."""


class PerformanceFields(TypedDict, total=False):
    """`Performance` as keyword arguments."""

    seed: int
    blinks: bool
    settle: bool
    tail: float


@dataclass(frozen=True)
class Performance:
    """The options of a speaker's performance.

    Raises `PerformanceError` for a value of the wrong type or out of range.
    """

    seed: int = field(default=0, metadata={"help": "random seed of blinks, 0 or more"})
    """Random seed; the same seed, audio and settings give the same frames."""
    blinks: bool = field(default=True, metadata={"help": "do not move the eyelids"})
    settle: bool = field(default=True, metadata={"help": "do not return to rest at the end"})
    """Whether the face eases to rest in the last frames of a line."""
    tail: float = field(
        default=0.0, metadata={"help": "seconds to add after the audio", "metavar": "SECONDS"}
    )
    """Seconds added after the audio, in which the face returns to rest, 0..60."""

    def __post_init__(self) -> None:
        for name in ("blinks", "settle"):
            if not isinstance(getattr(self, name), bool):
                raise PerformanceError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise PerformanceError(f"seed must be a whole number of 0 or more, got {self.seed!r}")
        if not _is_number(self.tail) or not 0 <= self.tail <= MAX_TAIL:
            raise PerformanceError(f"tail must lie in 0..{MAX_TAIL:g} seconds, got {self.tail!r}")

    @classmethod
    def of(cls, performance: Performance | None, options: Mapping[str, Any]) -> Performance:
        """Return `performance`, or if it is None the one that keyword options describe.

        Raises `PerformanceError` for both at once or for an unknown option.
        """
        if performance is not None:
            if not isinstance(performance, cls):
                raise PerformanceError(
                    f"performance must be a Performance, got {type(performance).__name__}"
                )
            if options:
                raise PerformanceError(
                    f"got both a performance and {', '.join(options)}; "
                    "change an option with dataclasses.replace(performance, ...)"
                )
            return performance
        names = [option.name for option in fields(cls)]
        if unknown := [name for name in options if name not in names]:
            raise PerformanceError(
                f"unknown option {unknown[0]!r} of a performance; expected {', '.join(names)}"
            )
        return cls(**options)

    def to_json(self) -> dict[str, Any]:
        """Return all options as JSON values, for cache keys and reports."""
        return asdict(self)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
