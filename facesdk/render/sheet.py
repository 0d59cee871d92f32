"""Contact sheets: many small pictures with their names on one page."""

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
from .look import Look, Picture
from .software.bitmap_font import HEIGHT, WIDTH, write
from .stage import Shot, Stage

_INK, _PAPER, _LINE = (222, 226, 232), (30, 33, 38), 1

NEUTRAL, _JAW = "neutral", "jawOpen"


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet."""

    name: str
    weights: Floats
    """(S,) of the head's shapes."""
    pose: Floats | None = None
    """(4, 3) radians."""


def shape_tiles(head: Head, names: Sequence[str] = ()) -> list[Tile]:
    """The neutral and each shape of a head at weight 1, or those that are named.

    Shapes are alone, but for those that need an open jaw and say so: the tongue's, which could not
    be seen, and `mouthClose`, which closes the lips over it.
    """
    tiles = [Tile(NEUTRAL, np.zeros(len(head.names), np.float32))]
    for name in names or head.names:
        weights = np.zeros(len(head.names), np.float32)
        weights[head.index(name)] = 1
        called = name
        if (jaw := _jaw_for(name)) and _JAW in head.names:
            weights[head.index(_JAW)] = jaw
            called = f"{name}+{_JAW}"
        tiles.append(Tile(called, weights))
    return tiles


def _jaw_for(name: str) -> float:
    """How far the jaw must open for a shape to make sense, or to be seen at all."""
    if name == "mouthClose":
        return 1.0
    return 0.55 if name.startswith("tongue") else 0.0


def control_tiles(head: Head, rig: Rig, poses: Mapping[str, Mapping[str, float]]) -> list[Tile]:
    """Named settings of a rig's controls, those that are not named at rest."""
    tiles = []
    for name, setting in poses.items():
        values = rig.rest.copy()
        for control, value in setting.items():
            values[rig.index(control)] = value
        tiles.append(Tile(name, head.weights(values[None], rig)[0]))
    return tiles


def frame_tiles(head: Head, clip: Clip, count: int = 24) -> list[Tile]:
    """Up to `count` frames of a clip, evenly spread, called by their time."""
    if not len(clip):
        raise RenderError("the clip has no frames; there is nothing to see")
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
) -> Picture:
    """One page of pictures with their names below; the shot's size is that of one picture."""
    shot = shot or Shot(Look(size=(192, 192)), ("face",))
    stage = Stage(head, shot)
    pictures = [(tile.name, _framed(stage, head, tile)) for tile in tiles]
    if not pictures:
        raise RenderError("a contact sheet needs at least one picture")
    across = columns or _columns(len(pictures), shot.look.size)
    return _page([_captioned(picture, name) for name, picture in pictures], across)


def _framed(stage: Stage, head: Head, tile: Tile) -> Picture:
    pose = None if tile.pose is None else tile.pose[None]
    return stage.picture(head.vertices(tile.weights[None], pose)[0])


def _columns(count: int, size: tuple[int, int]) -> int:
    """Columns that make a page about four wide and three high."""
    width, height = size
    return max(1, min(count, round(math.sqrt(count * height / width * 4 / 3))))


def _captioned(picture: Picture, name: str) -> Picture:
    width, channels = picture.shape[1:]
    band = np.full((HEIGHT + 6, width, channels), 255, np.uint8)
    band[..., :3] = _PAPER
    fits = max(1, (width - 4) // WIDTH)
    text = name if len(name) <= fits else name[: fits - 1] + "."
    write(band, text, (width - WIDTH * len(text)) // 2, 4, _INK)
    return np.concatenate([picture, band])


def _page(pictures: Sequence[Picture], columns: int) -> Picture:
    height, width, channels = pictures[0].shape
    rows = -(-len(pictures) // columns)
    page = np.full(
        (rows * (height + _LINE) - _LINE, columns * (width + _LINE) - _LINE, channels),
        255,
        np.uint8,
    )
    page[..., :3] = _PAPER
    for number, picture in enumerate(pictures):
        y, x = (number // columns) * (height + _LINE), (number % columns) * (width + _LINE)
        page[y : y + height, x : x + width] = picture
    return page


# ------------------------------------------------------------------------ errors

_RAMP = np.array(
    [[0.16, 0.24, 0.42], [0.20, 0.55, 0.62], [0.62, 0.78, 0.42], [0.96, 0.76, 0.30],
     [0.90, 0.40, 0.20], [0.66, 0.10, 0.16]], np.float32
)  # fmt: skip
"""Colours from no error to the largest that is told apart."""


def error_colors(errors: Floats, *, largest: float) -> Floats:
    """(V, 3) sRGB for (V,) errors in metres, the ramp's end at `largest`."""
    if not largest > 0:
        raise RenderError(f"the largest error to show must be above 0 metres, got {largest}")
    at = np.clip(errors / largest, 0, 1) * (len(_RAMP) - 1)
    steps = np.arange(len(_RAMP))
    return np.stack([np.interp(at, steps, _RAMP[:, k]) for k in range(3)], 1).astype(np.float32)


def compared(
    head: Head,
    truth: Iterable[Floats],
    prediction: Iterable[Floats],
    shot: Shot | None = None,
    *,
    largest: float = 0.005,
) -> Generator[Picture, None, None]:
    """Frame by frame: ground truth, prediction, and how far its vertices are off, in colours.

    Both give (V, 3) metres on the head's triangles, and the shorter one ends the film; `largest`
    is the error in metres at which the ramp of colours ends. The shot's size is that of each third.
    """
    stage = Stage(head, replace(shot or Shot(), turntable=0.0))
    for there, here in zip(truth, prediction, strict=False):
        for points in (there, here):
            if points.shape != head.neutral.shape:
                raise RenderError(
                    f"vertices must be {head.neutral.shape} for head {head.name!r}, "
                    f"got {points.shape}"
                )
        off = np.linalg.norm(here - there, axis=1)
        views = [
            ("truth", stage.picture(there)),
            ("prediction", stage.picture(here)),
            (f"error, mean {1000 * off.mean():.2f} mm, largest {1000 * off.max():.2f} mm",
             stage.picture(here, colors=error_colors(off, largest=largest))),
        ]  # fmt: skip
        picture = np.concatenate([_captioned(p, name) for name, p in views], axis=1)
        yield _with_key(picture, largest)


def _with_key(picture: Picture, largest: float) -> Picture:
    """The ramp of colours with its ends, at the lower right of the last view."""
    height, width = picture.shape[:2]
    wide = max(40, width // 12)
    ramp = error_colors(np.linspace(0, largest, wide, dtype=np.float32), largest=largest)
    y, x = height - HEIGHT - 6 - 12, width - wide - 8
    picture[y : y + 6, x : x + wide, :3] = np.round(255 * ramp)
    label = f"{1000 * largest:g} mm"
    write(picture, label, width - 8 - WIDTH * len(label), y - HEIGHT, _INK)
    write(picture, "0", x, y - HEIGHT, _INK)
    return picture
