"""Speech programs of the system: where they are, and which version."""

from __future__ import annotations

import re
import shutil
import subprocess

from ...errors import MissingExtraError


def find(name: str) -> str:
    """Path of a program; raises `MissingExtraError` with the command that installs it."""
    program = shutil.which(name)
    if program is None:
        raise MissingExtraError(f"speech by {name} needs its program: apt-get install {name}")
    return program


def version(name: str) -> str:
    """Version that a program states of itself."""
    done = subprocess.run(
        [find(name), "--version"], capture_output=True, encoding="utf-8", check=False
    )
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found.group() if found else "unknown"
