"""Pictures and videos of a head: drawn by OpenGL where there is one, by numpy everywhere.

head = load_head()
with open("line.mp4", "wb") as file:
    write_video(clip, file, head, audio="line.wav")
picture = sheet(head, shape_tiles(head))
"""

from __future__ import annotations

from .camera import VIEWS, Camera, camera
from .gl import GLPainter
from .light import LIGHTINGS, Light, Lighting, color, lighting
from .look import Look, Picture
from .plot import CurveStrip
from .png import write_png
from .sheet import Tile, compared, control_tiles, error_colors, frame_tiles, shape_tiles, sheet
from .software.painter import Painter
from .stage import BACKENDS, Shot, Stage, draws, painter, why_slow
from .vertices import FlameMotion, VertexFile, surfaces
from .video import motion, pictures, write_film, write_pictures, write_pictures_of, write_video

__all__ = [
    "BACKENDS",
    "LIGHTINGS",
    "VIEWS",
    "Camera",
    "CurveStrip",
    "FlameMotion",
    "GLPainter",
    "Light",
    "Lighting",
    "Look",
    "Painter",
    "Picture",
    "Shot",
    "Stage",
    "Tile",
    "VertexFile",
    "camera",
    "color",
    "compared",
    "control_tiles",
    "draws",
    "error_colors",
    "frame_tiles",
    "lighting",
    "motion",
    "painter",
    "pictures",
    "shape_tiles",
    "sheet",
    "surfaces",
    "why_slow",
    "write_film",
    "write_pictures",
    "write_pictures_of",
    "write_png",
    "write_video",
]
