"""Animate many speakers in one process: `python examples/many_speakers.py [SPEAKERS] [SECONDS]`.

A server that gives each speaker a `Session` calls the network once per speaker and step. Here one
`Batcher` steps all speakers in one call. Each speaker has a `StepBuffer` in front of it (audio of
any chunk size to whole steps) and a `Performer` behind it (units to frames, with blinks). The
program runs both ways on the same audio, compares the frames, and prints the cost per speaker.
"""

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

import facesdk
from facesdk.audio import SAMPLE_RATE, read_audio
from facesdk.model import Batcher, StepBuffer

HELLO = Path(__file__).with_name("hello.wav")
FPS = Fraction(60)
CHUNK = SAMPLE_RATE // 50
LOOK_AHEAD_MS = 100


class Speaker:
    """One stream of a server: audio buffer, place in the batcher, performer."""

    def __init__(self, batcher: Batcher, model: facesdk.Model, *, seed: int) -> None:
        manifest = model.manifest
        self.stream = batcher.join(look_ahead_ms=LOOK_AHEAD_MS)
        self.steps: deque[np.ndarray] = deque()
        self.performer = model.performer(["arkit"], fps=FPS, look_ahead_ms=LOOK_AHEAD_MS, seed=seed)
        self._size = manifest.step_samples
        self._buffer = StepBuffer(manifest.sample_rate, self._size, source_rate=SAMPLE_RATE)

    def push(self, samples: np.ndarray) -> None:
        """Add audio; whole steps wait in `steps`."""
        for block in self._buffer.push(samples):
            self.steps.extend(block.copy().reshape(-1, self._size))


def run_batched(model: facesdk.Model, voices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the frames (T, 52) of all voices, stepped together every 20 ms."""
    batcher = model.batcher(capacity=len(voices))
    speakers = [Speaker(batcher, model, seed=i) for i in range(len(voices))]
    frames: list[list[np.ndarray]] = [[] for _ in speakers]
    for begin in range(0, len(voices[0]), CHUNK):
        for speaker, voice in zip(speakers, voices, strict=True):
            speaker.push(voice[begin : begin + CHUNK])
        while ready := [s for s in speakers if s.steps]:
            units = batcher.step({s.stream: s.steps.popleft() for s in ready})
            for i, speaker in enumerate(speakers):
                if speaker.stream in units:
                    (block,) = speaker.performer.push(units[speaker.stream])
                    frames[i].append(block.values)
    return [np.concatenate(blocks) for blocks in frames]


def run_sessions(model: facesdk.Model, voices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the same frames from one session per voice."""
    sessions = [
        model.session(fps=FPS, look_ahead_ms=LOOK_AHEAD_MS, seed=i) for i in range(len(voices))
    ]
    frames: list[list[np.ndarray]] = [[] for _ in sessions]
    for begin in range(0, len(voices[0]), CHUNK):
        for i, (session, voice) in enumerate(zip(sessions, voices, strict=True)):
            (block,) = session.push_blocks(voice[begin : begin + CHUNK])
            frames[i].append(block.values)
    return [np.concatenate(blocks) for blocks in frames]


def main(speakers: int = 16, seconds: float = 5.0) -> None:
    """Run both ways and print the real-time factor per speaker."""
    if speakers < 1 or not seconds > 0:
        raise ValueError(f"need a speaker and some audio, got {speakers} and {seconds} s")
    model = facesdk.load()
    line = np.resize(read_audio(HELLO), max(CHUNK, round(seconds * SAMPLE_RATE)))
    voices = [np.roll(line, i * CHUNK * 7) for i in range(speakers)]  # nobody in unison
    results, factors = [], []
    for name, run in (("sessions", run_sessions), ("batcher", run_batched)):
        began = time.process_time()
        results.append(run(model, voices))
        factors.append((time.process_time() - began) / speakers / (len(line) / SAMPLE_RATE))
        print(f"{name:9} real-time factor {factors[-1]:.4f} per speaker")
    worst = max(float(np.abs(a - b).max()) for a, b in zip(*results, strict=True))
    print(f"{speakers} speakers, {len(results[0][0])} frames each, difference {worst:.1e}")
    print(f"the batcher takes {factors[1] / factors[0]:.0%} of the processor time of sessions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("speakers", nargs="?", type=int, default=16)
    parser.add_argument("seconds", nargs="?", type=float, default=5.0)
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
