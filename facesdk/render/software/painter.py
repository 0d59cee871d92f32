"""Render a head with numpy only: nothing to install, the same bytes every time.

Skin is lit per vertex and interpolated over triangles; wet surfaces are lit per pixel. Pixels in
which two surfaces meet are rendered from four samples, the others from one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...mesh import Head
from ..camera import Camera
from ..light import linear, shade, tone_mapped
from ..look import Image, Look, backdrop
from ..render_mesh import RenderMesh
from .ambient_occlusion import openness
from .raster import NOTHING, facing, planes, visible

Ints = NDArray[np.int32]

_JUMP = 0.004
"""Meters of depth between neighboring pixels that count as an edge between surfaces."""

_FAR = np.float32(-10)
"""Meters toward the camera, for the background."""

_WIRE = (0.05, 0.07, 0.10)


class SoftwarePainter:
    """Draws one head, as seen by one camera after the other."""

    def __init__(self, head: Head, look: Look | None = None) -> None:
        self.look = look or Look()
        self._mesh = RenderMesh(head)

    def paint(self, points: Floats, camera: Camera, *, colors: Floats | None = None) -> Image:
        """Return an image of the head with its vertices at (V, 3) meters.

        `colors` (V, 3) sRGB replace the head's own.
        """
        width, height = self.look.size
        scene = _Scene(self._mesh, self.look, camera, points, colors)
        numbers = visible(scene.screen, scene.triangles, width, height)
        covered = numbers != NOTHING
        pixels = np.flatnonzero(covered)
        light, depth = scene.at(numbers.reshape(-1)[pixels], *_centers(pixels, width))
        depths = np.full(numbers.shape, _FAR, np.float32)
        depths.reshape(-1)[pixels] = depth
        clear = openness(depths, covered, camera, self.look.lighting).reshape(-1, 1)
        image = self._canvas()
        flat = image.reshape(-1, image.shape[2])
        flat[pixels, :3] = tone_mapped(light * clear[pixels])
        if self.look.transparent:
            flat[pixels, 3] = 255
        if self.look.smooth:
            self._smooth(flat, scene, numbers, depths, clear)
        return image

    def _canvas(self) -> Image:
        if self.look.transparent:
            width, height = self.look.size
            return np.zeros((height, width, 4), np.uint8)
        return self._behind.copy()

    @cached_property
    def _behind(self) -> Image:
        return backdrop(self.look)

    def _smooth(
        self, flat: Image, scene: _Scene, numbers: Ints, depths: Floats, clear: Floats
    ) -> None:
        """Render the pixels in which surfaces meet again, from four samples each."""
        meets = _meeting(scene.parts, numbers, depths)
        pixels = np.flatnonzero(meets)
        if not len(pixels):
            return
        height, width = numbers.shape
        some = scene.touching(_grown(meets), numbers)
        twice = scene.screen * np.array([2, 2, 1], np.float32)
        fine = visible(twice, scene.triangles[some], 2 * width, 2 * height)
        samples = _quarters(pixels, width)
        found = fine.reshape(-1)[samples]
        hit = np.flatnonzero(found != NOTHING)
        x, y = _centers(samples[hit], 2 * width)
        half = np.float32(0.5)
        light, _ = scene.at(some[found[hit]], half * x, half * y)
        owner = np.tile(pixels, 4)
        colors = np.zeros((len(samples), 3), np.float32)
        colors[hit] = tone_mapped(light * clear[owner[hit]])
        # a sample between triangles that were left out is as its pixel was
        within = ~_grown(numbers == NOTHING).reshape(-1)
        lost = np.flatnonzero((found == NOTHING) & within[owner])
        colors[lost] = flat[owner[lost], :3]
        covered = found != NOTHING
        covered[lost] = True
        share = covered.reshape(4, -1, 1).sum(axis=0).astype(np.float32)
        self._blend(flat, pixels, colors.reshape(4, -1, 3).sum(axis=0), share)

    def _blend(self, flat: Image, pixels: NDArray[np.intp], total: Floats, covered: Floats) -> None:
        """Write sums of up to four samples into the image, the rest from the background."""
        half = np.float32(0.5)
        if self.look.transparent:
            flat[pixels, :3] = total / np.maximum(covered, 1) + half
            flat[pixels, 3] = covered[:, 0] * np.float32(255 / 4) + half
        else:
            behind = self._behind.reshape(-1, 3)[pixels]
            flat[pixels] = (total + behind * (4 - covered)) / 4 + half


def _quarters(pixels: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """Return (4 N,) samples of pixels in an image of twice the size, grouped by position."""
    row, column = np.divmod(pixels, width)
    first = 4 * width * row + 2 * column
    return np.concatenate([first, first + 1, first + 2 * width, first + 2 * width + 1])


def _centers(samples: NDArray[np.intp], width: int) -> tuple[Floats, Floats]:
    """Return the columns and rows of the centers of numbered samples."""
    row, column = np.divmod(samples.astype(np.int32), np.int32(width))
    half = np.float32(0.5)
    return column.astype(np.float32) + half, row.astype(np.float32) + half


class _Scene:
    """One frame with lit vertices, to be sampled at any pixel."""

    def __init__(
        self, surface: RenderMesh, look: Look, camera: Camera, points: Floats, colors: Floats | None
    ) -> None:
        seen = camera.seen(points)
        self.screen = camera.project(seen, *look.size)
        shown = np.flatnonzero(facing(self.screen, surface.triangles) | surface.both_sides)
        self.triangles = surface.triangles[shown]
        self.parts = surface.part[shown]
        self._glossy = surface.glossy[shown]
        self._look = look
        self._normals = surface.normals(seen)
        self._materials = surface.painted(colors)
        lit = np.empty((len(points), 4), np.float32)
        lit[:, :3] = shade(self._normals, self._materials, look.lighting)
        lit[:, 3] = seen[:, 2]
        self._planes = planes(self.screen, self.triangles, lit)

    def touching(self, mask: NDArray[np.bool_], numbers: Ints) -> Ints:
        """Return triangles that are visible in a mask or have a corner in it."""
        height, width = mask.shape
        x, y = (self.screen[:, k].astype(np.int32) for k in (0, 1))
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside[inside] = mask[y[inside], x[inside]]
        touch = inside[self.triangles].any(axis=1)
        seen = numbers[mask]
        touch[seen[seen != NOTHING]] = True
        return np.flatnonzero(touch).astype(np.int32)

    def at(self, numbers: Ints, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return (N, 3) light and (N,) depth of triangles at (N,) positions in pixels."""
        plane = self._planes[numbers]
        mixed = plane[:, 1]
        mixed *= x[:, None]
        plane[:, 2] *= y[:, None]
        mixed += plane[:, 2]
        mixed += plane[:, 0]
        light = mixed[:, :3]
        wet = np.flatnonzero(self._glossy[numbers])
        if len(wet):
            light[wet] = self._shaded(numbers[wet], x[wet], y[wet])
        if self._look.wireframe:
            self._draw_wires(light, numbers, x, y)
        return light, mixed[:, 3]

    def _shaded(self, numbers: Ints, x: Floats, y: Floats) -> Floats:
        """Return (N, 3) light computed per point rather than interpolated."""
        corners, share = self.triangles[numbers], self._shares(numbers, x, y)
        normals = _mix(self._normals, corners, share)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        materials = self._materials.at(corners[:, 0])
        albedo = _mix(self._materials.albedo, corners, share)
        materials = replace(materials, albedo=albedo)
        return shade(normals, materials, self._look.lighting, wet=True)

    def _shares(self, numbers: Ints, x: Floats, y: Floats) -> Floats:
        """Return (N, 3) barycentric weights of triangles at positions."""
        points = self.screen[:, :2][self.triangles[numbers]]
        unit = np.eye(3, dtype=np.float32)
        corners = np.arange(3 * len(numbers), dtype=np.int32).reshape(-1, 3)
        flat = planes(points.reshape(-1, 2), corners, np.tile(unit, (len(numbers), 1)))
        share = flat[:, 0] + flat[:, 1] * x[:, None] + flat[:, 2] * y[:, None]
        return np.asarray(np.clip(share, 0, 1), np.float32)

    def _draw_wires(self, light: Floats, numbers: Ints, x: Floats, y: Floats) -> None:
        points = self.screen[:, :2][self.triangles[numbers]]
        sides = np.roll(points, 1, axis=1) - np.roll(points, -1, axis=1)
        u, v = sides[:, 0], sides[:, 1]
        area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])[:, None]
        share = self._shares(numbers, x, y)
        away = (share * area / np.maximum(np.linalg.norm(sides, axis=2), 1e-6)).min(axis=1)
        ink = np.clip(1.1 - away, 0, 1)[:, None] * np.float32(0.75)
        light[:] = light * (1 - ink) + ink * linear(np.array(_WIRE, np.float32))


def _mix(values: Floats, corners: Ints, share: Floats) -> Floats:
    """Return (N, K) vertex values interpolated by corner weights."""
    mixed = values[corners[:, 0]] * share[:, :1]
    mixed += values[corners[:, 1]] * share[:, 1:2]
    mixed += values[corners[:, 2]] * share[:, 2:]
    return np.asarray(mixed, np.float32)


def _meeting(parts: Ints, numbers: Ints, depths: Floats) -> NDArray[np.bool_]:
    """Return (H, W) whether a pixel and its neighbor show different surfaces."""
    part = np.where(numbers == NOTHING, 0, parts[numbers])
    meets = np.zeros(numbers.shape, bool)
    for one, two in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differ = (part[one] != part[two]) | (np.abs(depths[one] - depths[two]) > _JUMP)
        meets[one] |= differ
        meets[two] |= differ
    return meets


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask grown by one pixel."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    wide = grown.copy()
    wide[:, 1:] |= grown[:, :-1]
    wide[:, :-1] |= grown[:, 1:]
    return wide
