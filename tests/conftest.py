"""What several test files share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# a runner started in the background ignores Ctrl-C, and so would the commands that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)

# speed is measured in benchmarks/; on a busy machine an example may take long
settings.register_profile("facesdk", deadline=None)
settings.load_profile("facesdk")

# maps that were made on the developer's machine must not change what the tests see
os.environ["FACESDK_CACHE"] = tempfile.mkdtemp(prefix="facesdk-tests-")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this tree, built once."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, str(ROOT / "tools" / "build_wheel.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])
