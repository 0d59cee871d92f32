"""A short, seeded run of the fuzzer over all readers; `tools/fuzz.py` runs for as long as asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "fuzz.py"


def test_damaged_files_give_a_result_or_an_error_of_ours():
    command = [sys.executable, str(TOOL), "--mutants", "60", "--seed", "11"]
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    assert run.returncode == 0, run.stdout
    *readers, last = run.stdout.splitlines()
    names = {line[:24].strip() for line in readers}
    assert {"clip json", "clip glb", "head gltf", "flame model", "rig", "audio", "phones"} <= names
    assert len(names) >= 35
    assert "0 findings" in last
