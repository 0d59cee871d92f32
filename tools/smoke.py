"""Test an installed facesdk with only its base dependencies: `python smoke.py hello.wav`.

Run it in a folder without facesdk's sources, so that the installed package is imported.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import wave
from importlib.util import find_spec
from pathlib import Path

FPS = 60
OPTIONAL = ("hibari", "onnx", "scipy", "torch")


def main(audio: Path) -> None:
    """Import facesdk, print its help, bake the line and check the result."""
    import facesdk

    home = Path(facesdk.__file__).parent
    expect("site-packages" in home.parts, f"facesdk is the installed one, not {home}")
    found = [name for name in OPTIONAL if find_spec(name)]
    expect(not found, f"nothing optional is installed, found {found}")

    expect("bake" in facesdk_command("--help"), "--help names the commands")
    facesdk_command("bake", str(audio), "-o", "hello.json", "--fps", str(FPS))
    facts = json.loads(facesdk_command("info", "hello.json", "--json"))
    with wave.open(str(audio)) as file:
        seconds = file.getnframes() / file.getframerate()
    expect(abs(facts["frames"] - seconds * FPS) <= 1, f"{facts['frames']} frames for {seconds} s")
    jaw = facts["controls"]["jawOpen"]
    expect(jaw["max"] - jaw["min"] > 0.1, f"the jaw moves, got {jaw}")
    print(f"facesdk {facesdk.__version__} baked {audio.name}: "
          f"{facts['frames']} frames")  # fmt: skip


def facesdk_command(*words: str) -> str:
    """Return the output of the installed command."""
    program = shutil.which("facesdk", path=str(Path(sys.executable).parent))
    expect(program is not None, "the command is next to its Python")
    done = subprocess.run(
        [str(program), *words], stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    expect(done.returncode == 0, f"facesdk {' '.join(words)} ends with 0, got {done.returncode}")
    return done.stdout


def expect(fact: bool, words: str) -> None:
    """Exit with a message unless `fact` holds."""
    if not fact:
        sys.exit(f"smoke test: expected that {words}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
