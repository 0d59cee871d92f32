"""Pictures of a head drawn by numpy alone: nothing to install, the same bytes every time.

The skin is lit at its vertices and the light spread over the triangles; what is wet is lit at
every pixel. Pixels in which two surfaces meet are drawn from four samples, the others from one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..mesh import Head
from .camera import Camera
from .hollow import openness
from .light import developed, linear, shade
from .look import Look, Picture, backdrop
from .raster import NOTHING, facing, planes, visible
from .surface import Surface

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_JUMP = 0.004
"""Metres between neighbouring pixels beyond which two surfaces meet there."""

_FAR = np.float32(-10)
"""Metres towards the camera where there is nothing."""

_WIRE = (0.05, 0.07, 0.10)


class Painter:
    """Draws one head as seen by one camera after the other."""

    def __init__(self, head: Head, look: Look | None = None) -> None:
        self.look = look or Look()
        self._surface = Surface(head)

    def paint(self, points: Floats, camera: Camera, *, colors: Floats | None = None) -> Picture:
        """The head with its vertices at (V, 3) metres; `colors` (V, 3) sRGB replace its own."""
        width, height = self.look.size
        scene = _Scene(self._surface, self.look, camera, points, colors)
        numbers = visible(scene.screen, scene.triangles, width, height)
        rows, columns = np.nonzero(numbers != NOTHING)
        light, depth = scene.at(numbers[rows, columns], *_centres(rows, columns))
        depths = np.full(numbers.shape, _FAR, np.float32)
        depths[rows, columns] = depth
        open_ = openness(depths, numbers != NOTHING, camera, self.look.lighting)
        picture = self._canvas()
        picture[rows, columns, :3] = developed(light * open_[rows, columns, None])
        if self.look.transparent:
            picture[rows, columns, 3] = 255
        if self.look.smooth:
            self._smooth(picture, scene, numbers, depths, open_)
        return picture

    def _canvas(self) -> Picture:
        if self.look.transparent:
            width, height = self.look.size
            return np.zeros((height, width, 4), np.uint8)
        return self._behind.copy()

    @cached_property
    def _behind(self) -> Picture:
        return backdrop(self.look)

    def _smooth(
        self, picture: Picture, scene: _Scene, numbers: Ints, depths: Floats, open_: Floats
    ) -> None:
        """Draw the pixels in which surfaces meet anew, from four samples each."""
        meets = _meeting(scene.parts, numbers, depths)
        rows, columns = np.nonzero(meets)
        if not len(rows):
            return
        some = scene.touching(_grown(meets), numbers)
        height, width = numbers.shape
        twice = scene.screen * np.array([2, 2, 1], np.float32)
        fine = visible(twice, scene.triangles[some], 2 * width, 2 * height)
        total = np.zeros((len(rows), 3), np.float32)
        covered = np.zeros((len(rows), 1), np.float32)
        clear = open_[rows, columns, None]
        within = ~_grown(numbers == NOTHING)[rows, columns]
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            found = fine[2 * rows + dy, 2 * columns + dx]
            lost = np.flatnonzero((found == NOTHING) & within)  # between triangles left out
            total[lost] += picture[rows[lost], columns[lost], :3]
            covered[lost] += 1
            hit = np.flatnonzero(found != NOTHING)
            x, y = _centres(rows[hit], columns[hit], 0.25 + 0.5 * dx, 0.25 + 0.5 * dy)
            light, _ = scene.at(some[found[hit]], x, y)
            total[hit] += developed(light * clear[hit])
            covered[hit] += 1
        self._blend(picture, rows, columns, total, covered)

    def _blend(
        self,
        picture: Picture,
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
        total: Floats,
        covered: Floats,
    ) -> None:
        """Put sums over up to four samples into the picture, what is not covered behind them."""
        half = np.float32(0.5)
        if self.look.transparent:
            picture[rows, columns, :3] = total / np.maximum(covered, 1) + half
            picture[rows, columns, 3] = covered[:, 0] * np.float32(255 / 4) + half
        else:
            behind = self._behind[rows, columns]
            picture[rows, columns] = (total + behind * (4 - covered)) / 4 + half


def _centres(
    rows: NDArray[np.intp], columns: NDArray[np.intp], dx: float = 0.5, dy: float = 0.5
) -> tuple[Floats, Floats]:
    return columns.astype(np.float32) + np.float32(dx), rows.astype(np.float32) + np.float32(dy)


class _Scene:
    """One frame: its vertices lit, ready to be looked at sample by sample."""

    def __init__(
        self, surface: Surface, look: Look, camera: Camera, points: Floats, colors: Floats | None
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
        """Triangles that are seen in a mask or have a corner in it."""
        height, width = mask.shape
        x, y = (self.screen[:, k].astype(np.int32) for k in (0, 1))
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside[inside] = mask[y[inside], x[inside]]
        touch = inside[self.triangles].any(axis=1)
        seen = numbers[mask]
        touch[seen[seen != NOTHING]] = True
        return np.flatnonzero(touch).astype(np.int32)

    def at(self, numbers: Ints, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """(N, 3) light and (N,) depth where triangles are seen at (N,) positions in pixels."""
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
        """(N, 3) light worked out at points, not spread from the corners."""
        corners, share = self.triangles[numbers], self._shares(numbers, x, y)
        normals = _mix(self._normals, corners, share)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        materials = self._materials.at(corners[:, 0])
        albedo = _mix(self._materials.albedo, corners, share)
        return shade(normals, replace(materials, albedo=albedo), self._look.lighting)

    def _shares(self, numbers: Ints, x: Floats, y: Floats) -> Floats:
        """(N, 3) weights of the corners of triangles at positions."""
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
    """(N, K) values of the vertices in the share of each corner."""
    mixed = values[corners[:, 0]] * share[:, :1]
    mixed += values[corners[:, 1]] * share[:, 1:2]
    mixed += values[corners[:, 2]] * share[:, 2:]
    return np.asarray(mixed, np.float32)


def _meeting(parts: Ints, numbers: Ints, depths: Floats) -> NDArray[np.bool_]:
    """(H, W) whether a pixel and its neighbour show different surfaces."""
    part = np.where(numbers == NOTHING, 0, parts[numbers])
    meets = np.zeros(numbers.shape, bool)
    for one, two in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differ = (part[one] != part[two]) | (np.abs(depths[one] - depths[two]) > _JUMP)
        meets[one] |= differ
        meets[two] |= differ
    return meets


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and all pixels that touch it."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    wide = grown.copy()
    wide[:, 1:] |= grown[:, :-1]
    wide[:, :-1] |= grown[:, 1:]
    return wide
