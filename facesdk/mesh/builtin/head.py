"""Assemble the built-in head from its file.

The file holds the CC0 surface with its shapes. Eyeballs, teeth, brows, colors and the shapes of
the tongue are computed here, so they take no space and fit every identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal

import numpy as np

from ...arrays import Floats
from ..files.assemble import nearest_sphere
from ..head import Head, Joint, Material, Part
from ..subdivide import Subdivision
from ..surface import Array, Carrier, MorphMesh, joined, outward
from .brows_lashes import brow, lashes
from .bust import underside
from .eyes import GAZE, eyeball
from .funnel import rounded
from .hair import STYLES, hair, hidden
from .identity import Identity
from .landmarks import face_masks, find_landmarks, lip_sides
from .lids import shutting
from .lips import sealed
from .skin_color import (
    STUBBLE,
    beard_share,
    brow_color,
    hair_color,
    lip_contrast,
    mouth_colors,
    scalp,
    skin_colors,
    skin_tone,
)
from .teeth import ENAMEL, GUM, Arch, dentition, shade
from .tongue import SHAPES, TONGUE, Tongue, lowered, tongue_colors

Detail = Literal["low", "high"]

SKIN = Material("skin", (0.78, 0.58, 0.48), roughness=0.52, specular=0.45)
CAVITY = Material("cavity", (0.50, 0.20, 0.20), roughness=0.4)
IRIS = (0.36, 0.26, 0.17)

SEAL = {"mouthClose": 0.022}
"""Shapes added to the neutral to seal its lips; the base mesh leaves a gap that shows the teeth."""

SIDES = {"left": 1, "right": -1}


def builtin_head(identity: Mapping[str, Any] | None = None, *, detail: Detail = "low") -> Head:
    """Return the built-in head as a person; `low` detail for motion, `high` for stills."""
    return _Assembly(_file(), Identity.of(identity), detail).head()


@dataclass(frozen=True, eq=False)
class _File:
    """Contents of `cc0.npz`, deltas unpacked."""

    names: tuple[str, ...]
    neutral: Array
    deltas: Floats
    triangles: Array
    parts: Mapping[str, slice]
    uvs: Array
    masks: Mapping[str, Array]
    joints: Mapping[str, Joint]
    modes: Mapping[str, Array]
    lashes: Mapping[str, Array]
    """Vertices of the strips from which lashes grow, by lid and side."""
    rest_transforms: Mapping[str, Floats]
    """(4, 4) matrices of skull and jaw of the mean person."""
    jaw_motion: Floats
    """(S, 4, 4) of the mean person; the identity for shapes that do not move the jaw."""


@cache
def _file() -> _File:
    path = resources.files("facesdk") / "data" / "head" / "cc0.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        data = {name: arrays[name] for name in arrays.files}
    count = len(data["neutral"])
    deltas = np.zeros((len(data["names"]), count, 3), np.float32)
    for i, (start, stop) in enumerate(
        zip(data["delta_starts"], data["delta_starts"][1:], strict=False)
    ):
        deltas[i, data["delta_vertices"][start:stop]] = data["delta_mm"][start:stop] * np.float32(
            1e-3
        )
    ends = np.cumsum(data["part_counts"].astype(int))
    starts = ends - data["part_counts"]
    parts = {
        _part_name(str(n)): slice(int(a), int(b))
        for n, a, b in zip(data["parts"], starts, ends, strict=True)
    }
    names = tuple(str(n) for n in data["names"])
    triangles, neutral = data["triangles"].astype(np.int32), data["neutral"].astype(float)
    funnel = names.index("mouthFunnel")
    deltas[funnel] = rounded(
        neutral,
        deltas[funnel],
        deltas[names.index("jawOpen")],
        data["mask_lips"] / 255.0,
        triangles[: parts["cavity"].stop],
    )
    return _File(
        names,
        neutral,
        deltas,
        triangles,
        parts,
        data["uvs"].astype(float),
        {
            n.removeprefix("mask_"): array / 255.0
            for n, array in data.items()
            if n.startswith("mask_")
        },
        {
            str(n): Joint((float(x), float(y), float(z)))
            for n, (x, y, z) in zip(data["joint_names"], data["joints"], strict=True)
        },
        {
            str(n): mode.astype(float) * 1e-3
            for n, mode in zip(data["identity_names"], data["identity_mm"], strict=True)
        },
        {n.removeprefix("lash_"): a.astype(int) for n, a in data.items() if n.startswith("lash_")},
        {name: data[f"{name}_frame"] for name in ("skull", "jaw")},
        data["jaw_motion"],
    )


def _part_name(name: str) -> str:
    """Return the name of a part of the head; the file calls the eyes `eye_left` and `eye_right`."""
    return "_".join(reversed(name.split("_"))) if name.startswith("eye_") else name


class _Assembly:
    """One identity at one level of detail, assembled part by part."""

    def __init__(self, file: _File, identity: Identity, detail: Detail) -> None:
        self._file = file
        self._identity = identity
        self._fine = detail == "high"
        self._name = f"cc0-{detail}"

    def head(self) -> Head:
        """Return all parts together, with masks, joints and landmarks."""
        skin = self._skin
        base, goes_with, near = underside(skin)
        pieces = [skin, *self._eyes, *self._dentitions, self._tongue, *self._hairs]
        pieces += [*self._haircut, base]
        whole = joined(pieces)
        counts = [len(piece.points) for piece in pieces]
        masks = {name: _padded(mask, len(whole.points)) for name, mask in self._skin_masks.items()}
        for name in ("head", "neck"):
            masks[name][counts[0] : -counts[-1]] = 1  # what lies in the skull follows it
            masks[name][-counts[-1] :] = masks[name][goes_with] * near
        for name in ("left_eye", "right_eye"):
            masks[name] = _rows_of(whole, name)
        masks["tongue"] = _rows_of(whole, "tongue")
        if self._identity.hair in STYLES:
            masks["under_hair"] = _padded(
                hidden(skin, self._mean_skin, self._scalp), len(whole.points)
            )
        uvs = np.zeros((len(whole.points), 2), np.float32)
        uvs[: counts[0]] = self._skin_uvs
        return Head(
            name=self._name,
            neutral=whole.points,
            triangles=whole.triangles,
            names=self.names,
            deltas=whole.deltas,
            parts=whole.parts,
            colors=whole.colors,
            uvs=uvs,
            joints=self.joints,
            masks=masks,
            landmarks=self._landmarks,
            gaze=GAZE,
            rest_transforms=self._rest_transforms,
            jaw_motion=np.concatenate(
                [self._jaw_motion, np.tile(np.eye(4, dtype=np.float32), (len(SHAPES), 1, 1))]
            ),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """ARKit's shapes, then those of the tongue."""
        return (*self._file.names, *SHAPES)

    @cached_property
    def _points(self) -> Array:
        """(N, 3) vertices of the file for this person, lips sealed."""
        points = self._file.neutral.copy()
        for name, weight in self._identity.modes.items():
            points += weight * self._file.modes[name]
        for shape, weight in SEAL.items():
            points += weight * self._file.deltas[self._file.names.index(shape)]
        return points

    def _own(self, *parts: str) -> tuple[Array, Array]:
        """Return the vertices of parts of the file, and their triangles renumbered for these."""
        rows = np.concatenate([self._file.triangles[self._file.parts[p]] for p in parts])
        used, triangles = np.unique(rows, return_inverse=True)
        return used, triangles.reshape(-1, 3).astype(np.int32)

    def _with_tongue(self, deltas: Array) -> Floats:
        """Return deltas of ARKit's shapes with zeros appended for the tongue's shapes."""
        still = np.zeros((len(SHAPES), *deltas.shape[1:]), np.float32)
        return np.concatenate([deltas.astype(np.float32), still])

    # ------------------------------------------------------------------- joints

    @cached_property
    def joints(self) -> dict[str, Joint]:
        """Pivots of this person."""
        joints = {name: self._file.joints[name] for name in ("head", "neck")}
        joints["jaw"] = Joint(self._jaw_hinge())
        for side in SIDES:
            used, _ = self._own(f"{side}_eye")
            joints[f"{side}_eye"] = nearest_sphere(self._points[used])
        return joints

    def _jaw_hinge(self) -> tuple[float, float, float]:
        """Return the point that does not move when the jaw opens."""
        opening = self._jaw_motion[self._file.names.index("jawOpen")].astype(float)
        y, z = np.linalg.solve((np.eye(3) - opening[:3, :3])[1:, 1:], opening[1:3, 3])
        return 0.0, float(y), float(z)

    @cached_property
    def _jaw_motion(self) -> Floats:
        """(S, 4, 4) of the mean person, refitted to this person's teeth where the jaw moves."""
        motion = self._file.jaw_motion.copy()
        used, _ = self._own("teeth_lower")
        points = self._points[used]
        for row in np.flatnonzero((motion != np.eye(4)).any((1, 2))):
            moved = points + self._file.deltas[row, used]
            motion[row, :3, :3], motion[row, :3, 3] = _rigid(points, moved)
        return motion

    @property
    def _rest_transforms(self) -> dict[str, Floats]:
        """The file's transforms, placed between this person's eyes and on this hinge."""
        eyes = [self.joints[f"{side}_eye"].center for side in SIDES]
        transforms = {name: matrix.copy() for name, matrix in self._file.rest_transforms.items()}
        transforms["skull"][:3, 3] = np.mean(eyes, axis=0)
        transforms["jaw"][:3, 3] = self.joints["jaw"].center
        return transforms

    # --------------------------------------------------------------------- skin

    @cached_property
    def _skin_file(self) -> tuple[Array, Array]:
        return self._own("skin", "cavity")

    @cached_property
    def _refine(self) -> Subdivision:
        used, triangles = self._skin_file
        return Subdivision(triangles, len(used))

    @cached_property
    def _skin_masks(self) -> dict[str, Array]:
        """Masks of the skin's vertices by region."""
        used, _ = self._skin_file
        masks = {name: mask[used] for name, mask in self._file.masks.items()}
        if self._fine:
            halves = self._refine.halves(np.stack(list(masks.values()), 1)).T
            masks = dict(zip(masks, halves, strict=True))
        opening = self._skin_shapes[1][self._file.names.index("jawOpen")]
        masks |= lip_sides(masks["lips"], opening)
        masks |= face_masks(self._skin_shapes[0], self.joints, self._landmarks)
        return {name: np.asarray(mask, np.float32) for name, mask in masks.items()}

    @cached_property
    def _skin_uvs(self) -> Array:
        used, _ = self._skin_file
        uvs = self._file.uvs[used]
        return self._refine.halves(uvs) if self._fine else uvs

    @cached_property
    def _skin_shapes(self) -> tuple[Array, Array, Array]:
        """Points, deltas and triangles of skin and mouth cavity."""
        used, triangles = self._skin_file
        points, deltas = self._points[used], self._file.deltas[:, used]
        if self._fine:
            points, deltas = self._refine.shapes(points, deltas)
            triangles = self._refine.refined
        points = sealed(points, self._lips, self._find(points, deltas))
        for side in SIDES:
            row = self._file.names.index(f"eyeBlink{side.title()}")
            eye = self.joints[f"{side}_eye"]
            deltas[row] = shutting(points, deltas[row], triangles, eye)
        return points, deltas, triangles

    @cached_property
    def _landmarks(self) -> dict[str, int]:
        points, deltas, _ = self._skin_shapes
        return self._find(points, deltas)

    def _find(self, points: Array, deltas: Array) -> dict[str, int]:
        opening = deltas[self._file.names.index("jawOpen")]
        return find_landmarks(points, self._lips, opening, self.joints)

    @cached_property
    def _lips(self) -> Array:
        lips = self._file.masks["lips"][self._skin_file[0]]
        return self._refine.halves(lips[:, None])[:, 0] if self._fine else lips

    @cached_property
    def _skin(self) -> MorphMesh:
        points, deltas, triangles = self._skin_shapes
        count = self._file.parts["skin"].stop * (4 if self._fine else 1)
        eyes = (self.joints["left_eye"], self.joints["right_eye"])
        colors = skin_colors(
            points,
            self._skin_masks,
            eyes,
            skin_tone(self._identity.ethnicity),
            marks={name: points[vertex] for name, vertex in self._landmarks.items()},
            hair=self._scalp,
            roots=STUBBLE if self._identity.hair == "none" else 0.75 * self._hair_color,
            rouge=lip_contrast(self._identity.age, self._identity.sex),
            beard=beard_share(self._identity.age, self._identity.sex),
        )
        inside = np.setdiff1d(triangles[count:], triangles[:count])
        front = float(points[self._landmarks["lip_upper"], 2])
        colors[inside] = mouth_colors(points[inside], front)
        return MorphMesh(
            points.astype(np.float32),
            triangles,
            self._with_tongue(deltas),
            (
                Part("skin", slice(0, count), SKIN),
                Part("cavity", slice(count, len(triangles)), CAVITY),
            ),
            colors.astype(np.float32),
        )

    @cached_property
    def _scalp(self) -> Array:
        return scalp(self._mean_skin, self._skin_masks["ears"])

    @cached_property
    def _mean_skin(self) -> Array:
        """(V, 3) skin and cavity of the mean person, at this level of detail."""
        points = self._file.neutral[self._skin_file[0]]
        return self._refine(points) if self._fine else points

    @cached_property
    def _hair_color(self) -> Array:
        return hair_color(self._identity.ethnicity, self._identity.age)

    # ------------------------------------------------------------- other pieces

    @property
    def _haircut(self) -> list[MorphMesh]:
        style = STYLES.get(self._identity.hair)
        if style is None:
            return []
        size = float(np.ptp(self._points[:, 1]) / np.ptp(self._file.neutral[:, 1]))
        made = hair(
            self._skin,
            self._mean_skin,
            self._scalp,
            len(self._skin_file[0]),
            style,
            color=self._hair_color,
            fine=self._fine,
            size=size,
        )
        return [made]

    @property
    def _eyes(self) -> list[MorphMesh]:
        segments = 48 if self._fine else 28
        balls = []
        for side in SIDES:
            name = f"{side}_eye"
            ball = eyeball(self.joints[name], self.names, name=name, iris=IRIS, segments=segments)
            balls.append(ball)
        return balls

    @property
    def _dentitions(self) -> list[MorphMesh]:
        return [surface for jaw in ("upper", "lower") for surface in self._dentition(jaw)]

    def _dentition(self, jaw: str) -> list[MorphMesh]:
        """Return teeth and gum of one jaw, which move like the base mesh's strip of teeth."""
        used, _ = self._own(f"teeth_{jaw}")
        strip = self._file.neutral[used]
        arch = self._arches[jaw]
        points, triangles, teeth, tints = dentition(arch, segments=14 if self._fine else 10)
        carrier = Carrier(strip)
        points = points + carrier(points, (self._points[used] - strip)[None])[0]
        deltas = self._with_tongue(Carrier(self._points[used])(points, self._file.deltas[:, used]))
        surfaces = []
        for name, rows, material in (
            (f"teeth_{jaw}", triangles[:teeth], ENAMEL),
            (f"gum_{jaw}", triangles[teeth:], GUM),
        ):
            own, rows = np.unique(rows, return_inverse=True)
            rows = outward(points[own], rows.reshape(-1, 3))
            light = shade(arch, points[own])[:, None]
            colors = np.array(material.color) * tints[own] * light
            surfaces.append(
                MorphMesh.of(points[own], rows, deltas[:, own], material, name=name, colors=colors)
            )
        return surfaces

    @cached_property
    def _arches(self) -> dict[str, Arch]:
        """Dental arches of the mean person; the lower one bites just behind the upper one."""
        upper = Arch.of_strip(self._file.neutral[self._own("teeth_upper")[0]], upper=True)
        return {"upper": upper, "lower": upper.opposite()}

    @property
    def _tongue(self) -> MorphMesh:
        used, triangles = self._own("tongue")
        rest = self._points[used]
        bite = float(self._arches["upper"].bite[-1]) + self._bite_shift()
        points, deltas = lowered(rest, bite), self._file.deltas[:, used]
        if self._fine:
            refine = Subdivision(triangles, len(used))
            points, deltas = refine.shapes(points, deltas)
            triangles = refine.refined
        tongue = Tongue(points)
        shapes = np.stack([tongue.shape(name) for name in SHAPES])
        return MorphMesh.of(
            points,
            triangles,
            np.concatenate([deltas, shapes]),
            TONGUE,
            name="tongue",
            colors=tongue_colors(tongue),
        )

    def _bite_shift(self) -> float:
        """Return how much higher this person bites than the mean person, in meters."""
        used, _ = self._own("teeth_upper")
        return float((self._points[used] - self._file.neutral[used])[:, 1].mean())

    @property
    def _hairs(self) -> list[MorphMesh]:
        count = 760 if self._fine else 160
        color = 1.25 * brow_color(self._hair_color)
        hairs = []
        for name, side in SIDES.items():
            eye = self.joints[f"{name}_eye"]
            hairs.append(
                brow(self._skin, eye, side=side, count=count, color=color, fine=self._fine)
            )
        return [*hairs, *(self._lashes(name) for name in SIDES)]

    def _lashes(self, side: str) -> MorphMesh:
        """Return the lashes of both lids of an eye as one part."""
        deltas = self._with_tongue(self._file.deltas)
        lids = [
            lashes(
                self._file.lashes[f"{lid}_{side}"],
                self._points,
                deltas,
                self._skin,
                self.joints[f"{side}_eye"],
                blink=self._file.names.index(f"eyeBlink{side.title()}"),
                count=count,
                length=length,
                fine=self._fine,
                color=0.5 * brow_color(self._hair_color),
                name=f"lashes_{side}",
            )
            for lid, count, length in (
                ("upper", 72 if self._fine else 58, 1.0),
                ("lower", 44 if self._fine else 32, 0.55),
            )
        ]
        both = joined(lids)
        return replace(
            both, parts=(replace(both.parts[0], triangles=slice(0, len(both.triangles))),)
        )


def _padded(values: Array, count: int) -> Floats:
    result = np.zeros(count, np.float32)
    result[: len(values)] = values
    return result


def _rows_of(whole: MorphMesh, part: str) -> Floats:
    """Return (V,) 1 for the vertices of a part, 0 elsewhere."""
    rows = next(p.triangles for p in whole.parts if p.name == part)
    mask = np.zeros(len(whole.points), np.float32)
    mask[np.unique(whole.triangles[rows])] = 1
    return mask


def _rigid(points: Array, moved: Array) -> tuple[Array, Array]:
    """Return the rotation and shift that fit moved points best (Kabsch)."""
    middle, goal = points.mean(0), moved.mean(0)
    u, _, vt = np.linalg.svd((points - middle).T @ (moved - goal))
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    turn = (u @ flip @ vt).T
    return turn, goal - turn @ middle
