"""Which inputs become which files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..articulation.timings import EXTENSIONS as TIMING_EXTENSIONS
from ..errors import FaceSDKError

AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
"""What is taken from a folder; a file named by itself may be called anything."""

PIPE = "-"


class PlanError(FaceSDKError, ValueError):
    """Inputs and outputs that do not go together."""


@dataclass(frozen=True)
class Line:
    """One line to bake."""

    name: str
    """Relative to the folder it was found in, without extension, with slashes: `guard/hello_01`."""
    output: str
    """Path of the file to write; `-` is stdout."""
    audio: str | None = None
    """Path of the recording; `-` is stdin, None for a line that has only timed phones."""
    phones: str | None = None
    """Path of the timed phones, where the line is not left to the model."""

    @property
    def source(self) -> str:
        """The input that it is known by."""
        return self.audio or self.phones or self.name


@dataclass(frozen=True)
class Plan:
    """All lines of one run, in order; every output is written once."""

    lines: tuple[Line, ...]
    folder: Path | None
    """Where the outputs go; None for one line whose file was named."""
    batch: bool
    """False for one line that was named by itself: it uses the seed as it is."""


def plan(inputs: Sequence[str], output: str, extension: str, *, phones: str | None = None) -> Plan:
    """Which input becomes which file.

    Folders give all audio files below them, and the output folder mirrors theirs. One file may
    name its output; else `output` is a folder. `phones` is a file for one line, or a folder in
    which every line finds its own by name; without `inputs` its files are the lines. Nothing is
    written or created. Raises `PlanError` when two inputs would become one file, or an output
    would replace an input.
    """
    sources = list(_sources(inputs, phones))
    alone = len(sources) == 1 and not any(map(_is_folder, inputs or [phones or ""]))
    folder = None if alone and not _names_folder(output) else Path(output)
    if folder is not None:
        _require_folder(output, sources)
    paths = (output if folder is None else str(folder / (s.name + extension)) for s in sources)
    lines = tuple(
        Line(s.name, path, s.audio, s.phones) for s, path in zip(sources, paths, strict=True)
    )
    _require_separate(lines)
    return Plan(lines, folder, batch=not alone)


@dataclass(frozen=True)
class _Source:
    name: str
    audio: str | None
    phones: str | None


def _sources(inputs: Sequence[str], phones: str | None) -> Iterator[_Source]:
    if phones is None:
        if not inputs:
            raise PlanError("expected audio files or folders, - for stdin, or --phones")
        yield from (_Source(name, audio, None) for name, audio in _files(inputs, AUDIO_EXTENSIONS))
    elif not inputs:
        timed = _files([phones], TIMING_EXTENSIONS)
        yield from (_Source(name, None, path) for name, path in timed)
    else:
        yield from _matched(list(_files(inputs, AUDIO_EXTENSIONS)), phones)


def _matched(audio: Sequence[tuple[str, str]], phones: str) -> Iterator[_Source]:
    """Recordings with their timed phones: the one file, or those of a folder by name."""
    if not _is_folder(phones):
        if len(audio) != 1:
            raise PlanError(f"{phones} times one line, got {len(audio)}; give a folder of timings")
        name, path = audio[0]
        yield _Source(name, path, phones)
        return
    timed = _by_name(_files([phones], TIMING_EXTENSIONS))
    for name, path in audio:
        found = timed.get(name) or timed.get(PurePosixPath(name).name)
        expected = Path(phones, name + TIMING_EXTENSIONS[0])  # missing: this line alone fails
        yield _Source(name, path, found or str(expected))


def _by_name(files: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, path in files:
        if name in found:
            raise PlanError(f"{found[name]} and {path} both time {name!r}; remove one of them")
        found[name] = path
    return found


def _files(inputs: Sequence[str], extensions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and path of every file; folders are walked in order, hidden entries are left out."""
    for given in inputs:
        if given == PIPE:
            yield "stdin", PIPE
        elif _is_folder(given):
            found = list(_below(Path(given), extensions))
            if not found:
                raise PlanError(f"{given} holds no file called {', '.join(extensions)}")
            for path in found:
                yield path.relative_to(given).with_suffix("").as_posix(), str(path)
        else:
            yield Path(given).stem, given


def _below(folder: Path, extensions: Sequence[str]) -> Iterator[Path]:
    wanted = {extension.lower() for extension in extensions}
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            if Path(file).suffix.lower() in wanted and not file.startswith("."):
                yield Path(parent, file)


def _is_folder(path: str) -> bool:
    return path != PIPE and Path(path).is_dir()


def _names_folder(output: str) -> bool:
    return output != PIPE and (output.endswith(("/", os.sep)) or Path(output).is_dir())


def _require_folder(output: str, sources: Sequence[_Source]) -> None:
    if output == PIPE:
        raise PlanError(f"{len(sources)} lines cannot all go to stdout; give a folder")
    if Path(output).is_file():
        raise PlanError(f"{output} is a file; several lines need a folder")


def _require_separate(lines: Sequence[Line]) -> None:
    read = {_identity(p): p for line in lines for p in (line.audio, line.phones) if p}
    written: dict[str, Line] = {}
    for line in lines:
        place = _identity(line.output)
        if (other := written.get(place)) is not None:
            if other.source == line.source:
                raise PlanError(f"{line.source} is given twice; leave one out")
            raise PlanError(
                f"{other.source} and {line.source} would both become {line.output}; "
                "rename one of them or give them folders of their own"
            )
        if place != PIPE and place in read:
            raise PlanError(f"{line.output} would replace the input {read[place]}; give another -o")
        written[place] = line


def _identity(path: str) -> str:
    return path if path == PIPE else os.path.normcase(os.path.realpath(path))
