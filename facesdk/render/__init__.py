"""Images and videos of a head: rendered with OpenGL where it is available, with numpy anywhere.

    head = load_head()
    with open("line.mp4", "wb") as file:
        write_video(clip, file, head, audio="line.wav")
    image = sheet(head, shape_tiles(head))

`images`, `write_video` and `write_images` use this process only. With `jobs=2` or more they start
worker processes, for which a script needs a main guard (`if __name__ == "__main__":`).
"""

from __future__ import annotations

from .camera import VIEWS, Camera, camera
from .distance import DistanceMeter
from .drawing import Drawing, draw_clip, draw_still, draw_vertices
from .gl import GLPainter
from .light import LIGHTINGS, Light, Lighting, color, lighting
from .look import Image, Look
from .plot import CurveStrip
from .png import write_png
from .renderer import BACKENDS, Painter, Renderer, Shot, painter, resolve_backend, software_reason
from .sheet import (
    Tile,
    control_tiles,
    error_colors,
    error_images,
    frame_tiles,
    rig_tiles,
    shape_tiles,
    sheet,
)
from .software.painter import SoftwarePainter
from .vertices import FlameMotion, VertexFile, vertex_images
from .video import encode_video, images, save_images, vertex_frames, write_images, write_video

__all__ = [
    "BACKENDS",
    "LIGHTINGS",
    "VIEWS",
    "Camera",
    "CurveStrip",
    "DistanceMeter",
    "Drawing",
    "FlameMotion",
    "GLPainter",
    "Image",
    "Light",
    "Lighting",
    "Look",
    "Painter",
    "Renderer",
    "Shot",
    "SoftwarePainter",
    "Tile",
    "VertexFile",
    "camera",
    "color",
    "control_tiles",
    "draw_clip",
    "draw_still",
    "draw_vertices",
    "encode_video",
    "error_colors",
    "error_images",
    "frame_tiles",
    "images",
    "lighting",
    "painter",
    "resolve_backend",
    "rig_tiles",
    "save_images",
    "shape_tiles",
    "sheet",
    "software_reason",
    "vertex_frames",
    "vertex_images",
    "write_images",
    "write_png",
    "write_video",
]
