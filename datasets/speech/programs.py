"""Speech programs of the system: their paths and versions."""

from __future__ import annotations

import re
import shutil
import subprocess

from ...errors import MissingExtraError


def find(name: str) -> str:
    """Return the path of a program; `MissingExtraError` names the command that installs it."""
    program = shutil.which(name)
    if program is None:
        raise MissingExtraError(
            f"building speech with {name} needs that program: apt-get install {name}"
        )
    return program


def version(name: str) -> str:
    """Return the version that a program prints."""
    done = subprocess.run(
        [find(name), "--version"], capture_output=True, encoding="utf-8", check=False
    )
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found.group() if found else "unknown"
