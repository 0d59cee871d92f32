"""Bakes a line for two characters: `python examples/bake_line.py [AUDIO] [FOLDER]`.

The same performance on ARKit's shapes as JSON, and on Live Link's as the CSV that Unreal imports.
"""

import sys
from pathlib import Path

import facesdk
from facesdk.exporters import write_clip

HELLO = Path(__file__).with_name("hello.wav")
CHARACTERS = (("arkit", "json", ".json"), ("livelink", "livelink-csv", ".csv"))
"""Rig, format and extension."""


def main(audio: Path = HELLO, folder: Path = Path()) -> None:
    """Write `<stem>.json` and `<stem>.csv` into a folder."""
    model = facesdk.load()
    for rig, format_, extension in CHARACTERS:
        clip = facesdk.bake(audio, rig=rig, fps=60, seed=1, model=model)
        target = folder / (audio.stem + extension)
        write_clip(clip, target, format_)
        print(f"{target}: {len(clip)} frames on {len(clip.rig)} controls of {rig}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
