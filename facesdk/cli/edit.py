"""`facesdk edit`: arithmetic on the curves of animation files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ..clip import Clip
from ..difference import Difference, compare
from ..edits import Edit
from ..errors import ClipError
from ..exporters import read_clip
from ..retarget import convert
from ..source import FrameSource, collect
from . import UsageError, log
from .convert import add_file_options, rewrite
from .writing import add_writing_options, some_names

NAME = "edit"
HELP = "scale, offset, clamp, smooth or blend curves of animation files"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add an option per field of `Edit`, and those about files."""
    add_file_options(parser)
    add = parser.add_argument_group("edit").add_argument
    for field in fields(Edit):
        meta: Mapping[str, Any] = field.metadata
        name = meta.get("option", f"--{field.name}")
        settings: dict[str, Any] = {"dest": f"edit_{field.name}", "help": meta["help"]}
        if field.default is False:
            settings["action"] = "store_true"
        else:
            settings["metavar"] = meta["metavar"]
        if field.name == "controls":
            settings |= {"action": "append", "default": []}
        elif field.name == "gains":
            settings |= {"action": "append", "default": [], "type": _gain}
        elif field.name != "blend" and "action" not in settings:
            settings |= {"type": float, "default": field.default}
        add(name, **settings)
    add_writing_options(parser, times=False)
    parser.set_defaults(to=None, map=None, fps=None)


def _gain(text: str) -> tuple[str, float]:
    name, _, factor = text.rpartition("=")
    try:
        return name, float(factor if name else "")
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be NAME=FACTOR, such as jawOpen=0.8, got {text!r}"
        ) from None


def run(args: argparse.Namespace) -> int:
    """Edit every clip of every input; one that fails does not stop the others."""
    values = {field.name: getattr(args, f"edit_{field.name}") for field in fields(Edit)}
    words = [part for word in values["controls"] for part in word.split(",") if part]
    values |= {"controls": tuple(words), "gains": dict(values["gains"]), "blend": None}
    try:
        edit = Edit(**values)
    except ClipError as error:
        raise UsageError(str(error)) from error
    other = None if args.edit_blend is None else read_clip(args.edit_blend)
    if other is None and edit.changes_nothing:
        raise UsageError(
            "nothing to change; give --scale, --gain, --offset, --smooth, --clamp, --minimum, "
            "--maximum or --blend"
        )

    def change(source: FrameSource) -> tuple[FrameSource, dict[str, Any]]:
        before = collect(source)
        chosen = edit
        if other is not None:
            chosen = replace(edit, blend=_matching(other, before, args.edit_blend))
        after = chosen(before)
        difference = compare(before, after)
        _log_change(difference, before, after)
        return after, {"edit": chosen.to_json(), "changed": _changes(difference, after)}

    return rewrite(args, change)


def _matching(other: Clip, clip: Clip, path: str) -> Clip:
    """Return the clip to blend with, on the rig and at the rate of the edited one."""
    if other.rig.names != clip.rig.names:
        log(f"{path}: converted from rig {other.rig.name} to {clip.rig.name}")
        other = convert(other, clip.rig)
    if other.fps != clip.fps:
        log(f"{path}: resampled from {float(other.fps):.6g} to {float(clip.fps):.6g} fps")
        other = other.resample(clip.fps)
    if len(other) < len(clip):
        log(f"{path}: {len(other)} of {len(clip)} frames are blended; the rest stays")
    return replace(other, meta={**other.meta, "name": path})


def _log_change(difference: Difference, before: Clip, after: Clip) -> None:
    changed = difference.changed
    if not changed:
        log("the edit changes no value of this clip")
        return
    worst = changed[0]
    log(
        f"{len(changed)} of {len(difference.channels)} channels change; most: {worst.name} by "
        f"{worst.largest:.3g} at {worst.seconds:.2f} s"
    )
    if over := [name for name in _outside(after) if name not in _outside(before)]:
        log(f"now outside their range: {some_names(over)}; --clamp limits them")


def _outside(clip: Clip) -> list[str]:
    if not len(clip):
        return []
    values, rig, slack = clip.values, clip.rig, 1e-5
    out = (values.min(0) < rig.minimum - slack) | (values.max(0) > rig.maximum + slack)
    return [name for name, wrong in zip(rig.names, out, strict=True) if wrong]


def _changes(difference: Difference, after: Clip) -> dict[str, dict[str, Any]]:
    outside = set(_outside(after))
    return {
        c.name: {
            "largest": c.largest, "seconds": c.seconds, "before": c.first, "after": c.second,
            "rms": c.rms, "out_of_range": c.name in outside,
        }
        for c in difference.changed
    }  # fmt: skip
