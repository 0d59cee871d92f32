"""Animate a character with its own controls: `python examples/own_rig.py [AUDIO] [FOLDER]`.

A robot has a jaw in degrees, a lip motor, one light that follows the voice, and two shutters for
eyes. `robot.json` lists these controls, `robot-table.json` defines how speech moves them. Both are
plain JSON; copy and edit them for your own character, then use the table's path as the rig:

    facesdk bake line.wav --rig robot-table.json -o line.csv
"""

import argparse
import json
import sys
from pathlib import Path

import facesdk

HELLO = Path(__file__).with_name("hello.wav")

RIG = {
    "format": "facesdk.rig",
    "version": 1,
    "name": "robot",
    "rig_version": "1",
    "description": "Jaw in degrees, lip motor, light, shutters.",
    "controls": [
        {"name": "JawAngle", "range": [0, 30], "region": "jaw"},
        {"name": "LipWidth", "range": [-1, 1], "region": "mouth"},
        {"name": "Light", "region": "other"},
        {"name": "ShutterL", "side": "left", "region": "eye", "mirror": "ShutterR"},
        {"name": "ShutterR", "side": "right", "region": "eye", "mirror": "ShutterL"},
    ],
}
TABLE = {
    "format": "facesdk.table",
    "version": 1,
    "rig": "robot.json",
    "controls": {
        # closed lips (closure, for p b m) shut the jaw: ~closure is 1 - closure
        "JawAngle": {"aperture*~closure": 24, "jaw*~closure": 8},
        "LipWidth": {"spread": 1, "rounding": -1},
        "Light": {"loudness": 1},
        "ShutterL": {"blink_left": 1},
        "ShutterR": {"blink_right": 1},
    },
}


def main(audio: Path = HELLO, folder: Path = Path()) -> None:
    """Write rig, table and a baked `<stem>.csv` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in (("robot.json", RIG), ("robot-table.json", TABLE)):
        (folder / name).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    clip = facesdk.bake(audio, rig=folder / "robot-table.json", fps=50, seed=1)
    target = folder / f"{audio.stem}.csv"
    facesdk.write_clip(clip, target, "csv")
    print(f"{target}: {len(clip)} frames")
    for control in clip.rig.names:
        curve = clip.curve(control)
        print(f"  {control:9} {curve.min():6.2f} to {curve.max():6.2f}")


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
