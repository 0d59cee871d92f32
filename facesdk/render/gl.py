"""Render a head with OpenGL through pyrender, on a graphics card if there is one.

Vertices are lit by the same code as in the software renderer; OpenGL interpolates over triangles.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from ctypes.util import find_library
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import missing_extra
from ..mesh import Head
from .camera import FIELD_OF_VIEW, Camera
from .light import VertexMaterials, shade, tone_mapped
from .look import Image, Look, backdrop
from .render_mesh import RenderMesh
from .software.ambient_occlusion import openness
from .textured import Lit, TexturedParts, use_cutting_shaders

_NEAR, _FAR = 0.01, 20.0

_MARGIN = 0.036
"""Meters around the head that soft shadows look at."""

_GRID = 16
"""Pixels; a part of an image begins at a multiple of it, as shadows are computed coarsely."""


def platform() -> str | None:
    """Return `egl` or `osmesa`, the OpenGL platform for rendering without a screen, or None."""
    if find_spec("pyrender") is None or sys.platform in ("win32", "darwin"):
        return None
    if chosen := os.environ.get("PYOPENGL_PLATFORM"):
        return chosen if chosen in ("egl", "osmesa") else None
    if find_library("EGL"):
        return "egl"
    return "osmesa" if find_library("OSMesa") else None


def _box_of(covered: NDArray[np.bool_], pixel: float) -> tuple[slice, slice] | None:
    """Return the rows and columns of what is covered, with a margin for soft shadows.

    `pixel` is the size of a pixel in meters. None if nothing is covered.
    """
    margin = int(_MARGIN / pixel) + _GRID
    box = []
    for axis in (1, 0):
        some = np.flatnonzero(covered.any(axis))
        if not len(some):
            return None
        first = max(0, (some[0] - margin) // _GRID * _GRID)
        box.append(slice(int(first), int(min(some[-1] + margin, covered.shape[1 - axis]))))
    return box[0], box[1]


class GLPainter:
    """Draws one head, as seen by one camera after the other."""

    def __init__(self, head: Head, look: Look | None = None) -> None:
        self.look = look or Look()
        self._mesh = RenderMesh(head)
        self._textured = TexturedParts(head)
        self._split: dict[frozenset[int], dict[bool, NDArray[np.uint32]]] = {}
        if find_spec("pyrender") is None:
            raise missing_extra("rendering with OpenGL", "render")
        os.environ.setdefault("PYOPENGL_PLATFORM", platform() or "osmesa")

    def paint(self, points: Floats, camera: Camera, *, colors: Floats | None = None) -> Image:
        """Return an image of the head with its vertices at (V, 3) meters.

        `colors` (V, 3) sRGB replace the head's own.
        """
        seen = camera.seen(points)
        normals = self._mesh.normals(seen)
        textures = [] if colors is not None else self._textured.lit(
            lambda part: shade(
                normals[part.vertices], part.materials(self._mesh.materials), self.look.lighting
            )
        )  # fmt: skip
        color, depth = self._picture(seen, normals, self._mesh.painted(colors), camera, textures)
        image = self._canvas()
        box = _box_of(depth > 0, camera.height / len(depth))
        if box is None:
            return image
        rows = box[0]
        color, depth = color[box], depth[box]
        alpha = color[..., 3:].astype(np.float32) / 255
        covered = depth > 0
        away = np.where(covered, np.float32(camera.distance) - depth, np.float32(-10))
        tall = camera.height * (rows.stop - rows.start) / len(image)
        part = replace(camera, height=tall)
        open_ = openness(away, covered, part, self.look.lighting)[..., None]
        # bytes are sRGB, not linear light: brightness is about the 2.2nd root of it
        front = color[..., :3] * open_ ** np.float32(1 / 2.2)
        if self.look.transparent:
            front /= np.maximum(alpha, np.float32(1 / 255))
            whole = np.concatenate([np.minimum(front, 255), 255 * alpha], axis=2)
        else:
            whole = front + self._behind[box] * (1 - alpha)
        image[box] = whole + np.float32(0.5)
        return image

    def _canvas(self) -> Image:
        if self.look.transparent:
            width, height = self.look.size
            return np.zeros((height, width, 4), np.uint8)
        return self._behind.copy()

    def _picture(
        self,
        seen: Floats,
        normals: Floats,
        materials: VertexMaterials,
        camera: Camera,
        textures: Sequence[Lit],
    ) -> tuple[NDArray[np.uint8], Floats]:
        """Return (H, W, 4) premultiplied bytes and (H, W) meters of depth, 0 for background."""
        light = shade(normals, materials, self.look.lighting)
        return self._render(seen, tone_mapped(light), camera, textures)

    def _indices(self, textured: frozenset[int]) -> dict[bool, NDArray[np.uint32]]:
        """Triangles that are seen from both sides, and those that are not.

        Parts with these numbers are left out.
        """
        if textured not in self._split:
            self._split[textured] = self._split_triangles(textured)
        return self._split[textured]

    def _split_triangles(self, textured: frozenset[int]) -> dict[bool, NDArray[np.uint32]]:
        plain = ~np.isin(self._mesh.part, list(textured))
        both_sides = self._mesh.both_sides[plain]
        triangles = self._mesh.triangles[plain].astype(np.uint32)
        split = {side: triangles[both_sides == side] for side in (False, True)}
        return {side: rows for side, rows in split.items() if len(rows)}

    @cached_property
    def _behind(self) -> Image:
        return backdrop(self.look)

    @cached_property
    def _renderer(self) -> Any:
        import pyrender

        renderer = pyrender.OffscreenRenderer(*(self._scale * side for side in self.look.size))
        if self._textured.parts:
            use_cutting_shaders(renderer)
        return renderer

    @property
    def _scale(self) -> int:
        """Supersampling factor: OSMesa has no multisampling, so it renders at twice the size."""
        return 2 if self.look.smooth and os.environ["PYOPENGL_PLATFORM"] == "osmesa" else 1

    def _render(
        self, seen: Floats, colors: NDArray[np.uint8], camera: Camera, textures: Sequence[Lit]
    ) -> tuple[NDArray[np.uint8], Floats]:
        """Return (H, W, 4) premultiplied bytes and (H, W) meters of depth, 0 for background."""
        import pyrender

        shades = np.concatenate([colors / np.float32(255), np.ones((len(seen), 1))], axis=1)
        drawn = frozenset(lit.part.number for lit in textures)
        primitives = [
            pyrender.Primitive(
                positions=seen,
                indices=indices,
                color_0=shades,
                material=pyrender.MetallicRoughnessMaterial(doubleSided=both_sides),
                mode=4,
            )
            for both_sides, indices in self._indices(drawn).items()
        ]
        scene = pyrender.Scene(bg_color=[0.0, 0.0, 0.0, 0.0])
        lens = pyrender.PerspectiveCamera(np.radians(FIELD_OF_VIEW), znear=_NEAR, zfar=_FAR)
        pose = np.eye(4)
        pose[2, 3] = camera.distance
        scene.add(lens, pose=pose)
        if primitives:
            scene.add(pyrender.Mesh(primitives))
        for lit in textures:
            scene.add(pyrender.Mesh([lit.primitive(seen)]))
        color, depth = self._renderer.render(
            scene, pyrender.RenderFlags.FLAT | pyrender.RenderFlags.RGBA
        )
        return self._downsampled(color, depth)

    def _downsampled(
        self, color: NDArray[np.uint8], depth: Floats
    ) -> tuple[NDArray[np.uint8], Floats]:
        """Reduce OSMesa's supersampled image without alpha to what EGL returns."""
        if color.shape[2] == 4:
            return color, depth
        alpha = np.where(depth > 0, np.uint8(255), np.uint8(0))
        whole = np.concatenate([color, alpha[..., None]], axis=2).astype(np.float32)
        if self._scale == 1:
            return whole.astype(np.uint8), depth
        quarters = [np.s_[y::2, x::2] for y in (0, 1) for x in (0, 1)]
        mean = np.mean([whole[q] for q in quarters], axis=0)
        return mean.astype(np.uint8), np.max([depth[q] for q in quarters], axis=0)

    def close(self) -> None:
        """Release the OpenGL context."""
        if "_renderer" in self.__dict__:
            self._renderer.delete()
            del self.__dict__["_renderer"]
