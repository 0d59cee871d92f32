"""Bake a line with its text: `python examples/bake_with_text.py [AUDIO TEXT]`.

Prints where the words are, and how often the lips close without and with the text.

Needs the extra `text`, which reads English. Without arguments hello.wav and its text are used.
"""

from __future__ import annotations

import sys
from pathlib import Path

import facesdk

HELLO = Path(__file__).with_name("hello.wav")
SAID = "Mind the bridge, my friend. Half of the boards are rotten, and the river is very cold."


def main() -> None:
    audio, text = (sys.argv[1], sys.argv[2]) if len(sys.argv) > 2 else (str(HELLO), SAID)
    heard = facesdk.bake(audio, rig="units")
    guided = facesdk.bake(audio, rig="units", text=text)
    for event in guided.events:
        samples = (event.sample, event.data["end_sample"])
        start, end = (sample / guided.sample_rate for sample in samples)
        print(f"{start:6.2f} {end:6.2f}  {event.data['text']}")
    for name, clip in (("as heard", heard), ("with its text", guided)):
        closed = clip.curve("closure") > 0.9
        count = int((closed[1:] > closed[:-1]).sum())
        print(f"{name}: lips close {count} times")


if __name__ == "__main__":
    try:
        main()
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
