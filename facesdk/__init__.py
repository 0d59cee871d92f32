"""facesdk: speech in, game-ready facial animation out."""

from __future__ import annotations

from pathlib import Path as _Path

_checkout = _Path(__file__).resolve().parent.parent
if __name__ == "facesdk" and (_checkout / "datasets" / "recipes").is_dir():
    __path__.append(str(_checkout))  # source checkout: exporters/, datasets/ lie beside us

from .clip import Clip, Event, Frame, FrameSource, Pose, concat, exact_fps  # noqa: E402
from .errors import FaceSDKError  # noqa: E402
from .rig import Control, Rig, rig_names  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "Clip",
    "Control",
    "Event",
    "FaceSDKError",
    "Frame",
    "FrameSource",
    "Pose",
    "Rig",
    "concat",
    "exact_fps",
    "rig_names",
]
