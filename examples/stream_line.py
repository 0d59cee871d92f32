"""Plays a line into a session as a microphone would: `python examples/stream_line.py [AUDIO]`.

Audio comes in chunks of 20 ms at the pace of speech; every frame that is known is drawn at once.
"""

import sys
import time
from pathlib import Path

import facesdk
from facesdk.audio import SAMPLE_RATE, open_audio

HELLO = Path(__file__).with_name("hello.wav")
CHUNK = 0.02
WIDTH = 40


def main(audio: str | Path = HELLO, *, pace: float = 1.0) -> None:
    """Draw how far the jaw is open; `pace` 0 does not wait."""
    with facesdk.load().session(rig="arkit", fps=30) as session, open_audio(audio) as voice:
        print(f"frames come {float(session.latency) * 1000:.0f} ms after their sound at the latest")
        heard = 0
        began = time.monotonic()
        for chunk in voice.blocks(seconds=CHUNK):
            heard += len(chunk)
            time.sleep(max(0.0, began + pace * heard / SAMPLE_RATE - time.monotonic()))
            draw(session.rig, session.push(chunk))
        draw(session.rig, session.flush())


def draw(rig: facesdk.Rig, frames: list[facesdk.Frame]) -> None:
    """One line a frame."""
    for frame in frames:
        jaw = frame.values[rig.index("jawOpen")]
        print(f"{frame.sample / SAMPLE_RATE:6.2f} s  {'#' * round(float(jaw) * WIDTH)}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
