"""Lights and materials. All directions are the camera's: right, up, toward it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..errors import RenderError, unknown_name
from ..frozen import Rebuilt, frozen_dict

Color = tuple[float, float, float]
"""sRGB in 0..1."""


@dataclass(frozen=True)
class Light:
    """A large, distant lamp."""

    yaw: float
    """Degrees; positive is from the right of the image."""
    pitch: float
    """Degrees; positive is from above."""
    strength: float = 1.0
    color: Color = (1.0, 1.0, 1.0)

    @property
    def direction(self) -> Floats:
        """(3,) direction toward the lamp."""
        yaw, pitch = np.radians(self.yaw), np.radians(self.pitch)
        x, z = np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch)
        return np.array([x, np.sin(pitch), z], np.float32)

    @property
    def power(self) -> Floats:
        """(3,) linear red, green, blue."""
        return np.float32(self.strength) * linear(np.array(self.color, np.float32))


@dataclass(frozen=True)
class Lighting(Rebuilt):
    """Named lamps, ambient light, and the background that goes with them. Picklable."""

    lamps: Mapping[str, Light]
    sky: Color
    """sRGB of the ambient light from above."""
    ground: Color
    """sRGB of the ambient light from below."""
    background: Color
    ambient: float = 1.0
    exposure: float = 1.0
    shadow: float = field(default=0.6)
    """Darkness of creases, 0 to 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "lamps", frozen_dict(self.lamps))

    def relit(self, changes: Mapping[str, Light]) -> Lighting:
        """Return the lighting with some lamps changed or added."""
        return replace(self, lamps={**self.lamps, **changes})


LIGHTINGS = {
    "studio": Lighting(
        {
            "key": Light(-38, 32, 2.1, (1.0, 0.955, 0.90)),
            "fill": Light(48, 6, 0.55, (0.84, 0.91, 1.0)),
            "rim": Light(152, 28, 2.2, (0.90, 0.95, 1.0)),
        },
        sky=(0.60, 0.64, 0.72), ground=(0.40, 0.34, 0.31), background=(0.165, 0.18, 0.205),
    ),
    "soft": Lighting(
        {
            "key": Light(-20, 30, 1.35, (1.0, 0.98, 0.95)),
            "fill": Light(30, 10, 0.9, (0.97, 0.98, 1.0)),
            "rim": Light(170, 40, 0.7),
        },
        sky=(0.78, 0.79, 0.82), ground=(0.60, 0.56, 0.53), background=(0.86, 0.865, 0.87),
        shadow=0.5,
    ),
    "dramatic": Lighting(
        {
            "key": Light(-62, 30, 2.9, (1.0, 0.90, 0.78)),
            "fill": Light(60, 0, 0.12, (0.55, 0.70, 1.0)),
            "rim": Light(140, 15, 3.4, (0.55, 0.72, 1.0)),
        },
        sky=(0.25, 0.28, 0.36), ground=(0.12, 0.10, 0.10), background=(0.045, 0.05, 0.065),
        shadow=0.75,
    ),
    "daylight": Lighting(
        {
            "key": Light(35, 48, 2.4, (1.0, 0.97, 0.90)),
            "fill": Light(-50, 20, 0.4, (0.75, 0.86, 1.0)),
            "rim": Light(-150, 35, 1.0, (1.0, 0.97, 0.9)),
        },
        sky=(0.66, 0.76, 0.92), ground=(0.46, 0.44, 0.38), background=(0.60, 0.71, 0.82),
    ),
    "flat": Lighting(
        {"key": Light(0, 15, 1.7)},
        sky=(0.85, 0.85, 0.85), ground=(0.75, 0.75, 0.75), background=(1.0, 1.0, 1.0),
        shadow=0.25,
    ),
}  # fmt: skip
"""Light presets."""

_RELIGHT = re.compile(r"(\w+)=(#[0-9a-fA-F]{6})?(?:@(-?[\d.]+),(-?[\d.]+))?(?:\*([\d.]+))?")


def lighting(name: str, changes: tuple[str, ...] = ()) -> Lighting:
    """Return a preset with lamps changed.

    `key=#ffcc99@-40,30*1.5` sets color, yaw, pitch and strength; each part is optional, as in
    `fill=*0.2` or `rim=#88aaff`. Raises `RenderError` for a malformed change and `UnknownNameError`
    for an unknown preset.
    """
    if name not in LIGHTINGS:
        raise unknown_name("no light preset", name, LIGHTINGS)
    found = LIGHTINGS[name]
    for text in changes:
        found = found.relit(_change(found, text))
    return found


def _change(found: Lighting, text: str) -> dict[str, Light]:
    match = _RELIGHT.fullmatch(text)
    if match is None:
        raise RenderError(f"expected lamp=#rrggbb@yaw,pitch*strength, got {text!r}")
    lamp, rgb, yaw, pitch, strength = match.groups()
    light = found.lamps.get(lamp, Light(0, 0))
    if rgb:
        light = replace(light, color=color(rgb))
    if yaw:
        light = replace(light, yaw=float(yaw), pitch=float(pitch))
    if strength:
        light = replace(light, strength=float(strength))
    return {lamp: light}


def color(text: str) -> Color:
    """Return the sRGB color written `#rrggbb`; raises `RenderError` for anything else."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise RenderError(f"a color must be #rrggbb, got {text!r}")
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def linear(srgb: Floats) -> Floats:
    """Return linear light for sRGB numbers."""
    low, high = srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4
    return np.where(srgb <= 0.04045, low, high).astype(np.float32)


def tone_mapped(light: Floats) -> NDArray[np.uint8]:
    """Return sRGB bytes for linear light, tone-mapped so that highlights roll off."""
    steps = light * np.float32((len(_TONE_CURVE) - 1) / _BRIGHTEST)
    return np.asarray(np.take(_TONE_CURVE, steps.astype(np.int32), mode="clip"), np.uint8)


_BRIGHTEST = 4.0


def _tone_curve() -> NDArray[np.uint8]:
    """Return sRGB bytes by light in 0.._BRIGHTEST: linear up to a shoulder, then toward 1."""
    light = np.linspace(0, _BRIGHTEST, 8192)
    shoulder = 0.6
    rest = 1 - shoulder
    rolled = np.where(
        light < shoulder, light, shoulder + rest * (1 - np.exp(-(light - shoulder) / rest))
    )
    srgb = np.where(rolled <= 0.0031308, 12.92 * rolled, 1.055 * rolled ** (1 / 2.4) - 0.055)
    return np.round(255 * srgb).astype(np.uint8)


_TONE_CURVE = _tone_curve()


@dataclass(frozen=True, eq=False)
class VertexMaterials:
    """Materials of vertices."""

    albedo: Floats
    """(V, 3) linear."""
    softness: Floats
    """(V,) how far light wraps around, as it does in skin; 0 for none."""
    gloss: Floats
    """(V,) strength of the highlight."""
    sharpness: Floats
    """(V,) exponent of the highlight: a larger one is smaller and brighter."""

    def at(self, index: NDArray[np.int32]) -> VertexMaterials:
        """Return the materials of some vertices."""
        facts = (self.albedo, self.softness, self.gloss, self.sharpness)
        return VertexMaterials(*(fact[index] for fact in facts))


_BLEEDING = np.array([1.0, 0.6, 0.48], np.float32)
"""Relative distances that red, green and blue spread under skin."""


_LOWERED = 0.3
"""Height of a lamp's reflection in an eye, relative to the lamp's own height."""


def shade(
    normals: Floats, materials: VertexMaterials, lighting: Lighting, *, wet: bool = False
) -> Floats:
    """Return the (N, 3) light that points with (N, 3) normals reflect toward the camera.

    Highlights on `wet` surfaces sit lower than the lamps, as portrait photographers place them:
    without a highlight below the upper eyelid, an eye looks dull.
    """
    above = np.float32(0.5) + np.float32(0.5) * normals[:, 1:2]
    sky, ground = (linear(np.array(c, np.float32)) for c in (lighting.sky, lighting.ground))
    coming = np.float32(0.5 * lighting.ambient) * (ground + above * (sky - ground))
    soft = np.flatnonzero(materials.softness)
    wrap = materials.softness[soft, None] * _BLEEDING
    shine = np.zeros_like(coming)
    facing = np.clip(normals[:, 2], 0, 1)
    grazing = np.float32(0.35) + np.float32(1.3) * (1 - facing) ** 4
    strength = materials.gloss * grazing
    for light in lighting.lamps.values():
        toward = normals @ light.direction
        spread = np.maximum(toward, 0)[:, None]
        if len(soft):
            spread = np.broadcast_to(spread, coming.shape).copy()
            wrapped = (toward[soft, None] + wrap) / (1 + wrap)
            spread[soft] = np.maximum(wrapped, 0) ** (1 + wrap)
        coming += spread * (light.power * np.float32(0.62))
        lamp = light.direction * np.array([1, _LOWERED if wet else 1, 1], np.float32)
        half = lamp + np.array([0, 0, 1], np.float32)
        half /= max(float(np.linalg.norm(half)), 1e-6)
        lit = np.flatnonzero(toward > -0.1)
        sharp = materials.sharpness[lit]
        spot = np.maximum(normals[lit] @ half, 0) ** sharp
        spot *= strength[lit] * (sharp + 8) / 25.0 * np.clip(toward[lit] * 4 + 0.4, 0, 1)
        shine[lit] += spot[:, None] * light.power
    return np.asarray(
        np.float32(lighting.exposure) * (coming * materials.albedo + shine), np.float32
    )
