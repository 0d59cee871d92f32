"""Draws glb_in_three.png, fbx_in_three.png and own_character.png in three.js, opened in Chromium.

python docs/media/make_three.py [CHROMIUM]     after npm ci --prefix tests/node
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np

import facesdk
from facesdk.exporters import write_clip

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import own_character
from view_clip import HELLO, serve

FOLDER = Path(__file__).resolve().parent
SIZE = "960,420"
OPTIONS = ("--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--hide-scrollbars",
           "--enable-unsafe-swiftshader", "--virtual-time-budget=1500")  # fmt: skip


def moments(clip: facesdk.Clip) -> dict[str, float]:
    """Seconds of the widest vowel and the tightest seal with open eyes, and of a blink."""
    jaw, close, blink = map(clip.curve, ("jawOpen", "mouthClose", "eyeBlinkLeft"))
    sealed = np.where(jaw > 0.1, close / np.maximum(jaw, 0.1), 0)
    shown = {"vowel": jaw - close - blink, "m": sealed - blink, "blink": blink}
    return {name: float(curve.argmax() / clip.fps) for name, curve in shown.items()}


def main(chromium: str = "chromium") -> None:
    """Bake, write, take the pictures."""
    clip = facesdk.bake(HELLO, fps=60, seed=1)
    times = moments(clip)
    with TemporaryDirectory() as folder:
        for ending in ("glb", "fbx"):
            line = Path(folder) / f"hello.{ending}"
            write_clip(clip, line)
            draw(line, list(times.values()), FOLDER / f"{ending}_in_three.png", chromium)
        own_character.main(HELLO, Path(folder))
        line = Path(folder) / "hello.glb"
        draw(line, list(times.values()), FOLDER / "own_character.png", chromium, clip=1)
    print(times)


def draw(line: Path, times: list[float], picture: Path, chromium: str, *, clip: int = 0) -> None:
    """Serve a file and take a picture of one of its clips at some seconds."""
    with serve({line.name: line}) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        seconds = ",".join(f"{time:.4f}" for time in times)
        page = f"http://127.0.0.1:{server.server_address[1]}/?file={line.name}&clip={clip}&time={seconds}"
        command = [chromium, *OPTIONS, f"--window-size={SIZE}", f"--screenshot={picture}", page]
        subprocess.run(command, check=True, capture_output=True)
        server.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
