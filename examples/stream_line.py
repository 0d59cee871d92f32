"""Stream a line into a session in real time: `python examples/stream_line.py [AUDIO]`.

As from a microphone, audio arrives in chunks of 20 ms. Frames are drawn as soon as they are
computed.
"""

import argparse
import sys
import time
from pathlib import Path

import facesdk
from facesdk.audio import SAMPLE_RATE, open_audio

HELLO = Path(__file__).with_name("hello.wav")
CHUNK = 0.02
WIDTH = 40


def main(audio: str | Path = HELLO, *, pace: float = 1.0) -> None:
    """Draw the jaw opening; `pace` 0 does not wait."""
    with facesdk.load().session(rig="arkit", fps=30) as session, open_audio(audio) as voice:
        print(f"latency: at most {float(session.latency) * 1000:.0f} ms")
        pushed = 0
        began = time.monotonic()
        for chunk in voice.blocks(seconds=CHUNK):
            pushed += len(chunk)
            time.sleep(max(0.0, began + pace * pushed / SAMPLE_RATE - time.monotonic()))
            draw(session.rig, session.push(chunk))
        draw(session.rig, session.flush())


def draw(rig: facesdk.Rig, frames: list[facesdk.Frame]) -> None:
    """Print one line per frame."""
    for frame in frames:
        jaw = frame.values[rig.index("jawOpen")]
        print(f"{frame.seconds:6.2f} s  {'#' * round(float(jaw) * WIDTH)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("audio", nargs="?", type=Path, default=HELLO)
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
