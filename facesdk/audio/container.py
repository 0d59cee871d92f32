"""Inspection of audio files before they are decoded.

libsndfile reads truncated WAV files without an error, estimates the length of some MP3 files, and
reports every other format as "format not recognised". This module checks for these cases first.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import BinaryIO, cast

from ..errors import AudioError
from .channels import MASK_SPEAKERS, VORBIS_LAYOUTS, Layout
from .mpeg import id3_length, stretches
from .splice import Part, Splice

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

_LEADING = 2**16
"""Bytes of something else before the audio that are searched."""
_BEGINNING = re.compile(
    rb"(?:RIFF|RF64|BW64)....WAVE|FORM....AIF[FC]|OggS\x00\x02|fLaC[\x00\x80]\x00\x00\x22",
    re.DOTALL,
)
_OTHERS = (b"caff", b".snd", b"dns.", b"FORM", b"riff", b"NIST", b"Creative")
"""Beginnings of further formats that libsndfile reads."""

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
_MPEG = (0x0050, 0x0055)
_EXTENSIBLE = 0xFFFE
_STREAMED = 0x7FFF_0000  # sox, espeak and ffmpeg write sizes from here up when they cannot seek
_LEAST_ROUND = 50_000_000
_LONGEST_SECONDS = 24 * 3600
_LONGEST_FMT = 1024
_MAX_CHUNKS = 1000
_MAX_JOINED = 100_000
_SCAN = 2**20
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_TRAILING = 2**16
_AFTER_AUDIO = re.compile(rb"LIST|ID3 |id3 |bext|iXML|cue |smpl|JUNK|PEAK|fact|_PMX|afsp")
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
    parts: tuple[tuple[Part, ...], ...] = ()
    """Files to decode one after the other, instead of the file itself if there are any."""


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
    if found := _inspect_known(file, name, size, prefix):
        return found
    tag = id3_length(prefix)
    if tag and not _is_known(_read(file, tag, 16)):
        if (found := _inspect_mp3(file, name, 0, size)) is not None:
            return found
        _reject_unsupported(_read(file, tag, 512), name)
    if not tag:
        _reject_unsupported(prefix, name)
        start = _find_known(_read(file, 0, _LEADING))
        if start < 0:
            if kind := _text(prefix):
                raise AudioError(f"{name} is {kind}; expected {READABLE}")
            if any(prefix.startswith(magic) for magic in _OTHERS):
                return Container()
            return _inspect_mp3(file, name, 0, size) or Container()
        tag = start
    return _behind(file, name, size, tag)


def _inspect_known(file: BinaryIO, name: str, size: int, prefix: bytes) -> Container | None:
    """Return the properties of a file that begins like one of these formats."""
    if prefix[:4] in (b"RIFF", b"RF64", b"BW64") and prefix[8:12] == b"WAVE":
        return _inspect_wav(file, name, size)
    if prefix[:4] == b"FORM" and prefix[8:12] in (b"AIFF", b"AIFC"):
        return _inspect_aiff(file, name, size)
    if prefix[:4] == b"OggS":
        return _inspect_ogg(file, name, size)
    if prefix[:4] == b"fLaC":
        return _inspect_flac(file, size)
    return None


def _is_known(prefix: bytes) -> bool:
    return _find_known(prefix) == 0


def _find_known(data: bytes) -> int:
    """Return the first position of a beginning of wav, AIFF, ogg or flac, or -1."""
    match = _BEGINNING.search(data)
    return -1 if match is None else match.start()


def _behind(file: BinaryIO, name: str, size: int, start: int) -> Container:
    """Return the properties of a file that begins after a tag or other bytes."""
    inner = cast(BinaryIO, Splice(file, [(start, size)]))
    prefix = _read(inner, 0, 512)
    found = _inspect_known(inner, name, size - start, prefix) or Container()
    parts = found.parts or (((0, size - start),),)
    moved = tuple(tuple(_moved(piece, start) for piece in part) for part in parts)
    return replace(found, parts=moved)


def _moved(piece: Part, start: int) -> Part:
    return piece if isinstance(piece, bytes) else (piece[0] + start, piece[1] + start)


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
    if kind := _kind(prefix, _NOT_AUDIO):
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
    groups: list[tuple[_WavFormat, bytes, list[tuple[int, int]]]] = []
    plain = _read(file, 0, 4) != b"BW64"  # libsndfile reads RIFF and RF64
    start = count = 0
    while start < size and count < _MAX_JOINED:
        form, position, end, plain_size, body = _wav_data(file, name, size, start)
        if not groups or groups[-1][0] != form:
            groups.append((form, body, []))
        groups[-1][2].append((position, end))
        plain = plain and plain_size
        start, count = _next_wav(file, size, end), count + 1
    form = groups[0][0]
    if form.tag in _MPEG:
        return _mp3_inside(file, name, form, [part for group in groups for part in group[2]])
    if plain and count == 1:
        return Container(form.codec, form.layout)
    parts: tuple[tuple[Part, ...], ...] = tuple(
        (_wav_head(body, ranges), *ranges) for _, body, ranges in groups
    )
    return Container(form.codec, form.layout, parts=parts)


def _wav_head(body: bytes, ranges: Iterable[tuple[int, int]]) -> bytes:
    """Return the header of a wav with this fmt chunk and so much audio."""
    length = min(sum(end - position for position, end in ranges), 0xFFFF_FFFF)
    total = min(length + 20 + len(body), 0xFFFF_FFFF)
    head = b"RIFF" + struct.pack("<I", total) + b"WAVEfmt " + struct.pack("<I", len(body))
    return head + body + b"data" + struct.pack("<I", length)


def _mp3_inside(
    file: BinaryIO, name: str, form: _WavFormat, ranges: Iterable[tuple[int, int]]
) -> Container:
    """Return the properties of mp3 in wav files."""
    found = [_inspect_mp3(file, name, position, end) for position, end in ranges]
    inside = [container for container in found if container is not None]
    exact = all(container.exact_length for container in inside)
    joined = tuple(part for container in inside for part in container.parts)
    return Container(form.codec, exact_length=exact, parts=joined)


def _wav_data(
    file: BinaryIO, name: str, size: int, start: int
) -> tuple[_WavFormat, int, int, bool, bytes]:
    """Return format, start and end of the audio, whether its size is right, and the fmt chunk."""
    form: _WavFormat | None = None
    body = b""
    long_size = 0
    loose = False
    expected = start + 12
    for chunk, position, length in _chunks(file, size, start=start):
        loose = loose or position - 8 != expected
        expected = position + length + length % 2
        if chunk == b"ds64":
            long_size = int.from_bytes(_read(file, position + 8, 8), "little")
        elif chunk == b"fmt ":
            body = _read(file, position, min(length, _LONGEST_FMT))
            form = _wav_format(body)
        elif chunk == b"data" and form:
            _require_frames(name, form)
            if length == 0xFFFF_FFFF and long_size:
                length = long_size
            present = size - position
            if length == 0 and _ends_with_chunks(file, position, size):
                return form, position, position, True, body
            if _is_placeholder(form, declared=length, present=present):
                end = _find_wav(file, position, size)
                end = end if end < size else _trailing_chunks(file, position, size)
                sized = length >= _STREAMED and end == size
                return form, position, end, sized and not loose, body
            _require_whole_wav(name, form, declared=length, present=present)
            return form, position, min(position + length, size), not loose, body
    if form is None:
        raise AudioError(f"{name} is damaged: a wav without a fmt chunk; export it again")
    raise AudioError(f"{name} has no audio: a wav without a data chunk; export it again")


def _require_frames(name: str, form: _WavFormat) -> None:
    """Refuse headers that cannot describe audio; libsndfile guesses or divides by them."""
    if form.frame_bytes and form.channels:
        return
    raise AudioError(
        f"{name} is damaged: its header declares {form.channels} channels and "
        f"{form.frame_bytes} bytes per frame, expected at least 1 each; export it again"
    )


def _is_placeholder(form: _WavFormat, *, declared: int, present: int) -> bool:
    """Whether the size of the audio was unknown to the writer.

    Servers and pipes write 0, a size near 2 or 4 GiB, more than a day, or a round number such as
    2,000,000,000; a file that is cut off hardly ever has one of these sizes.
    """
    if declared == 0:
        return present > _PAD and present >= form.frame_bytes
    if declared <= present:
        return False
    if declared >= _STREAMED or declared > _LONGEST_SECONDS * form.rate * form.frame_bytes:
        return True
    sizes = {declared + offset for offset in (-44, -36, -8, 0, 8, 36, 44)}
    return declared >= _LEAST_ROUND and any(s % 10**7 == 0 or s % 2**24 == 0 for s in sizes)


def _trailing_chunks(file: BinaryIO, position: int, size: int) -> int:
    """Return where the chunks begin that a wav without a size ends with, or the size."""
    start = max(position, size - _TRAILING)
    for match in _AFTER_AUDIO.finditer(_read(file, start, size - start)):
        if _ends_with_chunks(file, start + match.start(), size):
            return start + match.start()
    return size


def _is_chunk(name: bytes) -> bool:
    return len(name) == 4 and name.isascii() and name.decode().isprintable()


def _ends_with_chunks(file: BinaryIO, position: int, size: int) -> bool:
    """Whether everything from `position` on is chunks such as LIST: the audio is really empty."""
    while position < size:
        header = _read(file, position, 8)
        if len(header) < 8 or not _is_chunk(header[:4]):
            return False
        length = int.from_bytes(header[4:], "little")
        position += 8 + length + length % 2
    return position - size in (0, 1)


def _find_wav(file: BinaryIO, position: int, size: int) -> int:
    """Return the position of the next wav header at or after `position`, or the size."""
    tail = b""
    while position < size:
        data = tail + _read(file, position, _SCAN)
        at = data.find(b"RIFF")
        while at >= 0:
            if data[at + 8 : at + 12] == b"WAVE" and _is_chunk(data[at + 12 : at + 16]):
                return position - len(tail) + at
            at = data.find(b"RIFF", at + 1)
        position += len(data) - len(tail)
        tail = data[-15:]
    return size


def _next_wav(file: BinaryIO, size: int, end: int) -> int:
    """Return the position of the wav that follows the audio and chunks of another, or the size."""
    position = end
    for _ in range(_MAX_CHUNKS):
        for padded in (position, position + 1):
            header = _read(file, padded, 16)
            if header[:4] in (b"RIFF", b"RF64", b"BW64") and header[8:12] == b"WAVE":
                return padded
        header = _read(file, position + position % 2, 8)
        if len(header) < 8 or not header[:4].isascii():
            break
        position += position % 2 + 8 + int.from_bytes(header[4:], "little")
        if position >= size:
            break
    return size


def _chunks(
    file: BinaryIO, size: int, order: str = "<", *, start: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    position = start + 12
    for _ in range(_MAX_CHUNKS):
        header = _read(file, position, 8)
        if len(header) < 8:
            return
        chunk, length = struct.unpack(order + "4sI", header)
        yield chunk, position + 8, length
        position += 8 + length
        if length % 2 and not _is_unpadded(_read(file, position, 5)):
            position += 1
        if position >= size:
            return


def _is_unpadded(data: bytes) -> bool:
    """Whether the next chunk begins here, as after a chunk of odd length without its last byte."""
    return _is_chunk(data[:4]) and not _is_chunk(data[1:5])


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
    if declared - present > tolerated:
        rate = form.frame_bytes * form.rate
        raise cut_off(name, declared / rate, present / rate)


def _inspect_aiff(file: BinaryIO, name: str, size: int) -> Container:
    starts, start = [0], 0
    while len(starts) < _MAX_JOINED:
        start += 8 + int.from_bytes(_read(file, start + 4, 4), "big")
        found = [at for at in (start, start + 1) if _is_known(_read(file, at, 12))]
        if not found or _read(file, found[0], 4) != b"FORM":
            break
        start = found[0]
        starts.append(start)
    ranges = list(pairwise([*starts, size]))
    for first, end in ranges:
        for chunk, position, length in _chunks(file, end, ">", start=first):
            if chunk == b"SSND" and length - (end - position) > _PAD and length < _STREAMED:
                raise AudioError(
                    f"{name} is cut off: its header declares {length} bytes of audio, "
                    f"got {end - position}; copy or export it again"
                )
    return Container(parts=_joined(ranges))


def _joined(ranges: list[tuple[int, int]]) -> tuple[tuple[Part, ...], ...]:
    """Return the parts of files joined end to end; nothing for a single file."""
    return tuple((part,) for part in ranges) if len(ranges) > 1 else ()


def _inspect_flac(file: BinaryIO, size: int) -> Container:
    """Find flac files joined end to end, which a decoder takes for damage or leaves out."""
    starts: list[int] = []
    position, tail = 0, b""
    while position < size:
        data = tail + _read(file, position, _SCAN)
        first = position - len(tail)
        starts += [first + match.start() for match in _FLAC.finditer(data)]
        position += len(data) - len(tail)
        tail = data[-7:]
    return Container(parts=_joined(list(pairwise([*starts[:_MAX_JOINED], size]))))


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
    return Container("ogg", parts=_joined(list(pairwise([*_ogg_starts(file, size), size]))))


def _ogg_starts(file: BinaryIO, size: int) -> list[int]:
    """Return where the streams begin that are chained in an ogg file."""
    starts, position, opening = [0], 0, True
    while position < size and len(starts) < _MAX_JOINED:
        page = _read(file, position, 27 + 255)
        if page[:4] != b"OggS" or len(page) < 27:
            at = _read(file, position, _OGG_PAGE).find(b"OggS", 1)
            position += at if at > 0 else _OGG_PAGE - 3
            continue
        begins = bool(page[5] & 2)
        if begins and not opening:
            starts.append(position)
        opening = begins
        position += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return starts


def _is_last_page(page: bytes) -> bool:
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[27 : 27 + page[26]]
    return len(segments) == page[26] and len(page) >= 27 + len(segments) + sum(segments)


def _inspect_mp3(file: BinaryIO, name: str, start: int, end: int) -> Container | None:
    """Look at every frame: the tags of files that were joined or cut do not count what is there.

    Returns None if the bytes hold no frames.
    """
    found = stretches(file, start, end)
    if not found:
        return None
    for stretch in found:
        if stretch.lacks_sound and stretch.tag:
            declared, present = stretch.seconds(stretch.tag.frames), stretch.seconds(stretch.frames)
            raise cut_off(name, declared, present)
    sounding = [stretch for stretch in found if stretch.frames]
    if not sounding:
        raise AudioError(f"{name} has no audio: 0 samples; export it again")
    exact = all(stretch.tag and stretch.tag.kind != b"VBRI" for stretch in sounding)
    as_it_is = len(sounding) == 1 and sounding[0].is_exact and end == _size(file)
    if as_it_is and sounding[0].start == id3_length(_read(file, 0, 10)):
        return Container("mp3", exact_length=exact)
    parts = tuple(stretch.parts() for stretch in sounding)
    return Container("mp3", exact_length=exact, parts=parts)


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)
