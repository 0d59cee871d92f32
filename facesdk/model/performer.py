"""Unit frames to the frames of rigs, for one speaker: motion, rig outputs, clock."""

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
"""Receives (T, units) final unit curves, motion and settling included."""

_ANGLES = 12


class Performer:
    """One speaker's way from unit frames to the frames of one rig or several.

    Owns the state of motion and clock. Frames do not depend on how the units were cut.
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
        """`unit_fps` is the rate of the units, `fps` that of the frames.

        `held_back` is how many unit frames arrive with `flush` at least: the return to rest, which
        must not touch frames that are out already, happens in these. None where all units arrive
        with one call.
        """
        self._outputs, self._performance = outputs, performance
        self.rigs = outputs.rigs
        self.fps, self.unit_fps = fps, unit_fps
        self._layer = MotionLayer(unit_fps, performance, more=motion)
        self._curves = LinearResampler(unit_fps, fps)
        self._tail = Fraction(performance.tail)
        longest = int(SETTLE_SECONDS * unit_fps)
        if held_back is not None:
            longest = min(longest, held_back + int(self._tail * unit_fps))
        self._settle_frames = max(0, longest) if performance.settle else 0
        self._rest = self._rest_of_columns()
        self._on_units: OnUnits | None = None
        self._has_pose = self._poses_of(self._rest[None])
        self._any_pose = any(self._has_pose)
        self.reset()

    def _rest_of_columns(self) -> Floats:
        """Return the rest of units and of the further columns, (columns,)."""
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
        """Unit frames so far."""
        self.emitted = 0
        """Frames so far."""

    @property
    def latency(self) -> Fraction:
        """Seconds that a frame waits for units later than itself, at most."""
        parts = (self.unit_fps / self.fps).denominator
        between = Fraction(parts - 1, parts)
        return (between + self._layer.delay) / self.unit_fps

    def watch(self, on_units: OnUnits | None) -> None:
        """Call `on_units` with every block of unit curves as it is made."""
        self._on_units = on_units

    def frames_in(self, duration: Fraction) -> int:
        """Return how many frames a line of `duration` seconds has, its tail included."""
        return math.ceil((duration + self._tail) * self.fps)

    def units_for(self, frames: int) -> int:
        """Return how many unit frames that many frames need."""
        return math.ceil(Fraction(max(0, frames - 1)) * self.unit_fps / self.fps) + 1

    def push(self, units: Floats) -> list[Block]:
        """Return the frames that became due with (T, columns) more units: a block for each rig.

        Columns are those of rig `units`, then those of `RigOutputs.network_outputs`.
        """
        self.received += len(units)
        return self._emit(self._layer.push(units), None)

    def flush(self, units: Floats, frames: int) -> list[Block]:
        """Return the remaining frames, up to `frames` in all: a block for each rig.

        `units` are the last ones; the face eases to rest in them where the performance asks for
        it.
        """
        units = units[: max(0, self.units_for(frames) - self.received)]
        self.received += len(units)
        motion = self._layer.push(settle(units, self._rest, self._settle_frames))
        if (held := self._layer.flush()) is not None:
            motion = _joined(motion, held)
        return self._emit(motion, frames)

    def _emit(self, motion: Motion, frames: int | None) -> list[Block]:
        if self._on_units is not None:
            self._on_units(motion.units[:, : len(Rig.load("units"))])
        due = self._curves.feed(self._rows(motion))
        if frames is not None:
            last = list(self._curves.flush(frames))
            due = np.concatenate([due, last]) if last else due
            due = due[: max(0, frames - self.emitted)]
        self.emitted += len(due)
        return self._blocks(due)

    def _rows(self, motion: Motion) -> Floats:
        """Return the controls of all rigs with the angles of their poses behind them."""
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
