"""Edit a line and compare the result: `python examples/edit_line.py [FILE] [FOLDER]`.

FILE is any animation file, or a recording that is baked first. The jaw opens less in the middle
third, with soft borders, and the mouth is smoothed. The program prints what changed and writes the
edited clip next to the original.
"""

import argparse
import sys
from pathlib import Path

import facesdk

HELLO = Path(__file__).with_name("hello.wav")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


def main(file: Path = HELLO, folder: Path = Path()) -> None:
    """Write `<stem>-edited.json`, and `<stem>.json` for a recording."""
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist; expected an animation file or a recording")
    folder.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() in SOUNDS:
        clip = facesdk.bake(file, rig="arkit", fps=60, seed=1)
        facesdk.write_clip(clip, folder / f"{file.stem}.json")
    else:
        clip = facesdk.read_clip(file)

    third = float(clip.duration) / 3
    calmer = facesdk.Edit(controls=("region:jaw",), scale=0.7, begin=third, end=2 * third, ease=0.2)
    softer = facesdk.Edit(controls=("region:mouth",), smooth=0.03, clamp=True)
    edited = softer(calmer(clip))

    target = folder / f"{file.stem}-edited.json"
    facesdk.write_clip(edited, target)
    difference = facesdk.compare(clip, edited)
    for channel in difference.changed[:5]:
        print(f"{channel.name:<24} {channel.first:.3f} -> {channel.second:.3f} "
              f"at {channel.seconds:.2f} s, RMS {channel.rms:.4f}")  # fmt: skip
    print(f"{target}: {len(difference.changed)} of {len(difference.channels)} channels changed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=HELLO)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
