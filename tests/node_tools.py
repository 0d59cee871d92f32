"""The readers under node: one process that answers for all tests. See `tests/node`."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "node"


def ask(task: str, path: Path, **request: Any) -> Any:
    """The answer to a task of `node/read.mjs` about a file."""
    process = _process()
    process.stdin.write(json.dumps({"do": task, "path": str(path), **request}) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, "node ended; it needs version 18 or newer"
    answer = json.loads(line)
    assert "error" not in answer, answer["error"]
    return answer["result"]


@cache
def installed() -> str | None:
    """Install what the lock file lists; the reason why that is not possible, if there is one."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        return "node and npm are not installed"
    _install(npm)
    return None


@cache
def _process() -> subprocess.Popen:
    if reason := installed():
        assert "CI" not in os.environ, "node and npm are missing, which .ci/run installs"
        pytest.skip(reason)
    process = subprocess.Popen(
        [shutil.which("node"), "read.mjs"],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    atexit.register(_end, process)
    return process


def _install(npm: str) -> None:
    """The packages of the lock file, once for every lock file."""
    done = FOLDER / "node_modules" / ".lock"
    lock = (FOLDER / "package-lock.json").read_bytes()
    if done.exists() and done.read_bytes() == lock:
        return
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=FOLDER, check=True, env=os.environ | {"NO_COLOR": "1"})
    done.write_bytes(lock)


def _end(process: subprocess.Popen) -> None:
    process.stdin.close()
    process.wait(5)
    process.stdout.close()
