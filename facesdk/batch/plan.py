"""Plans of commands: which inputs become which files, in which format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..articulation.timings import EXTENSIONS as TIMING_EXTENSIONS
from ..errors import FaceSDKError, UnknownNameError
from ..exporters import Format, format_for
from .kinds import kind_for

AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
"""Extensions of the files that are taken from a folder; a file given by name may have any."""

PIPE = "-"


class PlanError(FaceSDKError, ValueError):
    """Inputs and outputs that do not go together."""


@dataclass(frozen=True)
class Line:
    """One line to bake."""

    name: str
    """Relative to the input folder, without extension, with slashes: `guard/hello_01`."""
    output: str
    """Path of the file to write; `-` is stdout."""
    audio: str | None = None
    """Path of the recording; `-` is stdin, None for a line that has only timed phones."""
    phones: str | None = None
    """Path of the timed phones; None for a line that the model bakes."""

    @property
    def source(self) -> str:
        """The input that identifies the line."""
        return self.audio or self.phones or self.name


@dataclass(frozen=True)
class Plan:
    """All lines of one run, in order; every output is written once."""

    lines: tuple[Line, ...]
    format: Format
    folder: Path | None
    """Output folder; None for a single line with a named output file."""
    batch: bool
    """False for a single line that was given by name: it uses the seed as given."""
    roots: tuple[Path, ...] = ()
    """Folders that inputs come from: those given, and those of files given by name."""

    def files(self) -> list[str]:
        """Paths of all files to write, sidecar files included, pipes excluded."""
        outputs = (line.output for line in self.lines if line.output != PIPE)
        return [path + ending for path in outputs for ending in ("", *self.format.sidecars)]


@dataclass(frozen=True)
class FilePlan:
    """Files to convert."""

    jobs: tuple[tuple[tuple[str, ...], str], ...]
    """Inputs and the file that they become; `-` is a pipe."""
    format: Format
    folder: Path | None
    """Output folder; None where the output is one file."""


def plan(
    inputs: Sequence[str],
    output: str,
    *,
    format: Format | None = None,  # noqa: A002
    phones: str | None = None,
) -> Plan:
    """Plan a batch of lines. Nothing is written or created.

    A folder stands for all audio files below it, and the output folder mirrors it. A single file
    may name its output file; otherwise `output` is a folder. `phones` is a file for one line, or a
    folder in which every line finds its timings by name; without `inputs` its files are the lines.
    Without `format`, the extension of a named output file decides, else it is JSON. Raises
    `PlanError` for inputs and outputs that do not go together.
    """
    _require_text(inputs, output)
    sources = list(_sources(inputs, phones))
    batch = len(sources) != 1 or any(map(_is_folder, inputs or [phones or ""]))
    chosen, folder, _ = _target(output, format, several=batch, find=kind_for)
    lines = tuple(
        Line(s.name, _path(output, folder, s.name, chosen), s.audio, s.phones) for s in sources
    )
    _require_separate([(line.source, line.output) for line in lines])
    _require_kept([p for line in lines for p in (line.audio, line.phones) if p], lines)
    given = [path for path in (*inputs, phones) if path and path != PIPE]
    roots = (Path(path) if _is_folder(path) else Path(path).parent for path in given)
    return Plan(lines, chosen, folder, batch, tuple(roots))


def plan_files(
    inputs: Sequence[str],
    output: str,
    *,
    format: Format | None = None,  # noqa: A002
) -> FilePlan:
    """Plan a conversion of files. Nothing is written or created.

    Every input becomes a file of its own, except that a named output file takes all inputs where
    its format holds several clips. Raises `PlanError` for inputs and outputs that do not go
    together.
    """
    _require_text(inputs, output)
    several = len(inputs) > 1
    chosen, folder, joined = _target(output, format, several=several, find=format_for, join=True)
    if joined:
        return FilePlan(((tuple(inputs), output),), chosen, None)
    names = ["stdin" if path == PIPE else Path(path).stem for path in inputs]
    paths = [_path(output, folder, name, chosen) for name in names]
    pairs = list(zip(inputs, paths, strict=True))
    _require_separate(pairs)
    return FilePlan(tuple(((source,), path) for source, path in pairs), chosen, folder)


def _require_text(inputs: Sequence[str], output: str) -> None:
    """Raise `PlanError` for an empty path, as an unset variable of a script leaves it."""
    if not all(inputs):
        raise PlanError("an input is empty; expected the path of a file or a folder")
    if not output:
        raise PlanError("the output is empty; expected the path of a file or a folder")


def _target(
    output: str,
    wanted: Format | None,
    *,
    several: bool,
    find: Callable[[str | Path], Format],
    join: bool = False,
) -> tuple[Format, Path | None, bool]:
    """Return the format, the output folder if there is one, and whether one file takes all inputs.

    The output is a folder if it exists as one, if it ends in a slash, or if there are several
    inputs that do not `join` into one file.
    """
    suffix = Path(output).suffix
    folder = output.endswith(("/", os.sep)) or _is_folder(output)
    named: Format | None = None
    problem = ""
    if suffix and not folder:
        try:
            named = find(Path(output))
        except UnknownNameError as error:
            problem = f"{error}; or give a format with --format"
    chosen = wanted or named or find("json")
    if folder:
        return chosen, Path(output), False
    if not several:
        if problem and wanted is None:
            raise PlanError(problem)
        return chosen, None, False
    if join and chosen.multi_clip and suffix:
        return chosen, None, True
    if output == PIPE:
        raise PlanError("several inputs cannot all go to stdout; give a folder")
    if named is not None:
        raise PlanError(
            f"several inputs need an output folder, got the file name {output}; "
            f"did you mean {output}/?"
        )
    if Path(output).exists():
        raise PlanError(f"several inputs need an output folder, but {output} is a file")
    return chosen, Path(output), False


def _path(output: str, folder: Path | None, name: str, format_: Format) -> str:
    return output if folder is None else str(folder / (name + format_.extension))


@dataclass(frozen=True)
class _Source:
    name: str
    audio: str | None
    phones: str | None


def _sources(inputs: Sequence[str], phones: str | None) -> Iterator[_Source]:
    if phones is None:
        if not inputs:
            raise PlanError(
                "no input given: expected audio files or folders, - for stdin, or --phones"
            )
        yield from (_Source(name, audio, None) for name, audio in _files(inputs, AUDIO_EXTENSIONS))
    elif not inputs:
        timed = _files([phones], TIMING_EXTENSIONS)
        yield from (_Source(name, None, path) for name, path in timed)
    else:
        yield from _matched(list(_files(inputs, AUDIO_EXTENSIONS)), phones)


def _matched(audio: Sequence[tuple[str, str]], phones: str) -> Iterator[_Source]:
    """Pair recordings with timed phones: the one file, or files of a folder by name."""
    if not _is_folder(phones):
        if len(audio) != 1:
            raise PlanError(
                f"{phones} holds the timings of one line, got {len(audio)} recordings; "
                "give a folder of timings"
            )
        name, path = audio[0]
        yield _Source(name, path, phones)
        return
    timed = _by_name(_files([phones], TIMING_EXTENSIONS))
    for name, path in audio:
        found = timed.get(name) or timed.get(PurePosixPath(name).name)
        expected = Path(phones, name + TIMING_EXTENSIONS[0])  # missing: only this line fails
        yield _Source(name, path, found or str(expected))


def _by_name(files: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, path in files:
        if name in found:
            raise PlanError(
                f"{found[name]} and {path} are both timings of {name!r}; remove one of them"
            )
        found[name] = path
    return found


def _files(inputs: Sequence[str], extensions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and path of every file; folders are walked in order, hidden entries are skipped."""
    for given in inputs:
        if given == PIPE:
            yield "stdin", PIPE
        elif _is_folder(given):
            found = list(_below(Path(given), extensions))
            if not found:
                raise PlanError(f"{given} contains no file that ends in {', '.join(extensions)}")
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


def _require_separate(pairs: Sequence[tuple[str, str]]) -> None:
    """Raise `PlanError` where two inputs would become one file."""
    written: dict[str, str] = {}
    for source, output in pairs:
        place = _identity(output)
        if (other := written.get(place)) is not None:
            if other == source:
                raise PlanError(f"{source} is given twice; leave one out")
            raise PlanError(
                f"{other} and {source} would both become {output}; "
                "rename one of them or give them folders of their own"
            )
        written[place] = source


def _require_kept(inputs: Iterable[str], lines: Sequence[Line]) -> None:
    """Raise `PlanError` where an output would replace an input."""
    read = {_identity(path): path for path in inputs if path != PIPE}
    for line in lines:
        if (path := read.get(_identity(line.output))) is not None:
            raise PlanError(f"{line.output} would replace the input {path}; give another -o")


def _identity(path: str) -> str:
    return path if path == PIPE else os.path.normcase(os.path.realpath(path))
