"""Build the wheel from a clean copy of the sources: `python tools/build_wheel.py FOLDER`.

A build in place would include deleted files that are still in build/. Needs setuptools in the
environment (part of the test extra) and no network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")


def build(folder: Path) -> Path:
    """Build the wheel in `folder` and return its path."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "sources"
        for name in sources():
            _copy(ROOT / name, copy / name)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", str(folder), str(copy)]
        subprocess.run(command, check=True)
    (wheel,) = folder.glob("facesdk_anim-*.whl")
    return wheel


def sources() -> list[str]:
    """Return the files and folders that are part of a wheel."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = document["project"]
    folders = document["tool"]["setuptools"]["package-dir"].values()
    return ["pyproject.toml", project["readme"], *project["license-files"], *folders]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=IGNORED)
    else:
        shutil.copy(source, target)


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
