"""`facesdk render`: images and videos of animation files."""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..clip import Clip, exact_fps
from ..exporters import format_for, open_clip
from ..files import whole_file
from ..rig import Rig, rig_names
from ..source import FrameSource, collect, moving_controls
from . import DONE, UsageError, log, log_warning, option, print_json, stdin, stdout
from .options import count, positive, seconds
from .progress import Progress
from .writing import add_up_option, log_drive, some_names

if TYPE_CHECKING:
    from ..mesh import Head
    from ..mesh.builtin.head import Detail
    from ..render import DistanceMeter, Drawing, FlameMotion, Image, Shot, VertexFile

    Motions = list[VertexFile] | list[FlameMotion]

NAME = "render"
HELP = "render animation files: videos with sound, images, contact sheets"

_PIPE = "-"
_VERTICES = ".npy"
_TILE = 192
_DEFAULT_SIDE = 512
_VERTEX_FPS = 30


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("input", nargs="?", metavar="CLIP",
        help="animation file, or .npy file of (T, V, 3) vertices of --head; - reads stdin; not "
             "needed for a sheet of shapes")  # fmt: skip
    add("-o", "--output", required=True, metavar="PATH",
        help="video.mp4, image.png, or a folder for PNG files; - is an MP4 on stdout")  # fmt: skip
    add("--audio", metavar="FILE", help="recording of the clip, as the sound of an MP4")
    add("--head", metavar="PATH", help="head to render; default: the built-in one")
    add_up_option(parser)
    add("--identity", action="append", default=[], type=_setting, metavar="NAME=VALUE",
        help="for the built-in head: age=8..75, sex=female, ethnicity=asian+african, hair=short, "
             "crop or none")  # fmt: skip
    add("--view", action="append", metavar="NAME", help=_help_on_views())
    add("--size", type=_size, metavar="N|WxH", help=f"pixels; default: {_DEFAULT_SIDE} per view")
    add("--fps", type=option(exact_fps), metavar="FPS",
        help="frame rate of the video; default: the clip's, 30 for vertices")  # fmt: skip
    add("--light", default="studio", metavar="NAME",
        help="studio, soft, dramatic, daylight or flat; default: studio")  # fmt: skip
    add("--relight", action="append", default=[], metavar="LAMP=#RRGGBB@YAW,PITCH*STRENGTH",
        help="change the key, fill or rim light; a part may be left out: key=*1.5")  # fmt: skip
    add("--background", metavar="#RRGGBB", help="default: the color that goes with --light")
    add("--transparent", action="store_true", help="leave out the background (PNG only)")
    add("--turntable", type=seconds, default=0.0, metavar="SECONDS",
        help="turn around the head once per SECONDS")  # fmt: skip
    add("--wireframe", action="store_true", help="draw the edges of the triangles")
    add("--curves", type=_words, default=(), metavar="NAMES",
        help="controls to plot below the image, as in jawOpen,mouthClose")  # fmt: skip
    add("--at", type=seconds, metavar="SECONDS",
        help="moment of a single PNG; default: the middle of the clip")  # fmt: skip
    add("--sheet", metavar="WHAT",
        help=f"one page of images: WHAT is frames (of the clip), shapes (of the head), or a rig "
             f"for its controls ({', '.join(rig_names())})")  # fmt: skip
    add("--against", metavar="CLIP",
        help="truth (clip or .npy); shows it, CLIP, and the vertex distance in color")  # fmt: skip
    add("--largest-error", type=positive, default=5.0, metavar="MM",
        help="error at the end of the color ramp of --against; default: 5")  # fmt: skip
    add("--backend", choices=("auto", "gl", "software"), default="auto",
        help="gl is OpenGL, software is numpy; default: OpenGL if available")  # fmt: skip
    add("--draft", action="store_true", help="render without anti-aliasing, which is faster")
    add("--jobs", type=count, metavar="N", help="number of processes; default: one per core")
    add("--from-format", type=option(format_for), metavar="NAME",
        help="format of the clip; default: from the file name")  # fmt: skip
    add("--from-rig", type=option(Rig.load), metavar="RIG",
        help="rig of the clip, if its format does not name one")  # fmt: skip
    add("--json", action="store_true", help="print a report as JSON")


def _help_on_views() -> str:
    return (
        "front, three-quarter, side, right, below, face, mouth, or degrees as in 30 or 30,-10; "
        "repeat the option or join names with + for several side by side"
    )


def run(args: argparse.Namespace) -> int:
    """Render what the options ask for."""
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
    if args.output != _PIPE:
        _log_written(report)
    return DONE


def _log_written(report: Mapping[str, Any]) -> None:
    """Log the file or folder that was written, and the figures of a comparison."""
    count, size = report.get("frames", report.get("images")), report["size"]
    what = "frame" if "frames" in report else "image"
    log(f"{report['output']}: {count} {what}{'' if count == 1 else 's'}, "
        f"{size[0]}x{size[1]}, head {report['head']}, {report['backend']}")  # fmt: skip
    if found := report.get("against"):
        log(f"{found['file']}: mean distance {found['mean_mm']:.3f} mm, largest "
            f"{found['largest_mm']:.3f} mm at {found['largest_at']:.2f} s")  # fmt: skip


def _comparison(
    args: argparse.Namespace, meter: DistanceMeter, fps: Fraction, moment: int, lengths: list[int]
) -> dict[str, Any]:
    """Return the figures of --against; `lengths` are those of both animations, where known."""
    if not args.against:
        return {}
    facts = meter.to_json(float(fps), start=float(moment / fps))
    if len(set(lengths)) > 1 and not _is_still(args):
        log_warning(f"{args.input} has {lengths[0]} frames, {args.against} {lengths[1]}; "
                    f"{meter.frames} are compared")  # fmt: skip
    return {"against": {"file": args.against} | facts}


# --------------------------------------------------------------------- checking


def _check(args: argparse.Namespace) -> None:
    """Raise `UsageError` for options that cannot be combined."""
    still, video = _is_still(args), _is_video(args)
    suffix = Path(args.output).suffix
    shapes = bool(args.sheet) and args.sheet != "frames"
    vertices = (args.input or "").endswith(_VERTICES)
    rules = (
        (args.json and args.output == _PIPE, "--json prints to stdout; write the video to a file"),
        (not (still or video) and suffix and not Path(args.output).is_dir(),
         f"{args.output}: expected a name that ends in .mp4 or .png, or the name of a folder"),
        (args.sheet and not still, "--sheet makes one image; give -o a name that ends in .png"),
        (not args.input and not shapes, "name the animation file to render"),
        (args.input and shapes, f"a sheet of {args.sheet} takes no clip; leave out {args.input}"),
        (args.transparent and video,
         "an MP4 cannot be transparent; give -o a folder for PNG files"),
        (args.audio and not video, "sound needs an MP4; give -o a name that ends in .mp4"),
        (args.at is not None and (not still or args.sheet), "--at applies to a single PNG only"),
        (args.against and args.against.endswith(_VERTICES) != vertices,
         "--against compares a clip with a clip, or vertices with vertices"),
        (vertices and (args.sheet or args.curves),
         "vertices have no controls; leave out --sheet and --curves"),
        (args.against and (args.sheet or args.curves or args.turntable),
         "--against cannot be combined with --sheet, --curves or --turntable"),
    )  # fmt: skip
    for broken, message in rules:
        if broken:
            raise UsageError(message)


def _shot(args: argparse.Namespace) -> Shot:
    from ..errors import RenderError, UnknownNameError
    from ..render import Look, Shot, color, lighting
    from ..render.camera import angles

    side = _TILE if args.sheet else _DEFAULT_SIDE
    # pages of many images by numpy: it lights wet surfaces at every pixel, and fine ones take long
    backend = "software" if args.sheet and args.backend == "auto" else args.backend
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
                fine=_is_still(args) and not (args.draft or args.sheet),
            ),
            views=views,
            turntable=args.turntable,
            backend=backend,
        )
    except (RenderError, UnknownNameError) as error:
        raise UsageError(str(error)) from error


def _head(args: argparse.Namespace) -> Head:
    from ..mesh import load_head

    identity = dict(args.identity) or None
    detail: Detail = "high" if _is_still(args) else "low"
    return load_head(args.head, identity=identity, detail=detail, up=args.up)


def _with_textures(shot: Shot, head: Head, args: argparse.Namespace) -> Shot:
    """Return a shot that draws the textures of a head, with OpenGL where there is one."""
    from ..render import resolve_backend

    if args.backend != "auto" or not any(part.material.texture for part in head.parts):
        return shot
    if resolve_backend("auto", shot.look) == "software":
        log(f"the textures of head {head.name!r} are drawn as colors of its vertices: "
            "images need OpenGL")  # fmt: skip
        return shot
    return replace(shot, backend="gl")


def _log_lost(head: Head, clip: FrameSource, path: str) -> None:
    """Log through what a head moves, and warn of controls that move in a clip and not on it."""
    drive = head.drive(clip.info.rig)
    log_drive(head, clip.info.rig)
    if drive.still or not isinstance(clip, Clip):
        return
    moving = moving_controls(clip.values, clip.rig)
    if lost := [name for name in drive.undriven if name in moving]:
        log_warning(f"{path}: head {head.name!r} has nothing for {some_names(lost)}")


def _warn_without_opengl(args: argparse.Namespace) -> None:
    from ..render import software_reason

    if args.backend == "auto" and (reason := software_reason()):
        log(reason)


# --------------------------------------------------------------------- drawing


def _draw_shapes(args: argparse.Namespace, shot: Shot) -> dict[str, Any]:
    from ..render import rig_tiles, shape_tiles, sheet

    head = _head(args)
    shot = _with_textures(shot, head, args)
    if args.sheet == "shapes":
        tiles = shape_tiles(head, args.curves)
    elif args.sheet == "arkit" and set(Rig.load("arkit").names) <= set(head.names):
        tiles = shape_tiles(head, args.curves or Rig.load("arkit").names)
    else:
        tiles = rig_tiles(head, Rig.load(args.sheet), args.curves)
    _write_png(sheet(head, tiles, shot), args.output)
    return {"output": args.output, "images": len(tiles)} | _facts(shot, head)


def _draw_clip(args: argparse.Namespace, shot: Shot) -> dict[str, Any]:
    from ..render import DistanceMeter, draw_clip, draw_still, frame_tiles, sheet

    head, largest = _head(args), args.largest_error / 1000
    shot = _with_textures(shot, head, args)
    if not _is_still(args):
        _warn_without_opengl(args)
    began = time.monotonic()
    with ExitStack() as files:
        source = files.enter_context(_opened(args.input, args))
        truth = files.enter_context(_opened(args.against, args)) if args.against else None
        fps = source.info.fps
        if args.head is not None:
            _log_lost(head, source, args.input)
        if truth is not None and truth.info.fps != fps:
            raise UsageError(
                f"{args.against} has {truth.info.fps} frames per second, {args.input} {fps}; "
                "--fps resamples both"
            )
        count, moment, meter = 1, 0, DistanceMeter(head)
        lengths = [len(s) for s in (source, truth) if isinstance(s, Clip)]
        if args.sheet:
            _write_png(sheet(head, frame_tiles(head, collect(source)), shot), args.output)
        elif _is_still(args):
            whole = collect(source)
            moment = len(whole) // 2 if args.at is None else round(args.at * fps)
            moment = min(moment, len(whole) - 1)
            still = draw_still(
                whole, head, shot, at=args.at, curves=args.curves,
                truth=None if truth is None else collect(truth), largest_error=largest,
                meter=meter,
            )  # fmt: skip
            _write_png(still, args.output)
        else:
            drawing = draw_clip(
                source, head, shot,
                truth=truth, curves=args.curves, jobs=args.jobs, largest_error=largest,
                meter=meter,
            )  # fmt: skip
            count = _write(drawing, args, len(source) if isinstance(source, Clip) else None)
    seconds = time.monotonic() - began
    return (
        {
            "input": args.input,
            "output": args.output,
            "frames": count,
            "fps": [fps.numerator, fps.denominator],
            "seconds": float(count / fps),
            "audio": args.audio,
            "frames_per_second": round(count / seconds, 2),
        }
        | _facts(shot, head)
        | _comparison(args, meter, fps, moment, lengths)
    )


def _is_for_flame(args: argparse.Namespace) -> bool:
    """Whether a clip is on the rig `flame`, whose vertices the FLAME model itself computes."""
    if args.head is None or args.input == _PIPE or args.sheet or args.curves:
        return False
    with open_clip(args.input, args.from_format, rig=args.from_rig) as source:
        return bool(source.info.rig.name == "flame")


def _draw_vertices(args: argparse.Namespace, shot: Shot) -> dict[str, Any]:
    from ..render import DistanceMeter, draw_vertices

    head = _head(args)
    shot = _with_textures(shot, head, args)
    motions, fps, start = _motions(args, head)
    total = min(map(len, motions))
    moment = total // 2 if args.at is None else min(round(args.at * fps), total - 1)
    meter = DistanceMeter(head)
    drawing = draw_vertices(
        motions[0], head, shot,
        fps=fps, truth=motions[1] if args.against else None, start=start,
        frame=moment if _is_still(args) else None, largest_error=args.largest_error / 1000,
        meter=meter,
    )  # fmt: skip
    count = 1
    if _is_still(args):
        _write_png(next(drawing.images), args.output)
    else:
        count = _write(drawing, args, total)
    return (
        {
            "input": args.input,
            "output": args.output,
            "frames": count,
            "fps": [fps.numerator, fps.denominator],
        }
        | _facts(shot, head)
        | _comparison(args, meter, fps, moment if _is_still(args) else 0, [*map(len, motions)])
    )


def _motions(args: argparse.Namespace, head: Head) -> tuple[Motions, Fraction, Fraction]:
    """Return the vertices of the clip and of the truth, the frame rate and the audio's start."""
    from ..mesh.flame import FlameModel
    from ..render import FlameMotion, VertexFile

    paths = [path for path in (args.input, args.against) if path]
    if args.input.endswith(_VERTICES):
        fps = args.fps or exact_fps(_VERTEX_FPS)
        return [VertexFile(path, head) for path in paths], fps, Fraction(0)
    clips = []
    for path in paths:
        with _opened(path, args) as source:
            clips.append(collect(source))
    model, fps = FlameModel.load(args.head), clips[0].fps
    motions = [FlameMotion(model, clip.resample(fps)) for clip in clips]
    return motions, fps, clips[0].info.start


def _facts(shot: Shot, head: Head) -> dict[str, Any]:
    from ..render import resolve_backend

    return {
        "head": head.name,
        "backend": resolve_backend(shot.backend, shot.look),
        "size": list(shot.look.size),
    }


# --------------------------------------------------------------------- files


@contextmanager
def _opened(path: str, args: argparse.Namespace) -> Iterator[FrameSource]:
    """Open a clip file. Frames from a pipe come as they arrive; a file is read whole."""
    file = stdin() if path == _PIPE else path
    with open_clip(file, args.from_format, rig=args.from_rig) as source:
        if args.fps is not None:
            yield collect(source).resample(args.fps)
        else:
            yield source if path == _PIPE else collect(source)


def _write(drawing: Drawing, args: argparse.Namespace, total: int | None) -> int:
    """Write a video or a folder of PNG files; return the number of frames."""
    from ..render import encode_video, save_images

    with Progress("rendering", total, unit="fps") as progress:

        def on_progress(done: int) -> None:
            progress.update(done, total)

        def encode(file: BinaryIO) -> int:
            return encode_video(
                drawing.images, file, drawing.fps,
                audio=args.audio, start=drawing.start, on_progress=on_progress,
            )  # fmt: skip

        if not _is_video(args):
            return save_images(drawing.images, args.output, on_progress=on_progress)
        if args.output == _PIPE:
            whole = io.BytesIO()
            count = encode(whole)
            stdout().write(whole.getbuffer())
            return count
        with whole_file(args.output) as file:
            return encode(file)


def _write_png(image: Image, output: str) -> None:
    from ..render import write_png

    with whole_file(output) as file:
        write_png(image, file, level=9)


def _is_still(args: argparse.Namespace) -> bool:
    return bool(args.output.lower().endswith(".png"))


def _is_video(args: argparse.Namespace) -> bool:
    return bool(args.output == _PIPE or args.output.lower().endswith(".mp4"))


# --------------------------------------------------------------------- options


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be pixels, as in 512 or 640x480, got {text!r}"
        ) from None


def _words(text: str) -> Sequence[str]:
    return tuple(word for word in text.split(",") if word)


def _setting(text: str) -> tuple[str, str]:
    name, is_, value = text.partition("=")
    if not (name and is_ and value):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, got {text!r}")
    return name, value
