"""Vertex caches: every point of a head in every frame, as `.pc2` and `.mdd`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..arrays import Floats
from ..source import FrameSource, moving_angles
from .format import Format
from .options import DEFAULTS, TIMES, Setting, WriteOptions, title
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
"""Frames whose points are computed at once."""


def write_pc2(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write Point Cache 2: positions of all vertices of a head, one sample per frame.

    Returns what it does not hold: controls and joints without effect on the head, `events`, and
    `fps`, since it counts time in frames.
    """
    head = options.mesh or default_head()
    driven = HeadCurves(source, head)
    with spooled(driven) as spool:
        first = source.info.start * source.info.fps
        file.write(b"POINTCACHE2\0" + struct.pack("<ii", 1, len(head.neutral)))
        file.write(struct.pack("<ffi", float(first), 1.0, spool.frames))
        for points in _points(spool, head, options):
            file.write(points.astype("<f4").tobytes())
        return (*_dropped(driven, spool, head), "fps")


def write_mdd(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write LightWave's MDD: times in seconds and positions of all vertices of a head.

    Returns what it does not hold: controls and joints without effect on the head, `events`.
    """
    head = options.mesh or default_head()
    driven = HeadCurves(source, head)
    with spooled(driven) as spool:
        start = source.info.start
        times = float(start) + np.arange(spool.frames) / float(source.info.fps)
        file.write(struct.pack(">ii", spool.frames, len(head.neutral)))
        file.write(times.astype(">f4").tobytes())
        for points in _points(spool, head, options):
            file.write(points.astype(">f4").tobytes())
        return _dropped(driven, spool, head)


def rest_mesh(name: str, _: FrameSource, options: WriteOptions) -> bytes:
    """Return the head at rest as an OBJ file with the vertices of the cache in order."""
    head = options.mesh or default_head()
    lines = [f"# the mesh that {title(name)} moves, at rest"]
    lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in _placed(head.neutral, options).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (head.triangles + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


def _points(spool: Spool, head: Head, options: WriteOptions) -> Iterator[Floats]:
    """Yield (n, V, 3) points of some frames at a time."""
    shapes = len(head.names)
    for run in spool.rows():
        for start in range(0, len(run), _FRAMES):
            rows = run[start : start + _FRAMES]
            pose = rows[:, shapes:].reshape(-1, 4, 3) if spool.has_pose else None
            yield _placed(head.vertices(rows[:, :shapes], pose), options)


def _placed(points: Floats, options: WriteOptions) -> Floats:
    """Return points in meters, Y up, on the axes and in the unit of the file."""
    if options.settings.get("up", "y") == "z":
        x, y, z = np.moveaxis(points, -1, 0)
        points = np.stack([x, -z, y], -1)
    return points * np.float32(100 if options.settings.get("unit", "m") == "cm" else 1)


def _dropped(driven: HeadCurves, spool: Spool, head: Head) -> tuple[str, ...]:
    """Return the channels that move in the clip and have no effect on the head."""
    dropped = list(driven.dropped)
    if spool.has_pose:
        moving: set[str] = set()
        for rows in spool.rows():
            moving |= moving_angles(rows[:, len(head.names) :])
        for eye in ("left_eye", "right_eye"):
            if eye not in head.joints or eye not in head.masks:
                dropped += sorted(n for n in moving if n.startswith(f"pose.{eye}."))
    return (*(("events",) if driven.info.events else ()), *dropped)


FORMATS = (
    Format(
        "pc2",
        ".pc2",
        write_pc2,
        description="Point Cache 2: the vertices of a head, with the head at rest as .obj",
        options=TIMES | {"head"},
        settings=_SETTINGS,
        sidecars={".obj": rest_mesh},
    ),
    Format(
        "mdd",
        ".mdd",
        write_mdd,
        description="LightWave MDD: the vertices of a head, with the head at rest as .obj",
        options=TIMES | {"head"},
        settings=_SETTINGS,
        sidecars={".obj": rest_mesh},
    ),
)
