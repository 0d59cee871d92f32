"""Writes a line in every format there is, or in some.

`python examples/export_formats.py [AUDIO] [FOLDER] [FORMAT ...]`. Each format gets the rig that it
is made for, and says what it does not hold.
"""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import facesdk
from facesdk.errors import MissingExtraError
from facesdk.exporters import format_for, formats, write_clip

HELLO = Path(__file__).with_name("hello.wav")


def written(stem: str, name: str, folder: Path) -> Path:
    """`hello.glb`; `hello.a2f-json.json` where another format has the extension first."""
    extension = format_for(name).extension
    first = format_for(Path(f"x{extension}")).name == name
    return folder / (stem + ("" if first else f".{name}") + extension)


def main(audio: Path = HELLO, folder: Path = Path(), *, names: Sequence[str] = ()) -> None:
    """Write all files into a folder and print what became of them."""
    model = facesdk.load()

    @cache
    def baked(rig: str) -> facesdk.Clip:
        return facesdk.bake(audio, rig=rig, fps=60, seed=1, model=model)

    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'format':<18}{'rig':<16}{'bytes':>10}  {'file':<30}not carried")
    for name in names or formats():
        rig = (format_for(name).rigs or ("arkit",))[0]
        path = written(audio.stem, name, folder)
        try:
            lost = write_clip(baked(rig), path, name)
        except MissingExtraError as error:
            print(f"{name:<18}{rig:<16}{'':>10}  {error}")
            continue
        size = path.stat().st_size
        print(f"{name:<18}{rig:<16}{size:>10,}  {path.name:<30}{', '.join(lost) or '-'}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), names=sys.argv[3:])
