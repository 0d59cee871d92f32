"""What speaking costs: real-time factor of one stream, cost per stream in a batch, delay, start-up.

    python benchmarks/speed.py [--runs 5] [--json]

Everything on one thread. A real-time factor of 0.01 means 10 ms of computing a second of speech;
every 20 ms step counts as in the run that was best for it, so that other programs are left out.
The delay is measured from outside: audio is fed by the quarter of a millisecond, and a frame's
delay is the audio fed when it came minus its own instant. Computing time is not part of it.
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
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

import facesdk

RATE = 16_000
SECONDS = 10
BATCHES = (1, 8, 64)
RIGS = ("arkit", "metahuman", "flame", "oculus", "vrm", "a2f")
LOOK_AHEADS_MS = (40, 100)
GRAIN = 4000
"""Pieces of a second that the delay is measured with."""
HELLO = Path(__file__).parent.parent / "examples" / "hello.wav"


def median(runs: int, measure: Callable[[], float]) -> float:
    measure()
    return float(statistics.median(measure() for _ in range(runs)))


def undisturbed(runs: int, measure: Callable[[], list[float]]) -> float:
    """Seconds that the steps of a run take together, each in the run that was best for it."""
    times = np.array([measure() for _ in range(1 + runs)])
    return float(times.min(0).sum())


def timed(function: Callable[[np.ndarray], object], pieces: Iterable[np.ndarray]) -> list[float]:
    """Seconds of one call for each piece."""
    seconds = []
    for piece in pieces:
        start = time.perf_counter()
        function(piece)
        seconds.append(time.perf_counter() - start)
    return seconds


def speech(seconds: int) -> np.ndarray:
    samples, rate = soundfile.read(HELLO, dtype="float32")
    assert rate == RATE
    return np.resize(samples, seconds * RATE)


def streaming_factor(
    model: facesdk.Model, rig: str | tuple[str, ...], rate: int, runs: int
) -> float:
    """Compute time per second of audio pushed in 20 ms chunks, frames at 60 fps."""
    chunks = np.split(np.resize(speech(SECONDS), SECONDS * rate), SECONDS * 50)
    session = model.session(rig=rig, sample_rate=rate)

    def run() -> list[float]:
        session.reset()
        return timed(session.push, chunks)

    return undisturbed(runs, run) / SECONDS


def batch_factor(model: facesdk.Model, batch: int, runs: int) -> float:
    """Network time per stream and second of audio when streams share each 20 ms call."""
    seconds = max(1, SECONDS // batch)
    chunks = np.split(np.tile(speech(seconds)[None], (batch, 1)), seconds * 50, axis=1)
    runner = model.runner(batch)
    return undisturbed(runs, lambda: timed(runner.step, chunks)) / seconds / batch


def live_delay(model: facesdk.Model, rate: int, look_ahead_ms: int) -> float:
    """Largest time in ms between a 60 fps frame's instant and the audio fed when it came."""
    session = model.session(sample_rate=rate, look_ahead_ms=look_ahead_ms)
    audio = np.resize(speech(2), 2 * rate)
    bounds = np.arange(2 * GRAIN + 1) * rate // GRAIN
    waits = [
        end / rate - float(frame.index / session.fps)
        for begin, end in pairwise(bounds.tolist())
        for frame in session.push(audio[begin:end])
    ]
    return 1000 * max(waits)


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


def stream_figures(model: facesdk.Model, runs: int) -> dict[str, float]:
    """Real-time factors of 20 ms chunks."""
    figures = {}
    for rate in (RATE, 48_000):
        for rig, name in (("arkit", "arkit"), ("metahuman", "metahuman"), (RIGS, "all rigs")):
            factor = streaming_factor(model, rig, rate, runs)
            figures[f"one stream, {name}, {rate // 1000} kHz audio"] = factor
    for batch in BATCHES:
        figures[f"network per stream, {batch} in a batch"] = batch_factor(model, batch, runs)
    network = figures["network per stream, 1 in a batch"]
    for name in ("arkit", "all rigs"):
        beside = figures[f"one stream, {name}, 16 kHz audio"] - network
        figures[f"one stream without its network, {name}"] = beside
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    model = facesdk.load()
    figures: dict[str, float] = {}
    figures |= stream_figures(model, args.runs)
    for look_ahead_ms in LOOK_AHEADS_MS:
        for rate in (RATE, 48_000):
            name = f"live delay at 60 fps, look-ahead {look_ahead_ms} ms, {rate // 1000} kHz, ms"
            figures[name] = live_delay(model, rate, look_ahead_ms)
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
            print(f"{name:62s} {value:10.4g}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
