"""Unit frames to rig frames for one speaker: motion, rig outputs, frame rate conversion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from ..arrays import Floats
from ..clip import Block
from ..motion import SETTLE_SECONDS, Motion, MotionLayer, MotionPart, settle
from ..performance import Performance
from ..resample import LinearResampler
from ..rig import Rig
from .rig_outputs import RigOutputs

OnUnits = Callable[[Floats], None]
"""A callback that receives (T, units) final unit curves, including motion and settling."""

_ANGLES = 12


class Performer:
    """The second half of a session: unit frames to the frames of one or more rigs.

    Owns the state of motion and frame rate conversion. Frames do not depend on how the units are
    divided into calls.
    """

    def __init__(
        self,
        outputs: RigOutputs,
        *,
        unit_fps: Fraction,
        fps: Fraction,
        performance: Performance,
        motion: Sequence[MotionPart] = (),
        held_back: int | None = None,
    ) -> None:
        """`unit_fps` is the frame rate of the units, `fps` that of the frames.

        `held_back` is the smallest number of unit frames that arrive with `flush`. The return to
        rest is limited to these, because earlier frames may already be emitted. None if all units
        arrive in one call.
        """
        self._outputs = outputs
        self.rigs = outputs.rigs
        self.fps, self.unit_fps = fps, unit_fps
        self._layer = MotionLayer(unit_fps, performance, extra=motion)
        self._curves = LinearResampler(unit_fps, fps)
        self._tail = Fraction(performance.tail)
        longest = int(SETTLE_SECONDS * unit_fps)
        if held_back is not None:
            longest = min(longest, held_back + int(self._tail * unit_fps))
        self._settle_frames = max(0, longest) if performance.settle else 0
        self._rest = self._rest_of_columns()
        self.on_units: OnUnits | None = None
        """Called with every block of unit curves as it is computed."""
        self._has_pose = self._poses_of(self._rest[None])
        self._any_pose = any(self._has_pose)
        self.reset()

    def _rest_of_columns(self) -> Floats:
        """Return the (columns,) rest values of the units and of the further network outputs."""
        parts = [Rig.load("units").rest]
        for output, rig in zip(self._outputs.outputs, self.rigs, strict=True):
            if output.network_output is not None:
                parts.append(rig.rest)
        return np.concatenate(parts)

    def _poses_of(self, units: Floats) -> tuple[bool, ...]:
        pose = np.zeros((1, 4, 3), np.float32) if self._layer.moves_pose else None
        _, poses = self._outputs(Motion(units, pose))
        return tuple(angles is not None for angles in poses)

    def reset(self) -> None:
        """Begin a new line."""
        self._layer.reset()
        self._curves.reset()
        self.received = 0
        """Unit frames received so far."""
        self.emitted = 0
        """Frames returned so far."""

    @property
    def latency(self) -> Fraction:
        """Largest time in seconds between a frame and the last unit frame that it needs."""
        parts = (self.unit_fps / self.fps).denominator
        between = Fraction(parts - 1, parts)
        return (between + self._layer.delay) / self.unit_fps

    def frames_in(self, duration: Fraction) -> int:
        """Return the number of frames of a line of `duration` seconds, including its tail."""
        return math.ceil((duration + self._tail) * self.fps)

    def units_for(self, frames: int) -> int:
        """Return the number of unit frames that a number of frames requires."""
        return math.ceil(Fraction(max(0, frames - 1)) * self.unit_fps / self.fps) + 1

    def push(self, units: Floats) -> list[Block]:
        """Return the frames that (T, columns) more units complete, as one block per rig.

        Columns are those of rig `units`, then those of `RigOutputs.network_outputs`.
        """
        self.received += len(units)
        return self._emit(self._layer.push(units), None)

    def flush(self, units: Floats, frames: int) -> list[Block]:
        """Return the remaining frames, `frames` in total, as one block per rig.

        `units` are the last ones of the line, in which the face eases to rest if the performance
        has `settle`.
        """
        units = units[: max(0, self.units_for(frames) - self.received)]
        self.received += len(units)
        motion = self._layer.push(settle(units, self._rest, self._settle_frames))
        if (held := self._layer.flush()) is not None:
            motion = _joined(motion, held)
        return self._emit(motion, frames)

    def _emit(self, motion: Motion, frames: int | None) -> list[Block]:
        if self.on_units is not None:
            self.on_units(motion.units[:, : len(Rig.load("units"))])
        due = self._curves.push(self._rows(motion))
        if frames is not None:
            last = list(self._curves.flush(frames))
            due = np.concatenate([due, last]) if last else due
            due = due[: max(0, frames - self.emitted)]
        self.emitted += len(due)
        return self._blocks(due)

    def _rows(self, motion: Motion) -> Floats:
        """Return (T, columns): the controls of all rigs, then the angles of their poses."""
        values, poses = self._outputs(motion)
        if not self._any_pose:
            return values
        return np.hstack([values, *(p.reshape(-1, _ANGLES) for p in poses if p is not None)])

    def _blocks(self, rows: Floats) -> list[Block]:
        if not self._any_pose:
            return [Block(rows[:, columns], None) for columns in self._outputs.columns]
        blocks, begin = [], self._outputs.columns[-1].stop
        for columns, has_pose in zip(self._outputs.columns, self._has_pose, strict=True):
            pose = None
            if has_pose:
                pose = rows[:, begin : begin + _ANGLES].reshape(-1, 4, 3)
                begin += _ANGLES
            blocks.append(Block(rows[:, columns], pose))
        return blocks


def _joined(first: Motion, second: Motion) -> Motion:
    pose = None
    if first.pose is not None and second.pose is not None:
        pose = np.concatenate([first.pose, second.pose])
    return Motion(np.concatenate([first.units, second.units]), pose)
