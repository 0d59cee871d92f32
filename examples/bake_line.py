"""Bake a line for two characters: `python examples/bake_line.py [AUDIO] [FOLDER]`.

Writes the same performance for ARKit blend shapes (JSON) and for Live Link (CSV for Unreal).
"""

import argparse
import sys
from pathlib import Path

import facesdk

HELLO = Path(__file__).with_name("hello.wav")
CHARACTERS = (("arkit", "json", ".json"), ("livelink", "livelink-csv", ".csv"))
"""Rig, format and extension."""


def main(audio: Path = HELLO, folder: Path = Path()) -> None:
    """Write `<stem>.json` and `<stem>.csv` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = facesdk.bake_rigs(audio, [rig for rig, _, _ in CHARACTERS], fps=60, seed=1)
    for rig, format_, extension in CHARACTERS:
        clip = clips[rig]
        target = folder / (audio.stem + extension)
        facesdk.write_clip(clip, target, format_)
        print(f"{target}: {len(clip)} frames on {len(clip.rig)} controls of {rig}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("audio", nargs="?", type=Path, default=HELLO)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
