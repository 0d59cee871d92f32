"""Textures of heads: decoded, and as colors of vertices where images cannot be drawn."""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import FileFormatError, install_hint
from .head import Head, Part, Texture

Pixels = NDArray[np.uint8]
"""(H, W, 4) sRGB with straight alpha, the first row at the top."""

MAX_SIDE = 2048
"""Pixels of the longer side; larger textures are reduced."""

MAX_PIXELS = 1 << 28
"""Largest image that is decoded."""

_SOFT = 256
"""Side of the reduced texture from which vertices take their colors."""

SKIN = (0.55, 0.40, 0.33)
"""Linear color of a textured part whose texture cannot be decoded."""


@lru_cache(64)
def pixels(texture: Texture) -> Pixels | None:
    """Return a decoded texture, or None with a warning if that is not possible."""
    try:
        from PIL import Image
    except ImportError:
        warnings.warn(
            f"textures need Pillow, heads are drawn without them: {install_hint('render')}",
            stacklevel=2,
        )
        return None
    try:
        with Image.open(io.BytesIO(texture.data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS or not width * height:
                raise FileFormatError(f"{width} x {height} pixels")
            share = MAX_SIDE / max(width, height)
            if share < 1 and image.format == "JPEG":
                image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            decoded: Any = image.convert("RGBA")
        if max(decoded.size) > MAX_SIDE:
            decoded.thumbnail((MAX_SIDE, MAX_SIDE))
        return np.asarray(decoded, np.uint8)
    except Exception as error:  # Pillow raises nearly anything for damaged images
        warnings.warn(
            f"a texture cannot be decoded ({type(error).__name__}: {error}); "
            "the part is drawn in a plain color",
            stacklevel=2,
        )
        return None


def part_pixels(part: Part) -> Pixels | None:
    """Return the texture of a part, its alpha 0 or 255 if the material cuts it."""
    texture = part.material.texture
    found = None if texture is None else pixels(texture)
    if found is None or part.material.alpha == "blend":
        return found
    found = found.copy()
    if part.material.alpha == "cut":
        found[..., 3] = np.where(found[..., 3] >= 255 * part.material.cutoff, 255, 0)
    else:
        found[..., 3] = 255
    return found


def vertex_colors(head: Head) -> Floats | None:
    """Return (V, 3) sRGB with textures sampled at the vertices, or None without textures."""
    colors = None if head.colors is None else head.colors.copy()
    for part in head.parts:
        texture = part.material.texture
        if texture is None or head.uvs is None:
            continue
        if colors is None:
            colors = _plain(head)
        own = np.unique(head.triangles[part.triangles])
        image = pixels(texture)
        if image is None:
            colors[own] = srgb(np.array(SKIN))
            continue
        reduced = _reduced(image)
        factor = srgb(np.array(texture.color))
        colors[own] = sample(reduced, head.uvs[own])[:, :3] * np.float32(factor)
    return colors


def cut_triangles(head: Head) -> NDArray[np.bool_]:
    """Return (F,) whether a triangle is transparent at its corners and its middle."""
    cut = np.zeros(len(head.triangles), bool)
    for part in head.parts:
        if part.material.alpha == "opaque" or head.uvs is None:
            continue
        image = None if part.material.texture is None else pixels(part.material.texture)
        if image is None:
            continue
        corners = head.uvs[head.triangles[part.triangles]]
        places = np.concatenate([corners, corners.mean(1, keepdims=True)], 1)
        alpha = sample(image, places.reshape(-1, 2))[:, 3].reshape(-1, 4)
        cut[part.triangles] = alpha.max(1) < part.material.cutoff
    return cut


def sample(image: Pixels, uvs: Floats) -> Floats:
    """Return (N, 4) values in 0..1 of the nearest pixels at (N, 2) coordinates, repeated."""
    height, width = image.shape[:2]
    inside = np.mod(uvs, 1)
    inside[(inside == 0) & (uvs > 0)] = 1  # the far edge of a tile, not the near one of the next
    u, v = inside.T
    column = np.minimum((u * width).astype(np.int64), width - 1)
    row = np.minimum(((1 - v) * height).astype(np.int64), height - 1)
    return np.asarray(image[row, column] / np.float32(255), np.float32)


def _reduced(image: Pixels) -> Pixels:
    """Return an image of at most `_SOFT` pixels a side, by averaging."""
    step = max(1, -(-max(image.shape[:2]) // _SOFT))
    height, width = (side // step * step for side in image.shape[:2])
    if step == 1 or not height * width:
        return image
    blocks = image[:height, :width].reshape(height // step, step, width // step, step, 4)
    weight = blocks[..., 3:].astype(np.float32) + np.float32(1e-3)
    color = (blocks[..., :3] * weight).sum((1, 3)) / weight.sum((1, 3))
    alpha = blocks[..., 3:].mean((1, 3))
    return np.concatenate([color, alpha], 2).astype(np.uint8)


def _plain(head: Head) -> Floats:
    """Return (V, 3) the colors of the materials."""
    colors = np.full((len(head.neutral), 3), 0.8, np.float32)
    for part in head.parts:
        colors[np.unique(head.triangles[part.triangles])] = part.material.color
    return colors


def srgb(linear: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return sRGB colors for linear light in 0..1."""
    light = np.clip(np.asarray(linear, np.float64), 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def linear(colors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return linear light for sRGB colors in 0..1."""
    values = np.clip(np.asarray(colors, np.float64), 0, 1)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
