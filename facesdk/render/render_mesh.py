"""Prepare a head for rendering: materials by vertex, smooth normals, triangles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..mesh import Head, Material, Part
from ..mesh.textures import cut_triangles, vertex_colors
from .contact import openness_at_rest
from .light import VertexMaterials, linear

Ints = NDArray[np.int32]

_HARD = ("eye", "cornea", "iris", "pupil", "sclera", "teeth", "tooth", "lash", "brow",
         "strands", "bust")  # fmt: skip
"""Parts without subsurface scattering, by words in their own or their material's name."""

_THIN = ("lash", "brow", "hair")
"""Parts that are visible from both sides."""

_SOLID = ("strands",)
"""Hair that is seen from outside only, as there is a cap below it."""

_INSIDE = ("cavity", "gum", "teeth", "tooth", "tongue", "mouth")
"""Parts that light reaches only through the lips."""

_CASTING = ("skin", "face", "head", "body", "bust", "hair", "cap", "all", "surface")
"""Parts that shade each other where they meet."""

_CONTACT = 0.85
"""Darkness of a place that no light reaches."""

_BLOOD = np.array([0.82, 1.08, 1.14], np.float32)
"""Relative depths of red, green and blue in such shadows: light that comes through skin is red."""

_MOVING = 0.6
"""Share of these shadows on lips and eyelids, which move out of them."""

_DARKENS = 0.03
"""Meters behind the teeth at which about a third of the light is left."""

_FLESH = np.array([0.85, 1.15, 1.15], np.float32)
"""Relative rates at which red, green and blue fade inside the mouth."""

_LAMP = 900.0
"""Sharpness of the highlight on a mirror, limited because lamps have a size."""

_GLOSSY = 0.3
"""Roughness up to which the highlight is computed per pixel."""


class RenderMesh:
    """Triangles, materials and smooth normals of a head."""

    def __init__(self, head: Head) -> None:
        self.triangles: Ints = np.ascontiguousarray(head.triangles, np.int32)
        self.part: NDArray[np.int32] = np.zeros(len(self.triangles), np.int32)
        """Part number of each triangle, from 1."""
        self.both_sides: NDArray[np.bool_] = np.zeros(len(self.triangles), bool)
        self.glossy: NDArray[np.bool_] = np.zeros(len(self.triangles), bool)
        parts = head.parts or (Part("all", slice(None), Material("all")),)
        self.materials = _materials(head, parts)
        for number, part in enumerate(parts, start=1):
            here = part.triangles
            self.part[here] = number
            self.both_sides[here] = (_is(part, _THIN) or part.material.both_sides) and not _is(
                part, _SOLID
            )
            self.glossy[here] = part.material.roughness <= _GLOSSY
        if "under_hair" in head.masks:  # nobody sees it
            covered = head.masks["under_hair"][self.triangles]
            self._keep(np.any(covered < 1, axis=1))
        self._surface, owner = self.triangles, self.part
        if (cut := cut_triangles(head)).any():  # holes that a texture cuts
            self._keep(~cut)
        welded = _weld(head.neutral, self._surface, owner)
        used, self._corners = np.unique(welded[self._surface].ravel(), return_inverse=True)
        self._welded = np.searchsorted(used, welded).clip(max=len(used) - 1)

    def _keep(self, shown: NDArray[np.bool_]) -> None:
        """Leave out the other triangles."""
        self.triangles = np.ascontiguousarray(self.triangles[shown])
        self.part = self.part[shown]
        self.both_sides, self.glossy = self.both_sides[shown], self.glossy[shown]

    def painted(self, colors: Floats | None) -> VertexMaterials:
        """Return the materials; with (V, 3) sRGB colors given, in these and less glossy."""
        if colors is None:
            return self.materials
        albedo = linear(np.asarray(colors, np.float32))
        return replace(self.materials, albedo=albedo, gloss=self.materials.gloss * 0.3)

    def normals(self, points: Floats) -> Floats:
        """Return (V, 3) smooth unit normals, weighted by triangle area."""
        a, b, c = (points[self._surface[:, k]] for k in range(3))
        (ux, uy, uz), (vx, vy, vz) = (b - a).T, (c - a).T
        faces = (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
        sums = [np.bincount(self._corners, np.repeat(face, 3)) for face in faces]
        summed = np.stack(sums, axis=1)
        unit = summed / np.maximum(np.sqrt((summed**2).sum(axis=1, keepdims=True)), 1e-20)
        return np.asarray(unit[self._welded], np.float32)


def _is(part: Part, words: tuple[str, ...]) -> bool:
    named = f"{part.name} {part.material.name}".lower()
    return any(word in named for word in words)


def _materials(head: Head, parts: tuple[Part, ...]) -> VertexMaterials:
    count = len(head.neutral)
    albedo = np.full((count, 3), 0.8, np.float32)
    softness, gloss, sharpness = (np.zeros(count, np.float32) for _ in range(3))
    for part in parts:
        own = np.unique(head.triangles[part.triangles])
        material = part.material
        albedo[own] = material.color
        softness[own] = 0.0 if _is(part, _HARD) else 0.32
        wet = material.roughness <= _GLOSSY
        gloss[own] = (0.4 if wet else 0.16) * material.specular
        exact = 2 / max(material.roughness, 0.06) ** 4
        sharpness[own] = 1 / (1 / exact + 1 / _LAMP)
    if (colors := vertex_colors(head)) is not None:
        albedo = colors
    light_share = _mouth_light(head, parts)
    light = linear(np.asarray(albedo, np.float32)) * light_share[:, None] ** _FLESH
    light *= contact_shadow(head)[:, None] ** _BLOOD
    return VertexMaterials(light, softness, gloss * light_share**3, sharpness)


def contact_shadow(head: Head) -> Floats:
    """Return (V,) the share of light that reaches vertices in the neutral, past other skin."""
    casting = tuple(p.name for p in head.parts if _casts(p))
    share = openness_at_rest(head, casting)
    dark = np.float32(_CONTACT) * (1 - share)
    for name in ("lips", "eyelids"):
        if name in head.masks:
            dark = dark * (1 - np.float32(_MOVING) * np.asarray(head.masks[name], np.float32))
    for part in head.parts:
        if _is(part, _THIN):  # light also comes through hair
            dark[np.unique(head.triangles[part.triangles])] *= np.float32(1 - _MOVING)
    return np.asarray(1 - dark, np.float32)


def is_skin(part: Part) -> bool:
    """Whether a part is skin, by its own or its material's name."""
    return _is(part, ("skin", "face", "head", "body")) and not _is(part, (*_HARD, *_INSIDE))


def is_inside(part: Part) -> bool:
    """Whether a part lies in the mouth, by its own or its material's name."""
    return _is(part, _INSIDE)


def _casts(part: Part) -> bool:
    return _is(part, _CASTING) and not _is(part, (*_HARD, *_INSIDE))


def _mouth_light(head: Head, parts: tuple[Part, ...]) -> Floats:
    """Return (V,) the share of light that passes lips and teeth to a vertex, in the neutral."""
    share = np.ones(len(head.neutral), np.float32)
    inside = [np.unique(head.triangles[p.triangles]) for p in parts if _is(p, _INSIDE)]
    if inside:
        own = np.concatenate(inside)
        depth = head.neutral[own, 2].max() - head.neutral[own, 2]
        share[own] = np.maximum(np.exp(-depth / np.float32(_DARKENS)), np.float32(0.12))
    return share


def _weld(points: Floats, triangles: Ints, part: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return a number per vertex, shared by vertices at one place of one part, to hide seams."""
    owner = np.zeros(len(points), np.int64)
    owner[triangles.ravel()] = np.repeat(part, 3)
    rounded = np.round(points * 1e6).astype(np.int64)
    keyed = np.concatenate([rounded, owner[:, None]], axis=1)
    return np.unique(keyed, axis=0, return_inverse=True)[1].ravel()
