"""Render images of a head from one or several views."""

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
from .fine import FinePainter
from .gl import GLPainter, platform
from .look import Image, Look
from .software.painter import SoftwarePainter

BACKENDS = ("auto", "gl", "software")

MAX_SIDE = 8192
"""Pixels of the longer side of an image."""


@dataclass(frozen=True)
class Shot:
    """Views, movement and look of an image or a video."""

    look: Look = field(default_factory=Look)
    """Its size is that of the whole image, without the curves below."""
    views: tuple[str, ...] = ("front",)
    """Names of `camera.VIEWS` or degrees; several are drawn side by side."""
    turntable: float = 0.0
    """Seconds per turn around the head; 0 for a fixed camera."""
    backend: str = "auto"
    """One of `BACKENDS`; `auto` takes OpenGL where it is available."""

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise unknown_name("no backend", self.backend, BACKENDS)
        if not self.views:
            raise RenderError("an image needs at least one view")
        width, height = self.look.size
        if not (min(width // len(self.views), height) >= 16 and max(width, height) <= MAX_SIDE):
            raise RenderError(
                f"a view must be 16 pixels or more and an image {MAX_SIDE} or fewer; "
                f"got {width} x {height} for {len(self.views)} views"
            )


class Painter(Protocol):
    """Draws one head into one view."""

    def paint(  # noqa: D102
        self, points: Floats, camera: Camera, *, colors: Floats | None = None
    ) -> Image: ...


def resolve_backend(backend: str, look: Look) -> str:
    """Return `gl` or `software` for a backend; only `software` can draw wireframes."""
    if look.wireframe:
        return "software"
    if backend != "auto":
        return backend
    return "gl" if platform() else "software"


def software_reason() -> str | None:
    """Return why `auto` renders without OpenGL and what helps; None if it uses OpenGL."""
    if platform():
        return None
    try:
        import pyrender  # noqa: F401
    except ImportError:
        return f"rendering without OpenGL, which is slower: {missing_extra('OpenGL', 'render')}"
    return (
        "rendering without OpenGL, which is slower: found neither EGL nor OSMesa; "
        "on Debian and Ubuntu: apt-get install libegl1 libgl1-mesa-dri"
    )


def painter(head: Head, look: Look, backend: str = "auto") -> Painter:
    """Return a painter for a head; raises `MissingExtraError` for `gl` without pyrender."""
    if resolve_backend(backend, look) == "gl":
        return FinePainter(head, look) if look.fine else GLPainter(head, look)
    return SoftwarePainter(head, look)


class Renderer:
    """Renders a head from the views of a shot."""

    def __init__(self, head: Head, shot: Shot) -> None:
        self._turn = math.tau / shot.turntable if shot.turntable else 0.0
        self._cameras = [camera(head, view) for view in shot.views]
        self._painters = _painters(head, shot)

    def render(
        self, points: Floats, *, seconds: float = 0.0, colors: Floats | None = None
    ) -> Image:
        """Return an image of the head with its vertices at (V, 3) meters.

        `seconds` is the time in the video, which turns a turntable. `colors` (V, 3) sRGB replace
        the head's own.
        """
        views = [
            paint.paint(points, cam.turned(self._turn * seconds), colors=colors)
            for paint, cam in zip(self._painters, self._cameras, strict=True)
        ]
        return views[0] if len(views) == 1 else np.concatenate(views, axis=1)


def _painters(head: Head, shot: Shot) -> Sequence[Painter]:
    """Return a painter per view; views of the same width share one."""
    width, height = shot.look.size
    count = len(shot.views)
    widths = [width // count + (i < width % count) for i in range(count)]
    by_width = {
        w: painter(head, replace(shot.look, size=(w, height)), shot.backend) for w in set(widths)
    }
    return [by_width[w] for w in widths]
