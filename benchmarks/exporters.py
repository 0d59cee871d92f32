"""Measure file size and writing speed of every format with a minute of animation.

Usage: python benchmarks/exporters.py [--seconds 60] [--json] [FORMAT ...]

The clip is 60 s at 60 frames per second on the format's own rig: smooth noise with a moving head.
Each format is written in a separate process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facesdk import Clip, Pose, Rig
from facesdk.exporters import EXPORTERS, write_clip

TOLERANCE = 0.01


def performance(rig: str, seconds: float) -> Clip:
    """Return a clip of noise below 6 Hz, which is about the speed of speech."""
    loaded = Rig.load(rig)
    frames = round(seconds * 60)
    noise = np.random.default_rng(0).random((frames + 20, len(loaded) + 12))
    window = np.hanning(21)[:, None] / np.hanning(21).sum()
    smooth = np.stack([(noise[i : i + 21] * window).sum(0) for i in range(frames)])
    smooth = np.clip(3 * (smooth - 0.5), 0, 1) if len(smooth) else smooth
    low, high = loaded.minimum, loaded.maximum
    values = low + (high - low) * smooth[:, : len(loaded)]
    angles = 0.2 * smooth[:, len(loaded) :].reshape(-1, 4, 3)
    return Clip(loaded, values, Fraction(60), pose=Pose(angles))


def measure(name: str, seconds: float) -> dict[str, Any]:
    """Return the figures of one format, measured in this process."""
    format_ = EXPORTERS[name]
    clip = performance((format_.rigs or ("arkit",))[0], seconds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{format_.extension}"
        write_clip(clip.slice(0, min(len(clip), 10)), path, name)  # imports, the head
        facts: dict[str, Any] = {"format": name, "rig": clip.rig.name, "frames": len(clip)}
        facts |= _written(clip, path, name)
        if "tolerance" in format_.options:
            facts["thinned"] = _written(clip, path, name, tolerance=TOLERANCE)
    return facts


def _written(clip: Clip, path: Path, name: str, **options: Any) -> dict[str, Any]:
    began = time.perf_counter()
    write_clip(clip, path, name, **options)
    seconds = time.perf_counter() - began
    return {"bytes": path.stat().st_size, "frames_per_second": round(len(clip) / seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(EXPORTERS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--here", action="store_true", help="in this process, as JSON")
    args = parser.parse_args()
    names = args.formats or [name for name, f in EXPORTERS.items() if not f.requires]
    if args.here:
        print(json.dumps([measure(name, args.seconds) for name in names]))
        return
    results = []
    for name in names:
        results += _apart(name, args.seconds)
        if not args.json:
            print(_line(results[-1]), flush=True)
    if args.json:
        print(json.dumps(results, indent=1))


def _apart(name: str, seconds: float) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, name, "--here", "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _line(facts: dict[str, Any]) -> str:
    line = (
        f"| `{facts['format']}` | {facts['rig']} | {facts['bytes'] / 1000:,.0f} kB "
        f"| {facts['frames_per_second']:,} |"
    )
    if thinned := facts.get("thinned"):
        share = thinned["bytes"] / facts["bytes"]
        return f"{line} {share:.0%}, {thinned['frames_per_second']:,} frames/s |"
    return f"{line} – |"


if __name__ == "__main__":
    main()
