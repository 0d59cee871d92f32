"""`facesdk doctor`: check the installation."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import MissingExtraError, install_hint
from . import DONE, FAILED, print_json, show

NAME = "doctor"
HELP = "check the installation: versions, extras, OpenGL, ffmpeg, a self test"

_DISTRIBUTION = "facesdk-anim"
_EXTRAS = {
    "render": (
        "OpenGL, video, textures",
        ("imageio-ffmpeg", "pillow", "PyOpenGL", "pyrender-maintained", "trimesh"),
    ),
    "onnx": ("facesdk export-onnx", ("onnx",)),
    "text": ("English texts: bake --text", ("hibari-tts",)),
    "train": ("facesdk train, datasets", ("torch", "onnx", "scipy", "hibari-tts", "pypinyin")),
    "fbx-read": ("reading FBX", ("ufbx",)),
    "draco": ("compressed glTF heads", ("DracoPy",)),
    "usd": ("USD as binary files", ("usd-core",)),
}
"""What an extra is for, and its distributions."""

_SECONDS = 1.0
"""Seconds of sound in the self test."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the report; the exit code is 1 when the self test fails."""
    report = {
        "facesdk": _facesdk(),
        "system": _system(),
        "packages": {name: _version(name) for name in _base()},
        "onnxruntime_providers": _safely(_providers),
        "extras": {name: _extra(name) for name in _EXTRAS},
        "opengl": _safely(_opengl),
        "ffmpeg": _safely(_ffmpeg),
        "cache": _safely(_cache),
        "model": _safely(_model),
        "self_test": _safely(_self_test),
    }
    if args.json:
        print_json(report)
    else:
        show(*_lines(report))
    return DONE if report["self_test"]["ok"] else FAILED


def _safely(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a check finds, or its error: one broken part must not hide the others."""
    try:
        return {"ok": True} | check()
    except Exception as error:
        text = str(error) or "no message"
        return {"ok": False, "error": f"{type(error).__name__}: {text.splitlines()[0]}"}


# --------------------------------------------------------------------- checks


def _facesdk() -> dict[str, Any]:
    folder = Path(__file__).resolve().parents[1]
    checkout = (folder.parent / "pyproject.toml").is_file()
    return {
        "version": __version__,
        "folder": str(folder),
        "installed_as": "checkout" if checkout else "package",
    }


def _system() -> dict[str, Any]:
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": len(affinity(0)) if affinity else os.cpu_count() or 1,
    }


def _base() -> list[str]:
    """Distributions that every installation needs."""
    try:
        wanted = [r for r in requires(_DISTRIBUTION) or [] if "extra ==" not in r]
    except PackageNotFoundError:
        wanted = ["numpy", "onnxruntime", "soundfile", "soxr", "rich"]
    return [name.split(";")[0].split(">=")[0].strip() for name in wanted]


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _extra(name: str) -> dict[str, Any]:
    purpose, distributions = _EXTRAS[name]
    found = {d: _version(d) for d in distributions}
    missing = [d for d, number in found.items() if number is None]
    return {
        "purpose": purpose,
        "packages": found,
        "installed": not missing,
        "install": install_hint(name) if missing else None,
    }


def _providers() -> dict[str, Any]:
    import onnxruntime

    return {"available": list(onnxruntime.get_available_providers()), "used": ["CPU"]}


def _opengl() -> dict[str, Any]:
    """Describe OpenGL as `facesdk render` would use it."""
    from ..render import gl

    name = gl.platform()
    if name is None:
        missing = find_spec("pyrender") is None
        reason = "the 'render' extra is missing" if missing else "neither EGL nor OSMesa was found"
        return {"platform": None, "reason": f"{reason}; software rendering is used"}
    return {"platform": name, "renderer": _renderer(name)}


def _renderer(name: str) -> str | None:
    """Return the renderer string of the driver; None where no context can be created.

    A broken driver may end its process, so it is asked in another one.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_RENDERER],
            env=os.environ | {"PYOPENGL_PLATFORM": name},
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


_ASK_RENDERER = """
import pyrender
from OpenGL.GL import GL_RENDERER, glGetString
drawing = pyrender.OffscreenRenderer(16, 16)
drawing._platform.make_current()
print(glGetString(GL_RENDERER).decode("utf-8", "replace"))
drawing.delete()
"""


def _ffmpeg() -> dict[str, Any]:
    from ..render.encode import ffmpeg

    try:
        program = ffmpeg()
    except MissingExtraError as error:
        return {"program": None, "reason": str(error)}
    done = subprocess.run(
        [program, "-version"], capture_output=True, encoding="utf-8", timeout=10, check=True
    )
    number = done.stdout.removeprefix("ffmpeg version ").partition(" ")[0]
    return {"program": program, "version": number}


def _cache() -> dict[str, Any]:
    from ..files import cache_folder

    folder = cache_folder()
    existing = next(p for p in (folder, *folder.parents) if p.is_dir())
    free = shutil.disk_usage(existing).free
    return {"folder": str(folder), "exists": folder.is_dir(), "free_bytes": free}


def _model() -> dict[str, Any]:
    """Describe the default model; loading it checks its hash."""
    from ..model import load

    model = load()
    manifest = model.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "folder": str(model.folder),
        "sha256": manifest.sha256,
        "look_aheads_ms": list(manifest.look_aheads_ms),
    }


def _self_test() -> dict[str, Any]:
    """Bake a second of synthetic sound."""
    import numpy as np

    from ..model import bake, load

    model = load()
    time_axis = np.arange(round(_SECONDS * model.manifest.sample_rate)) / model.manifest.sample_rate
    sound = sum(np.sin(2 * np.pi * 120 * k * time_axis) / k for k in range(1, 9))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time_axis), 0, 1)
    began = time.perf_counter()
    clip = bake(np.asarray(0.2 * sound * syllables, np.float32), model=model)
    seconds = time.perf_counter() - began
    if len(clip) != 60 or not np.ptp(clip.values, axis=0).any():
        raise RuntimeError(f"expected 60 frames with motion, got {len(clip)} frames")
    return {
        "frames": len(clip),
        "seconds": round(seconds, 4),
        "real_time_factor": round(seconds / _SECONDS, 4),
    }


# --------------------------------------------------------------------- text


def _lines(report: dict[str, Any]) -> list[str]:
    system, sdk = report["system"], report["facesdk"]
    row = partial("{:<14}{}".format)
    lines = [
        row("facesdk", f"{sdk['version']}, {sdk['installed_as']} in {sdk['folder']}"),
        row("Python", f"{system['python']}, {system['executable']}"),
        row("platform", f"{system['platform']}, {system['machine']}, {system['cores']} cores"),
    ]
    lines += [row(name, number or "MISSING") for name, number in report["packages"].items()]
    providers = report["onnxruntime_providers"]
    lines.append(row("providers", _value(providers, lambda p: ", ".join(p["available"]))))
    for name, extra in report["extras"].items():
        state = "installed" if extra["installed"] else f"missing: {extra['install']}"
        lines.append(row(f"[{name}]", f"{extra['purpose']}: {state}"))
    lines += [
        row("OpenGL", _value(report["opengl"], _opengl_text)),
        row("ffmpeg", _value(report["ffmpeg"], _ffmpeg_text)),
        row("cache", _value(report["cache"], _cache_text)),
        row("model", _value(report["model"], _model_text)),
        row("self test", _value(report["self_test"], _self_test_text)),
    ]
    return lines


def _value(found: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> str:
    return text(found) if found["ok"] else f"FAILED, {found['error']}"


def _opengl_text(opengl: dict[str, Any]) -> str:
    if opengl["platform"] is None:
        return f"none, {opengl['reason']}"
    return f"{opengl['platform']}, {opengl['renderer'] or 'but no context could be created'}"


def _ffmpeg_text(ffmpeg: dict[str, Any]) -> str:
    if ffmpeg["program"] is None:
        return f"none, {ffmpeg['reason']}"
    return f"{ffmpeg['version']}, {ffmpeg['program']}"


def _cache_text(cache: dict[str, Any]) -> str:
    state = "" if cache["exists"] else " (does not exist yet)"
    return f"{cache['folder']}{state}, {cache['free_bytes'] / 1e9:.1f} GB free"


def _model_text(model: dict[str, Any]) -> str:
    waits = ", ".join(map(str, model["look_aheads_ms"]))
    return f"{model['name']} {model['version']}, sha256 verified, look-ahead {waits} ms"


def _self_test_text(test: dict[str, Any]) -> str:
    factor = test["real_time_factor"]
    return f"ok, {test['frames']} frames in {test['seconds']:.3f} s, real-time factor {factor:.3f}"
