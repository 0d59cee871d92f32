"""Vertex caches: every point of a head in every frame, as `.pc2` and `.mdd`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..arrays import Floats
from ..source import FrameSource, moving_angles
from .format import Format
from .options import DEFAULTS, TIMES, Setting, WriteOptions
from .scene.head_curves import HeadCurves, default_head
from .spool import Spool, spooled

if TYPE_CHECKING:
    from ..mesh import Head

_SETTINGS = (
    Setting(
        "up", "y", "axis that points up: y (the face looks along +z) or z (along -y)", ("y", "z")
    ),
    Setting("unit", "m", "of the points", ("m", "cm")),
)
_FRAMES = 32
"""Frames whose points are worked out at once."""


def write_pc2(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Point Cache 2: positions of all vertices of a head, a sample a frame.

    Returns what it does not hold: controls and joints that move nothing on the head, `events`, and
    `fps`, since it counts time in frames.
    """
    head = options.head or default_head()
    driven = HeadCurves(source, head)
    with spooled(driven) as spool:
        first = source.info.start * source.info.fps
        file.write(b"POINTCACHE2\0" + struct.pack("<ii", 1, len(head.neutral)))
        file.write(struct.pack("<ffi", float(first), 1.0, spool.frames))
        for points in _points(spool, head, options):
            file.write(points.astype("<f4").tobytes())
        return (*_lost(driven, spool, head), "fps")


def write_mdd(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """LightWave's MDD: times in seconds and positions of all vertices of a head.

    Returns what it does not hold: controls and joints that move nothing on the head, `events`.
    """
    head = options.head or default_head()
    driven = HeadCurves(source, head)
    with spooled(driven) as spool:
        start = source.info.start
        times = float(start) + np.arange(spool.frames) / float(source.info.fps)
        file.write(struct.pack(">ii", spool.frames, len(head.neutral)))
        file.write(times.astype(">f4").tobytes())
        for points in _points(spool, head, options):
            file.write(points.astype(">f4").tobytes())
        return _lost(driven, spool, head)


def rest_mesh(name: str, _: FrameSource, options: WriteOptions) -> bytes:
    """The head at rest as an OBJ file, whose vertices are those of the cache in their order."""
    head = options.head or default_head()
    lines = [f"# the mesh that {name} moves, at rest"]
    lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in _placed(head.neutral, options).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (head.triangles + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


def _points(spool: Spool, head: Head, options: WriteOptions) -> Iterator[Floats]:
    """(n, V, 3) points of some frames at a time."""
    shapes = len(head.names)
    for run in spool.rows():
        for start in range(0, len(run), _FRAMES):
            rows = run[start : start + _FRAMES]
            pose = rows[:, shapes:].reshape(-1, 4, 3) if spool.has_pose else None
            yield _placed(head.vertices(rows[:, :shapes], pose), options)


def _placed(points: Floats, options: WriteOptions) -> Floats:
    """(..., 3) metres, Y up, on the axes and in the unit of the file."""
    if options.settings.get("up", "y") == "z":
        x, y, z = np.moveaxis(points, -1, 0)
        points = np.stack([x, -z, y], -1)
    return points * np.float32(100 if options.settings.get("unit", "m") == "cm" else 1)


def _lost(driven: HeadCurves, spool: Spool, head: Head) -> tuple[str, ...]:
    """Names of what moves in the clip and nothing on the head."""
    lost = list(driven.dropped)
    if spool.has_pose:
        moving: set[str] = set()
        for rows in spool.rows():
            moving |= moving_angles(rows[:, len(head.names) :])
        for eye, joint in (("eye_left", "left_eye"), ("eye_right", "right_eye")):
            if eye not in head.joints or eye not in head.masks:
                lost += sorted(n for n in moving if n.startswith(f"pose.{joint}."))
    return (*(("events",) if driven.info.events else ()), *lost)


FORMATS = (
    Format(
        "pc2",
        ".pc2",
        write_pc2,
        description="Point Cache 2: the vertices of a head, and the head at rest beside it",
        options=TIMES | {"head"},
        settings=_SETTINGS,
        sidecars={".obj": rest_mesh},
    ),
    Format(
        "mdd",
        ".mdd",
        write_mdd,
        description="LightWave MDD: the vertices of a head, and the head at rest beside it",
        options=TIMES | {"head"},
        settings=_SETTINGS,
        sidecars={".obj": rest_mesh},
    ),
)
