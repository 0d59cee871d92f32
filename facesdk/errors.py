"""Every error that facesdk raises on purpose.

    FaceSDKError
    ├── RigError            ValueError    a rig, a rig table or a conversion
    ├── UnknownNameError    KeyError      a name outside a fixed set; .name, .suggestions
    ├── ClipError           ValueError    animation data
    ├── AudioError          ValueError    audio
    ├── ArticulationError   ValueError    timed phones, articulation rules
    ├── ModelError          ValueError    a model file, or a request that it cannot serve
    ├── PerformanceError    ValueError    an option of a performance
    ├── MeshError           ValueError    a head and its shapes
    ├── RenderError         ValueError    an image or a video
    ├── FileFormatError     ValueError    a file that cannot be read
    ├── ExportError         ValueError    a file that cannot be written as requested
    ├── PlanError           ValueError    inputs and outputs of a batch (facesdk.batch)
    ├── UsageError                        options of a command line (facesdk.cli)
    ├── WorkerError         RuntimeError  worker processes
    └── MissingExtraError   ImportError   something that is not installed

Each derives from `FaceSDKError` and from the builtin in the second column, so a caller may catch
either. A message contains what came in, what was expected and the next step. All errors can be
pickled: they cross process boundaries.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable

CPU_TORCH = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds without CUDA; on Linux pip installs CUDA by default."""


class FaceSDKError(Exception):
    """Base of all errors that facesdk raises."""


class RigError(FaceSDKError, ValueError):
    """A rig, a rig table or a conversion is malformed or unknown."""


class UnknownNameError(FaceSDKError, KeyError):
    """A name that is not in a fixed set: a control, a rig, a format."""

    def __init__(self, message: str = "", name: str = "", suggestions: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        """The unknown name."""
        self.suggestions = tuple(suggestions)
        """Known names that are close to it, the nearest first; may be empty."""

    def __str__(self) -> str:
        return str(self.args[0])


class ClipError(FaceSDKError, ValueError):
    """Animation data breaks the rules of a clip."""


class AudioError(FaceSDKError, ValueError):
    """Audio that cannot be read or is not valid."""


class ArticulationError(FaceSDKError, ValueError):
    """Timed phones or articulation rules that are not valid."""


class ModelError(FaceSDKError, ValueError):
    """A model file, its manifest, or a request that it cannot serve."""


class PerformanceError(FaceSDKError, ValueError):
    """An option of a performance that does not exist, or a value that it cannot have."""


class MeshError(FaceSDKError, ValueError):
    """A head or its shapes are not valid, or lack what was requested."""


class RenderError(FaceSDKError, ValueError):
    """An image or a video that cannot be drawn as requested."""


class WorkerError(FaceSDKError, RuntimeError):
    """Worker processes cannot be started here, or one of them ended in the middle of its work."""


class FileFormatError(FaceSDKError, ValueError):
    """A file does not follow its format."""


class ExportError(FaceSDKError, ValueError):
    """A file cannot be written as requested."""


class MissingExtraError(FaceSDKError, ImportError):
    """An optional dependency, system library or asset is not installed."""


def error_text(error: BaseException) -> str:
    """Return an error as one line for people, with the file that a system error is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def missing_extra(task: str, extra: str) -> MissingExtraError:
    """Return an error that names the command which installs an extra."""
    return MissingExtraError(f"{task} needs the {extra!r} extra: {install_hint(extra)}")


def install_hint(extra: str) -> str:
    """Return the command that installs an extra, for an installation and for a checkout."""
    hint = f'pip install "facesdk-anim[{extra}]", or pip install ".[{extra}]" in a checkout'
    if extra in ("train", "all") and sys.platform == "linux":
        hint += f"; add --extra-index-url {CPU_TORCH} for the smaller torch without CUDA"
    return hint


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return an error for a name outside a known set, with the nearest names as suggestions."""
    names = list(known)
    lowered = {n.lower(): n for n in names}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.6)
    suggestions = [lowered[n] for n in near]
    if suggestions:
        hint = "did you mean " + " or ".join(map(repr, suggestions)) + "?"
    elif len(names) <= 20:
        hint = "known: " + ", ".join(names)
    else:
        hint = f"there are {len(names)}, from {names[0]!r} to {names[-1]!r}"
    return UnknownNameError(f"{kind} {name!r}; {hint}", name, suggestions)
