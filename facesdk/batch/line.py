"""One line from its recording or its timed phones to its file."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from ..arrays import Floats
from ..articulation import GRID, Rules, articulate, fill_gaps, loudness, read_timings
from ..audio import AudioFile, LevelMeter, open_audio
from ..errors import FaceSDKError, MissingExtraError
from ..exporters import write_clip
from ..model import BLOCK_SECONDS, LiveSource, Model, load, perform
from ..source import CountingSource, FrameSource
from .kinds import kind_for
from .measure import MouthMeter, phone_report
from .plan import PIPE, Line
from .settings import Settings, file_hash

Status = Literal["baked", "unchanged", "failed"]

Heard = Callable[[float, float | None], None]
"""Told while a line is baked: seconds done, and seconds in all where they are known."""


@dataclass(frozen=True)
class Outcome:
    """How one line went. Plain values: it comes back from the workers."""

    line: Line
    status: Status
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON values about audio, curves and file; none for a line that failed."""
    error: str = ""
    not_installed: bool = False
    """Whether it failed for something that is not installed."""
    trace: str = ""
    """Where the error comes from."""


class Bakery:
    """Bakes lines one after the other with one model, which is loaded when first needed."""

    def __init__(
        self,
        model: str | None = None,
        *,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
    ) -> None:
        """`model` is a folder, None the default model; the pipes are for lines called `-`."""
        self._folder = model
        self._loaded: Model | None = None
        self._stdin, self._stdout = stdin, stdout

    @property
    def model(self) -> Model:
        """The model; raises `ModelError` when it does not load."""
        if self._loaded is None:
            self._loaded = load(self._folder)
        return self._loaded

    def attempt(self, line: Line, settings: Settings, heard: Heard | None = None) -> Outcome:
        """Bake a line; what goes wrong is part of the outcome."""
        try:
            return Outcome(line, "baked", self.bake(line, settings, heard))
        except BrokenPipeError:
            raise
        except Exception as error:
            return failure(line, error)

    def bake(self, line: Line, settings: Settings, heard: Heard | None = None) -> dict[str, Any]:
        """Facts about the line whose file is written now; it appears whole or not at all."""
        if line.phones is not None:
            return self._bake_phones(line, settings)
        session = self.model.session(**settings.session())
        levels, mouth = LevelMeter(session.sample_rate), MouthMeter()
        session.watch(mouth)
        with open_audio(self._source(line.audio), sample_rate=session.sample_rate) as file:
            hearing = _Hearing(file, levels=levels, mouth=mouth, heard=heard)
            spoken = CountingSource(LiveSource(session, hearing, meta={"seed": settings.seed}))
            facts = self._write(line, settings, spoken, lambda: spoken.count)
        facts |= {
            "audio": asdict(levels.report()),
            "mouth": mouth.report(self.model.manifest.frame_rate),
            "phones": None,
            "sketch": mouth.sketch(),
        }
        return facts

    def _bake_phones(self, line: Line, settings: Settings) -> dict[str, Any]:
        timings = read_timings(str(line.phones), alphabet=settings.alphabet)
        samples, levels = self._listen(line)
        seconds = max(timings.seconds, 1 / float(settings.fps))
        if samples is not None:
            seconds = len(samples) / levels.sample_rate
        length = Fraction(round((seconds + settings.tail) * 1_000_000), 1_000_000)
        rules = Rules.load()
        units = articulate(
            list(fill_gaps(timings.phones, seconds=float(length))),
            seconds=float(length),
            alphabet=timings.alphabet,
            loudness=None if samples is None else loudness(samples, levels.sample_rate, rate=GRID),
            rules=rules.synchronous() if settings.rig == "articulation" else rules,
        )
        clip = perform(
            units,
            rig=settings.rig,
            fps=settings.fps,
            seconds=length,
            seed=settings.seed,
            blinks=settings.blinks,
            settle=settings.settle,
            meta=_phone_meta(settings),
        )
        mouth = MouthMeter()
        mouth(units.values)
        return self._write(line, settings, clip, lambda: len(clip)) | {
            "audio": None if samples is None else asdict(levels.report()),
            "mouth": mouth.report(units.fps),
            "phones": phone_report(timings, units, settings.fps),
            "sketch": mouth.sketch(),
        }

    def _listen(self, line: Line) -> tuple[Floats | None, LevelMeter]:
        """The recording that goes with timed phones, where there is one."""
        levels = LevelMeter()
        if line.audio is None:
            return None, levels
        with open_audio(self._source(line.audio), sample_rate=levels.sample_rate) as file:
            return np.concatenate(list(_Hearing(file, levels=levels))), levels

    def _source(self, audio: str | None) -> str | BinaryIO:
        """The file to open for a recording."""
        source = self._stdin if audio == PIPE else audio
        assert source is not None
        return source

    def _write(
        self, line: Line, settings: Settings, source: FrameSource, count: Callable[[], int]
    ) -> dict[str, Any]:
        """Write the file; `count` tells how many frames the source had."""
        format_ = kind_for(settings.format)
        options = settings.options(line, format_)
        file: dict[str, Any] = {}
        if line.output == PIPE:
            assert self._stdout is not None
            dropped = write_clip(source, self._stdout, format_, **options)
        else:
            path = Path(line.output)
            path.parent.mkdir(parents=True, exist_ok=True)
            dropped = write_clip(source, path, format_, **options)
            file = {"bytes": path.stat().st_size, "sha256": file_hash(path)}
        return {
            "format": format_.name,
            "rig": {"name": source.info.rig.name, "version": source.info.rig.version},
            "fps": [source.info.fps.numerator, source.info.fps.denominator],
            "frames": count(),
            "seconds": round(float(count() / source.info.fps), 6),
            "tail": settings.tail,
            "seed": settings.seed,
            "dropped": list(dropped),
        } | file


class _Hearing:
    """The blocks of a recording, measured as they pass; can be heard again."""

    def __init__(
        self,
        file: AudioFile,
        *,
        levels: LevelMeter,
        mouth: MouthMeter | None = None,
        heard: Heard | None = None,
    ) -> None:
        self._file, self._levels, self._mouth, self._heard = file, levels, mouth, heard

    def __iter__(self) -> Iterator[Floats]:
        self._levels.reset()
        if self._mouth is not None:
            self._mouth.reset()
        total = None if self._file.duration is None else float(self._file.duration)
        samples = 0
        for block in self._file.blocks(BLOCK_SECONDS):
            self._levels.push(block)
            yield block
            samples += len(block)
            if self._heard is not None:
                self._heard(samples / self._file.sample_rate, total)


def _phone_meta(settings: Settings) -> dict[str, Any]:
    """What a clip file tells about a line without an acoustic model."""
    return {
        "generator": "facesdk",
        "controls_from": "timed phones by articulation rules, then the rig's table",
        "seed": settings.seed,
    }


def failure(line: Line, error: Exception) -> Outcome:
    """The outcome of a line that an error ended."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif not isinstance(error, FaceSDKError):
        message = f"unexpected {type(error).__name__}: {message}"
    if line.source not in message:
        message = f"{line.source}: {message}"
    return Outcome(
        line,
        "failed",
        error=message,
        not_installed=isinstance(error, MissingExtraError),
        trace="".join(traceback.format_exception(error)),
    )
