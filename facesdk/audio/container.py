"""What a file's first and last bytes tell that the decoder does not.

libsndfile reads a wav that was cut off as if it were whole, guesses the length of some mp3 files,
and calls everything it cannot read "format not recognised". This module looks before it does.
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
"""An end that misses less than 1/50 s is let pass: some writers count their header as audio."""

_LFS_POINTER = b"version https://git-lfs"

_FOREIGN_SOUND = (
    (4, b"ftyp", "MPEG-4 (m4a or mp4)"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media (wma or asf)"),
    (8, b"AVI ", "AVI video"),
    (0, b"\xff\xf1", "bare AAC"),
    (0, b"\xff\xf9", "bare AAC"),
    (0, b"#!AMR", "AMR"),
)
_NO_SOUND = (
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
    """What is known about a file before it is decoded."""

    codec: str = ""
    """In words, for messages; empty when unknown."""
    layout: Layout | None = None
    """Speakers of the channels where the file names them."""
    exact_length: bool = True
    """False when the number of frames in the header is an estimate, or missing."""


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
    """What the file says about itself; raises `AudioError` when it is empty, foreign or cut off."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        raise AudioError(f"{name} is empty (0 bytes); expected {READABLE}: export it again")
    head = _read(file, 0, 512)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _inspect_wav(file, name, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _inspect_aiff(file, name, size)
    if head[:4] == b"OggS":
        return _inspect_ogg(file, name, size)
    _refuse_foreign(head, name)
    if head[:3] == b"ID3" or (head[0] == 0xFF and head[1:2] >= b"\xe0"):
        return _inspect_mp3(file, head)
    return Container()


def vorbis_layout(channels: int) -> Layout | None:
    """Speakers of an ogg file's channels."""
    return VORBIS_LAYOUTS.get(channels)


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _refuse_foreign(head: bytes, name: str) -> None:
    if head.startswith(_LFS_POINTER):
        raise AudioError(f"{name} is a Git LFS pointer, not the file itself; run: git lfs pull")
    if kind := _kind(head, _FOREIGN_SOUND):
        raise AudioError(f"{name} is {kind}; {convert_hint(name)}")
    if kind := _kind(head, _NO_SOUND) or _text(head):
        raise AudioError(f"{name} is {kind}; expected {READABLE}")


def _kind(head: bytes, table: Iterable[tuple[int, bytes, str]]) -> str:
    return next((kind for at, magic, kind in table if head[at:].startswith(magic)), "")


def _text(head: bytes) -> str:
    return "a text file" if head.isascii() and b"".join(head.split()).decode().isprintable() else ""


def convert_hint(name: str) -> str:
    """The advice that ends a message about audio in the wrong format."""
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
        raise AudioError(f"{name} is a damaged wav without a format; export it again")
    raise AudioError(f"{name} has no audio: it is a wav without a data chunk; export it again")


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
            f"{name} was not finished: its header says 0 bytes of audio, but {present} follow; "
            f'stop the recorder properly, or repair the file: ffmpeg -i "{name}" out.wav'
        )
    if declared < _STREAMED and declared - present > tolerated:
        promised, there = declared / form.frame_bytes, present / form.frame_bytes
        raise cut_off(name, promised / form.rate, there / form.rate)


def _inspect_aiff(file: BinaryIO, name: str, size: int) -> Container:
    for chunk, position, length in _chunks(file, size, ">"):
        if chunk == b"SSND" and length - (size - position) > _PAD and length < _STREAMED:
            raise AudioError(
                f"{name} is cut off: its header promises {length} bytes of audio, "
                f"{size - position} are there; copy or export it again"
            )
    return Container()


def cut_off(name: str, promised: float, there: float) -> AudioError:
    """Error for a file with less audio than its header promises; both in seconds."""
    return AudioError(
        f"{name} is cut off or damaged: its header promises {promised:.3f} s of audio, "
        f"{there:.3f} s are there; copy or export it again"
    )


# ---------------------------------------------------------------------- ogg and mp3


def _inspect_ogg(file: BinaryIO, name: str, size: int) -> Container:
    start = max(0, size - _OGG_PAGE)
    tail = _read(file, start, _OGG_PAGE)
    page = tail.rfind(b"OggS")
    if page < 0 or not _is_last_page(tail[page:]):
        raise AudioError(
            f"{name} is cut off: an ogg file ends with an end-of-stream page, this one does not; "
            f'copy or export it again, or accept the loss: ffmpeg -i "{name}" out.wav'
        )
    return Container("ogg")


def _is_last_page(page: bytes) -> bool:
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[27 : 27 + page[26]]
    return len(segments) == page[26] and len(page) >= 27 + len(segments) + sum(segments)


def _inspect_mp3(file: BinaryIO, head: bytes) -> Container:
    """An mp3 knows its length, and its encoder's delay, only from the tag in its first frame."""
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        a, b, c, d = head[6:10]
        start = 10 + (a << 21 | b << 14 | c << 7 | d)
    frame = _read(file, start, 2048)
    return Container("mp3", exact_length=b"Xing" in frame or b"Info" in frame)
