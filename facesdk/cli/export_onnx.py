"""`facesdk export-onnx`: write a model as one ONNX file for a game engine, rigs included."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import ModelError, missing_extra
from . import DONE, UsageError, option, print_json, show

NAME = "export-onnx"
HELP = "write a model as one ONNX file for a game engine, rigs included"

_ALL = "all"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL",
        help="model folder or training checkpoint .pt (default: the built-in model)")  # fmt: skip
    add("-o", "--output", required=True, metavar="FILE",
        help="the .onnx file, or a folder for model.onnx; "
             "the manifest is written next to it")  # fmt: skip
    add("--rig", action="append", default=[], metavar="RIG",
        help="a rig, or a rig, table or map file, to add; repeatable (default: arkit)")  # fmt: skip
    add("--trunk", action="store_true", help="export unit curves only, without rigs")
    add("--look-ahead", type=option(_milliseconds), metavar="MS",
        help="future audio to wait for, or all for every look-ahead on an axis of its own "
             "(default: 80; all with --trunk)")  # fmt: skip
    add("--precision", choices=("float32", "float16", "int8"), default="float32",
        help="storage of the network's weights")  # fmt: skip
    add("--static", type=option(_sizes), metavar="BATCH,STEPS",
        help="fix batch and number of steps of a run; a step is 20 ms of audio")  # fmt: skip
    add("--extra-units", action="store_true",
        help="add an input for blinks and other units not computed from audio")  # fmt: skip
    add("--json", action="store_true", help="print the manifest")


def run(args: argparse.Namespace) -> int:
    """Write graph and manifest, and describe the graph."""
    try:
        from ..onnx_export import EngineExportOptions, export_engine
    except ImportError as error:
        raise missing_extra("exporting", "onnx") from error
    if args.trunk and args.rig:
        raise UsageError("--trunk exports no rig; leave out --trunk or --rig")
    rigs = () if args.trunk else tuple(args.rig) or ("arkit",)
    look_ahead = args.look_ahead or (_ALL if args.trunk else "80")
    try:
        options = EngineExportOptions(
            rigs=rigs,
            look_ahead_ms=None if look_ahead == _ALL else float(look_ahead),
            precision=args.precision,
            static=args.static,
            extra_units=args.extra_units,
        )
    except ModelError as error:
        raise UsageError(str(error)) from error
    target = _target(args.output)
    with _model_folder(args.model) as folder:
        manifest = export_engine(folder, target, options)
    if args.json:
        print_json(manifest)
    else:
        show(*_lines(target, manifest))
    return DONE


@contextmanager
def _model_folder(model: str | None) -> Iterator[str | None]:
    """Yield the folder of a model; a training checkpoint is converted to a temporary one."""
    if model is None or Path(model).suffix != ".pt":
        yield model
        return
    if not Path(model).is_file():
        raise ModelError(f"the checkpoint {model} does not exist")
    try:
        from ..train.trunk import export_checkpoint
    except ImportError as error:
        raise missing_extra("reading checkpoints", "train") from error
    with TemporaryDirectory() as folder:
        export_checkpoint(Path(model), Path(folder))
        yield folder


def _milliseconds(text: str) -> str:
    """Check `all`, or a number of milliseconds, and return it as text."""
    try:
        if text != _ALL and not 0 <= float(text) <= 1000:
            raise ValueError
    except ValueError:
        raise UsageError(f"--look-ahead must lie in 0..1000 ms, or be all, got {text!r}") from None
    return text


def _sizes(text: str) -> tuple[int, int]:
    """Parse `BATCH,STEPS`."""
    try:
        batch, steps = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--static takes BATCH,STEPS, such as 1,1, got {text!r}") from None
    return batch, steps


def _target(output: str) -> Path:
    path = Path(output)
    folder = output.endswith(("/", os.sep)) or path.is_dir()
    return path / "model.onnx" if folder else path


def _lines(target: Path, manifest: Mapping[str, Any]) -> list[str]:
    size = target.stat().st_size / 1e6
    look_aheads = " ".join(f"{ms} ms" for ms in manifest["look_aheads_ms"])
    tensors = [
        f"  {t['name']:<16}{' x '.join(map(str, t['shape']))}"
        for t in (*manifest["inputs"], *manifest["outputs"])
        if not t["name"].startswith(("state_", "next_"))
    ]
    return [
        f"{target}: {size:.1f} MB, opset {manifest['opset']}, {manifest['precision']} weights",
        f"{target.with_suffix('.json')}: description of its tensors",
        *(
            f"{target.with_name(o['file'])}: describes {o['name']}, the learned layer {o['layer']}"
            for o in manifest["outputs"]
            if "layer" in o
        ),
        f"  look-ahead      {look_aheads}",
        *tensors,
        f"  {len(manifest['states'])} states, state_* in and next_* out",
        f"  operators       {' '.join(manifest['operators'])}",
    ]
