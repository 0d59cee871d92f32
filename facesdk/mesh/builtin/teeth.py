"""Teeth and gums on a dental arch, in place of the base mesh's strips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..head import Material
from ..surface import Array, grid_triangles, smooth_step

ENAMEL = Material("enamel", (0.86, 0.82, 0.74), roughness=0.25)
GUM = Material("gum", (0.62, 0.30, 0.30), roughness=0.35)

# Mesio-distal widths, crown heights and depths in millimeters, from the midline backwards.
_UPPER = np.array([[8.5, 10.2, 6.5], [6.6, 9.0, 6.0], [7.6, 9.8, 7.5], [7.0, 8.0, 8.5],
                   [6.8, 7.6, 8.5], [9.8, 7.2, 10.0], [9.2, 6.8, 10.0]])  # fmt: skip
_LOWER = np.array([[5.4, 8.8, 5.6], [6.0, 9.0, 5.8], [7.0, 9.6, 7.0], [7.0, 8.2, 7.6],
                   [7.2, 7.8, 8.0], [10.8, 7.2, 9.6], [10.2, 6.8, 9.6]])  # fmt: skip
_EDGE = np.array([0.0, -0.5, 0.2, -0.3, -0.5, -0.8, -1.0])  # mm beyond the bite line
_EDGED = (1.0, 0.92, 0.72, 0.5, 0.4, 0.28, 0.0)  # depth from the neck of an incisor to its edge
_BROAD = (0.9, 1.0, 1.0, 0.95, 0.85, 0.6, 0.0)  # the same for teeth that end in a table
_INCISORS = 3  # teeth of a side that end in an edge, not in a table
_SHADES = np.array([[1.0, 1.0, 1.0], [0.985, 0.98, 0.97], [0.965, 0.935, 0.88],
                    [0.96, 0.945, 0.91], [0.95, 0.93, 0.89], [0.93, 0.90, 0.85],
                    [0.92, 0.89, 0.84]])  # fmt: skip
"""Color of each tooth relative to the enamel's: canines are yellower than incisors."""
_NECK = np.array([0.90, 0.80, 0.66])
_EDGE_TINT = np.array([0.90, 0.93, 0.97])  # where an incisor is thin, less light comes back
_GAP = 0.82  # share of light between two teeth


LOWER = np.array([0.0016, -0.0072])
"""Shift of the bite in meters, so that the upper teeth show below a raised lip."""


@dataclass(frozen=True, eq=False)
class Arch:
    """A dental arch: a half oval around a center, and the height at which its teeth bite."""

    center: float
    """z of the middle between the last molars, meters."""
    oval: Array
    """Outer radius as a polynomial of the squared angle from straight ahead."""
    bite: Array
    """Height (y) at which teeth end, as a polynomial of the squared angle."""
    upper: bool

    @classmethod
    def of_strip(cls, points: Array, *, upper: bool) -> Arch:
        """Fit the arch of a strip of teeth."""
        center = points[:, 2].min() + 0.004
        angle = np.arctan2(points[:, 0], points[:, 2] - center)
        radius = np.hypot(points[:, 0], points[:, 2] - center)
        coarse = np.polyfit(angle**2, radius, 2)
        outer = radius > np.polyval(coarse, angle**2)  # the outer of the two walls
        ends = outer & _near_end(points, angle, upper=upper)
        oval = np.polyfit(angle[outer] ** 2, radius[outer], 2)
        bite = np.polyfit(angle[ends] ** 2, points[ends, 1], 1)
        oval[-1] += 0.0015
        bite += LOWER
        return cls(center, oval, bite, upper)

    def places(self, angle: Array, *, inwards: float = 0.0) -> Array:
        """Return (N, 2) x and z at angles, `inwards` meters inside the outer face."""
        radius = np.polyval(self.oval, angle**2) - inwards
        return np.stack([radius * np.sin(angle), self.center + radius * np.cos(angle)], -1)

    def opposite(self) -> Arch:
        """Return the lower arch that fits an upper one: slightly behind it, overlapped in front."""
        oval, bite = self.oval.copy(), self.bite.copy()
        oval[-1] -= 0.0026
        oval[-2] += 0.0006
        bite[-1] += 0.0012
        bite[-2] -= 0.0009
        return Arch(self.center, oval, bite, upper=False)

    def angles(self, lengths: Array, *, inwards: float) -> Array:
        """Return the angles at which the arch has reached a length from the midline."""
        fine = np.linspace(0, np.radians(100), 400)
        steps = np.linalg.norm(np.diff(self.places(fine, inwards=inwards), axis=0), axis=1)
        run = np.concatenate([[0], np.cumsum(steps)])
        return np.asarray(np.interp(lengths, run, fine))


def _near_end(points: Array, angle: Array, *, upper: bool) -> Array:
    """Return which vertices lie near the biting end of the strip."""
    height = points[:, 1] * (1 if upper else -1)
    line = np.polyfit(angle**2, height, 1)
    return np.asarray(height < np.polyval(line, angle**2))


def dentition(arch: Arch, *, segments: int) -> tuple[Array, Array, int, Array]:
    """Return points, triangles, the number of triangles that are teeth, and (V, 3) colors.

    The gum follows the teeth. Colors are relative to the enamel's and the gum's.
    """
    sizes = (_UPPER if arch.upper else _LOWER) * 1e-3
    middles = np.cumsum(sizes[:, 0]) - sizes[:, 0] / 2
    angles = arch.angles(middles * 0.985, inwards=0.003)
    chance = np.random.default_rng(11 if arch.upper else 12)
    points: list[Array] = []
    colors: list[Array] = []
    for i, (angle, size) in enumerate(zip(angles, sizes, strict=True)):
        crown = _crown(size, edged=i < _INCISORS, segments=segments)
        tint = _crown_colors(crown, size, edged=i < _INCISORS) * _SHADES[i]
        end = float(np.polyval(arch.bite, angle**2))
        for side in (-1, 1):
            own = _leaning(crown, chance, front=i < _INCISORS)
            points.append(_placed(own, arch, side * angle, end, edge=_EDGE[i] * 1e-3))
            colors.append((tint * chance.uniform(0.97, 1.0)).reshape(-1, 3))
    teeth = np.concatenate(points)
    one = grid_triangles(_ROWS, segments, closed=True)
    step = _ROWS * segments
    triangles = np.concatenate([one + step * i for i in range(len(points))])
    gum, gum_triangles = _gum(arch, segments=segments)
    return (
        np.concatenate([teeth, gum]),
        np.concatenate([triangles, gum_triangles + len(teeth)]),
        len(triangles),
        np.concatenate([*colors, np.ones_like(gum)]),
    )


def _leaning(crown: Array, chance: np.random.Generator, *, front: bool) -> Array:
    """Return a crown turned and shifted a little, as no two teeth stand alike."""
    turn, lean = np.radians(chance.normal(0, 2.5 if front else 3.5)), chance.normal(0, 0.02)
    shift = np.array([0.0, 0.0, chance.uniform(-1, 1) * 0.00018])  # edges bite where they did
    x, y, z = crown[..., 0], crown[..., 1], crown[..., 2]
    turned = np.stack(
        [
            np.cos(turn) * x - np.sin(turn) * z + lean * y,
            y,
            np.sin(turn) * x + np.cos(turn) * z,
        ],
        -1,
    )
    return np.asarray(turned + shift)


def _crown_colors(crown: Array, size: Array, *, edged: bool) -> Array:
    """Return (rows, segments, 3) colors: yellower at the neck, darker between teeth."""
    side = np.abs(crown[..., :1]) / (size[0] / 2)
    along = crown[..., 1:2] / size[1]
    color = 1 + smooth_step(0.45, 0.95, along) * (_NECK - 1)
    if edged:
        color = color * (1 + smooth_step(0.16, 0.0, along) * (_EDGE_TINT - 1))
    return np.asarray(color * (1 + smooth_step(0.80, 1.0, side) * (_GAP - 1)))


def shade(arch: Arch, points: Array) -> Array:
    """Return (N,) the share of light that reaches points of an arch, least at the back."""
    angle = np.abs(np.arctan2(points[:, 0], points[:, 2] - arch.center))
    return np.asarray(1 - 0.72 * smooth_step(np.radians(22), np.radians(72), angle))


_ROWS = 7


def _crown(size: Array, *, edged: bool, segments: int) -> Array:
    """Return (rows, segments, 3) meters: across, along the tooth (its end at 0), outward."""
    width, height, depth = size
    around = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    down = np.array([0.0, 0.3, 0.6, 0.82, 0.94, 1.0, 1.0])
    wide = np.array([0.80, 0.93, 1.0, 1.0, 0.95, 0.84, 0.0]) * width / 2
    deep = np.array(_EDGED if edged else _BROAD) * depth / 2
    across = np.sign(np.cos(around)) * np.abs(np.cos(around)) ** 0.7
    out = np.sign(np.sin(around)) * np.abs(np.sin(around)) ** 0.7
    flush = (deep.max() - deep) * (0.75 if edged else 0.0)  # incisors taper behind their face
    rows = np.stack(
        [
            np.outer(wide, across),
            np.repeat(((1 - down) * height)[:, None], segments, 1),
            np.outer(deep, out) + flush[:, None],
        ],
        -1,
    )
    rows[-1, :, 1] -= 0.0002
    if edged:  # the corners of an edge are round
        corner = np.abs(across) ** 4 * width * 0.07
        rows[:, :, 1] += smooth_step(0.6, 1.0, down)[:, None] * corner
    return rows


def _placed(crown: Array, arch: Arch, angle: float, end: float, *, edge: float) -> Array:
    """Return a crown placed on the arch, its outer face along it."""
    half = crown[..., 2].max()
    here = arch.places(np.array([angle]), inwards=half)[0]
    near = arch.places(np.array([angle - 0.02, angle + 0.02]), inwards=half)
    along = (near[1] - near[0]) / np.linalg.norm(near[1] - near[0])
    outwards = np.array([-along[1], along[0]])
    outwards *= np.sign(outwards @ [np.sin(angle), np.cos(angle)])
    flat = here + crown[..., :1] * along + crown[..., 2:] * outwards
    up = 1 if arch.upper else -1
    height = end - up * edge + up * crown[..., 1]
    return np.stack([flat[..., 0], height, flat[..., 1]], -1).reshape(-1, 3)


def _gum(arch: Arch, *, segments: int) -> tuple[Array, Array]:
    """Return a ridge around the roots of the teeth, scalloped at their necks."""
    sizes = (_UPPER if arch.upper else _LOWER) * 1e-3
    run = np.linspace(-1, 1, 4 * segments + 1) * sizes[:, 0].sum()
    signs = np.sign(run)
    angles = signs * arch.angles(np.abs(run) * 0.985, inwards=0.003)
    bounds = np.cumsum(sizes[:, 0])
    which = np.searchsorted(bounds, np.abs(run)).clip(0, len(sizes) - 1)
    crown = np.interp(np.abs(run), bounds - sizes[:, 0] / 2, sizes[:, 1])
    phase = (np.abs(run) - (bounds - sizes[:, 0])[which]) / sizes[which, 0]
    papilla = 0.0014 * (0.5 + 0.5 * np.cos(2 * np.pi * phase))
    around = np.linspace(0, 2 * np.pi, 9)[:-1]
    up = 1 if arch.upper else -1
    end = np.polyval(arch.bite, angles**2)
    taper = smooth_step(0, 0.12, 1 - np.abs(run) / np.abs(run).max()) * 0.6 + 0.4
    rows = []
    for turn in around:
        inwards = 0.0042 - 0.0050 * np.cos(turn) * taper
        radius = np.polyval(arch.oval, angles**2) - inwards
        low = max(-np.sin(turn), 0.0)
        height = crown * 0.74 + 0.0045 + 0.0045 * np.sin(turn) - papilla * low
        rows.append(
            np.stack(
                [radius * np.sin(angles), end + up * height, arch.center + radius * np.cos(angles)],
                -1,
            )
        )
    grid = np.stack(rows, 1)
    return grid.reshape(-1, 3), grid_triangles(len(run), len(around), closed=True)
