"""Sessions: audio of one speaker in chunks, frames as soon as they can be computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import repeat
from threading import Lock, get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..clip import SAMPLE_RATE, Block, Frame, exact_fps
from ..errors import ModelError
from ..motion import MotionPart
from ..performance import Performance
from ..rig import Rig
from .performer import OnUnits, Performer
from .rig_outputs import RigOutputs, RigSpec
from .step_buffer import StepBuffer

if TYPE_CHECKING:
    from .guide import Guide
    from .model import Model


class MultiFrame(Mapping[str, Frame]):
    """The frames of one instant on several rigs, by rig name; each is made when it is read."""

    __slots__ = ("_blocks", "_row", "index", "sample", "sample_rate")

    def __init__(
        self,
        index: int,
        sample: int,
        blocks: Mapping[str, Block],
        row: int,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        """Use `MultiSession`; `row` is the frame's row in the blocks."""
        self.index = index
        """Position in the stream, from 0."""
        self.sample = sample
        """Audio sample the frame belongs to, rounded down, at `sample_rate`."""
        self.sample_rate = sample_rate
        """Hz of the clock that `sample` counts in."""
        self._blocks, self._row = blocks, row

    def __getitem__(self, rig: str) -> Frame:
        block, row = self._blocks[rig], self._row
        pose = None if block.pose is None else block.pose[row]
        return Frame(self.index, self.sample, block.values[row], pose, self.sample_rate)

    @property
    def seconds(self) -> float:
        """Time of the frame in seconds, on the clock of `sample` and exact to one sample."""
        return self.sample / self.sample_rate

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    def __repr__(self) -> str:
        return f"<MultiFrame {self.index} at sample {self.sample} on {', '.join(self._blocks)}>"


class _Speaker:
    """The common part of sessions on one and on several rigs: step buffer, stream, performer."""

    def __init__(
        self,
        model: Model,
        rigs: Sequence[RigSpec],
        *,
        fps: Fraction | float | str,
        look_ahead_ms: float | None,
        sample_rate: int | None,
        channels: int,
        low_delay: bool,
        performance: Performance,
        motion: Sequence[MotionPart],
        guide: Guide | None = None,
    ) -> None:
        manifest = model.manifest
        self._guide = guide
        index = model.look_ahead(look_ahead_ms)
        self.look_ahead_ms = manifest.look_aheads_ms[index]
        """Look-ahead in use."""
        self._delay = manifest.delay_steps(index) + performance.lead_frames(manifest.fps)
        self.performance = performance
        self._outputs = RigOutputs(rigs, model)
        self._stream = model.stream(self._outputs, look_ahead_index=index, performance=performance)
        self._performer = Performer(
            self._outputs,
            unit_fps=manifest.fps,
            fps=exact_fps(fps),
            performance=performance,
            motion=motion,
            layout=self._stream.layout,
            look_ahead_ms=self.look_ahead_ms,
            held_back=self._delay - 1,
        )
        self.fps = self._performer.fps
        self.sample_rate = manifest.sample_rate
        """Hz of the clock of `Frame.sample`: the model's, whatever the rate of the pushed audio."""
        self._ticks, self._parts = self.sample_rate * self.fps.denominator, self.fps.numerator
        self._buffer = StepBuffer(
            manifest.sample_rate,
            manifest.step_samples,
            source_rate=manifest.sample_rate if sample_rate is None else sample_rate,
            channels=channels,
            low_delay=low_delay,
        )
        self._manifest = manifest
        self._columns = len(self._performer._rest)
        self._busy = Lock()
        self._user = 0
        self.reset()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Raise `ModelError` while another call of this session runs, which is not disturbed."""
        if not self._busy.acquire(blocking=False):
            where = "a callback" if self._user == get_ident() else "another thread"
            raise ModelError(
                f"this session is in use by {where}; a session is one speaker: give every thread "
                "its own (model.session()), or push from one thread at a time"
            )
        self._user = get_ident()
        try:
            yield
        finally:
            self._busy.release()

    def reset(self) -> None:
        """Begin a new line by the same speaker; raises `ModelError` while another thread pushes."""
        with self._alone():
            self._buffer.reset()
            self._stream.reset()
            self._performer.reset()
            self._ended = False
            self._rows = 0

    def __enter__(self) -> Self:
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
        """Largest time in seconds between a frame's instant and the last audio that it needs.

        The sum of look-ahead, lead, interpolation between unit frames, and the delays of the motion
        layer and of the audio resampler. Computing time is not included.
        """
        delay = self._delay / self._manifest.fps
        return delay + self._performer.latency + self._buffer.latency

    @property
    def metas(self) -> Sequence[dict[str, Any]]:
        """Metadata of each rig's clip: model, look-ahead, origin of the curves; JSON values."""
        manifest = self._manifest
        facts = {
            "generator": "facesdk",
            "model": {
                "name": manifest.name, "version": manifest.version, "sha256": manifest.sha256,
                "license": manifest.license,
            },
            "look_ahead_ms": self.look_ahead_ms,
        }  # fmt: skip
        return [facts | {"controls_from": o.provenance} for o in self._outputs.outputs]

    @property
    def on_units(self) -> OnUnits | None:
        """Callback for every block of unit curves, (T, units) at the model's frame rate.

        The curves are final: they include motion and settling.
        """
        return self._performer.on_units

    @on_units.setter
    def on_units(self, callback: OnUnits | None) -> None:
        self._performer.on_units = callback

    def push_blocks(self, samples: ArrayLike) -> list[Block]:
        """Return the frames of `push` as arrays: one block per rig."""
        with self._alone():
            return self._push(samples)

    def _push(self, samples: ArrayLike) -> list[Block]:
        if self._ended:
            raise ModelError("this session was flushed; reset() it before the next line")
        return self._performer.push(self._units(self._buffer.push(samples)))

    def flush_blocks(self) -> list[Block]:
        """Return the frames of `flush` as arrays: one block per rig."""
        with self._alone():
            return self._flush()

    def _flush(self) -> list[Block]:
        frames = 0 if self._ended else self._performer.frames_in(self._buffer.duration)
        self._ended = True
        if not frames:
            return self._performer.flush(np.empty((0, self._columns), np.float32), 0)
        steps = self._performer.units_for(frames) + self._delay
        return self._performer.flush(self._units(self._buffer.flush(steps)), frames)

    def _units(self, chunks: Iterable[Floats]) -> Floats:
        parts = [self._stream.step(chunk) for chunk in chunks]
        if len(parts) == 1:
            rows = parts[0]
        else:
            rows = np.concatenate(parts) if parts else np.empty((0, self._columns), np.float32)
        if self._guide is not None:
            rows = self._guide(rows, self._rows, self._stream.layout.columns)
            self._rows += len(rows)
        return rows

    def _sample(self, index: int) -> int:
        return index * self._ticks // self._parts  # clip.frame_sample without its divisions


class Session(_Speaker):
    """One speaker on one rig, with all the state of the stream. Created by `Model.session`.

    Frames do not depend on how the audio is divided into pushes (to float rounding). Frame `i` is
    the face at `i / fps` seconds. At the end of a line, `flush` returns the remaining frames, in
    which the face eases to rest.
    """

    def __repr__(self) -> str:
        return (
            f"<Session on {self.rig.name!r} at {float(self.fps):.6g} fps, "
            f"{self.look_ahead_ms} ms look-ahead>"
        )

    @property
    def rig(self) -> Rig:
        """The rig of the frames."""
        return self._outputs.rigs[0]

    @property
    def meta(self) -> dict[str, Any]:
        """Metadata of the clip: model, look-ahead, origin of the curves; JSON values."""
        return self.metas[0]

    def push(self, samples: ArrayLike) -> list[Frame]:
        """Return the frames that more audio completes; may be none.

        `samples` is (N,) or (N, channels) at the sample rate that the session was created with:
        floats in -1..1 or integers in full scale, any N. Raises `AudioError` for anything else,
        and `ModelError` after `flush` or while another thread uses this session.
        """
        with self._alone():
            (block,) = self._push(samples)
            return self._frames(block)

    def flush(self) -> list[Frame]:
        """Return the remaining frames, at the end of the line."""
        with self._alone():
            (block,) = self._flush()
            return self._frames(block)

    def _frames(self, block: Block) -> list[Frame]:
        first = self._performer.emitted - len(block.values)
        if block.pose is None:
            poses: Iterable[Floats | None] = repeat(None, len(block.values))
        else:
            poses = block.pose
        rows, rate = enumerate(zip(block.values, poses, strict=True), first), self.sample_rate
        return [Frame(i, self._sample(i), values, pose, rate) for i, (values, pose) in rows]


class MultiSession(_Speaker):
    """One speaker on several rigs. Created by `Model.multi_session`."""

    @property
    def rigs(self) -> Sequence[Rig]:
        """The rigs, in the requested order."""
        return self._outputs.rigs

    def push(self, samples: ArrayLike) -> list[MultiFrame]:
        """Return the frames that more audio completes; see `Session.push`."""
        with self._alone():
            return self._frames(self._push(samples))

    def flush(self) -> list[MultiFrame]:
        """Return the remaining frames, at the end of the line."""
        with self._alone():
            return self._frames(self._flush())

    def _frames(self, blocks: Sequence[Block]) -> list[MultiFrame]:
        count = len(blocks[0].values)
        first = self._performer.emitted - count
        by_name = {rig.name: block for rig, block in zip(self.rigs, blocks, strict=True)}
        return [
            MultiFrame(first + row, self._sample(first + row), by_name, row, self.sample_rate)
            for row in range(count)
        ]
