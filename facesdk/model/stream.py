"""Streams of unit frames: the network for one speaker, separately or in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

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


@dataclass(frozen=True, eq=False)
class RowLayout:
    """The columns of a unit frame: those of rig `units`, then further curves."""

    further: Mapping[str, int] = field(default_factory=dict)
    """Number of columns of each further curve by name: `articulation`, `activity` or `ahead`,
    outputs of learned layers."""

    @cached_property
    def columns(self) -> Mapping[str, slice]:
        """Where each further curve stands in a frame, by name."""
        ends = np.cumsum([len(Rig.load("units")), *self.further.values()]).tolist()
        return {n: slice(*span) for n, span in zip(self.further, pairwise(ends), strict=True)}

    @cached_property
    def rest(self) -> Floats:
        """(columns,) values of a silent voice."""
        parts = [Rig.load("units").rest]
        for name, size in self.further.items():
            known = name == "articulation"
            parts.append(Rig.load(name).rest if known else np.zeros(size, np.float32))
        return np.concatenate(parts)


class UnitDecoder:
    """A decoder of network outputs to the unit frames of one speaker.

    It selects one look-ahead, orders the curves as in the layout, and drops the frames before the
    first sample. Curves `activity` and `ahead` are largest values within the look-ahead, of the
    speech activity and of the curves in time with the sound: shorter look-aheads of the network
    have them when the frame is due.
    """

    def __init__(
        self, manifest: Manifest, layout: RowLayout, look_ahead_index: int, *, lead_steps: int = 0
    ) -> None:
        """Decode what `layout` asks for; see `network_outputs` for the order of the outputs.

        `lead_steps` is by how many steps frames are earlier than the sound.
        """
        columns = layout.columns
        units, sounds = Rig.load("units"), Rig.load("articulation")
        names = network_outputs(layout, manifest)
        places = [[units.index(name) for name in manifest.units]]
        for name in names[1:]:
            begin, end = columns[name].start, columns[name].stop
            if name == "articulation":
                places.append([begin + sounds.index(n) for n in manifest.articulation])
            else:
                places.append(list(range(begin, end)))
        self._places = [_as_slice(some) for some in places]
        self._rest = layout.rest[None]
        self._index = look_ahead_index
        delay = manifest.delay_steps(look_ahead_index)
        self._skipped = delay + lead_steps
        self._largest: list[_Largest] = []
        if "activity" in columns:
            early = _first_reliable(manifest, look_ahead_index)
            window = delay - manifest.delay_steps(early)
            self._largest.append(
                _Largest(columns["activity"], names.index("activity"), early, slice(0, 1), window)
            )
        if "ahead" in columns:
            in_time = manifest.articulation or manifest.units
            order = _as_slice([in_time.index(name) for name in sounds.names])
            source, window = int("articulation" in columns), delay - manifest.delay_steps(0)
            self._largest.append(_Largest(columns["ahead"], source, 0, order, window))
        self.reset()

    def reset(self) -> None:
        """Start again."""
        self._early = self._skipped
        for largest in self._largest:
            largest.reset()

    def __call__(self, outputs: Sequence[Floats]) -> Floats:
        """Return (T, columns), T <= steps, for outputs (steps, look-aheads, curves)."""
        early = min(self._early, len(outputs[0]))
        self._early -= early
        frames = self._rest.repeat(len(outputs[0]) - early, axis=0)
        for places, curves in zip(self._places, outputs, strict=True):
            frames[:, places] = curves[early:, self._index]
        for largest in self._largest:
            frames[:, largest.columns] = largest(outputs)[early:]
        return frames


class _Largest:
    """The largest values of some curves from a frame to the newest one that the network has."""

    def __init__(
        self, columns: slice, source: int, look_ahead: int, order: slice | list[int], window: int
    ) -> None:
        """Read the curves `order` of output `source` at a look-ahead, given by its index.

        `columns` is where they go in a frame; `window` counts the steps by which that look-ahead is
        shorter than the frame's.
        """
        self.columns = columns
        self._source, self._index, self._order, self._window = source, look_ahead, order, window
        self.reset()

    def reset(self) -> None:
        size = self.columns.stop - self.columns.start
        self._recent = np.zeros((self._window, size), np.float32)

    def __call__(self, outputs: Sequence[Floats]) -> Floats:
        """Return (steps, columns) for outputs (steps, look-aheads, curves)."""
        newest = outputs[self._source][:, self._index, self._order]
        if not self._window:
            return newest
        known = np.concatenate([self._recent, newest])
        self._recent = known[len(newest) :]
        if len(newest) == 1:
            return np.asarray(known.max(0, keepdims=True))
        return np.asarray(sliding_window_view(known, self._window + 1, axis=0).max(-1))


RELIABLE_MS = 40
"""Look-ahead from which speech activity rarely takes other sounds for speech."""


def _first_reliable(manifest: Manifest, longest: int) -> int:
    """Return the index of the shortest reliable look-ahead for activity, at most `longest`."""
    offered = manifest.look_aheads_ms[: longest + 1]
    return next((i for i, ms in enumerate(offered) if ms >= RELIABLE_MS), longest)


def motion_layout(manifest: Manifest, more: Mapping[str, int] | None = None) -> RowLayout:
    """Return the layout that motion needs from a model, with `more` curves for rig outputs.

    Speech activity where the model has it, else all curves ahead.
    """
    size = len(Rig.load("articulation"))
    in_time = {"articulation": size} if manifest.articulation else {}
    speech = {"activity": 1} if manifest.activity else {"ahead": size}
    return RowLayout({**in_time, **speech, **(more or {})})


def network_outputs(layout: RowLayout, manifest: Manifest) -> tuple[str, ...]:
    """Return the outputs of the network that a layout needs, `units` first."""
    further = [name for name in layout.further if name not in ("articulation", "ahead")]
    in_time = ["articulation"] if manifest.articulation and "articulation" in layout.further else []
    return ("units", *in_time, *further)


class LocalStream:
    """A stream with its own calls of the network."""

    def __init__(self, runner: Runner, decoder: UnitDecoder, layout: RowLayout) -> None:
        """Use `Model.stream`."""
        self._runner, self._decoder = runner, decoder
        self.layout = layout
        """Columns of the unit frames."""

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

    def __init__(self, model: Model, *, capacity: int = 64) -> None:
        """`capacity` is the largest number of streams.

        Raises `ModelError` for a capacity below 1.
        """
        if capacity < 1:
            raise ModelError(f"capacity must be 1 or more streams, got {capacity}")
        self._model, self.capacity = model, capacity
        self.layout = motion_layout(model.manifest)
        """Columns of the unit frames: what motion needs."""
        outputs = network_outputs(self.layout, model.manifest)
        self._runner = model.runner(capacity, outputs=outputs)
        self._audio = np.zeros((capacity, model.manifest.step_samples), np.float32)
        self._streams: list[BatchedStream] = []

    def __len__(self) -> int:
        return len(self._streams)

    def join(self, *, look_ahead_ms: float | None = None, lead_steps: int = 0) -> BatchedStream:
        """Return a stream for one more speaker; raises `ModelError` when the batcher is full.

        `lead_steps` is by how many steps its frames are earlier than the sound.
        """
        if len(self._streams) == self.capacity:
            raise ModelError(
                f"this batcher is full with {self.capacity} streams; give a larger capacity"
            )
        index = self._model.look_ahead(look_ahead_ms)
        decoder = UnitDecoder(self._model.manifest, self.layout, index, lead_steps=lead_steps)
        stream = BatchedStream(decoder)
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
