"""Streaming audio files as mono blocks at the model's sample rate."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import soundfile

from ..errors import AudioError
from .channels import MAX_CHANNELS, Layout
from .container import READABLE, TOLERANCE_HZ, convert_hint, cut_off, inspect, vorbis_layout
from .noise import decoder_messages_held_back
from .resampler import SAMPLE_RATE, StreamResampler, require_rate
from .samples import Samples
from .splice import Splice

MAX_HOURS = 24
MAX_PIPE_BYTES = 4 * 2**30
"""Largest input from a pipe, which is also the limit of a wav file."""

_PIPE_IN_MEMORY = 16 * 2**20
_COPY = 2**20
_UNKNOWN = 2**62  # libsndfile reports an unknown length as the largest integer


def open_audio(source: str | Path | BinaryIO, *, sample_rate: int = SAMPLE_RATE) -> AudioFile:
    """Open an audio file, given by path or as a binary file such as `sys.stdin.buffer`.

    Its blocks have `sample_rate` Hz. Raises `AudioError` when the file is missing, empty,
    truncated, not audio, or not supported.
    """
    return AudioFile(source, sample_rate=sample_rate)


def read_audio(source: str | Path | BinaryIO, *, sample_rate: int = SAMPLE_RATE) -> Samples:
    """Return (N,) mono samples of a whole file; see `open_audio`."""
    with open_audio(source, sample_rate=sample_rate) as audio:
        return np.concatenate(list(audio.blocks()))


class AudioFile:
    """An open audio file: its properties, and its audio as mono float32 blocks."""

    name: str
    """Name in messages: the path as given, `<stdin>`, or `audio` for a file without a name."""
    path: Path | None
    """None for a file that was passed open."""
    sample_rate: int
    """Hz of the blocks."""
    source_rate: int
    channels: int
    source_frames: int | None
    """Declared in the header; None when it is not."""
    format: str
    """libsndfile's name: `WAV`, `WAVEX`, `FLAC`, `OGG`, `MP3`, ..."""
    subtype: str
    """`PCM_16`, `FLOAT`, `VORBIS`, …"""

    def __init__(self, source: str | Path | BinaryIO, *, sample_rate: int = SAMPLE_RATE) -> None:
        self.sample_rate = require_rate(sample_rate)
        self.path = Path(source) if isinstance(source, str | os.PathLike) else None
        self.name = str(source) if self.path else str(getattr(source, "name", "audio"))
        with contextlib.ExitStack() as stack:
            self._file = self._open(source, stack)
            self._container = inspect(self._file, self.name)
            with self._decoder() as decoder:
                self._describe(decoder)
            self._resources = stack.pop_all()

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a file that was passed open stays open."""
        self._resources.close()

    @property
    def duration(self) -> Fraction | None:
        """Seconds declared in the header; None when it does not declare them."""
        return (
            None if self.source_frames is None else Fraction(self.source_frames, self.source_rate)
        )

    def blocks(self, seconds: float = 1.0) -> Iterator[Samples]:
        """Yield (M,) blocks of about `seconds` from the beginning; one iteration at a time.

        Raises `AudioError` on reaching a damaged or truncated part or a value that is not finite.
        """
        if not seconds > 0:
            raise AudioError(f"blocks must last more than 0 s, got {seconds}")
        resampler = StreamResampler(
            self.source_rate, self.sample_rate, self.channels, layout=self._layout()
        )
        done = 0
        for block in self._source_blocks(max(1, round(seconds * self.source_rate))):
            done += len(block)
            self._require_not_endless(done)
            try:
                mono = resampler.push(block)
            except AudioError as error:
                raise AudioError(f"{self.name}: {error}") from None
            if len(mono):
                yield mono
        self._require_whole(done)
        rest = resampler.flush()
        if len(rest):
            yield rest

    # ------------------------------------------------------------------ opening

    def _open(self, source: str | Path | BinaryIO, stack: contextlib.ExitStack) -> BinaryIO:
        if self.path:
            return stack.enter_context(self._open_path(self.path))
        file = cast(BinaryIO, source)
        if not isinstance(file.read(0), bytes):
            raise AudioError(f"{self.name} is open as text; open it in binary mode ('rb')")
        return file if _is_seekable(file) else self._spooled(file, stack)

    def _open_path(self, path: Path) -> BinaryIO:
        if path.is_dir():
            raise AudioError(f"{self.name} is a folder; expected a {READABLE} file")
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise AudioError(f"{self.name} does not exist; expected a {READABLE} file") from None
        except OSError as error:
            raise AudioError(f"{self.name} cannot be opened: {error.strerror}") from error

    def _spooled(self, pipe: BinaryIO, stack: contextlib.ExitStack) -> BinaryIO:
        """Return the contents of a pipe as a file: in memory while small, then on disk."""
        spool = tempfile.SpooledTemporaryFile(max_size=_PIPE_IN_MEMORY)  # noqa: SIM115
        stack.callback(spool.close)
        for chunk in iter(lambda: pipe.read(_COPY), b""):
            spool.write(chunk)
            if spool.tell() > MAX_PIPE_BYTES:
                raise AudioError(
                    f"{self.name} has more than {MAX_PIPE_BYTES // 2**30} GiB; "
                    "save it to a file and pass the path"
                )
        return cast(BinaryIO, spool)

    @contextlib.contextmanager
    def _decoder(self, part: int = 0) -> Iterator[soundfile.SoundFile]:
        if self._file.closed:
            raise AudioError(f"{self.name} is closed; open it again")
        self._file.seek(0)
        # by path where possible: Ctrl-C inside a callback of libsndfile would be lost
        source: Any = self._file if self.path is None else str(self.path)
        if self._container.parts:
            source = Splice(self._file, self._container.parts[part])
        try:
            with self._quietly():
                decoder = _Decoder(source)
        except (soundfile.LibsndfileError, TypeError) as error:
            raise self._unreadable(error) from error
        with decoder:
            yield decoder

    def _quietly(self) -> contextlib.AbstractContextManager[None]:
        """Return a block in which the decoder of MP3 files does not write to the terminal."""
        codec = self._container.codec
        maybe_mp3 = not codec or "mp3" in codec
        return decoder_messages_held_back() if maybe_mp3 else contextlib.nullcontext()

    def _unreadable(self, error: Exception) -> AudioError:
        hint = convert_hint(self.name)
        if self._container.codec:
            return AudioError(f"{self.name} has {self._container.codec}, {_reason(error)}; {hint}")
        return AudioError(f"{self.name} is not recognized as audio; expected {READABLE}")

    def _describe(self, decoder: soundfile.SoundFile) -> None:
        self.source_rate = decoder.samplerate
        self.channels = decoder.channels
        self.format = decoder.format
        self.subtype = decoder.subtype
        is_exact = decoder.frames < _UNKNOWN and self._container.exact_length
        self.source_frames = decoder.frames if is_exact else None
        try:
            require_rate(self.source_rate)
        except AudioError as error:
            raise AudioError(f"{self.name}: {error}") from None
        if self.channels > MAX_CHANNELS:
            raise AudioError(
                f"{self.name} has {self.channels} channels, the limit is {MAX_CHANNELS}; "
                "export only the voice"
            )
        if self.source_frames is not None:
            self._require_audible(self.source_frames)
            self._require_not_endless(self.source_frames)

    def _layout(self) -> Layout | None:
        return vorbis_layout(self.channels) if self.format == "OGG" else self._container.layout

    # ------------------------------------------------------------------ reading

    def _source_blocks(self, frames: int) -> Iterator[Samples]:
        done = 0
        with self._decoder() as decoder:
            while True:
                try:
                    with self._quietly():
                        block = decoder.read(frames, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError as error:
                    seconds = done / self.source_rate
                    raise AudioError(
                        f"{self.name} is cut off or damaged after {seconds:.3f} s, "
                        f"{_reason(error)}; copy or export it again"
                    ) from error
                if not len(block):
                    return
                done += len(block)
                yield block

    def _require_whole(self, frames: int) -> None:
        self._require_audible(frames)
        if self.source_frames is None:
            return
        if self.source_frames - frames > self.source_rate / TOLERANCE_HZ:
            rate = self.source_rate
            raise cut_off(self.name, self.source_frames / rate, frames / rate)

    def _require_audible(self, frames: int) -> None:
        if not frames:
            raise AudioError(f"{self.name} has no audio: 0 samples; export it again")
        if round(Fraction(frames * self.sample_rate, self.source_rate)) < 1:
            raise AudioError(
                f"{self.name} has {frames} samples at {self.source_rate} Hz, "
                f"less than one at {self.sample_rate} Hz; export it again"
            )

    def _require_not_endless(self, frames: int) -> None:
        if frames > MAX_HOURS * 3600 * self.source_rate:
            hours = frames / self.source_rate / 3600
            raise AudioError(
                f"{self.name} lasts {hours:.1f} h, the limit is {MAX_HOURS} h; cut it into parts"
            )


class _Decoder(soundfile.SoundFile):  # type: ignore[misc]
    """A forward-only decoder.

    `SoundFile` seeks to its current position after every read of a seekable file. That fails on a
    FLAC without a length, and makes an MP3 decoder restart in the middle of its bit reservoir.
    """

    def seekable(self) -> bool:
        return False


def _is_seekable(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, AttributeError):  # not a file of the system, such as BytesIO
        return file.seekable()


def _reason(error: Any) -> str:
    text = str(getattr(error, "error_string", "") or error)
    text = text.removeprefix("Error : ").rstrip(". ") or "no reason given"
    return f"which libsndfile cannot decode ({text})"
