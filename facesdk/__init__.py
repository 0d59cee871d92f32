"""facesdk: speech in, game-ready facial animation out."""

from __future__ import annotations

from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING
from typing import Any as _Any

_checkout = _Path(__file__).resolve().parent.parent
if __name__ == "facesdk" and (_checkout / "datasets" / "recipes").is_dir():
    __path__.append(str(_checkout))  # source checkout: exporters/, datasets/ lie beside us

if TYPE_CHECKING:
    from .clip import Clip, Event, Frame, Pose, concat, exact_fps
    from .errors import FaceSDKError
    from .model import Model, Session, bake, load
    from .rig import Control, Rig, rig_names
    from .source import FrameSource

__version__ = "0.1.0"

__all__ = [
    "Clip",
    "Control",
    "Event",
    "FaceSDKError",
    "Frame",
    "FrameSource",
    "Model",
    "Pose",
    "Rig",
    "Session",
    "bake",
    "concat",
    "exact_fps",
    "load",
    "rig_names",
]

# Names are imported when they are first asked for: `facesdk --help` does not wait for numpy.
_HOMES = {
    "clip": ("Clip", "Event", "Frame", "Pose", "concat", "exact_fps"),
    "errors": ("FaceSDKError",),
    "model": ("Model", "Session", "bake", "load"),
    "rig": ("Control", "Rig", "rig_names"),
    "source": ("FrameSource",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> _Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
