"""Parts of a head with textures, for OpenGL: lit per vertex, colored by their image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..mesh import Head
from ..mesh.textures import Pixels, part_pixels
from .light import VertexMaterials, linear, tone_mapped

_SHADERS = Path(__file__).parent / "shaders"

_DARKEST = 0.08
"""Mean linear color below which the light on a texture is computed for this color."""


def use_cutting_shaders(renderer: Any) -> None:
    """Make an `OffscreenRenderer` leave out the transparent pixels of textures."""
    from pyrender.shader_program import ShaderProgramCache

    renderer._renderer._program_cache = ShaderProgramCache(shader_dir=str(_SHADERS))


@dataclass(frozen=True, eq=False)
class TexturedPart:
    """A part of a head and its decoded texture."""

    number: int
    """Of the part, from 1."""
    vertices: NDArray[np.integer[Any]]
    """(N,) vertices of the head."""
    corners: NDArray[np.uint32]
    """(F, 3) corners among these vertices."""
    uvs: Floats
    """(N, 2) texture coordinates."""
    image: Pixels
    factor: Floats
    """(3,) linear color by which the image is multiplied."""
    blend: bool
    both_sides: bool

    @cached_property
    def mean(self) -> Floats:
        """(3,) linear gray for which the light is computed, the brightness of the image."""
        alpha = self.image[..., 3:].astype(np.float32)
        color = (self.image[..., :3] * alpha).sum((0, 1)) / max(float(alpha.sum()), 1.0)
        light = linear(np.asarray(color / 255, np.float32)) * self.factor
        return np.full(3, max(float(light.mean()), _DARKEST), np.float32)

    def materials(self, surface: VertexMaterials) -> VertexMaterials:
        """Return the materials of the vertices, of an even color."""
        own = surface.at(self.vertices.astype(np.int32))
        return replace(own, albedo=np.tile(self.mean, (len(self.vertices), 1)))

    @cached_property
    def material(self) -> Any:
        """The material for pyrender."""
        import pyrender

        factor = np.asarray(_srgb(self.factor), np.float32)
        transparent = self.blend or bool((self.image[..., 3] < 255).any())
        return pyrender.MetallicRoughnessMaterial(
            baseColorFactor=[*map(float, factor), 1.0],
            baseColorTexture=pyrender.Texture(source=self.image, source_channels="RGBA"),
            alphaMode="BLEND" if transparent else "OPAQUE",
            doubleSided=self.both_sides,
        )


@dataclass(frozen=True, eq=False)
class Lit:
    """A textured part under light."""

    part: TexturedPart
    shades: Floats
    """(N, 3) factors of the image's sRGB."""

    def primitive(self, points: Floats) -> Any:
        """Return the part at (V, 3) positions of the head's vertices."""
        import pyrender

        return pyrender.Primitive(
            positions=points[self.part.vertices],
            indices=self.part.corners,
            texcoord_0=self.part.uvs,
            color_0=np.concatenate([self.shades, np.ones((len(self.shades), 1))], axis=1),
            material=self.part.material,
            mode=4,
        )


class TexturedParts:
    """The parts of a head that have a texture."""

    def __init__(self, head: Head) -> None:
        self.parts: list[TexturedPart] = []
        for number, part in enumerate(head.parts, start=1):
            image = None if head.uvs is None else part_pixels(part)
            corners = head.triangles[part.triangles]
            if image is None or head.uvs is None or part.material.texture is None:
                continue
            own, places = np.unique(corners, return_inverse=True)
            self.parts.append(
                TexturedPart(
                    number,
                    own,
                    places.reshape(-1, 3).astype(np.uint32),
                    head.uvs[own],
                    image,
                    np.array(part.material.texture.color, np.float32),
                    part.material.alpha == "blend",
                    part.material.both_sides,
                )
            )
        self.parts.sort(key=lambda part: (part.blend, bool((part.image[..., 3] < 255).any())))

    def lit(self, light: Callable[[TexturedPart], Floats]) -> list[Lit]:
        """Return the parts under the linear light that `light` gives for each."""
        return [
            Lit(part, np.float32(1 / 255) * tone_mapped(light(part)) / _srgb(part.mean))
            for part in self.parts
        ]


def _srgb(light: Floats) -> Floats:
    low, high = light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, low, high).astype(np.float32)
