"""Plot curves below an image."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ..arrays import Floats
from ..rig import Rig
from .look import Image
from .software.bitmap_font import HEIGHT, WIDTH, draw_text

SECONDS = 4
"""Seconds that a strip shows."""

_BACK, _LINE = (22, 24, 28), (52, 56, 64)
_INKS = (
    (255, 176, 92), (104, 188, 255), (150, 220, 120), (240, 120, 150),
    (190, 150, 255), (240, 220, 110), (100, 220, 210), (220, 220, 220),
)  # fmt: skip


class CurveStrip:
    """A plot of the last seconds of some controls, the present at the right edge."""

    def __init__(self, rig: Rig, names: Sequence[str], *, width: int, fps: Fraction) -> None:
        """Raises `UnknownNameError` for a control that the rig does not have."""
        self._names = tuple(names)
        self._columns = [rig.index(name) for name in names]
        low, high = rig.minimum[self._columns], rig.maximum[self._columns]
        self._low = low
        self._span = np.maximum(high - low, np.float32(1e-6))
        self._width = width
        self._past = np.full((max(2, round(SECONDS * fps)), len(names)), np.nan, np.float32)
        self._legend = _wrapped(self._names, width)
        self._plot = max(48, width // 8)

    @property
    def height(self) -> int:
        """Pixels that a strip adds below an image."""
        height = self._plot + 4 + (HEIGHT + 2) * len(self._legend)
        return height + height % 2

    def add(self, values: Floats) -> None:
        """Append a frame of (C,) controls."""
        self._past[:-1] = self._past[1:]
        self._past[-1] = (values[self._columns] - self._low) / self._span

    def below(self, image: Image) -> Image:
        """Return the image with the strip below it."""
        strip = np.full((self.height, self._width, 3), _BACK, np.uint8)
        strip[0] = _LINE
        top = 3 + (HEIGHT + 2) * len(self._legend)
        self._write_names(strip)
        strip[top + (self._plot - 8) // 2, ::4] = _LINE
        for number in range(len(self._names)):
            self._draw(strip[top : top + self._plot - 2], number)
        if image.shape[2] == 4:
            strip = np.concatenate([strip, np.full_like(strip[..., :1], 255)], axis=2)
        return np.concatenate([image, strip])

    def _write_names(self, strip: Image) -> None:
        number = 0
        for row, names in enumerate(self._legend):
            x = 6
            for name in names:
                draw_text(strip, name, x, 4 + row * (HEIGHT + 2), _INKS[number % len(_INKS)])
                x += WIDTH * (len(name) + 2)
                number += 1

    def _draw(self, plot: Image, number: int) -> None:
        """Draw a line two pixels thick with smooth edges."""
        height, width = plot.shape[:2]
        at = np.linspace(0, len(self._past) - 1, width)
        values = np.interp(at, np.arange(len(self._past)), self._past[:, number])
        known = np.flatnonzero(~np.isnan(values))
        if not len(known):
            return
        y = (1 - np.clip(values[known], -0.05, 1.05)) * (height - 7) + 3
        before = np.concatenate([y[:1], y[:-1]])
        low, high = np.minimum(y, before) - 0.8, np.maximum(y, before) + 0.8
        rows = np.arange(height)[:, None]
        cover = np.clip(rows + 0.5 - low, 0, 1) * np.clip(high - rows + 0.5, 0, 1)
        ink = np.array(_INKS[number % len(_INKS)], np.float32)
        share = cover[..., None]
        plot[:, known] = np.round(plot[:, known] * (1 - share) + ink * share)


def _wrapped(names: Sequence[str], width: int) -> list[list[str]]:
    """Return names in lines that fit the width."""
    lines: list[list[str]] = [[]]
    used = 6
    for name in names:
        need = WIDTH * (len(name) + 2)
        if lines[-1] and used + need > width:
            lines.append([])
            used = 6
        lines[-1].append(name)
        used += need
    return lines
