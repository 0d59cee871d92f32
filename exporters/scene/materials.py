"""Parts of a head, their materials, and colors between sRGB and linear light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Doubles
from ...mesh import Head, Material, Part

_THIN = ("hair", "brow", "lash")


def parts_of(head: Head) -> list[Part]:
    """Return the parts that have triangles; a head without parts is one part."""
    parts = [part for part in head.parts if len(head.triangles[part.triangles])]
    return parts or [Part(head.name, slice(None), Material("surface"))]


def materials_of(parts: Sequence[Part]) -> list[Material]:
    """Return the different materials of parts, in order."""
    return list(dict.fromkeys(part.material for part in parts))


def is_thin(part: Part) -> bool:
    """Whether a part is seen from both sides, as hair is."""
    return any(word in f"{part.name} {part.material.name}".lower() for word in _THIN)


def linear(srgb: NDArray[np.floating[Any]]) -> Doubles:
    """Return linear light in 0..1 for sRGB colors."""
    values = np.clip(np.asarray(srgb, np.float64), 0, 1)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb(linear_light: Doubles) -> Doubles:
    """Return sRGB colors for linear light."""
    values = linear_light
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
