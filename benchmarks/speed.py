"""Measure real-time factors of streams and batches, live delay, baking speed and start-up time.

    python benchmarks/speed.py [--runs 5] [--json]

Everything runs on one thread. A real-time factor of 0.01 means 10 ms of computing per second of
speech; each 20 ms step counts with its fastest run, which excludes the load of other programs. For
the delay, audio is pushed in pieces of 0.25 ms; the delay of a frame is the duration pushed when it
is returned minus its own instant, without computing time.
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
from facesdk.audio import SAMPLE_RATE

SECONDS = 10
BATCHES = (1, 8, 64)
RIGS = ("arkit", "metahuman", "flame", "oculus", "vrm", "a2f")
LOOK_AHEADS_MS = (40, 80)
GRAIN = 4000
"""Pushes per second when the delay is measured."""
HELLO = Path(__file__).parent.parent / "examples" / "hello.wav"


def median(runs: int, measure: Callable[[], float]) -> float:
    measure()
    return float(statistics.median(measure() for _ in range(runs)))


def undisturbed(runs: int, measure: Callable[[], list[float]]) -> float:
    """Return the sum over steps of their shortest time in seconds, over all runs."""
    times = np.array([measure() for _ in range(1 + runs)])
    return float(times.min(0).sum())


def timed(function: Callable[[np.ndarray], object], pieces: Iterable[np.ndarray]) -> list[float]:
    """Return the seconds of one call per piece."""
    seconds = []
    for piece in pieces:
        start = time.perf_counter()
        function(piece)
        seconds.append(time.perf_counter() - start)
    return seconds


def speech(seconds: int) -> np.ndarray:
    samples, rate = soundfile.read(HELLO, dtype="float32")
    assert rate == SAMPLE_RATE
    return np.resize(samples, seconds * SAMPLE_RATE)


def streaming_factor(
    model: facesdk.Model, rig: str | tuple[str, ...], rate: int, runs: int
) -> float:
    """Return the compute time per second of audio in 20 ms chunks, with frames at 60 fps."""
    chunks = np.split(np.resize(speech(SECONDS), SECONDS * rate), SECONDS * 50)
    rigs = [rig] if isinstance(rig, str) else rig
    session = (
        model.session(rig=rig, sample_rate=rate)
        if isinstance(rig, str)
        else model.multi_session(rigs, sample_rate=rate)
    )

    def run() -> list[float]:
        session.reset()
        return timed(session.push, chunks)

    return undisturbed(runs, run) / SECONDS


def batch_factor(model: facesdk.Model, batch: int, runs: int) -> float:
    """Return the network time per stream and second of audio in a batch, in 20 ms steps."""
    seconds = max(1, SECONDS // batch)
    chunks = np.split(np.tile(speech(seconds)[None], (batch, 1)), seconds * 50, axis=1)
    runner = model.runner(batch)
    return undisturbed(runs, lambda: timed(runner.step, chunks)) / seconds / batch


def live_delay(model: facesdk.Model, rate: int, look_ahead_ms: int) -> float:
    """Return the largest delay in ms of a 60 fps frame."""
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
    """Return the seconds of audio baked per second, in memory."""
    audio = speech(60)
    start = time.perf_counter()
    facesdk.bake(audio, model=model)
    return 60 / (time.perf_counter() - start)


def process_seconds(*words: str) -> float:
    """Return the wall time of a new Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - start


def cpu_seconds(*words: str) -> float:
    """Return the CPU time of a new Python process, including its start-up."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def import_milliseconds() -> float:
    """Return the total of `-X importtime` for `import facesdk`."""
    command = [sys.executable, "-X", "importtime", "-c", "import facesdk"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = [line.split("|") for line in done.stderr.splitlines() if line.endswith(" facesdk")]
    return int(rows[-1][1]) / 1000


def stream_figures(model: facesdk.Model, runs: int) -> dict[str, float]:
    """Return the real-time factors of 20 ms chunks."""
    figures = {}
    for rate in (SAMPLE_RATE, 48_000):
        for rig, name in (("arkit", "arkit"), ("metahuman", "metahuman"), (RIGS, "all rigs")):
            factor = streaming_factor(model, rig, rate, runs)
            figures[f"one stream, {name}, {rate // 1000} kHz audio"] = factor
    for batch in BATCHES:
        figures[f"network per stream, {batch} in a batch"] = batch_factor(model, batch, runs)
    network = figures["network per stream, 1 in a batch"]
    for name in ("arkit", "all rigs"):
        rest = figures[f"one stream, {name}, 16 kHz audio"] - network
        figures[f"one stream without its network, {name}"] = rest
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
        for rate in (SAMPLE_RATE, 48_000):
            name = f"live delay at 60 fps, look-ahead {look_ahead_ms} ms, {rate // 1000} kHz, ms"
            figures[name] = live_delay(model, rate, look_ahead_ms)
    figures["baking, x real time"] = median(args.runs, lambda: bake_speed(model))
    figures["import facesdk, ms"] = median(args.runs, import_milliseconds)
    figures["facesdk --help, ms of CPU"] = 1000 * median(
        args.runs, lambda: cpu_seconds("-m", "facesdk", "--help")
    )
    with tempfile.TemporaryDirectory() as folder:
        line = Path(folder) / "line.wav"
        soundfile.write(line, speech(5), SAMPLE_RATE)
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
