"""Every error that facesdk raises on purpose.

    FaceSDKError
    ├── RigError            ValueError    a rig, a rig table or a conversion
    ├── UnknownNameError    KeyError      a name outside a fixed set; .name, .suggestions
    ├── ClipError           ValueError    animation data
    ├── AudioError          ValueError    audio
    ├── ArticulationError   ValueError    timed phones, articulation rules
    ├── AlignmentError      ValueError    a text, a lexicon, or their alignment with a recording
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
import errno
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

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


class AlignmentError(FaceSDKError, ValueError):
    """A text or a lexicon that is not valid, or an alignment that is not possible."""


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


@contextmanager
def reading(source: object, error: type[FaceSDKError]) -> Iterator[None]:
    """Raise `error`, naming the source, in place of an exception that a reader did not expect.

    The last net at the door of every reader of files: nothing in a file may surface as an error of
    the parser's own internals. `FaceSDKError` and errors of the system, such as a missing file or
    a closed pipe, pass through. Ctrl-C is not an `Exception` and passes too.
    """
    try:
        yield
    except FaceSDKError:
        raise
    except Exception as cause:
        if is_of_system(cause):
            raise
        raise error(f"{source} cannot be read: {unexpected(cause)}") from cause


_OF_CONTENT = {errno.EINVAL, errno.ENAMETOOLONG, errno.EOVERFLOW, errno.ELOOP, errno.EILSEQ}
"""What the system answers to impossible positions and names, which come from a file's content."""


def is_of_system(error: BaseException) -> bool:
    """Whether an error is about the system, such as a missing file, not the content of a file."""
    return isinstance(error, OSError) and error.errno not in (None, *_OF_CONTENT)


def unexpected(error: BaseException) -> str:
    """Return an error that facesdk did not raise on purpose as one line for people."""
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    kind = type(error).__name__
    return f"unexpected {kind}: {' '.join(str(error).split())[:300]}".rstrip(": ")


def missing_extra(task: str, extra: str) -> MissingExtraError:
    """Return an error that names the command which installs an extra."""
    return MissingExtraError(f"{task} needs the {extra!r} extra: {install_hint(extra)}")


def install_hint(extra: str) -> str:
    """Return the command that installs an extra, for an installation and for a checkout."""
    hint = f'pip install "facesdk-anim[{extra}]", or pip install ".[{extra}]" in a checkout'
    if extra in ("train", "all") and sys.platform == "linux":
        hint += f"; add --extra-index-url {CPU_TORCH} for the smaller torch without CUDA"
    return hint


_LONG_NAME, _MANY_NAMES = 200, 20_000


def is_short(name: str, known: Collection[str]) -> bool:
    """Whether similar names can be searched in little time, also if both come from a file."""
    return len(name) <= _LONG_NAME and len(known) <= _MANY_NAMES


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return an error for a name outside a known set, with the nearest names as suggestions."""
    names = list(known)
    lowered = {n.lower(): n for n in names}
    near = []
    if is_short(name, names):
        near = difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.6)
    else:
        name = name if len(name) <= _LONG_NAME else f"{name[:_LONG_NAME]}…"
    suggestions = [lowered[n] for n in near]
    if suggestions:
        hint = "did you mean " + " or ".join(map(repr, suggestions)) + "?"
    elif len(names) <= 20:
        hint = "known: " + ", ".join(names)
    else:
        hint = f"there are {len(names)}, from {names[0]!r} to {names[-1]!r}"
    return UnknownNameError(f"{kind} {name!r}; {hint}", name, suggestions)
