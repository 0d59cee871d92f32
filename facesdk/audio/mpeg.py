"""The frames of MPEG audio: what a file really holds, whatever its tags declare.

libsndfile believes the frame count of a Xing or Info tag and estimates it where there is none, so
it stops early in files joined end to end, in files whose count is wrong and in files of variable
bit rate without a tag. This module walks through all frames instead, and writes a tag with the
right count in front of each part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from .splice import Part

_WINDOW = 2**20
_LONGEST_FRAME = 16_384
_FOLLOWING = 3
"""Frames that must follow each other where no frame led to them."""
_LEADING = 2**18
"""Bytes of something else before the first frame that are searched."""
_LAME_BYTES = 36
_DECODER_DELAY = 529

_V1, _V2 = 3, 2
_RATES = {_V1: (44_100, 48_000, 32_000), _V2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBPS = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates by index, for MPEG-1 or later versions and the layer."""


class Header(NamedTuple):
    """The fields of a frame header."""

    version: int
    layer: int
    rate: int
    channels: int
    kbps: int
    """0 for free format, whose frames have a length that no header states."""
    padding: int
    word: int

    @property
    def sound(self) -> tuple[int, int, int, int]:
        """What stays the same within one recording."""
        return self.version, self.layer, self.rate, self.channels

    @property
    def samples(self) -> int:
        """Samples per frame and channel."""
        if self.layer == 1:
            return 384
        return 1152 if self.layer == 2 or self.version == _V1 else 576

    @property
    def length(self) -> int:
        """Bytes of the frame; 0 in free format."""
        if self.layer == 1:
            return (12_000 * self.kbps // self.rate + self.padding) * 4 if self.kbps else 0
        return self.samples * 125 * self.kbps // self.rate + self.padding if self.kbps else 0

    @property
    def side_info(self) -> int:
        """Bytes between the header and the tag of a frame of layer III."""
        if self.version == _V1:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17


def header(data: bytes) -> Header | None:
    """Return the header in the first four bytes, or None if they are not one."""
    if len(data) < 4 or data[0] != 0xFF or data[1] < 0xE0:
        return None
    word = int.from_bytes(data[:4], "big")
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    bits, rate = word >> 12 & 15, word >> 10 & 3
    if version == 1 or layer == 4 or bits == 15 or rate == 3 or word & 3 == 2:
        return None
    kbps = _KBPS[version == _V1, layer][bits]
    channels = 1 if word >> 6 & 3 == 3 else 2
    return Header(version, layer, _RATES[version][rate], channels, kbps, word >> 9 & 1, word)


@dataclass
class Stretch:
    """Frames of one recording."""

    first: Header
    start: int
    """Position of the first frame, which may be that of a tag."""
    frames: int = 0
    """Frames of sound, without the frame of a tag."""
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Start and end of their bytes in the file."""
    tag: Tag | None = None
    damaged: bool = False
    """Whether bytes that belong to nothing lie between frames, or the last one is cut off."""

    @property
    def size(self) -> int:
        """Bytes of all frames, with that of the tag."""
        tag = 0 if self.tag is None else self.tag.length
        return tag + sum(end - start for start, end in self.ranges)

    def seconds(self, frames: int) -> float:
        """Return how long so many frames last."""
        return frames * self.first.samples / self.first.rate

    @property
    def lacks_sound(self) -> bool:
        """Whether frames that the tag counts are missing; a wrong count is no such sign."""
        tag = self.tag
        if tag is None or tag.frames <= self.frames + 1:
            return False
        return self.damaged or not tag.size or tag.size > self.size + self.size // 100 + 128

    @property
    def is_exact(self) -> bool:
        """Whether the tag counts what is there."""
        tag = self.tag
        if tag is None or tag.kind == b"VBRI" or tag.frames != self.frames:
            return False
        return not tag.size or abs(tag.size - self.size) <= self.size // 100

    def parts(self) -> tuple[Part, ...]:
        """Return the frames behind a tag that counts them."""
        if self.first.layer != 3:
            return tuple(self.ranges)
        if self.tag is None or self.tag.kind == b"VBRI":
            return (_opening(self.first, self.frames), *self.ranges)
        lame = self.tag.lame
        if (
            lame and self.tag.frames != self.frames
        ):  # samples to leave out at the end are those of another end
            delay = int.from_bytes(lame[21:24], "big") & 0xFFF000
            lame = lame[:21] + delay.to_bytes(3, "big") + lame[24:]
        return (_written_tag(self.first, self.frames, lame), *self.ranges)


class Tag(NamedTuple):
    """What the first frame of a recording declares."""

    kind: bytes
    length: int
    frames: int
    """0 if it does not say."""
    size: int
    """Bytes; 0 if it does not say."""
    lame: bytes
    """The part with the delay of the encoder, or nothing."""


def stretches(file: BinaryIO, start: int, end: int) -> list[Stretch]:
    """Return the recordings between two positions of a file; none if there are no frames."""
    found: list[Stretch] = []
    window = _Window(file, end)
    free: dict[tuple[int, int, int, int], int] = {}
    position, leading, led, skipped = start, start + _LEADING, False, False
    while position < end:
        if length := _tag_length(window, position):
            position, led = position + length, True
            leading = position + _LEADING
            continue
        head = header(window.at(position, 4))
        length = 0 if head is None else _frame_length(window, position, head, free)
        if head is None or not length or not (led or _is_followed(window, position, free)):
            if not found and position > leading:
                return []
            skipped = skipped or bool(window.at(position, 1).strip(b"\0"))
            led, position = False, window.next_sync(position + 1)
            continue
        tag = _tag(window.at(position, min(length, _LONGEST_FRAME)), head)
        if skipped and found:
            found[-1].damaged = True
        if tag is not None or not found or found[-1].first.sound != head.sound:
            found.append(Stretch(head, position, tag=tag))
        last, skipped, led = found[-1], False, True
        stop = position + length
        if stop > end:
            last.damaged = True
        elif tag is None:
            last.frames += 1
            if last.ranges and last.ranges[-1][1] == position:
                last.ranges[-1] = last.ranges[-1][0], stop
            else:
                last.ranges.append((position, stop))
        position = stop
    if skipped and found:
        found[-1].damaged = True
    return [stretch for stretch in found if stretch.frames or stretch.tag]


class _Window:
    """Bytes of a file around a position that moves forward."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file, self._end = file, end
        self._start, self._data = 0, b""

    def at(self, position: int, count: int) -> bytes:
        """Return up to `count` bytes; fewer only at the end."""
        skip = position - self._start
        if skip < 0 or skip + count > len(self._data):
            self._start, skip = position, 0
            self._file.seek(position)
            wanted = min(_WINDOW, max(0, self._end - position))
            self._data = self._file.read(wanted)
        return self._data[skip : skip + count]

    def next_sync(self, position: int) -> int:
        """Return the position of the next byte that may begin a frame or a tag, or the end."""
        while position < self._end:
            data = self.at(position, 1) and self._data[position - self._start :]
            if not data:
                return self._end
            marks = [at for at in map(data.find, (b"\xff", b"ID3", b"TAG", b"APE")) if at >= 0]
            if marks:
                return position + min(marks)
            position += max(1, len(data) - 3)
        return self._end


def _tag_length(window: _Window, position: int) -> int:
    """Return the bytes of the ID3 or APE tag at a position, or 0."""
    data = window.at(position, 32)
    if length := id3_length(data):
        return length
    if data[:4] == b"TAG+":
        return 227
    if data[:3] == b"TAG":
        return 128
    if data[:8] == b"APETAGEX" and len(data) == 32:
        is_header = data[23] & 0x20
        return 32 + (int.from_bytes(data[12:16], "little") if is_header else 0)
    return 0


def id3_length(data: bytes) -> int:
    """Return the bytes of the ID3v2 tag that begins here, or 0."""
    if data[:3] != b"ID3" or len(data) < 10 or any(b >= 0x80 for b in data[6:10]):
        return 0
    a, b, c, d = data[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if data[5] & 0x10 else 0)


def _frame_length(
    window: _Window, position: int, head: Header, free: dict[tuple[int, int, int, int], int]
) -> int:
    """Return the bytes of a frame; in free format the distance of its first two headers."""
    if head.kbps:
        return head.length
    slot = head.padding * (4 if head.layer == 1 else 1)
    if known := free.get(head.sound):
        return known + slot
    data = window.at(position, _LONGEST_FRAME)
    at = data.find(b"\xff", 4)
    while at >= 0:
        other = header(data[at : at + 4])
        if other and other.sound == head.sound and not other.kbps:
            free[head.sound] = at - slot
            return at
        at = data.find(b"\xff", at + 1)
    return 0


def _is_followed(
    window: _Window, position: int, free: dict[tuple[int, int, int, int], int]
) -> bool:
    """Whether frames of the same kind follow each other from a position on, or end the data."""
    first = header(window.at(position, 4))
    for _ in range(_FOLLOWING):
        head = header(window.at(position, 4))
        if head is None or first is None or head.sound != first.sound:
            return False
        if not (length := _frame_length(window, position, head, free)):
            return False
        position += length
        following = window.at(position, 4)
        if len(following) < 4:
            return len(following) == 0 and window.at(position - 1, 1) != b""
        if _tag_length(window, position):
            return True
    return True


def _tag(frame: bytes, head: Header) -> Tag | None:
    """Return the tag of a frame that has one instead of sound."""
    if head.layer != 3:
        return None
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        size, count = (int.from_bytes(frame[at : at + 4], "big") for at in (46, 50))
        return Tag(b"VBRI", len(frame), count, size, b"")
    at = 4 + head.side_info + (0 if head.word >> 16 & 1 else 2)
    kind = frame[at : at + 4]
    if kind not in (b"Xing", b"Info"):
        at, kind = 4 + head.side_info, frame[4 + head.side_info :][:4]
    if kind not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    numbers, at = [0, 0], at + 8
    for bit in (0, 1):
        if flags >> bit & 1:
            numbers[bit] = int.from_bytes(frame[at : at + 4], "big")
            at += 4
    at += 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    lame = frame[at : at + _LAME_BYTES]
    lame = lame if len(lame) == _LAME_BYTES and lame[0] else b""
    return Tag(kind, len(frame), numbers[0], numbers[1], lame)


def _written_tag(head: Header, frames: int, lame: bytes) -> bytes:
    """Return a frame with a tag that counts so many frames after it."""
    fields = b"Xing" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big") + lame
    return _frame(head, bytes(head.side_info) + fields.ljust(12 + _LAME_BYTES, b"\0"))


def _opening(head: Header, frames: int) -> bytes:
    """Return a tag for sound that had none, after which it is as late as without one.

    Decoders that find a tag leave out at least their own delay; here it is that of a silent frame.
    """
    delay = head.samples - _DECODER_DELAY
    lame = b"LAME".ljust(21, b"\0") + (delay << 12).to_bytes(3, "big") + bytes(12)
    return _written_tag(head, frames + 1, lame) + _frame(head, bytes(head.side_info))


def _frame(head: Header, body: bytes) -> bytes:
    """Return the shortest frame for a body, without padding and checksum."""
    for bits in range(1, 15):
        word = head.word & ~(15 << 12 | 1 << 9) | 1 << 16 | bits << 12
        written = header(word.to_bytes(4, "big"))
        if written is not None and written.length >= 4 + len(body):
            return (word.to_bytes(4, "big") + body).ljust(written.length, b"\0")
    raise AssertionError(f"no frame of {head.rate} Hz holds {len(body)} bytes")
