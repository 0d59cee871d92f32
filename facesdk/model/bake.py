"""Baking of whole lines, by pushing them through a session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Unpack, cast

import numpy as np

from ..arrays import Floats
from ..audio import AudioFile, StreamResampler, open_audio
from ..clip import Block, Clip, ClipInfo, Event, Pose
from ..errors import AudioError
from ..motion import MotionPart
from ..performance import Performance, PerformanceFields
from ..source import collect
from .guide import Guide, Text, align_text, guide_for, word_events
from .model import Model, load
from .rig_outputs import RigSpec
from .session import MultiSession, Session

BLOCK_SECONDS = 1.0
"""Seconds of audio per push."""

AudioSource = str | Path | BinaryIO | Floats | Sequence[float]
"""A sound file by path or opened in binary mode, or (N,) or (N, channels) samples."""


class LiveSource:
    """A `FrameSource` that computes a line while it is read, in constant memory."""

    def __init__(
        self,
        session: Session,
        chunks: Iterable[Floats],
        *,
        meta: Mapping[str, Any] | None = None,
        guide: Guide | None = None,
    ) -> None:
        """`chunks` are audio at the session's sample rate; `meta` is added to `Session.meta`.

        The words of the session's `guide` become events.
        """
        self._session, self._chunks = session, chunks
        self.info = ClipInfo(
            session.rig, session.fps, session.sample_rate, events=_events(session, guide),
            meta=session.meta | dict(meta or {}),
        )  # fmt: skip

    def blocks(self) -> Iterator[Block]:
        """Compute and yield the frames; can be repeated if the chunks can be iterated again."""
        self._session.reset()
        for chunk in self._chunks:
            yield from self._session.push_blocks(chunk)
        yield from self._session.flush_blocks()


def bake(
    audio: AudioSource,
    *,
    rig: RigSpec = "arkit",
    fps: Fraction | float | str = 60,
    look_ahead_ms: float | None = None,
    sample_rate: int | None = None,
    model: Model | None = None,
    motion: Sequence[MotionPart] = (),
    text: Text | str | None = None,
    performance: Performance | None = None,
    **options: Unpack[PerformanceFields],
) -> Clip:
    """Return the finished clip of a line of speech.

    `audio` is the path of a sound file, an open binary file, or (N,) or (N, channels) samples at
    `sample_rate` (default: the model's, 16 kHz). The clip is as long as its audio, to one frame,
    plus the performance's `tail`. `rig` is anything that `RigSpec` allows. `look_ahead_ms` None
    uses the longest look-ahead of the model. `motion` adds motion parts of your own. `text` is what
    is said: its words are aligned with the audio and decide where lips close, and they become
    events of the clip. A text that is not that of the audio is left out with a warning. Options of
    the performance are given as a `performance` or as keywords such as `seed=7`.

    Raises `AudioError` for audio that cannot be read, `AlignmentError` for a text without words,
    `MissingExtraError` for English text without the extra `text`, `ModelError`, `RigError` or
    `PerformanceError` for settings that are not possible.
    """
    model = model or load()
    performance = Performance.of(performance, options)
    with _chunks(audio, sample_rate, model) as (chunks, rate, channels):
        guide = _guide(chunks, rate, channels, text, model, performance)
        session = model.session(
            rig=rig, fps=fps, look_ahead_ms=look_ahead_ms, sample_rate=rate, channels=channels,
            low_delay=False, motion=motion, guide=guide, performance=performance,
        )  # fmt: skip
        return collect(LiveSource(session, chunks, guide=guide))


def bake_rigs(
    audio: AudioSource,
    rigs: Sequence[RigSpec],
    *,
    fps: Fraction | float | str = 60,
    look_ahead_ms: float | None = None,
    sample_rate: int | None = None,
    model: Model | None = None,
    motion: Sequence[MotionPart] = (),
    text: Text | str | None = None,
    performance: Performance | None = None,
    **options: Unpack[PerformanceFields],
) -> dict[str, Clip]:
    """Return the clips of a line of speech on several rigs, by rig name, computed in one pass.

    Arguments and errors are those of `bake`.
    """
    model = model or load()
    performance = Performance.of(performance, options)
    with _chunks(audio, sample_rate, model) as (chunks, rate, channels):
        guide = _guide(chunks, rate, channels, text, model, performance)
        session = model.multi_session(
            rigs=rigs, fps=fps, look_ahead_ms=look_ahead_ms, sample_rate=rate, channels=channels,
            low_delay=False, motion=motion, guide=guide, performance=performance,
        )  # fmt: skip
        return _collected(session, chunks, _events(session, guide))


def _guide(
    chunks: Iterable[Floats],
    rate: int | None,
    channels: int,
    text: Text | str | None,
    model: Model,
    performance: Performance,
) -> Guide | None:
    """Return the guide of a line's text; None without a text, or with one that does not fit."""
    if text is None:
        return None
    alignment = align_text(_mono(chunks, rate, channels, model), text, model)
    return guide_for(alignment, model, performance)


def _mono(
    chunks: Iterable[Floats], rate: int | None, channels: int, model: Model
) -> Iterator[Floats]:
    """Yield short blocks of mono audio at the model's sample rate."""
    source_rate = rate or model.manifest.sample_rate
    resampler = StreamResampler(source_rate, model.manifest.sample_rate, channels)
    size = round(BLOCK_SECONDS * source_rate)
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield resampler.push(chunk[start : start + size])
    yield resampler.flush()


def _events(session: Session | MultiSession, guide: Guide | None) -> tuple[Event, ...]:
    return () if guide is None else word_events(guide.alignment, session.sample_rate)


def _collected(
    session: MultiSession, chunks: Iterable[Floats], events: tuple[Event, ...]
) -> dict[str, Clip]:
    blocks = [session.push_blocks(chunk) for chunk in chunks]
    blocks.append(session.flush_blocks())
    clips = {}
    for rig, meta, parts in zip(
        session.rigs, session.metas, zip(*blocks, strict=True), strict=True
    ):
        poses = [part.pose for part in parts if part.pose is not None]
        clips[rig.name] = Clip(
            rig,
            np.concatenate([part.values for part in parts]),
            session.fps,
            Pose(np.concatenate(poses)) if poses else None,
            sample_rate=session.sample_rate,
            events=events,
            meta=meta,
        )
    return clips


@contextmanager
def _chunks(
    audio: AudioSource, sample_rate: int | None, model: Model
) -> Iterator[tuple[Iterable[Floats], int | None, int]]:
    """Yield chunks of audio, their sample rate and their number of channels."""
    if isinstance(audio, (str, Path)) or hasattr(audio, "read"):
        if sample_rate is not None:
            raise AudioError("sample_rate applies to samples in memory; a sound file has its own")
        source = cast("str | Path | BinaryIO", audio)
        with open_audio(source, sample_rate=model.manifest.sample_rate) as file:
            yield _Blocks(file), None, 1
        return
    samples = _samples(audio)
    yield [samples], sample_rate, 1 if samples.ndim == 1 else samples.shape[1]


class _Blocks:
    """The blocks of a sound file, which can be read again."""

    def __init__(self, file: AudioFile) -> None:
        self._file = file

    def __iter__(self) -> Iterator[Floats]:
        return self._file.blocks(BLOCK_SECONDS)


def _samples(audio: Any) -> Floats:
    if isinstance(audio, (bytes, bytearray, memoryview)):
        raise AudioError(
            "audio must be samples or a file, got bytes; for 16-bit PCM pass "
            'numpy.frombuffer(audio, "<i2")'
        )
    try:
        samples = np.asarray(audio)
    except ValueError as error:
        raise AudioError(f"audio must be (N,) or (N, channels) samples: {error}") from error
    if samples.dtype.kind not in "iuf" or samples.ndim not in (1, 2):
        raise AudioError(
            "audio must be the path of a sound file, an open binary file, or (N,) or (N, channels) "
            f"samples; got {type(audio).__name__} of shape {samples.shape} and {samples.dtype}"
        )
    if not len(samples):
        raise AudioError("audio must have at least one sample, got none")
    return samples
