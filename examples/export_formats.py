"""Write a line in all formats, or in some: `python examples/export_formats.py [AUDIO] [FOLDER]
[FORMAT ...]`.

Each format is written for its own rig; formats that need a character of yours are left out. The
last column lists what the format cannot store.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import facesdk
from facesdk.errors import MissingExtraError
from facesdk.exporters import format_for, formats, write_clip

HELLO = Path(__file__).with_name("hello.wav")


def output_path(stem: str, name: str, folder: Path) -> Path:
    """Return `hello.glb`, or `hello.a2f-json.json` if `.json` stands for another format."""
    extension = format_for(name).extension
    is_default = format_for(Path(f"x{extension}")).name == name
    return folder / (stem + ("" if is_default else f".{name}") + extension)


def main(audio: Path = HELLO, folder: Path = Path(), *, names: Sequence[str] = ()) -> None:
    """Write all files into a folder and print a table."""
    model = facesdk.load()

    @cache
    def baked(rig: str) -> facesdk.Clip:
        return facesdk.bake(audio, rig=rig, fps=60, seed=1, model=model)

    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'format':<18}{'rig':<16}{'bytes':>10}  {'file':<30}dropped")
    for name in names or [n for n in formats() if not format_for(n).requires]:
        rig = (format_for(name).rigs or ("arkit",))[0]
        path = output_path(audio.stem, name, folder)
        try:
            dropped = write_clip(baked(rig), path, name)
        except MissingExtraError as error:
            print(f"{name:<18}{rig:<16}{'':>10}  {error}")
            continue
        size = path.stat().st_size
        print(f"{name:<18}{rig:<16}{size:>10,}  {path.name:<30}{', '.join(dropped) or '-'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a line in all formats, or in some.")
    parser.add_argument("audio", nargs="?", type=Path, default=HELLO)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("names", nargs="*", metavar="FORMAT", help=", ".join(formats()))
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
