"""Start times: seconds, timecodes, and sources moved to them."""

from __future__ import annotations

import re
from fractions import Fraction

from ..errors import ExportError
from ..source import FrameSource, offset_source
from .options import WriteOptions

_TIMECODE = re.compile(r"(\d{1,3}):(\d{2}):(\d{2})([:;])(\d{2,3})")


def seconds_of(start: Fraction | float | str, fps: Fraction) -> Fraction:
    """Return seconds, or a timecode at a frame rate, as exact seconds.

    `HH:MM:SS:FF` counts every frame: at 30000/1001 frames per second the label 01:00:00:00 is frame
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
        raise ExportError(f"timecode {label} does not exist at {float(fps):g} frames per second")
    number = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if not drop:
        return number
    if fps not in (Fraction(30000, 1001), Fraction(60000, 1001)):
        raise ExportError(
            f"timecode {label} drops frame numbers, which 29.97 and 59.94 frames per second do; "
            f"at {float(fps):g} write {label.replace(';', ':')}"
        )
    dropped = nominal // 15
    if frames < dropped and seconds == 0 and minutes % 10:
        raise ExportError(f"timecode {label} is one of those that drop-frame leaves out")
    return number - dropped * (hours * 54 + minutes - minutes // 10)


def moved(source: FrameSource, options: WriteOptions) -> FrameSource:
    """Return the source where `start` and `offset` put it, to the nearest audio sample."""
    if options.start is None and not options.offset:
        return source
    info = source.info
    offset = Fraction(str(options.offset)) if isinstance(options.offset, float) else options.offset
    begin = info.start if options.start is None else seconds_of(options.start, info.fps)
    return offset_source(source, round((begin + offset) * info.sample_rate) - info.start_sample)
