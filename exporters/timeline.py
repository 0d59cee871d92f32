"""Where a clip lies in time: timecodes, and sources that begin elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ..clip import Event, Frame, FrameSource, frame_sample
from ..errors import ExportError
from ..rig import Rig
from .blocks import Block, blocks
from .options import WriteOptions

_TIMECODE = re.compile(r"(\d{1,3}):(\d{2}):(\d{2})([:;])(\d{2,3})")


def seconds_of(start: Fraction | float | str, fps: Fraction) -> Fraction:
    """Seconds, or a timecode at a frame rate, as exact seconds.

    `HH:MM:SS:FF` counts every frame: at 30000/1001 frames a second the label 01:00:00:00 is frame
    108,000 and lies 3603.6 s after zero. `HH:MM:SS;FF` leaves out frame numbers as NTSC drop-frame
    does (29.97 and 59.94 only). Raises `ExportError`.
    """
    if isinstance(start, str) and (match := _TIMECODE.fullmatch(start.strip())):
        hours, minutes, seconds, frames = (int(match[i]) for i in (1, 2, 3, 5))
        return _frame_number(hours, minutes, seconds, frames, match[4] == ";", fps, start) / fps
    try:
        return Fraction(str(start)) if isinstance(start, float) else Fraction(start)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ExportError(
            f"start must be seconds or a timecode such as 01:00:00:00, got {start!r}"
        ) from None


def _frame_number(
    hours: int, minutes: int, seconds: int, frames: int, drop: bool, fps: Fraction, label: str
) -> int:
    nominal = round(fps)
    if minutes > 59 or seconds > 59 or frames >= nominal:
        raise ExportError(f"timecode {label} does not exist at {float(fps):g} frames a second")
    number = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if not drop:
        return number
    if fps not in (Fraction(30000, 1001), Fraction(60000, 1001)):
        raise ExportError(
            f"timecode {label} drops frame numbers, which 29.97 and 59.94 frames a second do; "
            f"at {float(fps):g} write {label.replace(';', ':')}"
        )
    dropped = nominal // 15
    if frames < dropped and seconds == 0 and minutes % 10:
        raise ExportError(f"timecode {label} is one of those that drop-frame leaves out")
    return number - dropped * (hours * 54 + minutes - minutes // 10)


def moved(source: FrameSource, options: WriteOptions) -> FrameSource:
    """The source where `start` and `offset` put it, to the nearest audio sample."""
    if options.start is None and not options.offset:
        return source
    rate = source.sample_rate
    offset = Fraction(str(options.offset)) if isinstance(options.offset, float) else options.offset
    begin = Fraction(source.start_sample, rate)
    if options.start is not None:
        begin = seconds_of(options.start, source.fps)
    return Moved(source, round((begin + offset) * rate) - source.start_sample)


@dataclass(frozen=True, eq=False)
class Moved:
    """A frame source that begins some samples later, its events too."""

    source: FrameSource
    samples: int

    @property
    def rig(self) -> Rig:
        """Rig of the frames."""
        return self.source.rig

    @property
    def fps(self) -> Fraction:
        """Exact frame rate."""
        return self.source.fps

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.source.sample_rate

    @property
    def start_sample(self) -> int:
        """Sample of the first frame."""
        return self.source.start_sample + self.samples

    @property
    def events(self) -> Sequence[Event]:
        """The source's events, as much later."""
        return tuple(replace(e, sample=e.sample + self.samples) for e in self.source.events)

    @property
    def meta(self) -> Mapping[str, Any]:
        """As in the source."""
        return self.source.meta

    @property
    def extra(self) -> Mapping[str, Any]:
        """As in the source."""
        return self.source.extra

    def blocks(self) -> Iterator[Block]:
        """The frames in blocks."""
        return blocks(self.source)

    def frames(self) -> Iterator[Frame]:
        """The frames one by one."""
        for frame in self.source.frames():
            sample = frame_sample(
                frame.index,
                self.fps,
                sample_rate=self.sample_rate,
                start_sample=self.start_sample,
            )
            yield replace(frame, sample=sample)
