"""`facesdk export-onnx`: a model as one ONNX file for a game engine, rigs included."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelError, missing_extra
from . import DONE, UsageError, option, print_json

NAME = "export-onnx"
HELP = "write a model as one ONNX file for a game engine, rigs included"

_ALL = "all"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL",
        help="model folder or checkpoint .pt (default: facesdk's own)")  # fmt: skip
    add("-o", "--output", required=True, metavar="FILE",
        help="the .onnx file, or a folder for model.onnx; its manifest goes beside it")  # fmt: skip
    add("--rig", action="append", default=[], metavar="RIG",
        help="a rig or a table file as an output; may be given again (default: arkit)")  # fmt: skip
    add("--trunk", action="store_true", help="unit curves only, no rig")
    add("--look-ahead", type=option(_milliseconds), metavar="MS",
        help="future audio to wait for, or all of them on an axis of their own "
             "(default: 100; all with --trunk)")  # fmt: skip
    add("--precision", choices=("float32", "float16", "int8"), default="float32",
        help="how the network's weights are stored")  # fmt: skip
    add("--static", type=option(_sizes), metavar="BATCH,STEPS",
        help="fix both; a step is 20 ms of audio")  # fmt: skip
    add("--more-units", action="store_true",
        help="take blinks and other units that the voice does not tell as an input")  # fmt: skip
    add("--json", action="store_true", help="print the manifest")


def run(args: argparse.Namespace) -> int:
    """Write graph and manifest, and tell what the graph holds."""
    try:
        from ..onnx_export.engine import Choice, export_engine
    except ImportError as error:
        raise missing_extra("exporting", "onnx") from error
    if args.trunk and args.rig:
        raise UsageError("--trunk has no rig; leave one of them out")
    rigs = () if args.trunk else tuple(args.rig) or ("arkit",)
    wanted = args.look_ahead or (_ALL if args.trunk else "100")
    try:
        choice = Choice(
            rigs=rigs,
            look_ahead_ms=None if wanted == _ALL else float(wanted),
            precision=args.precision,
            static=args.static,
            more_units=args.more_units,
        )
    except ModelError as error:
        raise UsageError(str(error)) from error
    target = _target(args.output)
    manifest = export_engine(args.model, target, choice)
    if args.json:
        print_json(manifest)
    else:
        print("\n".join(_lines(target, manifest)))
    return DONE


def _milliseconds(text: str) -> str:
    """`all`, or a number of milliseconds as text."""
    try:
        if text != _ALL and not 0 <= float(text) <= 1000:
            raise ValueError
    except ValueError:
        raise UsageError(f"look-ahead must lie in 0..1000 ms, or be all, got {text!r}") from None
    return text


def _sizes(text: str) -> tuple[int, int]:
    """Batch and steps."""
    try:
        batch, steps = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--static wants BATCH,STEPS, such as 1,1, got {text!r}") from None
    return batch, steps


def _target(output: str) -> Path:
    path = Path(output)
    folder = output.endswith(("/", os.sep)) or path.is_dir()
    return path / "model.onnx" if folder else path


def _lines(target: Path, manifest: Mapping[str, Any]) -> list[str]:
    size = target.stat().st_size / 1e6
    waits = " ".join(f"{ms} ms" for ms in manifest["look_aheads_ms"])
    tensors = [
        f"  {t['name']:<16}{' x '.join(map(str, t['shape']))}"
        for t in (*manifest["inputs"], *manifest["outputs"])
        if not t["name"].startswith(("state_", "next_"))
    ]
    return [
        f"{target}: {size:.1f} MB, opset {manifest['opset']}, {manifest['precision']} weights",
        f"{target.with_suffix('.json')}: what its tensors are",
        f"  look-ahead      {waits}",
        *tensors,
        f"  {len(manifest['states'])} states, state_* in and next_* out",
        f"  operators       {' '.join(manifest['operators'])}",
    ]
