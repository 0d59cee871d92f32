"""One speaker talking: audio in as it comes, frames out as soon as they are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..audio import StreamResampler
from ..clip import Frame, exact_fps, frame_sample
from ..errors import ModelError
from ..motion import Performance, settle
from ..resample import LinearResampler
from ..rig import Rig
from .output import Output

if TYPE_CHECKING:
    from .model import Model

Floats = NDArray[np.float32]
Watcher = Callable[[Floats], None]

SETTLE_SECONDS = 0.2
"""Duration of the return to rest at the end of a line, where the look-ahead allows it."""

_LARGEST_BLOCK = 50
"""Steps in one run of the network."""


class Session:
    """One speaker: owns all that changes while the shared model stays as it is.

    Frames do not depend on how the audio was cut into pushes (to float rounding). Frame `i` shows
    the face at `i / fps` seconds. At the end, `flush` gives the frames that were waiting for
    future audio, easing to rest in the last of them.
    """

    def __init__(
        self,
        model: Model,
        *,
        rig: str,
        fps: Fraction | float | str,
        look_ahead_ms: float | None,
        seed: int,
        sample_rate: int | None,
        channels: int,
        blinks: bool,
        settle: bool,
        tail: float,
    ) -> None:
        """Use `Model.session`.

        `rig` is a name that the units can reach; `look_ahead_ms` None waits for all the future
        audio the model can use; `sample_rate` and `channels` are those of the audio pushed;
        `tail` adds seconds after the audio in which the face comes to rest.
        """
        manifest = model.manifest
        if not 0 <= tail <= 60:
            raise ModelError(f"tail must lie in 0..60 seconds, got {tail}")
        self._model = model
        self._step = manifest.step_samples
        self._unit_fps = manifest.frame_rate
        self._head = model.look_ahead(look_ahead_ms)
        self.look_ahead_ms = manifest.look_aheads_ms[self._head]
        self._delay = round(Fraction(self.look_ahead_ms, 1000) * self._unit_fps)
        self._output = Output(rig)
        self.rig = self._output.rig
        self.fps = exact_fps(fps)
        self.sample_rate = manifest.sample_rate
        self._source_rate = sample_rate or manifest.sample_rate
        self._audio = StreamResampler(self._source_rate, manifest.sample_rate, channels)
        self._performance = Performance(self._unit_fps, seed=seed, blinks=blinks)
        self._settle, self._tail = settle, Fraction(tail)
        self._units = Rig.load("units")
        self._columns = [self._units.index(unit) for unit in manifest.units]
        self._curves = LinearResampler(self._unit_fps, self.fps)
        self._watcher: Watcher | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything heard: the next push begins a new line by the same speaker."""
        self._audio.reset()
        self._performance.reset()
        self._curves.reset()
        self._state = self._model.start()
        # the network starts with one step of silence, so frame 0 needs no audio of its own
        self._waiting = np.zeros(self._step, np.float32)
        self._pushed = 0
        self._steps = 0
        self._shown = 0
        self._emitted = 0
        self._ended = False

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reset()

    @property
    def latency(self) -> Fraction:
        """Seconds between a frame's instant and the last audio it needs, at most.

        Look-ahead, plus up to one unit frame where `fps` asks for interpolation, plus what the
        audio resampler holds back.
        """
        between = (
            Fraction(0) if (self._unit_fps / self.fps).denominator == 1 else 1 / self._unit_fps
        )
        return Fraction(self.look_ahead_ms, 1000) + between + self._audio.latency

    def watch(self, watcher: Watcher | None) -> None:
        """Show every block of unit curves, (T, units) at the model's rate, as it is made.

        They are the final ones, motion and settling included.
        """
        self._watcher = watcher

    def push(self, samples: ArrayLike) -> list[Frame]:
        """Frames that became known with more audio.

        `samples` is (N,) or (N, channels) at the session's sample rate: floats in -1..1 or
        integers in full scale. Any N, also none.
        """
        if self._ended:
            raise ModelError("this session was flushed; reset() it before the next line")
        audio = np.asarray(samples)
        heard = self._audio.push(audio)
        self._pushed += len(audio)
        return list(self._frames(self._listen(heard)))

    def flush(self) -> list[Frame]:
        """The remaining frames: the line has ended."""
        if self._ended:
            return []
        self._ended = True
        seconds = Fraction(self._pushed, self._source_rate) + self._tail
        total = math.ceil(seconds * self.fps)
        needed = math.ceil(Fraction(max(0, total - 1)) * self._unit_fps / self.fps) + 1
        missing = max(0, (needed + self._delay) * self._step - self._steps * self._step)
        heard = self._audio.flush()
        silence = np.zeros(max(0, missing - len(heard) - len(self._waiting)), np.float32)
        units = self._listen(np.concatenate([heard, silence]))[: max(0, needed - self._shown)]
        if self._settle:
            units = settle(units, self._units.rest, self._settle_frames())
        frames = list(self._frames(units, total))
        for values in self._curves.flush(total):
            if self._emitted < total:
                frames.append(self._frame(values))
        return frames if total else []

    def _settle_frames(self) -> int:
        """Frames at the end that no push can have emitted, whatever the cuts."""
        held_back = self._delay - 1 + int(self._tail * self._unit_fps)
        return max(0, min(held_back, int(SETTLE_SECONDS * self._unit_fps)))

    def _listen(self, heard: Floats) -> Floats:
        """(T, all units) of the frames that more 16 kHz audio makes known."""
        self._waiting = np.concatenate([self._waiting, heard])
        blocks = [np.zeros((0, len(self._columns)), np.float32)]
        while steps := min(len(self._waiting) // self._step, _LARGEST_BLOCK):
            size = steps * self._step
            chunk, self._waiting = self._waiting[None, :size], self._waiting[size:]
            units, self._state = self._model.step(chunk, self._state)
            early = max(0, self._delay - self._steps)
            blocks.append(units[0, early:, self._head])
            self._steps += steps
        spoken = np.concatenate(blocks)
        full = np.tile(self._units.rest, (len(spoken), 1))
        full[:, self._columns] = spoken
        return full

    def _frames(self, units: Floats, total: int | None = None) -> Iterator[Frame]:
        units = self._performance(units, self._shown)
        self._shown += len(units)
        if self._watcher is not None:
            self._watcher(units)
        due = self._curves.feed(self._output(units))
        for values in due if total is None else due[: max(0, total - self._emitted)]:
            yield self._frame(values)

    def _frame(self, values: Floats) -> Frame:
        index = self._emitted
        self._emitted += 1
        sample = frame_sample(index, self.fps, sample_rate=self.sample_rate)
        return Frame(index, sample, values)
