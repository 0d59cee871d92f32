"""The JSON that Audio2Face exports: `facsNames` and the rows of `weightMat`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from ..clip import exact_fps
from ..errors import FaceSDKError, FileFormatError
from ..names import is_control
from ..rig import Rig
from ..source import Block, ClipInfo, FrameSource, moving_angles
from .format import Format
from .json_stream import Scanner, outline
from .numbers import json_rows
from .options import DEFAULTS, WriteOptions
from .rigs import file_rig, on_rig

RIG = "a2f"
_KNOWN = {"exportFps", "trackPath", "numPoses", "numFrames", "facsNames", "weightMat"}
_MAX_NAMES = 10_000


def write_a2f_json(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write control names and one row per frame, with the clip's full precision.

    Returns what the file does not hold: pose channels that move, `events`, and `start` for a clip
    that does not begin at zero.
    """
    track = options.audio_path
    opening = {
        "exportFps": float(source.info.fps),
        "trackPath": track,
        "numPoses": len(source.info.rig),
    }
    names = json.dumps(source.info.rig.names, ensure_ascii=False)
    file.write(json.dumps(opening, ensure_ascii=False)[:-1].encode())
    file.write(f',\n"facsNames": {names},\n"weightMat": ['.encode())
    count, separator, dropped = 0, b"\n", set[str]()
    for values, angles in source.blocks():
        if len(values):
            file.write(separator + json_rows(values))
            separator = b",\n"
        count += len(values)
        dropped |= moving_angles(angles)
    file.write(f'\n],\n"numFrames": {count}\n}}\n'.encode())
    notes = (("events",) if source.info.events else ()) + (
        ("start",) if source.info.start_sample else ()
    )
    return (*notes, *sorted(dropped))


def read_a2f_json(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open a clip on the `a2f` rig, which may lack controls, or on a rig of the file's names."""
    return _A2FClip(file, rig)


class _A2FClip:
    def __init__(self, file: BinaryIO, rig: Rig | None) -> None:
        self._file = file
        self._name = str(getattr(file, "name", "clip"))
        document, places = outline(file, self._name, rows=("weightMat",))
        if "weightMat" not in places:
            raise FileFormatError(f'{self._name}: expected "weightMat", rows of weights')
        self._place = places["weightMat"]
        try:
            self._names = _names(document.get("facsNames"))
            found, self._columns, meta = file_rig(self._names, rig or RIG, source=self._name)
            fps = _rate(document.get("exportFps", 60))
        except FaceSDKError as error:
            raise FileFormatError(f"{self._name}: {error}") from error
        self.info = ClipInfo(found, fps, meta=_meta(document, meta))

    def blocks(self) -> Iterator[Block]:
        """Yield rows in the rig's order."""
        rows = Scanner(self._file, self._name, offset=self._place).rows(len(self._names), "row")
        empty = True
        for block in rows:
            yield Block(on_rig(block, self._columns, self.info.rig), None)
            empty = False
        if empty:
            yield Block(np.empty((0, len(self.info.rig)), np.float32), None)


def _names(names: Any) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise FileFormatError('expected "facsNames", an array of names')
    twice = [name for name in set(names) if names.count(name) > 1] if len(names) < 1000 else []
    if not 0 < len(names) <= _MAX_NAMES or not all(map(is_control, twice)):
        raise FileFormatError(f"facsNames must be 1 to {_MAX_NAMES} names, no two alike")
    return names


def _rate(fps: Any) -> Fraction:
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps <= 1000:
        raise FileFormatError(f"exportFps must be a frame rate, got {str(fps)[:40]}")
    exact = exact_fps(float(fps))
    near = exact.limit_denominator(1001)
    return near if abs(near - exact) < Fraction(1, 10**9) else exact


def _meta(document: dict[str, Any], notes: dict[str, Any]) -> dict[str, Any]:
    """Return the clip's origin, and the parts of the file that were ignored."""
    if ignored := sorted(set(document) - _KNOWN):
        notes = notes | {"ignored_keys": ignored}
    track = document.get("trackPath")
    audio = {"audio": track} if isinstance(track, str) and track else {}
    return audio | ({"imported": notes} if notes else {})


FORMATS = (
    Format(
        "a2f-json",
        ".json",
        write_a2f_json,
        read_a2f_json,
        rigs=(RIG, "arkit"),
        description="weights as Audio2Face exports them",
        recognizes=lambda head: b'"facsNames"' in head or b'"weightMat"' in head,
        options=frozenset({"audio"}),
    ),
)
