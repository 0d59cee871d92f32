"""Predictions for a folder of real speech with tracked faces, and its scorer's verdict.

    python benchmarks/devset.py DEVSET [--model DIR] [--look-ahead MS] [--out DIR]

DEVSET holds `audio/<id>.wav` and `score.py` (which reads `<id>.npz` with names, weights, fps).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

import facesdk
from facesdk.audio import read_audio

FPS = 60


def predict(devset: Path, out: Path, model: Path | None, look_ahead: float | None) -> None:
    loaded = facesdk.load(model)
    out.mkdir(parents=True, exist_ok=True)
    for wav in sorted((devset / "audio").glob("*.wav")):
        session = loaded.session(fps=FPS, look_ahead_ms=look_ahead)
        frames = [*session.push(read_audio(wav)), *session.flush()]
        weights = np.array([f.values for f in frames])
        np.savez(out / f"{wav.stem}.npz", names=session.rig.names, weights=weights, fps=FPS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("devset", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--look-ahead", type=float)
    parser.add_argument("--out", type=Path, default=Path("build/devset"))
    args = parser.parse_args()
    predict(args.devset, args.out, args.model, args.look_ahead)
    scorer, report = args.devset / "score.py", args.out / "report.json"
    run = [sys.executable, str(scorer), "--pred", str(args.out), "--out", str(report)]
    done = subprocess.run(run, check=False)
    if done.returncode:
        return done.returncode
    baseline = args.out / "loudness.json"
    loudness = [sys.executable, str(scorer), "--baseline", "loudness", "--out", str(baseline)]
    subprocess.run(loudness, check=True, stdout=subprocess.DEVNULL)
    return subprocess.run(
        [sys.executable, str(scorer), "compare", str(baseline), str(report)], check=False
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
