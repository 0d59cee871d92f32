"""`facesdk render`: pictures and videos of animation files."""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..clip import Clip, exact_fps
from ..exporters import format_for, open_clip
from ..files import whole_file
from ..rig import Rig, rig_names
from ..source import FrameSource, collect
from . import DONE, UsageError, log, option, print_json, stdin, stdout
from .progress import Progress

if TYPE_CHECKING:
    from fractions import Fraction

    from ..mesh import Head
    from ..render import FlameMotion, Picture, Shot, VertexFile

    Motions = list[VertexFile] | list[FlameMotion]

NAME = "render"
HELP = "draw animation files: videos with sound, pictures, contact sheets"

_PIPE = "-"
_VERTICES = ".npy"
_TILE = 192
_DEFAULT_SIDE = 512
_VERTEX_FPS = 30


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("input", nargs="?", metavar="CLIP",
        help="animation file, or .npy of (T, V, 3) vertices of --head; - reads stdin; none for a "
             "sheet of shapes")  # fmt: skip
    add("-o", "--output", required=True, metavar="PATH",
        help="film.mp4, picture.png, or a folder for PNG files; - is an MP4 on stdout")  # fmt: skip
    add("--audio", metavar="FILE", help="recording that the clip was made from, for an MP4")
    add("--head", metavar="PATH", help="head to draw; by default the built-in one")
    add("--identity", action="append", default=[], type=_setting, metavar="NAME=VALUE",
        help="of the built-in head: age=8..75, sex=female, ethnicity=asian+african")  # fmt: skip
    add("--view", action="append", metavar="NAME", help=_help_on_views())
    add("--size", type=_size, metavar="N|WxH", help=f"pixels; default: {_DEFAULT_SIDE}")
    add(
        "--fps",
        type=option(exact_fps),
        help="frame rate of the film; by default the clip's, 30 of vertices",
    )
    add("--light", default="studio", metavar="NAME",
        help="light preset: studio, soft, dramatic, daylight, flat; default: studio")  # fmt: skip
    add("--relight", action="append", default=[], metavar="LAMP=#RRGGBB@YAW,PITCH*STRENGTH",
        help="change key, fill or rim; a part may be left out, as in key=*1.5")  # fmt: skip
    add("--background", metavar="#RRGGBB", help="by default what goes with the light")
    add("--transparent", action="store_true", help="no background, for PNG files")
    add("--turntable", type=_seconds, default=0.0, metavar="SECONDS",
        help="go round the head once in so many seconds")  # fmt: skip
    add("--wireframe", action="store_true", help="draw the triangles' edges")
    add("--curves", type=_words, default=(), metavar="NAMES",
        help="controls to plot below, as in jawOpen,mouthClose")  # fmt: skip
    add("--at", type=_seconds, metavar="SECONDS", help="moment of a PNG; by default the middle")
    add("--sheet", metavar="WHAT",
        help=f"one page of pictures: frames of the clip, the head's shapes, or the controls of "
             f"a rig ({', '.join(rig_names())})")  # fmt: skip
    add("--against", metavar="CLIP",
        help="ground truth: draw it, the clip, and how far its vertices are off")  # fmt: skip
    add("--largest-error", type=_millimetres, default=5.0, metavar="MM",
        help="error at the end of the colours of --against; default: 5")  # fmt: skip
    add("--backend", choices=("auto", "gl", "software"), default="auto",
        help="draw with OpenGL or without; default: OpenGL where it is")  # fmt: skip
    add("--draft", action="store_true", help="leave edges rough, which is faster")
    add("--jobs", type=_count, metavar="N", help="processes; by default one a core")
    add("--from-format", type=option(format_for), metavar="NAME", help="format of the clip")
    add("--from-rig", type=option(Rig.load), metavar="RIG", help="rig of the clip")
    add("--json", action="store_true", help="report what was drawn as JSON")


def _help_on_views() -> str:
    return (
        "front, three-quarter, side, right, below, face, mouth, or degrees as in 30 or 30,-10; "
        "several, given again or with + between, stand side by side"
    )


def run(args: argparse.Namespace) -> int:
    """Draw what was asked for."""
    _check(args)
    shot = _shot(args)
    if args.sheet and args.sheet != "frames":
        report = _draw_shapes(args, shot)
    elif args.input.endswith(_VERTICES) or _is_for_flame(args):
        report = _draw_vertices(args, shot)
    else:
        report = _draw_clip(args, shot)
    if args.json:
        print_json(report)
    return DONE


# --------------------------------------------------------------------- what was asked for


def _check(args: argparse.Namespace) -> None:
    """Raise `UsageError` for options that do not go together."""
    picture = args.output.lower().endswith(".png")
    film = args.output == _PIPE or args.output.lower().endswith(".mp4")
    suffix = Path(args.output).suffix
    shapes = bool(args.sheet) and args.sheet != "frames"
    vertices = (args.input or "").endswith(_VERTICES)
    rules = (
        (args.json and args.output == _PIPE, "--json reports on stdout; send the film to a file"),
        (not (picture or film) and suffix and not Path(args.output).is_dir(),
         f"{args.output}: films end in .mp4, pictures in .png, a folder has no ending"),
        (args.sheet and not picture, "a --sheet is one picture; name a .png with -o"),
        (not args.input and not shapes, "name the animation file to draw"),
        (args.input and shapes, f"a sheet of {args.sheet} needs no clip; leave {args.input} out"),
        (args.transparent and film,
         "an MP4 has no transparency; name a folder for PNG files with -o"),
        (args.audio and not film, "sound needs an MP4; name one with -o or leave --audio out"),
        (args.at is not None and (not picture or args.sheet), "--at belongs to a single PNG"),
        (args.against and args.against.endswith(_VERTICES) != vertices,
         "--against takes a clip for a clip, and vertices for vertices"),
        (vertices and (args.sheet or args.curves),
         "vertices have no controls; leave --sheet and --curves out"),
        (args.against and (args.sheet or args.curves or args.turntable),
         "--against goes without --sheet, --curves and --turntable"),
    )  # fmt: skip
    for broken, message in rules:
        if broken:
            raise UsageError(message)


def _shot(args: argparse.Namespace) -> Shot:
    from ..errors import RenderError, UnknownNameError
    from ..render import Look, Shot, color, lighting
    from ..render.camera import angles

    side = _TILE if args.sheet else _DEFAULT_SIDE
    # numpy draws a single picture best: it lights wet surfaces at every pixel
    still = args.output.lower().endswith(".png")
    backend = "software" if still and args.backend == "auto" else args.backend
    views = tuple(
        v for text in args.view or ["face" if args.sheet else "front"] for v in text.split("+")
    )
    size = args.size or (side * len(views), side)
    try:
        for view in views:
            angles(view)
        return Shot(
            Look(
                size=size,
                lighting=lighting(args.light, tuple(args.relight)),
                background=color(args.background) if args.background else None,
                transparent=args.transparent,
                wireframe=args.wireframe,
                smooth=not args.draft,
            ),
            views=views,
            turntable=args.turntable,
            backend=backend,
        )
    except (RenderError, UnknownNameError) as error:
        raise UsageError(str(error)) from error


def _head(args: argparse.Namespace, *, still: bool) -> Head:
    from ..mesh import load_head

    identity = dict(args.identity) or None
    return load_head(args.head, identity=identity, detail="high" if still else "low")


def _tell_why_slow(args: argparse.Namespace) -> None:
    from ..render import why_slow

    if args.backend == "auto" and (reason := why_slow()):
        log(reason)


# --------------------------------------------------------------------- drawing


def _draw_shapes(args: argparse.Namespace, shot: Shot) -> dict[str, Any]:
    from ..render import control_tiles, shape_tiles, sheet

    head = _head(args, still=True)
    if args.sheet == "shapes":
        tiles = shape_tiles(head, args.curves)
    elif args.sheet == "arkit":
        tiles = shape_tiles(head, args.curves or Rig.load("arkit").names)
    else:
        rig = Rig.load(args.sheet)
        poses = {n: {n: float(rig.maximum[rig.index(n)])} for n in args.curves or rig.names}
        tiles = control_tiles(head, rig, poses)
    _write_png(sheet(head, tiles, shot), args.output)
    return {"output": args.output, "pictures": len(tiles)} | _facts(shot, head)


def _draw_clip(args: argparse.Namespace, shot: Shot) -> dict[str, Any]:
    film = args.output == _PIPE or args.output.lower().endswith(".mp4")
    still = args.output.lower().endswith(".png")
    head = _head(args, still=still)
    if not still:
        _tell_why_slow(args)
    began = time.monotonic()
    with _opened(args.input, args) as source:
        if still:
            _draw_still(collect(source), head, shot, args)
            count = 1
        elif args.against:
            count = _draw_errors(source, head, shot, args)
        elif film:
            count = _draw_film(source, head, shot, args)
        else:
            count = _draw_frames(source, head, shot, args)
        fps = source.info.fps
    seconds = time.monotonic() - began
    return {
        "input": args.input,
        "output": args.output,
        "frames": count,
        "fps": [fps.numerator, fps.denominator],
        "seconds": float(count / fps),
        "audio": args.audio,
        "drawn_per_second": round(count / seconds, 2),
    } | _facts(shot, head)


def _is_for_flame(args: argparse.Namespace) -> bool:
    """Whether a clip is on the rig `flame`, which a FLAME model itself puts into vertices."""
    if args.head is None or args.input == _PIPE or args.sheet or args.curves:
        return False
    with open_clip(args.input, args.from_format, rig=args.from_rig) as source:
        return bool(source.info.rig.name == "flame")


def _motions(args: argparse.Namespace, head: Head) -> tuple[Motions, Fraction]:
    """What moves, the truth after the prediction, and its frame rate."""
    from ..mesh.flame import FlameModel
    from ..render import FlameMotion, VertexFile

    paths = [path for path in (args.input, args.against) if path]
    if args.input.endswith(_VERTICES):
        return [VertexFile(path, head) for path in paths], args.fps or exact_fps(_VERTEX_FPS)
    clips = []
    for path in paths:
        with _opened(path, args) as source:
            clips.append(collect(source))
    model, fps = FlameModel.load(args.head), clips[0].fps
    return [FlameMotion(model, clip.resample(fps)) for clip in clips], fps


def _draw_vertices(args: argparse.Namespace, shot: Shot) -> dict[str, Any]:
    from ..render import compared, surfaces, write_film, write_pictures_of

    head, largest = _head(args, still=False), args.largest_error / 1000
    files, fps = _motions(args, head)
    count = min(map(len, files))
    still = args.output.lower().endswith(".png")
    moment = count // 2 if args.at is None else min(round(args.at * fps), count - 1)
    moving = [iter([file[moment]]) if still else file.frames() for file in files]
    if args.against:
        drawn = compared(head, moving[1], moving[0], shot, largest=largest)
    else:
        drawn = surfaces(moving[0], head, shot, fps=fps)
    with Progress("drawing", count, unit="fps") as progress:

        def told(done: int) -> None:
            progress.reach(done, count)

        if still:
            _write_png(next(drawn), args.output)
        elif args.output == _PIPE or args.output.lower().endswith(".mp4"):
            _into(args.output, lambda f: write_film(drawn, f, fps, audio=args.audio, told=told))
        else:
            write_pictures_of(drawn, args.output, told=told)
    return {
        "input": args.input,
        "output": args.output,
        "frames": 1 if still else count,
        "fps": [fps.numerator, fps.denominator],
    } | _facts(shot, head)


def _facts(shot: Shot, head: Head) -> dict[str, Any]:
    from ..render import draws

    return {
        "head": head.name,
        "backend": draws(shot.backend, shot.look),
        "size": list(shot.look.size),
    }


@contextmanager
def _opened(path: str, args: argparse.Namespace) -> Iterator[FrameSource]:
    """The clip of a file, whose length a bar can show; from a pipe, frames as they come."""
    file = stdin() if path == _PIPE else path
    with open_clip(file, args.from_format, rig=args.from_rig) as source:
        if args.fps is not None:
            yield collect(source).resample(args.fps)
        else:
            yield source if path == _PIPE else collect(source)


def _draw_still(clip: Clip, head: Head, shot: Shot, args: argparse.Namespace) -> None:
    from ..render import CurveStrip, frame_tiles, pictures, sheet

    if args.sheet:
        _write_png(sheet(head, frame_tiles(head, clip), shot), args.output)
        return
    if not len(clip):
        raise UsageError(f"{args.input} has no frames; there is nothing to see")
    moment = len(clip) // 2 if args.at is None else round(args.at * clip.fps)
    moment = min(moment, len(clip) - 1)
    frame = clip.slice(moment, moment + 1)
    if args.against:
        with _opened(args.against, args) as truth:
            other = collect(truth)
            if moment >= len(other):
                raise UsageError(f"{args.against} ends before frame {moment}; choose one with --at")
            drawn = _errors(other.slice(moment, moment + 1), frame, head, shot, args)
            _write_png(next(drawn), args.output)
        return
    (picture,) = pictures(frame, head, shot, jobs=1)
    if args.curves:
        strip = CurveStrip(clip.rig, args.curves, width=picture.shape[1], fps=clip.fps)
        for values in clip.values[: moment + 1]:
            strip.add(values)
        picture = strip.below(picture)
    _write_png(picture, args.output)


def _draw_film(source: FrameSource, head: Head, shot: Shot, args: argparse.Namespace) -> int:
    from ..render import write_video

    def film(file: BinaryIO) -> int:
        with _progress(source) as told:
            return write_video(
                source, file, head, shot,
                audio=args.audio, curves=args.curves, jobs=args.jobs, told=told,
            )  # fmt: skip

    return _into(args.output, film)


def _draw_frames(source: FrameSource, head: Head, shot: Shot, args: argparse.Namespace) -> int:
    from ..render import write_pictures

    with _progress(source) as told:
        return write_pictures(
            source, args.output, head, shot, curves=args.curves, jobs=args.jobs, told=told
        )


def _draw_errors(source: FrameSource, head: Head, shot: Shot, args: argparse.Namespace) -> int:
    from ..render import write_film

    def film(file: BinaryIO) -> int:
        with _opened(args.against, args) as truth, _progress(source) as told:
            if truth.info.fps != source.info.fps:
                raise UsageError(
                    f"{args.against} has {truth.info.fps} frames per second, {args.input} "
                    f"{source.info.fps}; --fps brings both to one rate"
                )
            drawn = _errors(truth, source, head, shot, args)
            return write_film(drawn, file, source.info.fps, audio=args.audio, told=told)

    return _into(args.output, film)


def _errors(
    truth: FrameSource, clip: FrameSource, head: Head, shot: Shot, args: argparse.Namespace
) -> Generator[Picture, None, None]:
    from ..render import compared, motion

    return compared(
        head, motion(truth, head), motion(clip, head), shot, largest=args.largest_error / 1000
    )


# --------------------------------------------------------------------- files


def _into(output: str, film: Callable[[BinaryIO], int]) -> int:
    """Have a film written to a file that appears whole, or to stdout."""
    if output == _PIPE:
        whole = io.BytesIO()
        count = film(whole)
        stdout().write(whole.getbuffer())
        return count
    with whole_file(output) as file:
        return film(file)


def _write_png(picture: Picture, output: str) -> None:
    from ..render import write_png

    with whole_file(output) as file:
        write_png(picture, file, level=9)


@contextmanager
def _progress(source: FrameSource) -> Iterator[Callable[[int], None]]:
    """A bar with frames a second and the time left, where it is known how many there are."""
    total = len(source) if isinstance(source, Clip) else None
    with Progress("drawing", total, unit="fps") as progress:
        yield lambda done: progress.reach(done, total)


# --------------------------------------------------------------------- options


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    return int(width), int(height or width)


def _words(text: str) -> Sequence[str]:
    return tuple(word for word in text.split(",") if word)


def _setting(text: str) -> tuple[str, str]:
    name, is_, value = text.partition("=")
    if not (name and is_ and value):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, got {text!r}")
    return name, value


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return number


def _millimetres(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return number
