"""Draw the images and videos of this folder; needs the train and render extras.

The words were written for facesdk (CC0), the voice is hibari-tts as it comes (Apache-2.0).
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

import facesdk
from facesdk.articulation import TimedPhone, articulate
from facesdk.audio import SAMPLE_RATE
from facesdk.cli import main as facesdk_command
from facesdk.mesh import load_head
from facesdk.model import perform
from facesdk.render import Look, Shot, Tile, color, shape_tiles, sheet, write_png, write_video

FOLDER = Path(__file__).parent
TEXT = (
    "Good evening, traveller. You look like someone who has walked a very long way. "
    "Put your feet up, have some of my famous mushroom soup, and tell me all about it."
)
SEED, PEAK = 5, 0.7

PHONES = {
    "silence": "SIL", "P B M": "M", "F V": "F", "TH": "TH", "T D N": "N", "L": "L", "R": "R",
    "S Z": "S", "SH CH J": "SH", "K G": "K", "W": "W", "Y": "Y", "AA father": "AA",
    "AE cat": "AE", "EH bed": "EH", "IY see": "IY", "AO law": "AO", "UW too": "UW",
}  # fmt: skip
"""Visemes by what they are called here, and an ARPAbet phone of each."""


def shot(side: int) -> Shot:
    """A small picture for a sheet; one plain colour behind keeps the file small."""
    return Shot(Look(size=(side, side), background=color("#23262c")), ("face",), backend="software")


def draw_shapes() -> None:
    """The 52 ARKit shapes of the built-in head."""
    head = load_head(detail="high")
    page = sheet(head, shape_tiles(head, facesdk.Rig.load("arkit").names), shot(160), columns=9)
    save(page, "arkit_shapes.png")


def draw_visemes() -> None:
    """What the rules of articulation and ARKit's table make of a held phone."""
    head = load_head(detail="high")
    tiles = []
    for name, label in PHONES.items():
        phones = [TimedPhone(s, t, t + 0.4) for s, t in (("SIL", 0), (label, 0.4), ("SIL", 0.8))]
        units = articulate(phones, seconds=1.2, alphabet="arpabet")
        clip = perform(units, rig="arkit", fps=50, blinks=False)
        tiles.append(Tile(name, head.weights(clip)[30]))
    save(sheet(head, tiles, shot(200), columns=6), "visemes.png")


def film() -> None:
    """The default model, heard and seen."""
    samples = speak()
    with TemporaryDirectory() as folder:
        line = Path(folder) / "line.wav"
        soundfile.write(line, samples, SAMPLE_RATE)
        clip = facesdk.bake(line, fps=30)
        with (FOLDER / "speaking.mp4").open("wb") as file:
            write_video(clip, file, load_head(detail="high"), Shot(backend="software"), audio=line)
    print(f"speaking.mp4: {len(clip) / 30:.1f} s")


def speak() -> np.ndarray:
    """The line in a plain voice."""
    from facesdk.datasets.speech.hibari import Hibari, Speaker

    rng = np.random.default_rng(SEED)
    voice = Speaker(rng)
    voice.tract = voice.pitch = voice.pitch_range = voice.speed = 1.0
    engine = Hibari()
    samples, _ = engine.speak(engine.tokens(TEXT), voice, rng)
    return np.asarray(samples * (PEAK / np.abs(samples).max()), np.float32)


def save(picture: np.ndarray, name: str) -> None:
    """Write a picture beside this program."""
    with (FOLDER / name).open("wb") as file:
        write_png(picture, file, level=9)
    print(f"{name}: {picture.shape[1]} x {picture.shape[0]}")


def animation() -> None:
    """Draw the example line with two of its curves, as the animated image of the README."""
    from PIL import Image  # comes with the render extra

    line = FOLDER.parent.parent / "examples" / "hello.wav"
    with TemporaryDirectory() as temporary:
        clip, images = Path(temporary, "hello.json"), Path(temporary, "images")
        facesdk_command(["bake", str(line), "-o", str(clip), "--fps", "20"])
        look = ["--view", "front+three-quarter", "--size", "576x288", "--background", "#23262c"]
        look += ["--curves", "jawOpen,mouthClose", "--backend", "software"]
        facesdk_command(["render", str(clip), "-o", f"{images}/", *look])
        frames = [Image.open(path).convert("RGB") for path in sorted(images.glob("*.png"))]
        frames[0].save(
            FOLDER / "hello.webp", save_all=True, append_images=frames[1:], duration=50, loop=0,
            quality=50, method=6,
        )  # fmt: skip
    print(f"hello.webp: {len(frames)} frames of {frames[0].width} x {frames[0].height}")


if __name__ == "__main__":
    draw_shapes()
    draw_visemes()
    film()
    animation()
