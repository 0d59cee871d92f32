"""Place the tongue and build the shapes that speech needs in addition to ARKit's tongueOut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..head import Material
from ..surface import Array, smooth_step

TONGUE = Material("tongue", (0.74, 0.42, 0.41), roughness=0.45)

MILLIMETER = 1e-3
_TWIST = np.radians(35)


def lowered(points: Array, bite: float) -> Array:
    """Flatten and lower the base mesh's tongue, so that it does not hide the upper teeth.

    `bite` is the height in meters at which the front teeth meet.
    """
    placed = points.copy()
    tongue = Tongue(points)
    front = smooth_step(0.1, 0.55, tongue.along)
    floor = points[:, 1].min()
    flat = floor + 0.7 * (points[:, 1] - floor)
    placed[:, 1] += front * (flat - points[:, 1])
    top = placed[tongue.along > 0.5, 1].max()
    placed[:, 1] += front * (bite + 5.0 * MILLIMETER - top)
    placed[:, 1] -= 2.5 * MILLIMETER * smooth_step(0.8, 1.0, tongue.along)
    groove = 0.35 * np.exp(-((tongue.across / 0.2) ** 2))
    dome = np.clip(1 - tongue.across**2, 0, 1) - groove
    placed[:, 1] += 3.0 * MILLIMETER * dome * front * smooth_step(0, 0.003, tongue.above)
    placed[:, 0] *= 1 + 0.04 * front
    placed[:, 2] -= 1.0 * MILLIMETER * front
    return placed


@dataclass(frozen=True, eq=False)
class Tongue:
    """Points of a tongue at rest, with their position along, across and above its middle."""

    points: Array
    """(N, 3) meters."""

    @cached_property
    def along(self) -> Array:
        """(N,) 0 at the root, 1 at the tip."""
        z = self.points[:, 2]
        return np.asarray((z - z.min()) / np.ptp(z))

    @cached_property
    def across(self) -> Array:
        """(N,) -1 at the right edge, 1 at the left one."""
        return np.asarray(self.points[:, 0] / np.abs(self.points[:, 0]).max())

    @cached_property
    def above(self) -> Array:
        """(N,) meters above the middle of the tongue's thickness."""
        bins = (self.along * 12).astype(int).clip(0, 11)
        middles = [
            (lambda y: (y.max() + y.min()) / 2 if len(y) else np.nan)(self.points[bins == b, 1])
            for b in range(12)
        ]
        known = ~np.isnan(middles)
        centers = (np.arange(12) + 0.5) / 12
        line = np.interp(self.along, centers[known], np.array(middles)[known])
        return np.asarray(self.points[:, 1] - line)

    @cached_property
    def body(self) -> Array:
        """(N,) 1 for the part that moves freely, 0 at the root."""
        return smooth_step(0.15, 0.6, self.along)

    @cached_property
    def front(self) -> Array:
        """(N,) 1 at the tip, falling to 0 at the middle."""
        return smooth_step(0.35, 1.0, self.along)

    @cached_property
    def tip(self) -> Array:
        """(N,) 1 at the tip, falling to 0 behind the blade."""
        return smooth_step(0.62, 1.0, self.along)

    def shape(self, name: str) -> Array:
        """Return the (N, 3) meters that one of `SHAPES` adds."""
        moved = np.zeros_like(self.points)
        x, y, z = SHAPES[name](self)
        moved[:, 0], moved[:, 1], moved[:, 2] = x, y, z
        return moved


def tongue_colors(tongue: Tongue) -> Array:
    """Return (N, 3) sRGB of a tongue: paler on its back, red at the sides, dark at the root."""
    top = smooth_step(-0.001, 0.003, tongue.above) * (1 - np.abs(tongue.across) ** 2)
    color = np.array(TONGUE.color) * (0.86 + 0.16 * top[:, None])
    color = color + 0.05 * (top * smooth_step(0.3, 0.8, tongue.along))[:, None]
    groove = np.exp(-((tongue.across / 0.10) ** 2)) * smooth_step(0.35, 0.6, tongue.along)
    color = color * (1 - 0.22 * (groove * smooth_step(1.0, 0.85, tongue.along))[:, None])
    below = smooth_step(0.0, -0.004, tongue.above)[:, None]
    color = color * (1 + below * (np.array([0.92, 0.74, 0.74]) - 1))
    deep = smooth_step(0.92, 0.30, tongue.along)[:, None]
    return np.asarray((color * (1 + deep * (_ROOT - 1))).clip(0, 1))


_ROOT = np.array([0.26, 0.14, 0.14])
"""Color of the root relative to the tip's: no light gets there."""


Offsets = tuple[Array | float, Array | float, Array | float]


def _shift(mask: str, x: float = 0, y: float = 0, z: float = 0) -> Callable[[Tongue], Offsets]:
    """Return a shape that moves a region by millimeters."""

    def offsets(tongue: Tongue) -> Offsets:
        share = getattr(tongue, mask) * MILLIMETER
        return share * x, share * y, share * z

    return offsets


def _size(wide: float = 0, thick: float = 0, long: float = 0) -> Callable[[Tongue], Offsets]:
    """Return a shape that scales width and thickness by shares and adds millimeters of length."""

    def offsets(tongue: Tongue) -> Offsets:
        body = tongue.body
        return (
            wide * body * tongue.points[:, 0],
            thick * body * tongue.above,
            long * tongue.front * MILLIMETER,
        )

    return offsets


def _twist(angle: float) -> Callable[[Tongue], Offsets]:
    """Return a shape that turns the front about the axis of the tongue."""

    def offsets(tongue: Tongue) -> Offsets:
        turn = angle * tongue.front
        x, y = tongue.points[:, 0], tongue.above
        return (
            np.cos(turn) * x - np.sin(turn) * y - x,
            np.sin(turn) * x + np.cos(turn) * y - y,
            0.0,
        )

    return offsets


def _curl(tongue: Tongue) -> Offsets:
    """Raise both edges, as a groove."""
    sides = tongue.front * tongue.across**2
    return -0.22 * tongue.front * tongue.points[:, 0], 10 * MILLIMETER * sides, 0.0


def _press(tongue: Tongue) -> Offsets:
    """Press the blade against the ridge behind the upper teeth."""
    blade = smooth_step(0.45, 0.75, tongue.along)
    return 0.08 * blade * tongue.points[:, 0], 7 * MILLIMETER * blade, 1.5 * MILLIMETER * blade


SHAPES: Mapping[str, Callable[[Tongue], Offsets]] = {
    "tongueTipUp": _shift("tip", y=11, z=-3),
    "tongueTipDown": _shift("tip", y=-6, z=-2),
    "tongueTipLeft": _shift("tip", x=9, z=-1),
    "tongueTipRight": _shift("tip", x=-9, z=-1),
    "tongueRollUp": _shift("front", y=13, z=-10),
    "tongueRollDown": _shift("front", y=-7, z=-7),
    "tongueRollLeft": _twist(-_TWIST),
    "tongueRollRight": _twist(_TWIST),
    "tongueUp": _shift("body", y=7),
    "tongueDown": _shift("body", y=-4),
    "tongueLeft": _shift("front", x=11),
    "tongueRight": _shift("front", x=-11),
    "tongueIn": _shift("body", y=2, z=-11),
    "tongueStretch": _size(wide=-0.12, long=13),
    "tongueWide": _size(wide=0.18, thick=-0.10),
    "tongueNarrow": _size(wide=-0.25, thick=0.10),
    "tongueThick": _size(thick=0.35),
    "tongueThin": _size(thick=-0.35),
    "tongueCurl": _curl,
    "tonguePress": _press,
}
"""Shape -> offsets in x, y, z. The first sixteen are those of Audio2Face."""
