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
    from .clip import Clip, ClipInfo, Event, Frame, Pose, concat
    from .difference import Difference, compare
    from .edits import Edit
    from .errors import FaceSDKError
    from .exporters import open_clip, read_clip, write_clip
    from .mesh import load_head
    from .model import (
        Model,
        MultiFrame,
        MultiSession,
        RigTable,
        Session,
        Text,
        bake,
        bake_rigs,
        load,
        perform,
    )  # fmt: skip
    from .motion import Motion, MotionPart
    from .performance import Performance
    from .retarget import convert
    from .rig import Control, Rig, rigs
    from .source import FrameSource

__version__ = "0.1.0"

# Names are imported when they are first asked for: `facesdk --help` does not wait for numpy.
_HOMES = {
    "clip": ("Clip", "ClipInfo", "Event", "Frame", "Pose", "concat"),
    "difference": ("Difference", "compare"),
    "edits": ("Edit",),
    "errors": ("FaceSDKError",),
    "exporters": ("open_clip", "read_clip", "write_clip"),
    "mesh": ("load_head",),
    "model": (
        "Model", "MultiFrame", "MultiSession", "RigTable", "Session", "Text", "bake", "bake_rigs",
        "load", "perform",
    ),
    "motion": ("Motion", "MotionPart"),
    "performance": ("Performance",),
    "retarget": ("convert",),
    "rig": ("Control", "Rig", "rigs"),
    "source": ("FrameSource",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Clip",
    "ClipInfo",
    "Control",
    "Difference",
    "Edit",
    "Event",
    "FaceSDKError",
    "Frame",
    "FrameSource",
    "Model",
    "Motion",
    "MotionPart",
    "MultiFrame",
    "MultiSession",
    "Performance",
    "Pose",
    "Rig",
    "RigTable",
    "Session",
    "Text",
    "__version__",
    "bake",
    "bake_rigs",
    "compare",
    "concat",
    "convert",
    "load",
    "load_head",
    "open_clip",
    "perform",
    "read_clip",
    "rigs",
    "write_clip",
]


def __getattr__(name: str) -> _Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
