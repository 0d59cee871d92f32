"""Plans of commands: which inputs become which files, in which format."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..articulation.timings import EXTENSIONS as TIMING_EXTENSIONS
from ..errors import FaceSDKError, UnknownNameError
from ..exporters import Format, format_for
from ..files import fitting
from .kinds import kind_for

AUDIO_EXTENSIONS = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".bwf",
    ".caf", ".rf64", ".w64",
)  # fmt: skip
"""Extensions of the files that are taken from a folder; a file given by name may have any."""

UNREAD_EXTENSIONS = (
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dsf", ".flv", ".m4a", ".m4b", ".mka", ".mkv",
    ".mov", ".mp2", ".mp4", ".mpga", ".ra", ".spx", ".tta", ".weba", ".webm", ".wma", ".wmv", ".wv",
)  # fmt: skip
"""Extensions of recordings that have to be converted first; a folder's are named, not skipped."""

PIPE = "-"
_SHOWN = 8

TEXT_EXTENSION = ".txt"
AUTO = "auto"
"""In place of a folder of texts: every recording's own, next to it."""


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
    text: str | None = None
    """Path of the text that is spoken; None for a line that is baked without one."""
    alignment: str | None = None
    """Path of the alignment to write."""
    problem: str = ""
    """Reason why the line cannot be baked, known before any work."""

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
    notes: tuple[str, ...] = ()
    """What to know about the names: recordings of a folder that are not read, changed names."""
    roots: tuple[Path, ...] = ()
    """Folders that inputs come from: those given, and those of files given by name."""

    def files(self) -> list[str]:
        """Paths of all files to write, sidecar files included, pipes excluded."""
        return [path for line in self.lines for path in output_files(line, self.format)]


def output_files(line: Line, format_: Format) -> list[str]:
    """Return the paths of a line's files, sidecar files included; of a pipe only the alignment."""
    written = [] if line.output == PIPE else [line.output + s for s in ("", *format_.sidecars)]
    return [*written, line.alignment] if line.alignment else written


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
    text: str | None = None,
    alignment: str | None = None,
) -> Plan:
    """Plan a batch of lines. Nothing is written or created.

    A folder stands for all audio files below it, and the output folder mirrors it. A single file
    may name its output file; otherwise `output` is a folder. `phones` is a file for one line, or a
    folder in which every line finds its timings by name; without `inputs` its files are the lines.
    `text` is a text file for one line, a folder in which every line finds its `.txt` by name, or
    `auto` for the `.txt` next to each recording; a line without one is baked without a text.
    `alignment` is the TextGrid or JSON file of one line, or a folder for those of all.

    Without `format`, the extension of a named output file decides, else it is JSON. Two inputs
    from folders that would become one file have a `problem`. Raises `PlanError` for other inputs
    and outputs that do not go together.
    """
    _require_text(inputs, output)
    notes: list[str] = []
    sources = list(_sources(inputs, phones, notes))
    folders = any(map(_is_folder, inputs or [phones or ""]))
    batch = len(sources) != 1 or folders
    chosen, folder, _ = _target(output, format, several=batch, find=kind_for)
    texts = {} if text is None else _texts(sources, text)
    alignments = {} if alignment is None else _alignments(sources, alignment, several=batch)
    lines = tuple(
        Line(
            s.name, _path(output, folder, s.name, chosen), s.audio, s.phones, texts.get(s.name),
            alignments.get(s.name), s.problem,
        )
        for s in sources
    )  # fmt: skip
    pairs = [(line.source, line.output) for line in lines]
    if folders:
        problems = _clashes(pairs)
        lines = tuple(
            replace(line, problem=line.problem or problem)
            for line, problem in zip(lines, problems, strict=True)
        )
    else:
        _require_separate(pairs)
    read = [p for line in lines for p in (line.audio, line.phones, line.text) if p]
    _require_kept(read, [line.output for line in lines])
    _require_kept(read, [line.alignment for line in lines if line.alignment])
    given = [path for path in (*inputs, phones) if path and path != PIPE]
    roots = tuple(Path(path) if _is_folder(path) else Path(path).parent for path in given)
    return Plan(lines, chosen, folder, batch, (*notes, *_about_names(lines, folder)), roots)


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
    if folder is None:
        return output
    parent, _, stem = name.rpartition("/")
    endings = [format_.extension + ending for ending in ("", *format_.sidecars)]
    return str(folder / parent / (fitting(stem, endings) + format_.extension))


@dataclass(frozen=True)
class _Source:
    name: str
    audio: str | None
    phones: str | None
    problem: str = ""


def _sources(inputs: Sequence[str], phones: str | None, notes: list[str]) -> Iterator[_Source]:
    if phones is None:
        if not inputs:
            raise PlanError(
                "no input given: expected audio files or folders, - for stdin, or --phones"
            )
        recordings = _files(inputs, AUDIO_EXTENSIONS, notes)
        yield from (_Source(name, audio, None) for name, audio in recordings)
    elif not inputs:
        timed = _files([phones], TIMING_EXTENSIONS)
        yield from (_Source(name, None, path) for name, path in timed)
    else:
        yield from _matched(list(_files(inputs, AUDIO_EXTENSIONS, notes)), phones)


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
        found = timed.get(name) or timed.get(PurePosixPath(name).name) or []
        expected = Path(phones, name + TIMING_EXTENSIONS[0])  # missing: only this line fails
        several = f"{' and '.join(found)} are both timings of {name!r}; remove one of them"
        yield _Source(
            name, path, found[0] if found else str(expected), several if len(found) > 1 else ""
        )


def _texts(sources: Sequence[_Source], text: str) -> dict[str, str]:
    """Return the path of the text of every line that has one, by name."""
    if text == AUTO:
        beside = {s.name: Path(s.audio).with_suffix(TEXT_EXTENSION) for s in sources
                  if s.audio not in (None, PIPE)}  # fmt: skip
        found = {name: str(path) for name, path in beside.items() if path.is_file()}
        if not found:
            raise PlanError(
                f"no recording has a text next to it; expected {_first(beside.values())}"
            )
        return found
    if not _is_folder(text):
        if len(sources) != 1:
            raise PlanError(
                f"{text} is the text of one line, got {len(sources)} recordings; "
                f"give a folder of texts, or {AUTO} for those next to the recordings"
            )
        return {sources[0].name: text}
    files = _by_name(_files([text], [TEXT_EXTENSION]))
    if several := next((found for found in files.values() if len(found) > 1), None):
        raise PlanError(f"{' and '.join(several)} are texts of one line; remove one of them")
    pairs = {s.name: files.get(s.name) or files.get(PurePosixPath(s.name).name) for s in sources}
    found = {name: paths[0] for name, paths in pairs.items() if paths}
    if not found:
        raise PlanError(f"{text} has no text of any line; expected {sources[0].name}.txt there")
    return found


def _first(paths: Iterable[Path]) -> str:
    return str(next(iter(paths), "a .txt with its name"))


def _alignments(sources: Sequence[_Source], path: str, *, several: bool) -> dict[str, str]:
    """Return the file of the alignment of every line, by name."""
    if Path(path).suffix.lower() in (".textgrid", ".json") and not _is_folder(path):
        if several:
            raise PlanError(f"several lines need an output folder for alignments, got {path}")
        return {s.name: path for s in sources}
    return {s.name: str(Path(path, s.name + TIMING_EXTENSIONS[0])) for s in sources}


def _by_name(files: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, path in files:
        found.setdefault(name, []).append(path)
    return found


def _files(
    inputs: Sequence[str], extensions: Sequence[str], notes: list[str] | None = None
) -> Iterator[tuple[str, str]]:
    """Name and path of every file; folders are walked in order, hidden entries are skipped.

    Recordings of a folder that cannot be read are added to `notes`.
    """
    for given in inputs:
        if given == PIPE:
            yield "stdin", PIPE
        elif _is_folder(given):
            found = list(_below(Path(given), extensions))
            others = [] if notes is None else list(_below(Path(given), UNREAD_EXTENSIONS))
            unread = _unread(given, list(map(str, others)))
            if not found:
                ends = f"no file that ends in {', '.join(extensions)}"
                raise PlanError(f"{unread}; it contains {ends}" if unread else
                                f"{given} contains {ends}")  # fmt: skip
            if notes is not None and unread:
                notes.append(unread)
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


def _unread(folder: str, paths: Sequence[str]) -> str:
    """Return what to do about recordings that are not read; empty without any."""
    if not paths:
        return ""
    shown = ", ".join(paths[:_SHOWN]) + (f" and {len(paths) - _SHOWN} more" * (len(paths) > _SHOWN))
    wav = Path(paths[0]).with_suffix(".wav")
    count = "a recording" if len(paths) == 1 else f"{len(paths)} recordings"
    return (
        f"{folder} contains {count} in formats that facesdk does not read: {shown}; "
        f'convert to wav, flac, ogg or mp3, e.g. with: ffmpeg -i "{paths[0]}" "{wav}"'
    )


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


def _clashes(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return for every input which other one would become the same file, or nothing."""
    inputs: dict[str, list[str]] = {}
    for source, output in pairs:
        inputs.setdefault(_identity(output), []).append(source)
    problems = []
    for source, output in pairs:
        if others := [other for other in inputs[_identity(output)] if other != source]:
            problems.append(
                f"{others[0]} would become {output} too; "
                "rename one of them or give them folders of their own"
            )
        elif inputs[_identity(output)].count(source) > 1:
            raise PlanError(f"{source} is given twice; leave one out")
        else:
            problems.append("")
    return problems


def _about_names(lines: Sequence[Line], folder: Path | None) -> Iterator[str]:
    """Yield what was changed about names, and what will fail in other file systems."""
    if folder is None:
        return
    alike: dict[str, str] = {}
    for line in lines:
        if "~" in line.output and PurePosixPath(line.name).name not in Path(line.output).name:
            yield f"the name of {line.source} is too long for its outputs, they are {line.output}"
        key = _folded(line.output)
        other = alike.setdefault(key, line.output)
        if other != line.output:
            yield (
                f"{other} and {line.output} differ only in case or in how accents are stored: "
                "they are one file on Windows and macOS"
            )


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _require_kept(inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """Raise `PlanError` where an output would replace an input."""
    read = {_identity(path): path for path in inputs if path != PIPE}
    for output in outputs:
        if output != PIPE and (path := read.get(_identity(output))) is not None:
            raise PlanError(f"{output} would replace the input {path}; give another -o")


def _identity(path: str) -> str:
    if path == PIPE:
        return path
    real = os.path.realpath(path)
    return _folded(real) if sys.platform in ("win32", "darwin") else real
