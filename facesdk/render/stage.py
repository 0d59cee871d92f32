"""What a picture shows: one or several views of the head, and its curves below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from ..arrays import Floats
from ..errors import RenderError, missing_extra, unknown_name
from ..mesh import Head
from .camera import Camera, camera
from .gl import GLPainter, platform
from .look import Look, Picture
from .software.painter import Painter

BACKENDS = ("auto", "gl", "software")

MAX_SIDE = 8192
"""Pixels of a picture's longer side."""


@dataclass(frozen=True)
class Shot:
    """How a head is filmed."""

    look: Look = field(default_factory=Look)
    """Its size is that of the whole picture, without curves."""
    views: tuple[str, ...] = ("front",)
    """Names of `camera.VIEWS` or degrees; several stand side by side."""
    turntable: float = 0.0
    """Seconds for a turn round the head; 0 stands still."""
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise unknown_name("no way of drawing", self.backend, BACKENDS)
        if not self.views:
            raise RenderError("a picture needs at least one view")
        width, height = self.look.size
        if not (min(width // len(self.views), height) >= 16 and max(width, height) <= MAX_SIDE):
            raise RenderError(
                f"a view must be 16 pixels or more and a picture {MAX_SIDE} or fewer; "
                f"got {width} x {height} for {len(self.views)} views"
            )


class Draws(Protocol):
    """What a painter does."""

    def paint(  # noqa: D102
        self, points: Floats, camera: Camera, *, colors: Floats | None = None
    ) -> Picture: ...


def draws(backend: str, look: Look) -> str:
    """What a backend means here: `gl` or `software`, which alone knows how to draw wires."""
    if look.wireframe:
        return "software"
    if backend != "auto":
        return backend
    return "gl" if platform() else "software"


def why_slow() -> str | None:
    """One line on why pictures are drawn without OpenGL and what helps; None where they are not."""
    if platform():
        return None
    try:
        import pyrender  # noqa: F401
    except ImportError:
        return f"drawing without OpenGL, which is slower: {missing_extra('OpenGL', 'render')}"
    return (
        "drawing without OpenGL, which is slower: there is neither EGL nor OSMesa; "
        "on Debian and Ubuntu: apt-get install libegl1 libgl1-mesa-dri"
    )


def painter(head: Head, look: Look, backend: str = "auto") -> Draws:
    """What draws a head here; raises `MissingExtraError` for `gl` where there is no OpenGL."""
    return GLPainter(head, look) if draws(backend, look) == "gl" else Painter(head, look)


class Stage:
    """A head before its cameras."""

    def __init__(self, head: Head, shot: Shot) -> None:
        self._turn = math.tau / shot.turntable if shot.turntable else 0.0
        self._cameras = [camera(head, view) for view in shot.views]
        self._painters = _painters(head, shot)

    def picture(
        self, points: Floats, *, seconds: float = 0.0, colors: Floats | None = None
    ) -> Picture:
        """The head with its vertices at (V, 3) metres, so long into the film."""
        views = [
            paint.paint(points, cam.turned(self._turn * seconds), colors=colors)
            for paint, cam in zip(self._painters, self._cameras, strict=True)
        ]
        return views[0] if len(views) == 1 else np.concatenate(views, axis=1)


def _painters(head: Head, shot: Shot) -> Sequence[Draws]:
    """A painter by view; views of one width share theirs."""
    width, height = shot.look.size
    count = len(shot.views)
    widths = [width // count + (i < width % count) for i in range(count)]
    by_width = {
        w: painter(head, replace(shot.look, size=(w, height)), shot.backend) for w in set(widths)
    }
    return [by_width[w] for w in widths]
