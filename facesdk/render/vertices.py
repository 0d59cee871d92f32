"""Vertex animation, as models trained on FLAME, VOCASET and BIWI predict it."""

from __future__ import annotations

import tokenize
from collections.abc import Generator, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..arrays import Floats
from ..clip import Clip
from ..errors import FileFormatError, RenderError, reading
from ..mesh import Head
from ..mesh.files.assemble import MAX_COORDINATE
from ..mesh.flame import FlameModel
from .look import Image
from .renderer import Renderer, Shot


class VertexFile:
    """An .npy file of (T, V, 3) or (T, 3 V) numbers for a head of V vertices, read by frame."""

    def __init__(self, path: str | Path, head: Head) -> None:
        """Raises `FileFormatError` for a file that holds something else."""
        with reading(path, FileFormatError):
            self._open(path, head)

    def _open(self, path: str | Path, head: Head) -> None:
        shape = head.neutral.shape
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, SyntaxError, EOFError, tokenize.TokenError) as error:
            raise FileFormatError(f"{path} is not an array of numbers: {error}") from error
        if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "fiu":
            raise FileFormatError(f"{path} is not an .npy file of numbers")
        if rows.ndim < 2 or not len(rows) or rows[0].size != shape[0] * 3:
            raise FileFormatError(
                f"{path} must hold (T, {shape[0]}, 3) for head {head.name!r}, got {rows.shape}"
            )
        self._path = path
        self._rows = rows.reshape(len(rows), *shape)
        first = np.asarray(self._rows[0], np.float64)
        if not (np.abs(first).max() < MAX_COORDINATE and np.ptp(first, axis=0).any()):
            raise FileFormatError(f"{path}: the first frame is not a surface")
        # heads are in meters; files in millimeters or decimeters are off by a power of ten
        ratio = np.linalg.norm(np.ptp(head.neutral, axis=0)) / np.linalg.norm(np.ptp(first, axis=0))
        self._scale = np.float32(10.0 ** round(float(np.log10(ratio))))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Floats:
        """Return the (V, 3) meters of one frame."""
        if not np.abs(self._rows[index]).max() < MAX_COORDINATE:  # NaN is not below either
            raise FileFormatError(f"{self._path}: frame {index} has vertices that are not finite")
        return np.asarray(self._rows[index], np.float32) * self._scale

    def frames(self) -> Generator[Floats, None, None]:
        """Yield (V, 3) meters, frame by frame."""
        for index in range(len(self)):
            yield self[index]


class FlameMotion:
    """A clip on the rig `flame` as vertices of a FLAME model."""

    def __init__(self, model: FlameModel, clip: Clip) -> None:
        """Raises `MeshError` for a clip on another rig."""
        self._model = model
        self._expression, self._pose = model.parameters(clip)

    def __len__(self) -> int:
        return len(self._pose)

    def __getitem__(self, index: int) -> Floats:
        """Return the (V, 3) meters of one frame."""
        row = slice(index, index + 1)
        points = self._model.vertices(self._expression[row], pose=self._pose[row])
        return np.asarray(points[0], np.float32)

    def frames(self) -> Generator[Floats, None, None]:
        """Yield (V, 3) meters, frame by frame."""
        for block in self._model.blocks(self._expression, pose=self._pose):
            yield from block


def vertex_images(
    points: Iterable[Floats], head: Head, shot: Shot | None = None, *, fps: Fraction
) -> Generator[Image, None, None]:
    """Yield images of a head whose vertices are at (V, 3) meters, frame by frame."""
    renderer = Renderer(head, shot or Shot())
    for index, here in enumerate(points):
        if here.shape != head.neutral.shape:
            raise RenderError(
                f"vertices must be {head.neutral.shape} for head {head.name!r}, got {here.shape}"
            )
        yield renderer.render(here, seconds=float(index / fps))
