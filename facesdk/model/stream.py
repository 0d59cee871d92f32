"""Streams of unit frames: the network for one speaker, separately or in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..arrays import Floats
from ..errors import ModelError
from ..rig import Rig

if TYPE_CHECKING:
    from .manifest import Manifest
    from .model import Model
    from .runner import Runner


class Stream(Protocol):
    """The network for one speaker, with its own state: audio steps to unit frames."""

    def step(self, audio: Floats) -> Floats:
        """Return the (T, columns) unit frames that (steps * step_samples,) audio completes."""
        ...

    def reset(self) -> None:
        """Start again; the first step must be silence."""
        ...


class UnitDecoder:
    """A decoder of network outputs to the unit frames of one speaker.

    It selects one look-ahead, orders the curves as in rig `units` with further outputs after
    them, and drops the frames before the first sample.
    """

    def __init__(
        self, manifest: Manifest, outputs: Mapping[str, int], look_ahead_index: int
    ) -> None:
        """`outputs` has the number of columns of every output in addition to `units`, by name."""
        units = Rig.load("units")
        columns = [[units.index(name) for name in manifest.units]]
        rest, begin = [units.rest], len(units)
        for name, size in outputs.items():
            if name == "articulation":
                sounds = Rig.load("articulation")
                columns.append([begin + sounds.index(n) for n in manifest.articulation])
                rest.append(sounds.rest)
            else:
                columns.append(list(range(begin, begin + size)))
                rest.append(np.zeros(size, np.float32))
            begin += size
        self._rest = np.concatenate(rest)[None]
        self._columns = [_as_slice(some) for some in columns]
        self._index = look_ahead_index
        self._delay = manifest.delay_steps(look_ahead_index)
        self.reset()

    def reset(self) -> None:
        """Start again."""
        self._early = self._delay

    def __call__(self, outputs: Sequence[Floats]) -> Floats:
        """Return (T, columns), T <= steps, for outputs (steps, look-aheads, curves)."""
        early = min(self._early, len(outputs[0]))
        self._early -= early
        frames = self._rest.repeat(len(outputs[0]) - early, axis=0)
        for columns, curves in zip(self._columns, outputs, strict=True):
            frames[:, columns] = curves[early:, self._index]
        return frames


class LocalStream:
    """A stream with its own calls of the network."""

    def __init__(self, runner: Runner, decoder: UnitDecoder) -> None:
        """Use `Model.stream`."""
        self._runner, self._decoder = runner, decoder

    def reset(self) -> None:
        """Start again; the first step must be silence."""
        self._runner.reset()
        self._decoder.reset()

    def step(self, audio: Floats) -> Floats:
        """Return the (T, columns) unit frames that (steps * step_samples,) audio completes."""
        return self._decoder([curves[0] for curves in self._runner.step(audio[None])])


class BatchedStream:
    """One speaker in a `Batcher`."""

    def __init__(self, decoder: UnitDecoder) -> None:
        """Use `Batcher.join`."""
        self._decoder = decoder
        self._row = -1  # set by the batcher; -1 after leaving


class Batcher:
    """Many streams in one call of the network; they join and leave at any time.

    A server steps all streams that have a step of audio. Frames equal those of a separate stream,
    to float rounding. Not thread-safe.
    """

    def __init__(self, model: Model, *, capacity: int = 64, articulation: bool = False) -> None:
        """`capacity` is the largest number of streams; `articulation` adds its curves.

        Raises `ModelError` for a capacity below 1.
        """
        if capacity < 1:
            raise ModelError(f"capacity must be 1 or more streams, got {capacity}")
        self._model, self.capacity = model, capacity
        self._outputs = {"articulation": len(Rig.load("articulation"))} if articulation else {}
        self._runner = model.runner(capacity, outputs=["units", *self._outputs])
        self._audio = np.zeros((capacity, model.manifest.step_samples), np.float32)
        self._streams: list[BatchedStream] = []

    def __len__(self) -> int:
        return len(self._streams)

    def join(self, *, look_ahead_ms: float | None = None) -> BatchedStream:
        """Return a stream for one more speaker; raises `ModelError` when the batcher is full."""
        if len(self._streams) == self.capacity:
            raise ModelError(
                f"this batcher is full with {self.capacity} streams; give a larger capacity"
            )
        index = self._model.look_ahead(look_ahead_ms)
        stream = BatchedStream(UnitDecoder(self._model.manifest, self._outputs, index))
        for tensor in self._runner.state.values():
            tensor[len(self._streams)] = 0
        stream._row = len(self._streams)
        self._streams.append(stream)
        return stream

    def leave(self, stream: BatchedStream) -> None:
        """Remove a stream; raises `ModelError` if it is not in this batcher."""
        self._swap(self._row(stream), len(self._streams) - 1)
        self._streams.pop()._row = -1

    def restart(self, stream: BatchedStream) -> None:
        """Start a stream again; its first step must be silence."""
        row = self._row(stream)
        for tensor in self._runner.state.values():
            tensor[row] = 0
        stream._decoder.reset()

    def step(self, audio: Mapping[BatchedStream, Floats]) -> Mapping[BatchedStream, Floats]:
        """Return the (T, columns) unit frames, T of 0 or 1, of every stepped stream.

        `audio` has one step, (step_samples,), per stream; streams that are not in it keep their
        state. Raises `ModelError` for a stream that is not in this batcher.
        """
        if not audio:
            return {}
        for row, stream in enumerate(sorted(audio, key=self._row)):
            self._swap(row, self._row(stream))
        stepped = self._streams[: len(audio)]
        for row, stream in enumerate(stepped):
            self._audio[row] = audio[stream]
        outputs = self._runner.step(self._audio[: len(stepped)])
        return {
            stream: stream._decoder([curves[row] for curves in outputs])
            for row, stream in enumerate(stepped)
        }

    def _row(self, stream: BatchedStream) -> int:
        row = stream._row
        if not 0 <= row < len(self._streams) or self._streams[row] is not stream:
            raise ModelError("this stream is not in this batcher or has left it; join again")
        return row

    def _swap(self, one: int, other: int) -> None:
        if one == other:
            return
        for tensor in self._runner.state.values():
            tensor[[one, other]] = tensor[[other, one]]
        streams = self._streams
        streams[one], streams[other] = streams[other], streams[one]
        streams[one]._row, streams[other]._row = one, other


def _as_slice(columns: list[int]) -> slice | list[int]:
    """Return consecutive columns as a slice, which is faster to write to."""
    first, count = columns[0], len(columns)
    consecutive = columns == list(range(first, first + count))
    return slice(first, first + count) if consecutive else columns
