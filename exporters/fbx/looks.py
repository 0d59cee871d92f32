"""Materials of a head in FBX, where many programs show no colors of vertices.

A material whose vertices have unlike colors becomes several, such as eye, iris and pupil, each of
the mean color of its own faces. Colors of vertices are factors of these, at most 1: a program that
shows both shows the head, one that shows only materials still shows a face.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...arrays import Doubles
from ...mesh import Head, Material
from ...mesh.head import EYES
from ..scene.materials import linear, materials_of, parts_of, srgb

_UNLIKE = 10.0
"""Distance in CIE L*a*b* from which colors get materials of their own."""
_SHADE = 0.5
"""How far lightness counts against hue: shading is painted into many colors of vertices."""
_MOST = 4
"""Materials that one can become."""
_ROUNDS = 4


@dataclass(frozen=True)
class Looks:
    """The materials of a head, and who wears them."""

    materials: Sequence[Material]
    """With sRGB colors."""
    faces: NDArray[np.int32]
    """(F,) material of every triangle; 0 for triangles outside all parts."""
    tints: Doubles | None
    """(K, 3) factors in 0..1 in linear light from a material to the color of a vertex."""
    corners: NDArray[np.int32]
    """(F, 3) row of `tints` of every corner."""


def looks(head: Head) -> Looks:
    """Return the materials of a head."""
    plain = materials_of(parts_of(head))
    owners = np.zeros(len(head.triangles), np.int32)
    for part in parts_of(head):
        owners[part.triangles] = plain.index(part.material)
    if head.colors is None:
        return Looks(plain, owners, None, np.zeros_like(head.triangles))
    materials: list[Material] = []
    faces = np.zeros_like(owners)
    shown, areas = _shown(head)
    for number, material in enumerate(plain):
        worn = np.flatnonzero(owners == number)
        for name, group in _groups(head, material, worn, shown[worn], areas[worn]):
            known = [m.name for m in materials] + [m.name for m in plain if m is not material]
            mean = np.average(shown[group], axis=0, weights=areas[group])
            r, g, b = srgb(np.maximum(mean, 1e-3)).tolist()
            faces[group] = len(materials)
            materials.append(replace(material, name=_unlike(name, known), color=(r, g, b)))
    base = linear(np.array([m.color for m in materials]))
    pairs, corners = np.unique(
        head.triangles.astype(np.int64) * len(base) + faces[:, None], return_inverse=True
    )
    tints = linear(head.colors)[pairs // len(base)] / base[pairs % len(base)]
    return Looks(materials, faces, tints.clip(0, 1), corners.reshape(-1, 3).astype(np.int32))


def _shown(head: Head) -> tuple[Doubles, Doubles]:
    """Return (F, 3) linear color of the brightest corner of every triangle, and (F,) its area."""
    assert head.colors is not None
    corners = linear(head.colors)[head.triangles]
    brightest = corners.sum(2).argmax(1)
    a, b, c = np.moveaxis(head.neutral[head.triangles].astype(np.float64), 1, 0)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) + 1e-12
    return corners[np.arange(len(corners)), brightest], areas


def _unlike(name: str, known: Sequence[str]) -> str:
    """Return a name, numbered if it is known."""
    number, free = 2, name
    while free in known:
        number, free = number + 1, f"{name}_{number}"
    return free


# ------------------------------------------------------------------------- groups


def _groups(
    head: Head, material: Material, faces: NDArray[np.intp], shown: Doubles, areas: Doubles
) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Yield faces of like colors and a name for them.

    The largest group has the material's name; of an eye the lightest, which is its white. Lips are
    a group of their own in any color.
    """
    red = _of_lips(head, faces)
    if red.any() and not red.all():
        yield "lips", faces[red]
        faces, shown, areas = faces[~red], shown[~red], areas[~red]
    group = _alike(_lab(shown), areas)
    sums = np.bincount(group, shown.sum(1) if _is_eye(head, faces) else areas)
    counts = np.bincount(group) if _is_eye(head, faces) else 1
    for place, number in enumerate(np.argsort(-sums / counts, kind="stable")):
        mine = faces[group == number]
        yield (material.name if place == 0 else _name(head, material, mine)), mine


def _of_lips(head: Head, faces: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return (N,) whether faces are those of the red of the lips."""
    if "lips" not in head.masks:
        return np.zeros(len(faces), bool)
    return np.asarray(head.masks["lips"][head.triangles[faces]].mean(1) > 0.5)


def _is_eye(head: Head, faces: NDArray[np.intp]) -> bool:
    """Whether faces are those of eyeballs."""
    masks = [head.masks[eye] for eye in EYES if eye in head.masks and eye in head.joints]
    return bool(masks) and float(sum(mask[head.triangles[faces]].mean() for mask in masks)) > 0.9


_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ.sum(1)


def _lab(colors: Doubles) -> Doubles:
    """Return (N, 3) CIE L*a*b* of colors in linear light, lightness times `_SHADE`."""
    xyz = (colors[:, None] * _XYZ).sum(2) / _WHITE
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29).T
    return np.stack([_SHADE * (116 * y - 16), 500 * (x - y), 200 * (y - z)], 1)


def _alike(colors: Doubles, areas: Doubles) -> NDArray[np.intp]:
    """Return (N,) the number of a group of like colors for every face."""
    centers = np.median(colors, axis=0)[None]
    while True:
        apart = np.linalg.norm(colors[:, None] - centers, axis=2)
        far = int(apart.min(1).argmax())
        if apart[far].min() <= _UNLIKE or len(centers) == _MOST:
            break
        centers = np.concatenate([centers, colors[far : far + 1]])
    for _ in range(_ROUNDS):
        group = np.linalg.norm(colors[:, None] - centers, axis=2).argmin(1)
        kept = np.unique(group)
        centers = np.stack(
            [np.average(colors[group == n], axis=0, weights=areas[group == n]) for n in kept]
        )
    group = np.linalg.norm(colors[:, None] - centers, axis=2).argmin(1)
    return np.unique(group, return_inverse=True)[1].reshape(-1)


def _name(head: Head, material: Material, faces: NDArray[np.intp]) -> str:
    """Return the name of what faces of another color than most of a material's are."""
    assert head.colors is not None
    vertices = head.triangles[faces]
    if _is_eye(head, faces):
        middle = np.mean([head.joints[eye].center[2] for eye in EYES if eye in head.joints])
        if head.neutral[vertices, 2].mean() < middle:
            return material.name
        return "pupil" if head.colors[vertices].mean() < 0.1 else "iris"
    if _of_lips(head, faces).mean() > 0.5:
        return "lips"
    eyes = [head.joints[eye].center[1] for eye in EYES if eye in head.joints]
    if eyes and head.neutral[vertices, 1].mean() > max(eyes) and "skin" in material.name.lower():
        return "scalp"
    return material.name
