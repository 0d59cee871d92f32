"""Bake one line: from its recording or its timed phones to its file."""

from __future__ import annotations

import logging
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from ..alignment import read_text, write_alignment
from ..arrays import Floats
from ..articulation import GRID, Rules, articulate, fill_gaps, loudness, read_timings
from ..audio import AudioFile, LevelMeter, open_audio
from ..errors import AlignmentError, FaceSDKError, MissingExtraError, error_text
from ..exporters import write_clip
from ..model import BLOCK_SECONDS, Guide, LiveSource, Model, Text, align_text, load, perform
from ..model.guide import guide_for
from ..source import CountingSource, FrameSource
from .kinds import kind_for
from .measure import MouthMeter, phone_report
from .plan import PIPE, Line
from .settings import Settings, file_hash

Status = Literal["baked", "unchanged", "failed"]

OnProgress = Callable[[float, float | None], None]
"""Called while a line is baked: seconds done, and the total where it is known."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The result of one line. Plain values, sent back by the workers."""

    line: Line
    status: Status
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON values about audio, curves and file; empty for a line that failed."""
    error: str = ""
    not_installed: bool = False
    """Whether it failed because something is not installed."""
    trace: str = ""
    """Traceback of the error."""


class LineBaker:
    """Bakes lines one after the other with one model, which is loaded when first needed."""

    def __init__(
        self,
        model: str | None = None,
        *,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
    ) -> None:
        """`model` is a folder, None the default model; the pipes serve lines named `-`."""
        self._folder = model
        self._loaded: Model | None = None
        self._hash: str | None = None
        self._stdin, self._stdout = stdin, stdout

    @property
    def model(self) -> Model:
        """The model; raises `ModelError` when it does not load."""
        if self._loaded is None:
            began = time.perf_counter()
            self._loaded = load(self._folder)
            manifest, seconds = self._loaded.manifest, time.perf_counter() - began
            _log.info("model %s %s loaded from %s in %.2f s",
                      manifest.name, manifest.version, self._loaded.folder, seconds)  # fmt: skip
        return self._loaded

    def model_hash(self) -> str:
        """Return the hash of the model's manifest, which contains the hash of its weights."""
        if self._hash is None:
            self._hash = file_hash(self.model.folder / "model.json")
        return self._hash

    def try_bake(
        self, line: Line, settings: Settings, on_progress: OnProgress | None = None
    ) -> Outcome:
        """Bake a line; an error becomes part of the outcome."""
        try:
            return Outcome(line, "baked", self.bake(line, settings, on_progress))
        except BrokenPipeError:
            raise
        except Exception as error:
            return failure(line, error)

    def bake(
        self, line: Line, settings: Settings, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """Write the line's file, whole or not at all, and return facts about it."""
        if line.phones is not None:
            return self._bake_phones(line, settings)
        levels, mouth = LevelMeter(self.model.manifest.sample_rate), MouthMeter()
        meta: dict[str, Any] = {"performance": settings.performance.to_json()}
        with open_audio(self._source(line.audio), sample_rate=levels.sample_rate) as file:
            guide, aligned = self._guide(line, settings, file)
            if aligned is not None:
                meta["text"] = aligned
            session = self.model.session(**settings.session(), guide=guide)
            session.on_units = mouth
            metered = MeteredBlocks(file, levels=levels, mouth=mouth, on_progress=on_progress)
            source = CountingSource(LiveSource(session, metered, meta=meta, guide=guide))
            facts = self._write(line, settings, source, lambda: source.count)
        if line.alignment:
            facts["text"] = (aligned or {}) | {"file": line.alignment}
        elif aligned is not None:
            facts["text"] = aligned
        facts |= {
            "audio": asdict(levels.report()),
            "mouth": mouth.report(self.model.manifest.fps),
            "phones": None,
            "sketch": mouth.sketch(),
        }
        return facts

    def _guide(
        self, line: Line, settings: Settings, file: AudioFile
    ) -> tuple[Guide | None, dict[str, Any] | None]:
        """Align the text of a line and write the alignment; return the guide and facts, or None.

        A text that is not that of the recording is named in a warning and in the facts.
        """
        words = settings.words
        if line.text is not None:
            words = read_text(line.text)
        if words is None:
            return None, None
        text = Text(words, settings.lexicon, settings.language)
        with _naming(line.text):
            alignment = align_text(file.blocks(BLOCK_SECONDS), text, self.model)
        if line.alignment:
            write_alignment(alignment, line.alignment)
        guide = guide_for(alignment, self.model, settings.performance, source=line.source)
        facts = {
            "used": guide is not None,
            "score": round(alignment.score, 3),
            "words": len(alignment.words) + len(alignment.missed),
            "missed": list(alignment.missed),
            "doubtful": [w.text for w in alignment.words if not w.trusted],
        }
        return guide, facts

    def _bake_phones(self, line: Line, settings: Settings) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the notes are in the report and on the terminal
            timings = read_timings(
                str(line.phones),
                alphabet=settings.alphabet,
                strict=settings.strict,
                tier=settings.tier,
            )
        samples, levels = self._listen(line)
        seconds = max(timings.seconds, 1 / float(settings.fps))
        if samples is not None:
            seconds = len(samples) / levels.sample_rate
        length = Fraction(round(seconds * 1_000_000), 1_000_000)
        whole = float(length) + settings.performance.tail
        rules = Rules.load()
        units = articulate(
            list(fill_gaps(timings.phones, seconds=whole)),
            seconds=whole,
            alphabet=timings.alphabet,
            loudness=None if samples is None else loudness(samples, levels.sample_rate, rate=GRID),
            rules=rules.synchronous() if settings.rig == "articulation" else rules,
        )
        clip = perform(
            units,
            rig=settings.rig,
            fps=settings.fps,
            seconds=length,
            performance=settings.performance,
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
        """Read the recording that belongs to timed phones, if there is one."""
        levels = LevelMeter()
        if line.audio is None:
            return None, levels
        with open_audio(self._source(line.audio), sample_rate=levels.sample_rate) as file:
            return np.concatenate(list(MeteredBlocks(file, levels=levels))), levels

    def _source(self, audio: str | None) -> str | BinaryIO:
        """Return the file to open for a recording."""
        source = self._stdin if audio == PIPE else audio
        assert source is not None
        return source

    def _write(
        self, line: Line, settings: Settings, source: FrameSource, count: Callable[[], int]
    ) -> dict[str, Any]:
        """Write the file; `count` returns how many frames the source had."""
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
            file = {
                "bytes": path.stat().st_size,
                "sha256": file_hash(path),
                "sidecars": list(format_.sidecars),
            }
        return {
            "format": format_.name,
            "rig": {"name": source.info.rig.name, "version": source.info.rig.version},
            "fps": [source.info.fps.numerator, source.info.fps.denominator],
            "frames": count(),
            "seconds": round(float(count() / source.info.fps), 6),
            "performance": settings.performance.to_json(),
            "dropped": list(dropped),
        } | file


@contextmanager
def _naming(path: str | None) -> Iterator[None]:
    """Name the text file in errors and warnings about its content."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except AlignmentError as error:
            raise AlignmentError(f"{path}: {error}" if path else str(error)) from error
    for warning in caught:
        message = f"{path}: {warning.message}" if path else str(warning.message)
        warnings.warn(message, stacklevel=2)


class MeteredBlocks:
    """The blocks of a recording, measured on the way; can be read again."""

    def __init__(
        self,
        file: AudioFile,
        *,
        levels: LevelMeter,
        mouth: MouthMeter | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._file, self._levels, self._mouth = file, levels, mouth
        self._on_progress = on_progress

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
            if self._on_progress is not None:
                self._on_progress(samples / self._file.sample_rate, total)


def _phone_meta(settings: Settings) -> dict[str, Any]:
    """Return the meta data of a clip that no acoustic model took part in."""
    return {
        "generator": "facesdk",
        "controls_from": "timed phones by articulation rules, then the rig's table",
        "performance": settings.performance.to_json(),
    }


def failure(line: Line, error: Exception) -> Outcome:
    """Return the outcome of a line that ended with an error."""
    message = error_text(error)
    if not isinstance(error, FaceSDKError | OSError):
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
