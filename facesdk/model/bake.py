"""Whole lines at once: a session that is pushed everything and flushed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np

from ..arrays import Floats
from ..audio import open_audio
from ..clip import Clip, Frame
from ..errors import AudioError
from ..rig import Rig
from ..source import Block, ClipInfo, blocks_of, collect
from .model import Model, load
from .session import Session

BLOCK_SECONDS = 1.0


class SpokenLine:
    """Frames of a line as a `FrameSource`: computed while they are read, an hour in flat memory."""

    def __init__(
        self, session: Session, blocks: Iterable[Floats], *, meta: Mapping[str, Any] | None = None
    ) -> None:
        """`blocks` are audio chunks at the session's sample rate."""
        self._session, self._blocks = session, blocks
        self.info = ClipInfo(session.rig, session.fps, session.sample_rate, meta=dict(meta or {}))

    def blocks(self) -> Iterator[Block]:
        """Listen and yield; can be read again only if the audio chunks can."""
        return blocks_of(self._frames(), self.info.rig)

    def _frames(self) -> Iterator[Frame]:
        self._session.reset()
        for block in self._blocks:
            yield from self._session.push(block)
        yield from self._session.flush()


def session_meta(session: Session, model: Model) -> dict[str, Any]:
    """What a clip file tells about where its curves come from."""
    manifest = model.manifest
    return {
        "generator": "facesdk",
        "model": {
            "name": manifest.name, "version": manifest.version, "sha256": manifest.sha256,
            "licence": manifest.licence,
        },
        "look_ahead_ms": session.look_ahead_ms,
        "controls_from": "units through the rig's table",
    }  # fmt: skip


class _Remembered(SpokenLine):
    """A spoken line that keeps the frames it gave, with all their rigs."""

    def _frames(self) -> Iterator[Frame]:
        self.given: list[Frame] = []
        for frame in super()._frames():
            self.given.append(frame)
            yield frame

    def clips(self) -> dict[str, Clip]:
        """The line on every rig of its session, by name."""
        first = collect(self)
        return {rig.name: replace(first, rig=rig, values=self._on(rig)) for rig in self.rigs}

    @property
    def rigs(self) -> Sequence[Rig]:
        return self._session.rigs

    def _on(self, rig: Rig) -> Floats:
        values = [frame.rigs[rig.name] for frame in self.given]
        return np.array(values, np.float32).reshape(-1, len(rig))


@overload
def bake(
    audio: str | Path | BinaryIO | Floats,
    *,
    rig: str = ...,
    fps: Fraction | float | str = ...,
    look_ahead_ms: float | None = ...,
    seed: int = ...,
    sample_rate: int | None = ...,
    blinks: bool = ...,
    settle: bool = ...,
    tail: float = ...,
    model: Model | None = ...,
) -> Clip: ...


@overload
def bake(
    audio: str | Path | BinaryIO | Floats,
    *,
    rig: list[str] | tuple[str, ...],
    fps: Fraction | float | str = ...,
    look_ahead_ms: float | None = ...,
    seed: int = ...,
    sample_rate: int | None = ...,
    blinks: bool = ...,
    settle: bool = ...,
    tail: float = ...,
    model: Model | None = ...,
) -> dict[str, Clip]: ...


def bake(
    audio: str | Path | BinaryIO | Floats,
    *,
    rig: str | list[str] | tuple[str, ...] = "arkit",
    fps: Fraction | float | str = 60,
    look_ahead_ms: float | None = None,
    seed: int = 0,
    sample_rate: int | None = None,
    blinks: bool = True,
    settle: bool = True,
    tail: float = 0.0,
    model: Model | None = None,
) -> Clip | dict[str, Clip]:
    """A finished clip for a line of speech; for a list of rigs, one for each by its name.

    `audio` is the path of a sound file, an open binary file, or (N,) or (N, channels) samples at
    `sample_rate` (16 kHz if not given). The clip is as long as its audio, to one frame, plus
    `tail` seconds. `look_ahead_ms` None lets the model use all the future audio it can.
    Raises `AudioError` for audio that makes no sense and `ModelError` for settings the model
    cannot serve.
    """
    model = model or load()
    settings: dict[str, Any] = {
        "rig": rig, "fps": fps, "low_delay": False, "look_ahead_ms": look_ahead_ms, "seed": seed,
        "blinks": blinks, "settle": settle, "tail": tail,
    }  # fmt: skip
    if isinstance(audio, np.ndarray):
        if not len(audio):
            raise AudioError("there are no samples to bake; give at least one")
        channels = 1 if audio.ndim == 1 else audio.shape[1]
        session = model.session(sample_rate=sample_rate, channels=channels, **settings)
        return _baked(_Remembered(session, [audio], meta=session_meta(session, model)), rig)
    session = model.session(**settings)
    with open_audio(audio, sample_rate=session.sample_rate) as file:
        meta = session_meta(session, model)
        return _baked(_Remembered(session, file.blocks(BLOCK_SECONDS), meta=meta), rig)


def _baked(line: _Remembered, rig: str | list[str] | tuple[str, ...]) -> Clip | dict[str, Clip]:
    clips = line.clips()
    return clips[line.info.rig.name] if isinstance(rig, str) else clips
