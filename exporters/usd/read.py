"""USD through usd-core: clips of the skeletal animations in a stage.

usd-core runs in a process of its own, see `child`: no file can end this one or occupy it for long.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from importlib.util import find_spec
from mmap import ACCESS_READ, mmap
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, BinaryIO

import numpy as np

from ...arrays import Floats
from ...clip import SAMPLE_RATE, Event
from ...errors import FaceSDKError, FileFormatError, missing_extra, reading
from ...processes import Limits, run_limited
from ...rig import Rig
from ...source import BLOCK_FRAMES, Block, ClipInfo, FrameSource
from ..rigs import Columns, file_rig, listed_rig, on_rig

SUFFIXES = (".usda", ".usdc", ".usd", ".usdz")
_MAX_LINE = 1 << 26
_MAX_OUTPUT = 1 << 31
_POSE = 12
"""Numbers of a pose in one frame."""


def read_usd(file: BinaryIO, rig: Rig | None = None) -> FrameSource:
    """Open the first animation of a file, see `read_usd_clips`."""
    return read_usd_clips(file, rig)[0]


def read_usd_clips(file: BinaryIO, rig: Rig | None = None) -> Sequence[FrameSource]:
    """Open every `SkelAnimation` of a file that has blend shapes.

    Shapes are matched by name, in ARKit's spelling or nearly so; a pose comes from joints called
    as heads, necks and eyes usually are. A file may refer to files in its folder only, and a file
    without a path to none. Raises `MissingExtraError` without usd-core.
    """
    name = str(getattr(file, "name", "usd"))
    if ("pxr" in sys.modules and sys.modules["pxr"] is None) or find_spec("pxr") is None:
        raise missing_extra("reading USD", "usd")
    with reading(name, FileFormatError):
        try:
            answer = _answer(file, name)
            found = _animations(answer)
            if not found:
                raise FileFormatError("expected a SkelAnimation with blend shapes, there is none")
            return [_Animation(facts, answer, offset, rig) for facts, offset in found]
        except FileFormatError as error:
            raise FileFormatError(f"{name}: {error}") from error
        except FaceSDKError:
            raise
        except (ValueError, TypeError, KeyError, ArithmeticError) as error:
            raise FileFormatError(f"{name} cannot be read as USD: {error}") from error


def _answer(file: BinaryIO, name: str) -> mmap:
    """Return the answer of a child process, see `child.answer`.

    Raises `FileFormatError` if it ends without one or exceeds its limits.
    """
    with ExitStack() as stack:
        if Path(name).suffix.lower() in SUFFIXES and Path(name).is_file():
            path = Path(name).absolute()
        else:
            folder = stack.enter_context(TemporaryDirectory())
            path = Path(folder) / f"clip{_suffix(file)}"
            with path.open("wb") as copy:
                copyfileobj(file, copy)
        size = path.stat().st_size
        limits = Limits(
            seconds=20 + 2 * (size >> 20), memory=(4 << 30) + 8 * size, output=_MAX_OUTPUT
        )
        output = stack.enter_context(TemporaryFile())
        child = f"{__package__}.child"
        without = ("PXR_AR_DEFAULT_SEARCH_PATH",)
        if end := run_limited(child, [str(path)], output, limits, without=without):
            raise FileFormatError(f"usd-core {end} while reading it; is it damaged?")
        if not output.seek(0, os.SEEK_END):
            raise FileFormatError("usd-core did not answer")
        return mmap(output.fileno(), 0, access=ACCESS_READ)


def _suffix(file: BinaryIO) -> str:
    """Return the extension for a file without a name."""
    file.seek(0)
    begin = file.read(8)
    file.seek(0)
    if begin.startswith(b"PXR-USDC"):
        return ".usdc"
    return ".usdz" if begin.startswith(b"PK") else ".usda"


def _animations(answer: mmap) -> list[tuple[Mapping[str, Any], int]]:
    """Return the facts of every animation and where its values begin; checks the sizes."""
    place = answer.find(b"\n", 0, _MAX_LINE) + 1
    document = json.loads(answer[:place])
    if "error" in document:
        raise FileFormatError(str(document["error"]))
    found = []
    for facts in document["animations"]:
        found.append((facts, place))
        place += 4 * int(facts["frames"]) * (len(facts["shapes"]) + _POSE * bool(facts["pose"]))
    if len(answer) != place:
        raise FileFormatError("usd-core ended in the middle of it")
    return found


class _Animation:
    """One `SkelAnimation`; its values stay in a temporary file."""

    def __init__(
        self, facts: Mapping[str, Any], answer: mmap, offset: int, rig: Rig | None
    ) -> None:
        self._answer, self._offset = answer, offset
        self._count, self._shapes = int(facts["frames"]), len(facts["shapes"])
        self._has_pose = bool(facts["pose"])
        own = facts["facts"]
        found, self._columns, meta = _on_rig(facts["shapes"], own, rig)
        self.info = ClipInfo(
            found,
            Fraction(*facts["fps"]),
            int(own.get("sampleRate", SAMPLE_RATE)),
            int(own.get("startSample", round(facts["start"] * SAMPLE_RATE))),
            _events(own),
            {"name": str(own.get("clip", facts["name"]))} | meta,
        )

    def blocks(self) -> Iterator[Block]:
        """Yield weights and joints as usd-core interpolated them at the frames."""
        turns = self._offset + 4 * self._count * self._shapes
        for first in range(0, max(self._count, 1), BLOCK_FRAMES):
            count = min(BLOCK_FRAMES, self._count - first)
            weights = self._rows(self._offset, first, count, self._shapes)
            values = on_rig(weights, self._columns, self.info.rig)
            pose = self._rows(turns, first, count, _POSE) if self._has_pose else None
            yield Block(values, None if pose is None else pose.reshape(-1, 4, 3))

    def _rows(self, offset: int, first: int, count: int, width: int) -> Floats:
        place = offset + 4 * first * width
        data = self._answer[place : place + 4 * count * width]
        return np.frombuffer(data, "<f4").reshape(count, width).astype(np.float32)


def _on_rig(
    names: Sequence[str], facts: Mapping[str, Any], rig: Rig | None
) -> tuple[Rig, Columns, dict[str, Any]]:
    """Return the rig of blend shapes, the shapes of each of its controls, and notes.

    facesdk's own files have the clip's controls last.
    """
    first = len(names) - int(facts.get("controls", len(names)))
    own = list(names[max(first, 0) :])
    place = {name: max(first, 0) + i for i, name in enumerate(own)}
    if facts and rig is None:
        stored, _ = listed_rig(own, name=str(facts["rig"]), version=str(facts["rigVersion"]))
        return stored, [(place[n],) for n in stored.names], {}
    found, columns, notes = file_rig(own, rig)
    meta = {"imported": notes} if notes else {}
    first = max(first, 0)
    return found, [[first + i for i in places] for places in columns], meta


def _events(facts: Mapping[str, Any]) -> tuple[Event, ...]:
    return tuple(
        Event(int(e["sample"]), str(e["name"]), dict(e["data"]))
        for e in json.loads(str(facts.get("events", "[]")))
    )
