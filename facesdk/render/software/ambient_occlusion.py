"""Ambient occlusion in screen space, from the depth of every pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ..camera import Camera
from ..light import Lighting

_COARSE = 0.0015
"""Meters per pixel at which occlusion is computed."""

_REACHES = ((0.004, 0.006, 0.45), (0.014, 0.016, 0.55))
"""Radius in meters, depth in meters that counts as closed, and weight, of each scale."""

_LITTLE = np.float32(1e-6)


def openness(
    depth: Floats, covered: NDArray[np.bool_], camera: Camera, lighting: Lighting
) -> Floats:
    """Return the (H, W) share of light that reaches each pixel.

    A pixel that lies deeper than its surroundings is occluded by them.
    """
    pixel = camera.height / depth.shape[0]
    mask = covered.astype(np.float32)
    small, shapes = depth * mask, []
    while pixel < _COARSE:
        shapes.append(small.shape)
        small, mask, pixel = _halved(small), _halved(mask), 2 * pixel
    closed = np.zeros_like(small)
    own = small / np.maximum(mask, _LITTLE)
    for reach, drop, share in _REACHES:
        radius = max(1, round(reach / pixel))
        around = _blurred(small, radius) / np.maximum(_blurred(mask, radius), _LITTLE)
        deeper = np.clip((around - own) / np.float32(drop), 0, 1)
        closed += np.float32(share) * deeper * (2 - deeper)
    open_ = 1 - np.float32(lighting.shadow) * np.clip(_blurred(closed, 1), 0, 1)
    for shape in reversed(shapes):
        open_ = _doubled(open_, shape)
    return open_


def _halved(image: Floats) -> Floats:
    height, width = (n + n % 2 for n in image.shape)
    if (height, width) != image.shape:
        image = np.pad(
            image, ((0, height - image.shape[0]), (0, width - image.shape[1])), mode="edge"
        )
    return np.asarray(
        (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4, np.float32
    )


def _doubled(image: Floats, shape: tuple[int, ...]) -> Floats:
    """Upsample to twice the size by linear interpolation."""
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        padded = np.concatenate([image[:1], image, image[-1:]])
        even, odd = 0.25 * padded[:-2] + 0.75 * image, 0.75 * image + 0.25 * padded[2:]
        image = np.stack([even, odd], axis=1).reshape(-1, *image.shape[1:])
        image = np.moveaxis(image, 0, axis)
    return image[: shape[0], : shape[1]]


def _blurred(image: Floats, radius: int) -> Floats:
    """Blur twice by box means, which is nearly Gaussian."""
    for _ in range(2):
        for axis in (0, 1):
            image = _boxed(image, radius, axis)
    return image


def _boxed(image: Floats, radius: int, axis: int) -> Floats:
    image = np.moveaxis(image, axis, 0)
    edges = ((radius + 1, radius), *[(0, 0)] * (image.ndim - 1))
    sums = np.cumsum(np.pad(image, edges, mode="edge"), axis=0, dtype=np.float64)
    mean = (sums[2 * radius + 1 :] - sums[: -2 * radius - 1]) / (2 * radius + 1)
    return np.moveaxis(mean.astype(np.float32), 0, axis)
