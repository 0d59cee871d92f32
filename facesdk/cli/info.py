"""`facesdk info`: describe the contents of an animation file."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..clip import POSE_ANGLES
from ..errors import FaceSDKError, unknown_name
from ..exporters import format_for, named, open_clips
from ..mesh.files.load import SURFACES as HEAD_FILES
from ..mesh.files.load import read_shape_names
from ..rig import Rig
from ..source import FrameSource
from . import DONE, option, print_json, show, stdin

NAME = "info"
HELP = "describe the contents of an animation file"

_TOLERANCE = 1e-5
"""How far outside its range a control may lie before it is marked."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("input", metavar="FILE", help="animation file; - reads stdin")
    add(
        "--from-format",
        type=option(format_for),
        metavar="NAME",
        help="format of the file (default: detected)",
    )
    add("--from-rig", type=option(Rig.load), metavar="RIG",
        help="rig of the file: a name or a rig file (default: detected)")  # fmt: skip
    add("--clip", metavar="NAME", help="clip to describe, in a file that contains several")
    add("--names", action="store_true",
        help="print what each name in an animation file or a head stands for")  # fmt: skip
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Read the file once and print its contents."""
    if args.names:
        return _print_names(args)
    file = stdin() if args.input == "-" else args.input
    with open_clips(file, args.from_format, rig=args.from_rig) as sources:
        clips = named(sources)
        if args.clip is not None and args.clip not in clips:
            raise unknown_name(f"{args.input} contains no clip", args.clip, clips)
        source = sources[0] if args.clip is None else clips[args.clip]
        several = {"clips": list(clips)} if len(clips) > 1 else {}
        facts = {"file": args.input} | several | describe(source)
    if args.json:
        print_json(facts)
    else:
        show(*_lines(facts))
    return DONE


def describe(source: FrameSource) -> dict[str, Any]:
    """Return facts about a source as JSON values, from one pass over its frames."""
    rig = source.info.rig
    curves, turns = _Statistics(len(rig)), _Statistics(len(POSE_ANGLES))
    has_pose = False
    for values, pose in source.blocks():
        curves.add(values)
        if pose is not None:
            has_pose = True
            turns.add(pose.reshape(-1, len(POSE_ANGLES)))
    info = source.info
    rate = float(info.fps)
    return {
        "rig": {"name": rig.name, "version": rig.version},
        "frames": curves.count,
        "fps": [info.fps.numerator, info.fps.denominator],
        "duration": float(curves.count / info.fps),
        "sample_rate": info.sample_rate,
        "start_sample": info.start_sample,
        "controls": _controls(rig, curves),
        "motion": _motion(rig, curves.speed(rate)),
        "silent": [n for n, s in zip(rig.names, curves.still(), strict=True) if s],
        "pose": _pose(turns) if has_pose else None,
        "events": [{"sample": e.sample, "name": e.name, "data": dict(e.data)} for e in info.events],
        "meta": dict(info.meta),
        "extra": dict(info.extra),
    }


def _print_names(args: argparse.Namespace) -> int:
    """Print the names in an animation file, in a head, or in both where a file is both."""
    facts: dict[str, Any] = {"file": args.input}
    errors: list[FaceSDKError] = []
    head = args.input != "-" and (
        Path(args.input).is_dir() or Path(args.input).suffix.lower() in (*HEAD_FILES, ".npz")
    )
    if not Path(args.input).is_dir():
        try:
            file = stdin() if args.input == "-" else args.input
            with open_clips(file, args.from_format, rig=args.from_rig) as sources:
                clips = named(sources)
                chosen = sources[0] if args.clip is None else clips.get(args.clip)
                if chosen is None:
                    raise unknown_name(f"{args.input} contains no clip", args.clip, clips)
                facts["clip"] = clip_names(chosen)
        except FaceSDKError as error:
            errors.append(error)
    if head:
        try:
            facts["head"] = read_shape_names(args.input)
        except FaceSDKError as error:
            errors.append(error)
    if "clip" not in facts and "head" not in facts:
        raise errors[-1] if head else errors[0]
    if args.json:
        print_json(facts)
    else:
        print("\n".join(_name_lines(facts)))
    return DONE


def clip_names(source: FrameSource) -> dict[str, Any]:
    """Return what the names in the file of a clip stand for, as JSON values."""
    rig, imported = source.info.rig, source.info.meta.get("imported")
    notes = imported if isinstance(imported, Mapping) else {}
    missing = list(notes.get("missing_controls", ()))
    renamed = dict(notes.get("renamed", {}))
    return {
        "rig": rig.name,
        "matched": {n: renamed.get(n, [n]) for n in rig.names if n not in missing},
        "missing": missing,
        "left_out": [*notes.get("ignored_targets", ()), *notes.get("ignored_columns", ())],
        "repeated": list(notes.get("repeated_targets", ())),
    }


def _name_lines(facts: Mapping[str, Any]) -> list[str]:
    lines = [str(facts["file"])]
    if (clip := facts.get("clip")) is not None:
        lines += [f"animation, rig {clip['rig']}:"]
        lines += [f"  {name:<28} {', '.join(written)}" for name, written in clip["matched"].items()]
        for title, key in (
            ("not in the file", "missing"),
            ("left out, not in the rig", "left_out"),
            ("repeated, not used", "repeated"),
        ):
            lines += _section(title, [f"  {name}" for name in clip[key]])
    for rig, controls in facts.get("head", {}).items():
        title = "shapes of no rig" if rig == "other" else f"head, rig {rig}"
        lines += [f"{title}:"]
        lines += [f"  {name:<28} {', '.join(written)}" for name, written in controls.items()]
    return lines


class _Statistics:
    """Range and travel of columns, updated block by block."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.low = np.full(width, np.inf)
        self.high = np.full(width, -np.inf)
        self._travel = np.zeros(width)
        self._last: Any = None

    def add(self, rows: Any) -> None:
        """Add (n, width) rows."""
        if not len(rows):
            return
        rows = np.asarray(rows, np.float64)
        joined = rows if self._last is None else np.concatenate([self._last[None], rows])
        self._travel += np.abs(np.diff(joined, axis=0)).sum(0)
        self.low = np.minimum(self.low, rows.min(0))
        self.high = np.maximum(self.high, rows.max(0))
        self.count += len(rows)
        self._last = rows[-1]

    def speed(self, fps: float) -> Any:
        """Return the (width,) mean absolute change per second."""
        return self._travel * fps / max(self.count - 1, 1)

    def still(self) -> Any:
        """Return (width,) whether a column never changes."""
        return self.low >= self.high


def _controls(rig: Rig, curves: _Statistics) -> dict[str, Any]:
    if not curves.count:
        return {}
    outside = (curves.low < rig.minimum - _TOLERANCE) | (curves.high > rig.maximum + _TOLERANCE)
    columns = zip(rig.names, curves.low, curves.high, outside, strict=True)
    return {
        name: {"min": float(low), "max": float(high), "out_of_range": bool(out)}
        for name, low, high, out in columns
    }


def _motion(rig: Rig, speed: Any) -> dict[str, float]:
    """Mean absolute velocity of the controls per region, in control units per second."""
    regions = dict.fromkeys(c.region for c in rig.controls)
    return {region: float(speed[rig.columns(region=region)].mean()) for region in regions}


def _pose(pose: _Statistics) -> dict[str, Any]:
    """Ranges in degrees."""
    if not pose.count:
        return {}
    ranges = zip(POSE_ANGLES, np.degrees(pose.low), np.degrees(pose.high), strict=True)
    return {name: {"min": float(low), "max": float(high)} for name, low, high in ranges}


# ------------------------------------------------------------------------ text


def _lines(facts: dict[str, Any]) -> list[str]:
    numerator, denominator = facts["fps"]
    rate = str(numerator) if denominator == 1 else f"{numerator}/{denominator}"
    start = facts["start_sample"] / facts["sample_rate"]
    controls = facts["controls"]
    silent = set(facts["silent"])
    moving = {n: r for n, r in controls.items() if n not in silent}
    clips = [f"  clips     {', '.join(facts['clips'])}"] if "clips" in facts else []
    head = [
        facts["file"],
        *clips,
        f"  rig       {facts['rig']['name']} {facts['rig']['version']}, {len(controls)} controls",
        f"  length    {_clock(facts['duration'])}, {facts['frames']} frames at {rate} fps",
        f"  start     {start:.3f} s, sample {facts['start_sample']} at {facts['sample_rate']} Hz",
    ]
    motion = [f"  {region:<12}{speed:8.3f}" for region, speed in facts["motion"].items()]
    ranges = [_range(name, r, "  out of range" if r["out_of_range"] else "")
              for name, r in controls.items() if r["out_of_range"] or name in moving]  # fmt: skip
    pose = [_range(f"{n} (degrees)", r, "") for n, r in (facts["pose"] or {}).items()]
    return [
        *head,
        *_section("motion per second, mean per region", motion),
        *_section("range of the controls that move", ranges),
        *_section("pose", pose),
        *_section("never move", [f"  {n}" for n in facts["silent"]]),
        *_section("events", [f"  {e['sample']:>10}  {e['name']}" for e in facts["events"]]),
        *_section("meta", [f"  {k}: {v}" for k, v in facts["meta"].items()]),
        *_section("unknown keys", [f"  {k}" for k in facts["extra"]]),
    ]


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"{title}:", *lines] if lines else []


def _range(name: str, limits: dict[str, float], mark: str) -> str:
    return f"  {name:<40}{limits['min']:9.4f} {limits['max']:9.4f}{mark}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(math.floor(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:06.3f}" if hours else f"{minutes}:{rest:06.3f}"
