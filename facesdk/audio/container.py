"""Inspection of audio files before they are decoded.

libsndfile reads truncated WAV files without an error, estimates the length of some MP3 files, and
reports every other format as "format not recognised". This module checks for these cases first.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import AudioError
from .channels import MASK_SPEAKERS, VORBIS_LAYOUTS, Layout

READABLE = "wav, flac, ogg or mp3"

TOLERANCE_HZ = 50
"""Up to 1/50 s may be missing at the end: some writers count their header as audio."""

_LFS_POINTER = b"version https://git-lfs"

_UNSUPPORTED_AUDIO = (
    (4, b"ftyp", "MPEG-4 (m4a or mp4)"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media (wma or asf)"),
    (8, b"AVI ", "AVI video"),
    (0, b"\xff\xf1", "bare AAC"),
    (0, b"\xff\xf9", "bare AAC"),
    (0, b"#!AMR", "AMR"),
)
_NOT_AUDIO = (
    (8, b"WEBP", "a WebP image"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
)

_WAV_CODECS = {
    0x0001: "PCM",
    0x0002: "Microsoft ADPCM",
    0x0003: "float",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0050: "MPEG audio",
    0x0055: "mp3",
    0x00FF: "AAC",
    0x0160: "Windows Media Audio",
    0x0161: "Windows Media Audio",
    0x0162: "Windows Media Audio",
}
_EXTENSIBLE = 0xFFFE
_STREAMED = 0x7FFF_0000  # sox, espeak and ffmpeg write sizes from here up when they cannot seek
_MAX_CHUNKS = 1000
_PAD = 64
_OGG_PAGE = 65_307  # the longest page


@dataclass(frozen=True)
class Container:
    """Properties of a file from its container, before decoding."""

    codec: str = ""
    """Description for messages; empty when unknown."""
    layout: Layout | None = None
    """Channel layout, if the file declares one."""
    exact_length: bool = True
    """False when the number of frames in the header is an estimate or missing."""


@dataclass(frozen=True)
class _WavFormat:
    tag: int
    channels: int
    rate: int
    frame_bytes: int
    bits: int
    mask: int

    @property
    def codec(self) -> str:
        name = _WAV_CODECS.get(self.tag, f"codec 0x{self.tag:04x}")
        plural = "" if self.channels == 1 else "s"
        return f"{self.channels} channel{plural} of {self.bits}-bit {name}"

    @property
    def layout(self) -> Layout | None:
        speakers = tuple(s for bit, s in enumerate(MASK_SPEAKERS) if self.mask >> bit & 1)
        return speakers if len(speakers) == self.channels else None


def inspect(file: BinaryIO, name: str) -> Container:
    """Return the container properties of a file; `name` is for messages.

    Raises `AudioError` for a file that is empty, truncated or in an unsupported format.
    """
    size = file.seek(0, os.SEEK_END)
    if not size:
        raise AudioError(f"{name} is empty (0 bytes); expected {READABLE}: export it again")
    prefix = _read(file, 0, 512)
    if prefix[:4] in (b"RIFF", b"RF64") and prefix[8:12] == b"WAVE":
        return _inspect_wav(file, name, size)
    if prefix[:4] == b"FORM" and prefix[8:12] in (b"AIFF", b"AIFC"):
        return _inspect_aiff(file, name, size)
    if prefix[:4] == b"OggS":
        return _inspect_ogg(file, name, size)
    _reject_unsupported(prefix, name)
    if prefix[:3] == b"ID3" or (prefix[0] == 0xFF and prefix[1:2] >= b"\xe0"):
        return _inspect_mp3(file, prefix)
    return Container()


def vorbis_layout(channels: int) -> Layout | None:
    """Return the channel layout of an Ogg file."""
    return VORBIS_LAYOUTS.get(channels)


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _reject_unsupported(prefix: bytes, name: str) -> None:
    if prefix.startswith(_LFS_POINTER):
        raise AudioError(f"{name} is a Git LFS pointer, not the file itself; run: git lfs pull")
    if kind := _kind(prefix, _UNSUPPORTED_AUDIO):
        raise AudioError(f"{name} is {kind}; {convert_hint(name)}")
    if kind := _kind(prefix, _NOT_AUDIO) or _text(prefix):
        raise AudioError(f"{name} is {kind}; expected {READABLE}")


def _kind(prefix: bytes, table: Iterable[tuple[int, bytes, str]]) -> str:
    return next((kind for at, magic, kind in table if prefix[at:].startswith(magic)), "")


def _text(prefix: bytes) -> str:
    is_text = prefix.isascii() and b"".join(prefix.split()).decode().isprintable()
    return "a text file" if is_text else ""


def convert_hint(name: str) -> str:
    """Return the last part of a message about audio in an unsupported format."""
    return f'convert it to {READABLE}, e.g. with: ffmpeg -i "{name}" out.wav'


# ---------------------------------------------------------------------- wav and aiff


def _inspect_wav(file: BinaryIO, name: str, size: int) -> Container:
    form: _WavFormat | None = None
    long_size = 0
    for chunk, position, length in _chunks(file, size):
        if chunk == b"ds64":
            long_size = int.from_bytes(_read(file, position + 8, 8), "little")
        elif chunk == b"fmt ":
            form = _wav_format(_read(file, position, min(length, 40)))
        elif chunk == b"data" and form:
            if length == 0xFFFF_FFFF and long_size:
                length = long_size
            _require_whole_wav(name, form, declared=length, present=size - position)
            return Container(form.codec, form.layout)
    if form is None:
        raise AudioError(f"{name} is damaged: a wav without a fmt chunk; export it again")
    raise AudioError(f"{name} has no audio: a wav without a data chunk; export it again")


def _chunks(file: BinaryIO, size: int, order: str = "<") -> Iterator[tuple[bytes, int, int]]:
    position = 12
    for _ in range(_MAX_CHUNKS):
        header = _read(file, position, 8)
        if len(header) < 8:
            return
        chunk, length = struct.unpack(order + "4sI", header)
        yield chunk, position + 8, length
        position += 8 + length + length % 2
        if position >= size:
            return


def _wav_format(body: bytes) -> _WavFormat | None:
    if len(body) < 16:
        return None
    tag, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    mask = 0
    if tag == _EXTENSIBLE and len(body) >= 26:
        mask, tag = struct.unpack("<IH", body[20:26])
    return _WavFormat(tag, channels, rate, frame_bytes, bits, mask)


def _require_whole_wav(name: str, form: _WavFormat, *, declared: int, present: int) -> None:
    tolerated = form.rate * form.frame_bytes // TOLERANCE_HZ
    if declared == 0 and present > tolerated:
        raise AudioError(
            f"{name} was not finalized: its header declares 0 bytes of audio, {present} follow; "
            f'stop the recorder properly, or repair the file: ffmpeg -i "{name}" out.wav'
        )
    if declared < _STREAMED and declared - present > tolerated:
        rate = form.frame_bytes * form.rate
        raise cut_off(name, declared / rate, present / rate)


def _inspect_aiff(file: BinaryIO, name: str, size: int) -> Container:
    for chunk, position, length in _chunks(file, size, ">"):
        if chunk == b"SSND" and length - (size - position) > _PAD and length < _STREAMED:
            raise AudioError(
                f"{name} is cut off: its header declares {length} bytes of audio, "
                f"got {size - position}; copy or export it again"
            )
    return Container()


def cut_off(name: str, declared: float, present: float) -> AudioError:
    """Return the error for a file with less audio than its header declares, both in seconds."""
    return AudioError(
        f"{name} is cut off or damaged: its header declares {declared:.3f} s of audio, "
        f"got {present:.3f} s; copy or export it again"
    )


# ---------------------------------------------------------------------- ogg and mp3


def _inspect_ogg(file: BinaryIO, name: str, size: int) -> Container:
    start = max(0, size - _OGG_PAGE)
    tail = _read(file, start, _OGG_PAGE)
    page = tail.rfind(b"OggS")
    if page < 0 or not _is_last_page(tail[page:]):
        raise AudioError(
            f"{name} is cut off: it does not end with the end-of-stream page of an ogg file; "
            f'copy or export it again, or keep what is left: ffmpeg -i "{name}" out.wav'
        )
    return Container("ogg")


def _is_last_page(page: bytes) -> bool:
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[27 : 27 + page[26]]
    return len(segments) == page[26] and len(page) >= 27 + len(segments) + sum(segments)


def _inspect_mp3(file: BinaryIO, prefix: bytes) -> Container:
    """Check for the tag in the first frame that defines length and encoder delay."""
    start = 0
    if prefix[:3] == b"ID3" and len(prefix) >= 10:
        a, b, c, d = prefix[6:10]
        start = 10 + (a << 21 | b << 14 | c << 7 | d)
    frame = _read(file, start, 2048)
    return Container("mp3", exact_length=b"Xing" in frame or b"Info" in frame)
