"""Lists of mouth shapes: visemes as TSV, JSON and subtitles, Rhubarb's mouth cues."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..clip import SAMPLE_RATE, exact_fps
from ..errors import FaceSDKError, FileFormatError
from ..rig import Rig
from ..source import BLOCK_FRAMES, Block, ClipInfo, FrameSource
from .format import Format, Reader, Writer
from .options import DEFAULTS, TIMES, Setting, WriteOptions
from .rates import require_plausible
from .visemes import BASIC, MOUTHS, RIG, VISEMES, Cue, Cues

FPS = Fraction(60)
"""Rate at which lists without a rate are read."""

_COLUMNS = "start\tend\tviseme\tweight\n"
_MAX_BYTES = 1 << 26
_LONGEST = 24 * 3600.0
_MAX_FRAMES = 24 * 3600 * 60
_SHORTEST = Setting(
    "shortest", 0.04, "seconds below which a shape goes to its neighbor, lips that meet excepted"
)
_EXTENDED = Setting("extended", True, "use the shapes G, H and X, which not every chart has")


def _cues(source: FrameSource, options: WriteOptions, shape: Callable[[str], str] = str) -> Cues:
    shortest = options.settings.get(_SHORTEST.name, _SHORTEST.default)
    return Cues(source, shortest=float(shortest), shape=shape)


def _mouth(options: WriteOptions) -> Callable[[str], str]:
    """Return Rhubarb's shape for a viseme."""
    if options.settings.get(_EXTENDED.name, _EXTENDED.default):
        return lambda viseme: MOUTHS[viseme]
    return lambda viseme: BASIC.get(MOUTHS[viseme], MOUTHS[viseme])


# ---------------------------------------------------------------------- writing


def write_viseme_tsv(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write one line per cue: start and end in seconds, viseme, its largest weight."""
    cues = _cues(source, options)
    file.write(_COLUMNS.encode())
    for cue in cues:
        line = f"{_seconds(cue.start)}\t{_seconds(cue.end)}\t{cue.shape}\t{cue.weight:.3f}\n"
        file.write(line.encode())
    return cues.dropped


def write_viseme_json(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write the cues as objects, one per line, with the clip's frame rate."""
    cues = _cues(source, options)
    opening: dict[str, Any] = {
        "format": "facesdk.visemes",
        "version": 1,
        "fps": [source.info.fps.numerator, source.info.fps.denominator],
    }
    if options.audio is not None:
        opening["audio"] = options.audio_path
    file.write(json.dumps(opening, ensure_ascii=False)[:-1].encode() + b',\n"visemes": [')
    _write_objects(file, cues, lambda cue: {
        "start": round(float(cue.start), 6), "end": round(float(cue.end), 6),
        "viseme": cue.shape, "weight": round(cue.weight, 3),
    })  # fmt: skip
    file.write(b"\n]}\n")
    return cues.dropped


def write_viseme_srt(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write numbered subtitles whose text is the viseme; times before zero become zero."""
    cues = _cues(source, options)
    for number, cue in enumerate(cues, 1):
        times = f"{_subtitle_time(cue.start)} --> {_subtitle_time(cue.end)}"
        file.write(f"{number}\n{times}\n{cue.shape}\n\n".encode())
    return (*cues.dropped, *(("start",) if source.info.start_sample < 0 else ()))


def write_rhubarb_tsv(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write Rhubarb Lip Sync's table: start in hundredths of a second, mouth shape."""
    mouth = _mouth(options)
    cues = _cues(source, options, mouth)
    end = None
    for cue in cues:
        file.write(f"{float(cue.start):.2f}\t{cue.shape}\n".encode())
        end = cue.end
    if end is not None:
        file.write(f"{float(end):.2f}\t{mouth('sil')}\n".encode())
    return cues.dropped


def write_rhubarb_json(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write Rhubarb Lip Sync's document: mouth cues in hundredths of a second."""
    cues = _cues(source, options, _mouth(options))
    file.write(b'{"mouthCues": [')
    end = _write_objects(file, cues, lambda cue: {
        "start": round(float(cue.start), 2), "end": round(float(cue.end), 2), "value": cue.shape,
    })  # fmt: skip
    sound = options.audio_path
    metadata = {"soundFile": sound, "duration": round(float(end), 2)}
    file.write(b'\n],\n"metadata": ' + json.dumps(metadata, ensure_ascii=False).encode() + b"}\n")
    return cues.dropped


def _write_objects(
    file: BinaryIO, cues: Cues, describe: Callable[[Cue], Mapping[str, Any]]
) -> Fraction:
    """Write one JSON object per line; returns the end of the last cue."""
    separator, end = b"\n", Fraction(0)
    for cue in cues:
        file.write(separator + json.dumps(describe(cue)).encode())
        separator, end = b",\n", cue.end
    return end


def _seconds(time: Fraction) -> str:
    return f"{float(time):.6f}"


def _subtitle_time(time: Fraction) -> str:
    seconds, thousandths = divmod(max(round(time * 1000), 0), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{thousandths:03}"


# ---------------------------------------------------------------------- reading


class _Held(NamedTuple):
    """A cue as it was read."""

    start: float
    end: float
    viseme: str
    weight: float


class _CueClip:
    """A list of cues as a viseme clip: every shape at its weight from its start to its end."""

    def __init__(self, cues: Sequence[_Held], fps: Fraction, rig: Rig | None) -> None:
        self._cues = cues
        target = rig or Rig.load(RIG)
        if missing := sorted({c.viseme for c in cues} - set(target.names)):
            raise FileFormatError(f"rig {target.name!r} has no viseme {missing[0][:40]!r}")
        start = cues[0].start if cues else 0.0
        self._start = start
        self.info = ClipInfo(target, fps, start_sample=round(start * SAMPLE_RATE))

    def blocks(self) -> Iterator[Block]:
        """Yield frames on the grid."""
        end = self._cues[-1].end if self._cues else self._start
        count = round((end - self._start) * float(self.info.fps))
        starts = np.array([c.start for c in self._cues])
        for begin in range(0, max(count, 1), BLOCK_FRAMES):
            index = np.arange(begin, min(begin + BLOCK_FRAMES, count))
            times = self._start + (index + 0.5) / float(self.info.fps)
            which = np.searchsorted(starts, times, "right") - 1
            values = np.tile(self.info.rig.rest * 0, (len(index), 1))
            for row, i in enumerate(which):
                self._hold(values[row], self._cues[i], times[row])
            yield Block(values, None)

    def _hold(self, row: np.ndarray[Any, np.dtype[np.float32]], cue: _Held, time: float) -> None:
        rest = "sil" if "sil" in self.info.rig else None
        if time >= cue.end:
            cue = cue._replace(viseme=rest or cue.viseme, weight=1.0 if rest else 0.0)
        row[self.info.rig.index(cue.viseme)] = cue.weight
        if rest and cue.viseme != rest:
            row[self.info.rig.index(rest)] = max(1 - cue.weight, 0)


def read_viseme_tsv(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a viseme clip of 60 frames per second."""
    lines = _lines(file)
    if not lines or lines[0].split("\t")[:3] != _COLUMNS.split("\t")[:3]:
        raise _error(file, f"expected a first line {_COLUMNS.strip()!r}")
    rows = [line.split("\t") for line in lines[1:]]
    if bad := next((i for i, row in enumerate(rows, 2) if len(row) != 4), None):
        raise _error(file, f"line {bad}: expected 4 cells")
    return _read(file, [dict(zip(_FIELDS, row, strict=True)) for row in rows], FPS, rig)


def read_rhubarb_tsv(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a viseme clip of 60 frames per second; the last line is where the one before it ends."""
    rows = [line.split("\t") for line in _lines(file)]
    if bad := next((i for i, row in enumerate(rows, 1) if len(row) != 2), None):
        raise _error(file, f"line {bad}: expected a time, a tab and a mouth shape")
    cues = [{"start": row[0], "end": after[0], "viseme": row[1]} for row, after in pairwise(rows)]
    return _read(file, cues, FPS, rig, VISEMES)


def read_viseme_json(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a viseme clip at the file's rate."""
    document = _document(file, "visemes")
    if document.get("version", 1) != 1:
        raise _error(file, "this facesdk reads version 1 of facesdk.visemes; update facesdk")
    fps = document.get("fps", [60, 1])
    if not isinstance(fps, list) or len(fps) != 2 or not all(type(n) is int for n in fps):
        raise _error(file, "fps must be [numerator, denominator]")
    try:
        rate = exact_fps(Fraction(*fps))
    except (ZeroDivisionError, FaceSDKError) as error:
        raise _error(file, f"fps {fps}: {error}") from error
    return _read(file, document["visemes"], rate, rig)


def read_rhubarb_json(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a viseme clip of 60 frames per second."""
    cues = _document(file, "mouthCues")["mouthCues"]
    named = [c | {"viseme": c.get("value")} if isinstance(c, dict) else c for c in cues]
    return _read(file, named, FPS, rig, VISEMES)


_FIELDS = ("start", "end", "viseme", "weight")


def _read(
    file: BinaryIO,
    entries: Sequence[Any],
    fps: Fraction,
    rig: Rig | None,
    visemes: Mapping[str, str] | None = None,
) -> FrameSource:
    """Read cues in order, checked; `visemes` gives their shapes other names."""
    cues: list[_Held] = []
    for number, entry in enumerate(entries, 1):
        try:
            shape = str(entry["viseme"])
            viseme = shape if visemes is None else visemes[shape]
            cue = _Held(float(entry["start"]), float(entry["end"]), viseme,
                        float(entry.get("weight", 1.0)))  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _error(file, f"cue {number} makes no sense: {str(error)[:80]}") from error
        after = cues[-1].end if cues else -_LONGEST
        if not (after - 0.011 <= cue.start <= cue.end <= _LONGEST and 0 <= cue.weight <= 1):
            raise _error(file, f"cue {number}: starts, ends or weights out of order")
        cues.append(cue)
    if cues and (cues[-1].end - cues[0].start) * fps > _MAX_FRAMES:
        raise _error(file, f"more than {_MAX_FRAMES} frames at {float(fps):g} a second")
    try:
        if cues:
            require_plausible(float(cues[-1].end - cues[0].start) * float(fps), len(cues))
        return _CueClip(cues, fps, rig)
    except FaceSDKError as error:
        raise _error(file, str(error)) from error


def _document(file: BinaryIO, key: str) -> dict[str, Any]:
    try:
        document = json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise _error(file, f"not JSON: {str(error)[:80]}") from error
    if not isinstance(document, dict) or not isinstance(document.get(key), list):
        raise _error(file, f'expected an object with an array "{key}"')
    return document


def _lines(file: BinaryIO) -> list[str]:
    return [line for line in _text(file).splitlines() if line.strip()]


def _text(file: BinaryIO) -> str:
    file.seek(0)
    data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise _error(file, f"more than {_MAX_BYTES} bytes of cues")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(file, "not UTF-8 text") from error


def _error(file: BinaryIO, problem: str) -> FileFormatError:
    return FileFormatError(f"{getattr(file, 'name', 'cues')}: {problem}")


def _is_rhubarb_table(head: bytes) -> bool:
    time, tab, shape = head.split(b"\n", 1)[0].strip().partition(b"\t")
    return bool(tab) and shape.decode("latin-1") in VISEMES and time.replace(b".", b"").isdigit()


def _format(
    name: str,
    extension: str,
    write: Writer,
    read: Reader | None = None,
    *,
    description: str,
    recognizes: Callable[[bytes], bool] | None = None,
) -> Format:
    audio = {"audio"} if name.endswith("json") else set()
    return Format(
        name,
        extension,
        write,
        read,
        rigs=(RIG,),
        description=description,
        recognizes=recognizes,
        options=TIMES | audio,
        settings=(_SHORTEST, _EXTENDED) if name.startswith("rhubarb") else (_SHORTEST,),
    )


FORMATS = (
    _format(
        "visemes-tsv",
        ".tsv",
        write_viseme_tsv,
        read_viseme_tsv,
        description="a table of visemes with start, end and weight",
        recognizes=lambda head: head.startswith(b"start\tend\tviseme"),
    ),
    _format(
        "visemes-json",
        ".json",
        write_viseme_json,
        read_viseme_json,
        description="visemes with start, end and weight",
        recognizes=lambda head: b'"facesdk.visemes"' in head,
    ),
    _format("visemes-srt", ".srt", write_viseme_srt, description="visemes as subtitles"),
    _format(
        "rhubarb-tsv",
        ".tsv",
        write_rhubarb_tsv,
        read_rhubarb_tsv,
        description="mouth shapes as Rhubarb Lip Sync's table",
        recognizes=_is_rhubarb_table,
    ),
    _format(
        "rhubarb-json",
        ".json",
        write_rhubarb_json,
        read_rhubarb_json,
        description="mouth shapes as Rhubarb Lip Sync's document",
        recognizes=lambda head: b'"mouthCues"' in head,
    ),
)
