"""Synthesize the example line hello.wav: `python examples/make_hello.py`.

Needs the train extra. The voice is the default of hibari-tts (Apache-2.0), the text was written
for facesdk (CC0). The same seed gives the same file.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from facesdk.audio import SAMPLE_RATE
from facesdk.datasets.speech.hibari import Hibari, Speaker
from facesdk.errors import FaceSDKError

TEXT = "Mind the bridge, my friend. Half of the boards are rotten, and the river is very cold."
SEED = 7
PEAK = 0.7


def main() -> None:
    """Write the file next to this program."""
    rng = np.random.default_rng(SEED)
    voice = Speaker(rng)
    voice.tract = voice.pitch = voice.pitch_range = voice.speed = 1.0
    engine = Hibari()
    samples, _ = engine.speak(engine.tokens(TEXT), voice, rng)
    path = Path(__file__).with_name("hello.wav")
    soundfile.write(path, samples * (PEAK / np.abs(samples).max()), SAMPLE_RATE)
    print(f"{path.name}: {len(samples) / SAMPLE_RATE:.2f} s")


if __name__ == "__main__":
    try:
        main()
    except (FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
