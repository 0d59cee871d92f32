"""Wavefront OBJ: one surface per file, or folders with one file per shape."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError
from .assemble import MAX_VERTICES, Raw, check_size

Array = NDArray[Any]

MAX_BYTES = 1 << 26
NEUTRALS = ("generic_neutral_mesh", "neutral", "base", "basehead", "head", "rest", "default")
"""Names of the neutral in a folder, most specific first; ICT-FaceKit uses the first."""

SKIPPED = ("identity",)
"""Prefixes of files in a folder that are not expressions."""


def read_obj(path: Path) -> Raw:
    """Read vertices and triangles of a file; polygons become triangle fans."""
    points, colors, triangles = _parsed(path)
    return Raw(path.stem, points, triangles, colors=colors)


def _parsed(path: Path) -> tuple[Array, Array | None, Array]:
    if path.stat().st_size > MAX_BYTES:
        raise FileFormatError(f"{path} is too large for a head: over {MAX_BYTES:,} bytes")
    points: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                match line.split():
                    case ["v", *numbers]:
                        points.append([float(x) for x in numbers])
                    case ["f", *corners]:
                        fan = [_corner(c, len(points)) for c in corners]
                        triangles += [(fan[0], a, b) for a, b in pairwise(fan[1:])]
        faces = np.array(triangles, np.int64).reshape(-1, 3)
    except (ValueError, OverflowError) as error:
        raise FileFormatError(f"{path} is not an OBJ file: {error}") from error
    if not points or len({len(p) for p in points}) != 1 or len(points[0]) < 3:
        raise FileFormatError(f"{path} is not an OBJ file: expected lines `v x y z`")
    if len(points) > MAX_VERTICES:
        check_size(len(points), 0, path)
    array = np.array(points)
    if not np.isfinite(array).all():
        raise FileFormatError(f"{path} has vertices that are not finite")
    if faces.size and not (faces.min() >= 0 and faces.max() < len(array)):
        raise FileFormatError(f"{path} has faces that refer to missing vertices")
    colors = array[:, 3:6].clip(0, 1) if array.shape[1] >= 6 else None
    return array[:, :3], colors, faces


def _corner(text: str, count: int) -> int:
    """Return the vertex of a face's corner; negative numbers count from the last one so far."""
    index = int(text.split("/")[0])
    return index - 1 if index > 0 else count + index


def read_obj_folder(folder: Path) -> Raw:
    """Read a neutral and one file per shape, named by the shape, all with the same vertices.

    The model folder of ICT-FaceKit has this layout.
    """
    files = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() == ".obj"}
    lowered = {stem.lower(): stem for stem in files}
    rest = next((lowered[n] for n in NEUTRALS if n in lowered), None)
    rest = rest or next((s for s in files if "neutral" in s.lower()), None)
    if rest is None:
        raise FileFormatError(
            f"{folder} has no neutral among its {len(files)} OBJ files; "
            f"name it one of {', '.join(n + '.obj' for n in NEUTRALS[:3])}"
        )
    neutral, colors, triangles = _parsed(files.pop(rest))
    check_size(len(neutral), len(files), folder)
    shapes = {}
    for stem, path in files.items():
        if stem.lower().startswith(SKIPPED):
            continue
        points = _parsed(path)[0]
        if len(points) != len(neutral):
            raise FileFormatError(
                f"{path} has {len(points)} vertices, the neutral {rest}.obj has {len(neutral)}"
            )
        shapes[stem] = points - neutral
    return Raw(folder.name, neutral, triangles, shapes, colors=colors)
