"""Streaming audio files as mono blocks at the model's sample rate."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import soundfile

from ..errors import AudioError, reading
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
            with reading(self.name, AudioError):
                self._file = self._open(source, stack)
                self._container = inspect(self._file, self.name)
                with self._decoder() as decoder:
                    self._describe(decoder)
                self._describe_joined()
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
        return None if self.source_frames is None else self._seconds

    def blocks(self, seconds: float = 1.0) -> Iterator[Samples]:
        """Yield (M,) blocks of about `seconds` from the beginning; one iteration at a time.

        Raises `AudioError` on reaching a damaged or truncated part or a value that is not finite.
        """
        if not seconds > 0:
            raise AudioError(f"blocks must last more than 0 s, got {seconds}")
        form = self.source_rate, self.channels
        resampler = self._resampler(*form)
        done = Fraction(0)
        blocks = self._source_blocks(seconds)
        while True:
            with reading(self.name, AudioError):
                found = next(blocks, None)
            if found is None:
                break
            rate, block = found
            done += Fraction(len(block), rate)
            self._require_not_endless(done)
            if form != (rate, block.shape[1]):  # of files joined end to end
                if len(rest := resampler.flush()):
                    yield rest
                form = rate, block.shape[1]
                resampler = self._resampler(*form)
            try:
                mono = resampler.push(block)
            except AudioError as error:
                raise AudioError(f"{self.name}: {error}") from None
            if len(mono):
                yield mono
        self._require_whole(done)
        if len(rest := resampler.flush()):
            yield rest

    def _resampler(self, rate: int, channels: int) -> StreamResampler:
        return StreamResampler(rate, self.sample_rate, channels, layout=self._layout(channels))

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
        # as bytes, because soundfile encodes text strictly and a name may be in any encoding
        source: Any = self._file if self.path is None else _encoded(self.path)
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
        self._require_channels(self.channels)
        self._seconds = Fraction(0)
        if self.source_frames is not None:
            self._seconds = Fraction(self.source_frames, self.source_rate)
            self._require_audible(self._seconds)
            self._require_not_endless(self._seconds)

    def _describe_joined(self) -> None:
        """Add up the lengths of files joined end to end."""
        for part in range(1, len(self._container.parts)):
            with self._decoder(part) as decoder:
                self._require_channels(decoder.channels)
                self._seconds += Fraction(decoder.frames, require_rate(decoder.samplerate))
            if self.source_frames is not None:
                self.source_frames = round(self._seconds * self.source_rate)
                self._require_not_endless(self._seconds)

    def _require_channels(self, channels: int) -> None:
        if channels > MAX_CHANNELS:
            raise AudioError(
                f"{self.name} has {channels} channels, the limit is {MAX_CHANNELS}; "
                "export only the voice"
            )

    def _layout(self, channels: int) -> Layout | None:
        if self.format == "OGG":
            return vorbis_layout(channels)
        return self._container.layout if channels == self.channels else None

    # ------------------------------------------------------------------ reading

    def _source_blocks(self, seconds: float) -> Iterator[tuple[int, Samples]]:
        """Yield the rate and the (N, channels) samples of every block."""
        done = 0.0
        for part in range(max(1, len(self._container.parts))):
            with self._decoder(part) as decoder:
                rate = decoder.samplerate
                while len(block := self._decoded(decoder, seconds, done)):
                    done += len(block) / rate
                    yield rate, block

    def _decoded(self, decoder: soundfile.SoundFile, seconds: float, done: float) -> Samples:
        """Return the next block of a decoder; `done` is for messages, in seconds."""
        frames = max(1, round(seconds * decoder.samplerate))
        try:
            with self._quietly():
                block: Samples = decoder.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{self.name} is cut off or damaged after {done:.3f} s, "
                f"{_reason(error)}; copy or export it again"
            ) from error
        return block

    def _require_whole(self, seconds: Fraction) -> None:
        self._require_audible(seconds)
        if self.source_frames is not None and self._seconds - seconds > Fraction(1, TOLERANCE_HZ):
            raise cut_off(self.name, float(self._seconds), float(seconds))

    def _require_audible(self, seconds: Fraction) -> None:
        if not seconds:
            raise AudioError(f"{self.name} has no audio: 0 samples; export it again")
        if round(seconds * self.sample_rate) < 1:
            raise AudioError(
                f"{self.name} has {seconds * self.source_rate} samples at {self.source_rate} Hz, "
                f"less than one at {self.sample_rate} Hz; export it again"
            )

    def _require_not_endless(self, seconds: Fraction) -> None:
        if seconds > MAX_HOURS * 3600:
            raise AudioError(
                f"{self.name} lasts {float(seconds) / 3600:.1f} h, the limit is {MAX_HOURS} h; "
                "cut it into parts"
            )


class _Decoder(soundfile.SoundFile):  # type: ignore[misc]
    """A forward-only decoder.

    `SoundFile` seeks to its current position after every read of a seekable file. That fails on a
    FLAC without a length, and makes an MP3 decoder restart in the middle of its bit reservoir.
    """

    def seekable(self) -> bool:
        return False


def _encoded(path: Path) -> str | bytes:
    return str(path) if sys.platform == "win32" else os.fsencode(path)


def _is_seekable(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, AttributeError):  # not a file of the system, such as BytesIO
        return file.seekable()


def _reason(error: Any) -> str:
    text = str(getattr(error, "error_string", "") or error)
    text = text.removeprefix("Error : ").rstrip(". ") or "no reason given"
    return f"which libsndfile cannot decode ({text})"
