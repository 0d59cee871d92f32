"""Contact sheets: many small images with captions on one page; errors as colors."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Floats
from ..clip import Clip
from ..errors import RenderError
from ..mesh import Head
from ..rig import Rig
from .distance import DistanceMeter
from .look import Image, Look
from .renderer import Renderer, Shot
from .software.bitmap_font import HEIGHT, WIDTH, draw_text

_INK, _PAPER, _LINE = (222, 226, 232), (30, 33, 38), 1

NEUTRAL, _JAW = "neutral", "jawOpen"


@dataclass(frozen=True)
class Tile:
    """One image of a sheet."""

    name: str
    weights: Floats
    """(S,) of the head's shapes."""
    pose: Floats | None = None
    """(4, 3) radians."""


def shape_tiles(head: Head, names: Sequence[str] = ()) -> list[Tile]:
    """Return tiles of the neutral and of each shape at weight 1, or of the named shapes.

    Shapes that need an open jaw are combined with `jawOpen`, which their caption shows: those of
    the tongue, which would be hidden, and `mouthClose`, which closes the lips over the open jaw.
    """
    tiles = [Tile(NEUTRAL, np.zeros(len(head.names), np.float32))]
    for name in names or head.names:
        weights = np.zeros(len(head.names), np.float32)
        weights[head.index(name)] = 1
        caption = name
        if (jaw := _jaw_for(name)) and _JAW in head.names:
            weights[head.index(_JAW)] = jaw
            caption = f"{name}+{_JAW}"
        tiles.append(Tile(caption, weights))
    return tiles


def _jaw_for(name: str) -> float:
    """Return the weight of `jawOpen` that a shape needs in order to make sense or be visible."""
    if name == "mouthClose":
        return 1.0
    return 0.55 if name.startswith("tongue") else 0.0


def control_tiles(head: Head, rig: Rig, poses: Mapping[str, Mapping[str, float]]) -> list[Tile]:
    """Return tiles of named poses: values by control; all other controls are at rest."""
    tiles = []
    for name, setting in poses.items():
        values = rig.rest.copy()
        for control, value in setting.items():
            values[rig.index(control)] = value
        tiles.append(Tile(name, head.weights(values[None], rig)[0]))
    return tiles


def rig_tiles(head: Head, rig: Rig, names: Sequence[str] = ()) -> list[Tile]:
    """Return a tile of each control of a rig at its maximum, or of the named controls."""
    poses = {n: {n: float(rig.maximum[rig.index(n)])} for n in names or rig.names}
    return control_tiles(head, rig, poses)


def frame_tiles(head: Head, clip: Clip, count: int = 24) -> list[Tile]:
    """Return up to `count` evenly spaced frames of a clip, captioned with their time."""
    if not len(clip):
        raise RenderError("the clip has no frames; there is nothing to render")
    weights = head.weights(clip)
    picked = np.unique(np.linspace(0, len(clip) - 1, count).round().astype(int))
    return [
        Tile(
            f"{float(i / clip.fps):.2f} s",
            weights[i],
            None if clip.pose is None else clip.pose.angles[i],
        )
        for i in map(int, picked)
    ]


def sheet(
    head: Head, tiles: Iterable[Tile], shot: Shot | None = None, *, columns: int | None = None
) -> Image:
    """Return one page of images with captions; the shot's size is that of one image."""
    shot = shot or Shot(Look(size=(192, 192)), ("face",))
    renderer = Renderer(head, shot)
    images = [(tile.name, _rendered(renderer, head, tile)) for tile in tiles]
    if not images:
        raise RenderError("a contact sheet needs at least one image")
    across = columns or _columns(len(images), shot.look.size)
    return _page([_captioned(image, name) for name, image in images], across)


def _rendered(renderer: Renderer, head: Head, tile: Tile) -> Image:
    pose = None if tile.pose is None else tile.pose[None]
    return renderer.render(head.vertices(tile.weights[None], pose)[0])


def _columns(count: int, size: tuple[int, int]) -> int:
    """Return the columns that give the page an aspect ratio of about 4:3."""
    width, height = size
    return max(1, min(count, round(math.sqrt(count * height / width * 4 / 3))))


def _captioned(image: Image, name: str) -> Image:
    width, channels = image.shape[1:]
    band = np.full((HEIGHT + 6, width, channels), 255, np.uint8)
    band[..., :3] = _PAPER
    fits = max(1, (width - 4) // WIDTH)
    text = name if len(name) <= fits else name[: fits - 1] + "."
    draw_text(band, text, (width - WIDTH * len(text)) // 2, 4, _INK)
    return np.concatenate([image, band])


def _page(images: Sequence[Image], columns: int) -> Image:
    height, width, channels = images[0].shape
    rows = -(-len(images) // columns)
    page = np.full(
        (rows * (height + _LINE) - _LINE, columns * (width + _LINE) - _LINE, channels),
        255,
        np.uint8,
    )
    page[..., :3] = _PAPER
    for number, image in enumerate(images):
        y, x = (number // columns) * (height + _LINE), (number % columns) * (width + _LINE)
        page[y : y + height, x : x + width] = image
    return page


# ------------------------------------------------------------------------ errors

_RAMP = np.array(
    [[0.16, 0.24, 0.42], [0.20, 0.55, 0.62], [0.62, 0.78, 0.42], [0.96, 0.76, 0.30],
     [0.90, 0.40, 0.20], [0.66, 0.10, 0.16]], np.float32
)  # fmt: skip
"""Colors from no error to the largest error shown."""

LARGEST_ERROR = 0.005
"""Meters at the end of the color ramp by default."""


def error_colors(errors: Floats, *, largest: float) -> Floats:
    """Return (V, 3) sRGB for (V,) errors in meters; the color ramp ends at `largest`."""
    if not largest > 0:
        raise RenderError(f"the largest error to show must be above 0 meters, got {largest}")
    at = np.clip(errors / largest, 0, 1) * (len(_RAMP) - 1)
    steps = np.arange(len(_RAMP))
    return np.stack([np.interp(at, steps, _RAMP[:, k]) for k in range(3)], 1).astype(np.float32)


def error_images(
    head: Head,
    truth: Iterable[Floats],
    prediction: Iterable[Floats],
    shot: Shot | None = None,
    *,
    largest: float = LARGEST_ERROR,
    meter: DistanceMeter | None = None,
) -> Generator[Image, None, None]:
    """Yield the ground truth, the prediction and the distance of its vertices, side by side.

    Both inputs are (V, 3) meters on the head's triangles, frame by frame; the shorter one ends the
    output. `largest` is the error in meters at the end of the color ramp. The shot's size is that
    of each third; its turntable is ignored. `meter` receives the distances.
    """
    renderer = Renderer(head, replace(shot or Shot(), turntable=0.0))
    for there, here in zip(truth, prediction, strict=False):
        for points in (there, here):
            if points.shape != head.neutral.shape:
                raise RenderError(
                    f"vertices must be {head.neutral.shape} for head {head.name!r}, "
                    f"got {points.shape}"
                )
        off = np.linalg.norm(here - there, axis=1)
        if meter is not None:
            meter.add(off)
        views = [
            ("truth", renderer.render(there)),
            ("prediction", renderer.render(here)),
            (f"error, mean {1000 * off.mean():.2f} mm, largest {1000 * off.max():.2f} mm",
             renderer.render(here, colors=error_colors(off, largest=largest))),
        ]  # fmt: skip
        image = np.concatenate([_captioned(p, name) for name, p in views], axis=1)
        yield _with_legend(image, largest)


def _with_legend(image: Image, largest: float) -> Image:
    """Draw the color ramp with its ends at the lower right of the last view."""
    height, width = image.shape[:2]
    wide = max(40, width // 12)
    ramp = error_colors(np.linspace(0, largest, wide, dtype=np.float32), largest=largest)
    y, x = height - HEIGHT - 6 - 12, width - wide - 8
    image[y : y + 6, x : x + wide, :3] = np.round(255 * ramp)
    label = f"{1000 * largest:g} mm"
    draw_text(image, label, width - 8 - WIDTH * len(label), y - HEIGHT, _INK)
    draw_text(image, "0", x, y - HEIGHT, _INK)
    return image
