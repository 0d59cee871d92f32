"""Every error facesdk raises on purpose.

All derive from `FaceSDKError` and from the builtin that fits, so a caller may catch either.
A message says what came in, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FaceSDKError(Exception):
    """Base of all errors raised by facesdk."""


class RigError(FaceSDKError, ValueError):
    """A rig, a rig table or a conversion is malformed or unknown."""


class UnknownNameError(FaceSDKError, KeyError):
    """A name that is not in a fixed set: a control, a rig, a format."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ClipError(FaceSDKError, ValueError):
    """Animation data breaks the rules of a clip."""


class AudioError(FaceSDKError, ValueError):
    """Audio that cannot be read or makes no sense."""


class ArticulationError(FaceSDKError, ValueError):
    """Timed phones or articulation rules that make no sense."""


class ModelError(FaceSDKError, ValueError):
    """A model file, its manifest, or a request it cannot serve."""


class PerformanceError(FaceSDKError, ValueError):
    """An option of a performance that does not exist or a value it cannot have."""


class MeshError(FaceSDKError, ValueError):
    """A head, its shapes or what they are asked for make no sense."""


class RenderError(FaceSDKError, ValueError):
    """A picture that cannot be drawn as asked for."""


class WorkerError(FaceSDKError, RuntimeError):
    """Worker processes cannot be started here, or one of them ended in the middle of its work."""


class FileFormatError(FaceSDKError, ValueError):
    """A file is not what its format asks for."""


class ExportError(FaceSDKError, ValueError):
    """A file cannot be written as asked for."""


class MissingExtraError(FaceSDKError, ImportError):
    """An optional dependency, system library or asset is not installed."""


def missing_extra(task: str, extra: str) -> MissingExtraError:
    """Error that names the command which installs an extra."""
    return MissingExtraError(
        f'{task} needs the {extra!r} extra: pip install "facesdk-anim[{extra}]"'
    )


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Error for a name outside a known set, with the nearest names as suggestions."""
    names = list(known)
    lowered = {n.lower(): n for n in names}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.6)
    if near:
        hint = "did you mean " + " or ".join(repr(lowered[n]) for n in near) + "?"
    elif len(names) <= 20:
        hint = "known: " + ", ".join(names)
    else:
        hint = f"there are {len(names)}, from {names[0]!r} to {names[-1]!r}"
    return UnknownNameError(f"{kind} {name!r}; {hint}")
