"""Clips from existing unit curves, such as those of timed phones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Unpack

import numpy as np

from ..clip import Clip, Pose, exact_fps
from ..errors import ClipError
from ..motion import MotionPart
from ..performance import Performance, PerformanceFields
from ..rig import Rig
from .performer import Performer
from .rig_outputs import RigOutputs, RigSpec


def perform(
    units: Clip,
    *,
    rig: RigSpec = "arkit",
    fps: Fraction | float | str = 60,
    seconds: Fraction | None = None,
    motion: Sequence[MotionPart] = (),
    meta: Mapping[str, Any] | None = None,
    performance: Performance | None = None,
    **options: Unpack[PerformanceFields],
) -> Clip:
    """Return unit curves as a clip on a rig, with the motion and resampling of a session.

    `units` is a clip on rig `units`. `seconds` is the exact duration of the line, by default that
    of `units`; the performance's `tail` is added. For rig `articulation`, the units are used as
    curves that are synchronous with the sound. The other arguments are those of `bake`. Raises
    `ClipError` when `units` is on another rig.
    """
    if units.rig.name != "units":
        raise ClipError(f"expected a clip on rig 'units', got rig {units.rig.name!r}")
    outputs = RigOutputs([rig])
    performer = Performer(
        outputs,
        unit_fps=units.fps,
        fps=exact_fps(fps),
        performance=Performance.of(performance, options),
        motion=motion,
    )
    values = units.values
    if "articulation" in outputs.network_outputs:
        values = np.hstack([values, values[:, : len(Rig.load("articulation"))]])
    frames = performer.frames_in(units.duration if seconds is None else seconds)
    (block,) = performer.flush(values, frames)
    pose = None if block.pose is None else Pose(block.pose)
    return Clip(outputs.rigs[0], block.values, performer.fps, pose, meta=meta or {})
