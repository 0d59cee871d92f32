"""Look of an image: size, light, background and edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .light import LIGHTINGS, Color, Lighting

Image = NDArray[np.uint8]
"""(H, W, 3) sRGB, or (H, W, 4) with straight alpha."""


@dataclass(frozen=True)
class Look:
    """Look of an image: size, light, background and edges."""

    size: tuple[int, int] = (512, 512)
    """Width and height in pixels."""
    lighting: Lighting = LIGHTINGS["studio"]
    background: Color | None = None
    """sRGB; None takes the lighting's."""
    transparent: bool = False
    wireframe: bool = False
    smooth: bool = True
    """Whether edges are anti-aliased with four samples."""
    fine: bool = False
    """Whether OpenGL draws pixel by pixel, with cast shadows and relief of the skin: for stills.
    The numpy renderer ignores it."""


def backdrop(look: Look) -> Image:
    """Return the (H, W, 3) background: its color, slightly brighter behind the head."""
    width, height = look.size
    flat = np.array(look.background or look.lighting.background, np.float32)
    if look.background is not None:
        return np.broadcast_to(np.round(255 * flat).astype(np.uint8), (height, width, 3))
    x = (np.arange(width, dtype=np.float32) + 0.5) / width - 0.5
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.42
    away = np.minimum(np.hypot(x[None, :], y[:, None]) / 0.75, 1)
    depth = 0.5 - 0.38 * float(flat.mean())  # shading shows more on a bright wall
    glow = (1 + 0.45 * depth - depth * away * away * (3 - 2 * away))[..., None]
    return np.asarray(np.round(255 * np.clip(flat * glow, 0, 1)), np.uint8)
