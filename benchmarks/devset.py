"""Predict curves for real speech with tracked faces, and score them with the folder's scorer.

    python benchmarks/devset.py DEVSET [--model DIR] [--look-ahead MS] [--out DIR]

DEVSET contains `audio/<id>.wav`, `manifest.json` and `score.py` (which reads `<id>.npz` with
names, weights, fps). Everything is scored twice: on all speakers, and without those on whom a
constant may have been fitted (`--fitted`, prefixes of speaker names). Predictions, the scorer's
reports and `summary.json` are written to OUT.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import facesdk
from facesdk.audio import read_audio

FPS = 60
FITTED = ("grid_", "facegood_")
KIND = "video-tracked"

TARGETS = {
    "lip gap r, zero lag": ((0.45, None), (0.60, None)),
    "closure F1": ((0.38, None), (0.55, None)),
    "closure F1 above own shuffle": ((0.12, None), (0.25, None)),
    "system lag, ms": ((-40, 40), (-15, 15)),
    "contact share": ((0.12, 0.32), (0.15, 0.30)),
    "silence motion": ((0.2, 1.2), (0.3, 1.1)),
    "jerk": ((0.6, 1.4), (0.7, 1.3)),
    "amplitude": ((0.5, 1.2), (0.6, 1.1)),
}
"""Ranges of floor and goal of each figure; None for an open end."""


def predict(devset: Path, out: Path, model: Path | None, look_ahead: float | None) -> None:
    loaded = facesdk.load(model)
    out.mkdir(parents=True, exist_ok=True)
    for wav in sorted((devset / "audio").glob("*.wav")):
        session = loaded.session(fps=FPS, look_ahead_ms=look_ahead)
        frames = [*session.push(read_audio(wav)), *session.flush()]
        weights = np.array([f.values for f in frames])
        np.savez(out / f"{wav.stem}.npz", names=session.rig.names, weights=weights, fps=FPS)


def score(devset: Path, *options: str | Path, out: Path, quiet: bool = False) -> dict:
    """Return the scorer's report, which is also written to `out`."""
    command = [sys.executable, str(devset / "score.py"), *map(str, options), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL if quiet else None)
    return json.loads(out.read_text(encoding="utf-8"))


def compare(devset: Path, one: Path, other: Path) -> None:
    """Print the paired differences between two reports."""
    command = [sys.executable, str(devset / "score.py"), "compare", str(one), str(other)]
    subprocess.run(command, check=True)


def unfitted(devset: Path, fitted: Sequence[str]) -> list[str]:
    """Return the tracked speakers whose names do not start with one of the prefixes."""
    clips = json.loads((devset / "manifest.json").read_text(encoding="utf-8"))["clips"]
    tracked = {clip["speaker"] for clip in clips if clip["kind"] == KIND}
    return sorted(name for name in tracked if not name.startswith(tuple(fitted)))


def figures(report: Mapping) -> dict[str, float]:
    """Return the figures of a scorer's report that have a target."""
    f1, by_chance = report["closure_f1"], report["shuffled"]["closure_f1"]
    return {
        "lip gap r, zero lag": report["r0_aperture"],
        "closure F1": f1,
        "closure F1 above own shuffle": round(f1 - by_chance, 3),
        "system lag, ms": report["system_lag_ms"],
        "contact share": report["contact_share"],
        "silence motion": report["silence_ratio"],
        "jerk": report["jerk_ratio"],
        "amplitude": report["amplitude_ratio"],
    }


def verdict(figure: str, value: float) -> str:
    """Return whether a figure reaches its goal or floor."""
    floor, goal = TARGETS[figure]
    return "goal" if _within(value, goal) else "floor" if _within(value, floor) else "below floor"


def _within(value: float, bounds: tuple[float | None, float | None]) -> bool:
    low, high = bounds
    return (low is None or value >= low) and (high is None or value <= high)


def by_speaker(report: Mapping) -> dict[str, dict[str, float]]:
    """Return, by speaker, zero-lag r and best lag (means over clips), F1, closures, amplitude."""
    rows = {}
    for speaker, row in report["per_speaker"].items():
        clips = [clip for clip in report["per_clip"].values() if clip["speaker"] == speaker]
        right, wrong, missed = row["closure_tp_fp_fn"]
        rows[speaker] = {
            "r0": float(np.mean([clip["r_aperture"] for clip in clips])),
            "best_r": float(np.mean([clip["r_at_best"] for clip in clips])),
            "lag_ms": float(np.mean([clip["best_lag_ms"] for clip in clips])),
            "f1": 2 * right / max(2 * right + wrong + missed, 1),
            "closures": right + missed,
            "amplitude": float(np.mean([clip["amp_ratio"] for clip in clips])),
        }
    return rows


def show_speakers(rows: Mapping[str, Mapping[str, float]]) -> None:
    heads = f"{'r0':>7}{'best r':>8}{'lag ms':>8}{'F1':>7}{'closures':>10}{'ampl.':>7}"
    print(f"\n{'speaker':24}{heads}")
    for speaker, row in sorted(rows.items(), key=lambda entry: -entry[1]["r0"]):
        print(
            f"{speaker:24}{row['r0']:7.2f}{row['best_r']:8.2f}{row['lag_ms']:8.0f}"
            f"{row['f1']:7.2f}{row['closures']:10.0f}{row['amplitude']:7.2f}"
        )


def show_figures(everyone: Mapping[str, float], others: Mapping[str, float]) -> None:
    print(f"\n{'':30}{'all':>8}  {'':12}{'unfitted':>8}  {'':12}{'floor':>14}{'goal':>14}")
    for name, value in everyone.items():
        floor, goal = ("..".join("" if b is None else str(b) for b in t) for t in TARGETS[name])
        text = f"{value:8.3f}  {verdict(name, value):12}"
        text += f"{others[name]:8.3f}  {verdict(name, others[name]):12}"
        print(f"{name:30}{text}{floor:>14}{goal:>14}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("devset", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--look-ahead", type=float)
    parser.add_argument("--fitted", nargs="*", default=FITTED, metavar="BEGINNING")
    parser.add_argument("--out", type=Path, default=Path("build/devset"))
    args = parser.parse_args()
    predict(args.devset, args.out, args.model, args.look_ahead)
    made, baseline = args.out / "report.json", args.out / "loudness.json"
    try:
        report = score(args.devset, "--pred", args.out, out=made)
        score(args.devset, "--baseline", "loudness", out=baseline, quiet=True)
        compare(args.devset, baseline, made)
        speakers = ",".join(unfitted(args.devset, args.fitted))
        rest = score(args.devset, "--pred", args.out, "--speakers", speakers,
                     out=args.out / "unfitted.json", quiet=True)  # fmt: skip
    except subprocess.CalledProcessError as error:
        return error.returncode
    everyone, others, rows = figures(report), figures(rest), by_speaker(report)
    show_speakers(rows)
    show_figures(everyone, others)
    summary = {"all": everyone, "unfitted": others, "unfitted_speakers": speakers.split(","),
               "r0_95": {"all": report["r_aperture_ci95"], "unfitted": rest["r_aperture_ci95"]},
               "by_speaker": rows}  # fmt: skip
    text = json.dumps(summary, indent=1) + "\n"
    (args.out / "summary.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
