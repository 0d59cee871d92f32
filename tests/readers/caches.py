"""Vertex caches by struct and NumPy, against the head's own vertices."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from probe import FPS, frame_times, tiny_head

from facesdk import Clip

from . import Curves, Row, Track
from .tables import EVENTS

OPTIONS = {"pc2": {"head": tiny_head()}, "mdd": {"head": tiny_head()}}


def tracks(times: np.ndarray, points: np.ndarray) -> Curves:
    """(T, V, 3) points as a channel for every coordinate."""
    return {
        f"{vertex}.{axis}": Track(times, points[:, vertex, i])
        for vertex in range(points.shape[1])
        for i, axis in enumerate("xyz")
    }


def read_pc2(path: Path) -> Curves:
    data = path.read_bytes()
    assert data[:12] == b"POINTCACHE2\0"
    version, vertices, start, step, frames = struct.unpack_from("<iiffi", data, 12)
    assert (version, step) == (1, 1)
    points = np.frombuffer(data, "<f4", offset=32).reshape(frames, vertices, 3)
    return tracks((start + np.arange(frames)) / float(FPS), points)


def read_mdd(path: Path) -> Curves:
    data = path.read_bytes()
    frames, vertices = struct.unpack_from(">ii", data)
    times = np.frombuffer(data, ">f4", frames, 8).astype(float)
    points = np.frombuffer(data, ">f4", offset=8 + 4 * frames).reshape(frames, vertices, 3)
    return tracks(times, points)


def in_centimetres_z_up(read):
    """The same reader for a file in other axes and another unit, back in metres with Y up."""

    def turned(path: Path) -> Curves:
        found = read(path)
        vertices = range(len(found) // 3)
        back = {"x": ("x", 1), "y": ("z", 1), "z": ("y", -1)}
        return {
            f"{v}.{axis}": Track(t.times, sign * t.values / 100)
            for v in vertices
            for axis, (name, sign) in back.items()
            for t in [found[f"{v}.{name}"]]
        }

    return turned


def moved(clip: Clip) -> Curves:
    head = tiny_head()
    return tracks(frame_times(clip), head.vertices(head.weights(clip), clip.pose))


HEAD = {"head": tiny_head()}
Z_UP = HEAD | {"settings": {"up": "z", "unit": "cm"}}
ROWS = (
    Row("pc2", "struct", read_pc2, lost=EVENTS | {"fps"}, options=HEAD, expect=moved,
        foreign=False),
    Row("pc2", "struct, z up, cm", in_centimetres_z_up(read_pc2), lost=EVENTS | {"fps"},
        options=Z_UP, expect=moved, foreign=False),
    Row("mdd", "struct", read_mdd, lost=EVENTS, options=HEAD, expect=moved, foreign=False),
    Row("mdd", "struct, z up, cm", in_centimetres_z_up(read_mdd), lost=EVENTS, options=Z_UP,
        expect=moved, foreign=False),
)  # fmt: skip
