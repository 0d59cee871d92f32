"""A round `mouthFunnel`: the base mesh's opens like a tent between corners that stay wide."""

from __future__ import annotations

import numpy as np

from ..surface import Array, smooth_step
from .lids import front_of

_NARROWER = 0.08
"""Share by which the mouth becomes narrower than in the base mesh's shape."""
_HALF_WIDTH = 0.0118
"""Meters from the middle of the opening to its ends."""
_FULLNESS = 0.55
"""Exponent of the outline: 0.5 is an ellipse, 1 a parabola."""
_LIPS = 0.0115
"""Meters above and below the opening in which skin follows its edge."""


def rounded(points: Array, delta: Array, opening: Array, lips: Array, triangles: Array) -> Array:
    """Return the (V, 3) delta of mouthFunnel with a round opening, as high as before.

    `opening` is the delta of jawOpen, which tells the upper from the lower lip; `lips` (V,) is
    their mask and `triangles` are those of skin and mouth cavity.
    """
    moved = points + delta
    red = moved[lips > 0.5]
    middle = red.mean(0)
    spread = smooth_step(0.040, 0.016, np.abs(moved[:, 0]))
    spread *= smooth_step(0.030, 0.010, np.abs(moved[:, 1] - middle[1]))
    deep = smooth_step(red[:, 2].max() - 0.032, red[:, 2].max() - 0.018, moved[:, 2])
    deep[np.setdiff1d(np.arange(len(points)), triangles)] = 0  # teeth and tongue stay
    moved[:, 0] *= 1 - _NARROWER * spread * deep

    across = np.linspace(-0.020, 0.020, 21)
    heights = np.arange(red[:, 1].min() + 0.005, red[:, 1].max() - 0.005, 0.0001)
    top, bottom = np.full(len(across), np.nan), np.full(len(across), np.nan)
    for i, x in enumerate(across):
        near = np.abs(red[:, 0] - x) < 0.004
        front = red[near, 2].max(initial=-np.inf)
        seen = np.flatnonzero(front_of(moved[triangles], x, heights) < front - 0.010)
        if len(seen):
            run = max(np.split(seen, np.flatnonzero(np.diff(seen) > 1) + 1), key=len)
            bottom[i], top[i] = heights[run[0]], heights[run[-1]]
    ahead = np.argmax(np.isnan(top[len(top) // 2 :]))  # columns open on one side of the middle
    open_ = np.abs(np.arange(len(top)) - len(top) // 2) < ahead
    top[~open_], bottom[~open_] = np.nan, np.nan
    high, low = float(np.nanmax(top)), float(np.nanmin(bottom))
    ends = float(np.mean([top[open_][0], bottom[open_][0]]))  # where the lips meet at the sides
    outline = np.clip(1 - (across / _HALF_WIDTH) ** 2, 0, 1) ** _FULLNESS
    raised = np.where(open_, ends + (high - ends) * outline - np.where(open_, top, 0), 0)
    sunk = np.where(open_, ends - (ends - low) * outline - np.where(open_, bottom, 0), 0)
    closed = ~open_
    raised[closed] = ((high - ends) * outline)[closed]
    sunk[closed] = (-(ends - low) * outline)[closed]
    top, bottom = np.where(open_, top, ends), np.where(open_, bottom, ends)

    x, y = moved[:, 0], moved[:, 1]
    falling = -opening[:, 1] / float((-opening[lips > 0.5, 1]).max())
    lower = smooth_step(0.35, 0.55, falling)
    up = smooth_step(_LIPS, 0.0015, np.abs(y - np.interp(x, across, top)))
    down = smooth_step(_LIPS, 0.0015, np.abs(y - np.interp(x, across, bottom)))
    within = smooth_step(0.019, 0.016, np.abs(x)) * deep
    moved[:, 1] += within * (1 - lower) * up * np.interp(x, across, raised)
    moved[:, 1] += within * lower * down * np.interp(x, across, sunk)
    return np.asarray(moved - points)
