"""One speaker talking: audio in as it comes, frames out as soon as they are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..audio import StreamResampler
from ..clip import Frame, exact_fps, frame_sample
from ..errors import ModelError
from ..motion import Performance, settle
from ..resample import LinearResampler
from ..rig import Rig
from .outputs import Outputs

if TYPE_CHECKING:
    from .model import Model

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
        rig: str | Sequence[str],
        fps: Fraction | float | str,
        look_ahead_ms: float | None,
        seed: int,
        sample_rate: int | None,
        channels: int,
        low_delay: bool,
        blinks: bool,
        settle: bool,
        tail: float,
    ) -> None:
        """Use `Model.session`.

        `rig` is a name that the units can reach, or several: then `Frame.rigs` has the values of
        each, and `Frame.values` are those of the first. `look_ahead_ms` None waits for all the
        future audio the model can use; `sample_rate` and `channels` are those of the audio
        pushed; `low_delay` resamples it with the short filter of `StreamResampler`; `tail` adds
        seconds after the audio in which the face comes to rest.
        """
        manifest = model.manifest
        if not 0 <= tail <= 60:
            raise ModelError(f"tail must lie in 0..60 seconds, got {tail}")
        self._step = manifest.step_samples
        self._unit_fps = manifest.frame_rate
        self._head = model.look_ahead(look_ahead_ms)
        self.look_ahead_ms = manifest.look_aheads_ms[self._head]
        self._delay = round(Fraction(self.look_ahead_ms, 1000) * self._unit_fps)
        self._output = Outputs([rig] if isinstance(rig, str) else rig)
        self.rigs = self._output.rigs
        """The rigs it speaks for, in the order asked for."""
        self.rig = self.rigs[0]
        articulation = any(chosen.name == "articulation" for chosen in self.rigs)
        self._network = model.runner(articulation=articulation)
        self._places = self._output.columns
        self.fps = exact_fps(fps)
        self.sample_rate = manifest.sample_rate
        self._source_rate = sample_rate or manifest.sample_rate
        self._audio = StreamResampler(
            self._source_rate, manifest.sample_rate, channels, low_delay=low_delay
        )
        self._performance = Performance(self._unit_fps, seed=seed, blinks=blinks)
        self._settle, self._tail = settle, Fraction(tail)
        self._units = Rig.load("units")
        columns = [self._units.index(unit) for unit in manifest.units]
        self._rest = self._units.rest
        if articulation:
            sounds = Rig.load("articulation")
            columns += [len(self._units) + sounds.index(name) for name in manifest.articulation]
            self._rest = np.concatenate([self._rest, sounds.rest])
        self._columns = _columns(columns)
        self._curves = LinearResampler(self._unit_fps, self.fps)
        self._watcher: Watcher | None = None
        self._waiting = np.zeros(_LARGEST_BLOCK * self._step, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard: the next push begins a new line by the same speaker."""
        self._audio.reset()
        self._performance.reset()
        self._curves.reset()
        self._network.reset()
        # the network starts with one step of silence, so frame 0 needs no audio of its own
        self._waiting.fill(0)
        self._fill = self._step
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

        Look-ahead, plus what is missing to the next unit frame where `fps` asks for
        interpolation, plus what the audio resampler holds back.
        """
        parts = (self._unit_fps / self.fps).denominator
        between = Fraction(parts - 1, parts) / self._unit_fps
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
        silence = np.zeros(max(0, missing - len(heard) - self._fill), np.float32)
        units = self._listen(np.concatenate([heard, silence]))[: max(0, needed - self._shown)]
        if self._settle:
            units = settle(units, self._rest, self._settle_frames())
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
        """(T, all units) of the frames that more audio makes known; articulation where wanted."""
        steps = (self._fill + len(heard)) // self._step
        early = min(steps, max(0, self._delay - self._steps))
        full = np.empty((steps - early, len(self._rest)), np.float32)
        full[:] = self._rest
        done = -early
        for chunk in self._chunks(heard):
            spoken = self._network.step(chunk)[0, max(0, -done) :, self._head]
            begin, done = max(0, done), done + len(chunk[0]) // self._step
            full[begin : max(0, done), self._columns] = spoken
        self._steps += steps
        return full

    def _chunks(self, heard: Floats) -> Iterator[Floats]:
        """(1, whole steps) of what waits and more; what is left of a step waits on."""
        waiting, step = self._waiting, self._step
        while True:
            taken = heard[: len(waiting) - self._fill]
            heard = heard[len(taken) :]
            waiting[self._fill : self._fill + len(taken)] = taken
            self._fill += len(taken)
            size = self._fill // step * step
            if not size:
                return
            yield waiting[None, :size]
            self._fill -= size
            waiting[: self._fill] = waiting[size : size + self._fill]

    def _frames(self, units: Floats, total: int | None = None) -> Iterator[Frame]:
        units = self._performance(units, self._shown)
        self._shown += len(units)
        if self._watcher is not None:
            self._watcher(units[:, : len(self._units)])
        due = self._curves.feed(self._output(units))
        for values in due if total is None else due[: max(0, total - self._emitted)]:
            yield self._frame(values)

    def _frame(self, values: Floats) -> Frame:
        index = self._emitted
        self._emitted += 1
        sample = frame_sample(index, self.fps, sample_rate=self.sample_rate)
        rigs = {name: values[place] for name, place in self._places.items()}
        return Frame(index, sample, rigs[self.rig.name], None, rigs)


def _columns(columns: list[int]) -> slice | list[int]:
    """The same columns as a slice where they follow each other: quicker to write to."""
    first, count = columns[0], len(columns)
    follows = columns == list(range(first, first + count))
    return slice(first, first + count) if follows else columns
