"""Unit curves from elsewhere, an articulated script for one, as a finished clip on a rig."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ..clip import Clip, exact_fps
from ..errors import ClipError
from ..motion import Performance, settle
from ..resample import resample
from .output import Output
from .session import SETTLE_SECONDS


def perform(
    units: Clip,
    *,
    rig: str = "arkit",
    fps: Fraction | float | str = 60,
    seconds: Fraction | None = None,
    seed: int = 0,
    blinks: bool = True,
    rest_at_end: bool = True,
    meta: Mapping[str, Any] | None = None,
) -> Clip:
    """A clip on a rig: what a session makes of the units it hears, from units already known.

    `seconds` is the exact length, by default that of `units`. Raises `ClipError` when `units` is
    on another rig.
    """
    if units.rig.name != "units":
        raise ClipError(f"expected a clip on rig 'units', got rig {units.rig.name!r}")
    output, rate = Output(rig), exact_fps(fps)
    count = math.ceil((units.duration if seconds is None else seconds) * rate)
    curves = Performance(units.fps, seed=seed, blinks=blinks)(units.values, 0)
    if rest_at_end:
        curves = settle(curves, units.rig.rest, int(SETTLE_SECONDS * units.fps))
    values = resample(output(curves), units.fps, rate, count, interpolation="linear")
    return Clip(output.rig, values, rate, meta=meta or {})
