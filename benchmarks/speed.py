"""What speaking costs: real-time factor of one stream, cost per stream in a batch, start-up.

    python benchmarks/speed.py [--runs 5] [--json]

Everything on one thread. A real-time factor of 0.01 means 10 ms of computing a second of speech.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

import facesdk

RATE = 16_000
STEP = 320
SECONDS = 10
BATCHES = (1, 8, 64)
HELLO = Path(__file__).parent.parent / "examples" / "hello.wav"


def median(runs: int, measure: Callable[[], float]) -> float:
    measure()
    return statistics.median(measure() for _ in range(runs))


def speech(seconds: int) -> np.ndarray:
    samples, rate = soundfile.read(HELLO, dtype="float32")
    assert rate == RATE
    return np.resize(samples, seconds * RATE)


def streaming_factor(model: facesdk.Model, rig: str, rate: int = RATE) -> float:
    """Compute time per second of audio pushed in 20 ms chunks, frames at 60 fps."""
    audio = np.resize(speech(SECONDS), SECONDS * rate)
    chunks = np.split(audio, SECONDS * 50)
    session = model.session(rig=rig, sample_rate=rate)
    start = time.perf_counter()
    for chunk in chunks:
        session.push(chunk)
    session.flush()
    return (time.perf_counter() - start) / SECONDS


def batch_factor(model: facesdk.Model, batch: int) -> float:
    """Network time per stream and second of audio when streams share each 20 ms call."""
    audio = np.tile(speech(2)[None], (batch, 1))
    state = model.start(batch)
    start = time.perf_counter()
    for step in range(100):
        _, state = model.step(audio[:, step * STEP : (step + 1) * STEP], state)
    return (time.perf_counter() - start) / 2 / batch


def bake_speed(model: facesdk.Model) -> float:
    """Seconds of audio baked per second, in memory."""
    audio = speech(60)
    start = time.perf_counter()
    facesdk.bake(audio, model=model)
    return 60 / (time.perf_counter() - start)


def process_seconds(*words: str) -> float:
    """Wall time of a fresh Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - start


def cpu_seconds(*words: str) -> float:
    """CPU time of a fresh Python process, its start-up included."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def import_milliseconds() -> float:
    """Sum that `-X importtime` gives for `import facesdk` and its own imports."""
    command = [sys.executable, "-X", "importtime", "-c", "import facesdk"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = [line.split("|") for line in done.stderr.splitlines() if line.endswith(" facesdk")]
    return int(rows[-1][1]) / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    model = facesdk.load()
    figures: dict[str, float] = {}
    for rig in ("arkit", "metahuman", "oculus", "a2f"):
        figures[f"real-time factor, 20 ms chunks, {rig}"] = median(
            args.runs, lambda rig=rig: streaming_factor(model, rig)
        )
    figures["real-time factor, 20 ms chunks, arkit, 48 kHz audio"] = median(
        args.runs, lambda: streaming_factor(model, "arkit", 48_000)
    )
    for batch in BATCHES:
        figures[f"network per stream, {batch} in a batch"] = median(
            args.runs, lambda batch=batch: batch_factor(model, batch)
        )
    figures["baking, x real time"] = median(args.runs, lambda: bake_speed(model))
    figures["import facesdk, ms"] = median(args.runs, import_milliseconds)
    figures["facesdk --help, ms of CPU"] = 1000 * median(
        args.runs, lambda: cpu_seconds("-m", "facesdk", "--help")
    )
    with tempfile.TemporaryDirectory() as folder:
        line = Path(folder) / "line.wav"
        soundfile.write(line, speech(5), RATE)
        command = ("-m", "facesdk", "bake", str(line), "-o", str(Path(folder) / "line.json"))
        figures["process start to a baked 5 s line, s"] = median(
            args.runs, lambda: process_seconds(*command)
        )
    report = {"machine": platform.processor() or platform.machine(), "figures": figures}
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{platform.platform()}, Python {platform.python_version()}, one thread")
        for name, value in figures.items():
            print(f"{name:58s} {value:10.4g}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
