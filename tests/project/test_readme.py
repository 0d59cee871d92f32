"""What the README and the pages behind it say works as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facesdk.cli import COMMANDS, main
from facesdk.exporters import read_clip

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FIRST_SCREEN = 45
"""Lines."""

SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
SHELL = re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder that has the examples, as a checkout has."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(*words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_first_screen_has_the_two_commands():
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN])
    assert all(command in screen for command in SHELL[:2])
    assert "facesdk bake examples/hello.wav" in SHELL[0]
    assert SHELL[1].split() == ["python3", "tools/check.py"]
    assert (ROOT / ".ci" / "run").read_text("utf-8").rstrip().endswith(SHELL[1].strip())


def test_the_bake_command_bakes(folder, capsys):
    (words,) = re.findall(r"\.venv/bin/facesdk (bake .*)$", SHELL[0], re.M)
    assert main(words.split()) == 0
    assert read_clip("hello.json").curve("jawOpen").max() > 0.1


def test_the_test_command_is_one(folder):
    assert "lint" in python(ROOT / "tools" / "check.py", "--help")


@pytest.mark.parametrize("number", range(2))
def test_a_snippet_is_six_lines_and_runs(number, folder):
    lines = [line for line in SNIPPETS[number].splitlines() if line.strip()]
    assert len(lines) <= 6
    (folder / "snippet.py").write_text(SNIPPETS[number], "utf-8")
    assert python("snippet.py").strip()


def test_example_programs_run(folder):
    assert "335 frames" in python("examples/bake_line.py", "examples/hello.wav", folder)
    assert read_clip(folder / "hello.csv").rig.name == "livelink"
    assert read_clip(folder / "hello.json").rig.name == "arkit"


def test_watch_example_runs(folder):
    python("examples/watch_line.py", "examples/hello.wav", folder)
    assert (folder / "hello.png").read_bytes().startswith(b"\x89PNG")


def test_export_example_runs(folder):
    told = python("examples/export_formats.py", "examples/hello.wav", folder, "vrma", "json", "vmc")
    assert {"hello.vrma", "hello.json", "hello.osc"} <= {path.name for path in folder.iterdir()}
    assert "hello.vrma" in told


def test_engine_example_runs(folder):
    assert python("examples/export_engine.py", folder).count("#") > 300
    assert (folder / "face.json").exists()


def test_stream_example_runs(folder):
    code = (
        "import sys; sys.path.insert(0, 'examples'); import stream_line; stream_line.main(pace=0)"
    )
    assert python("-c", code).count("#") > 100


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    broken = [
        link
        for link in links
        if "://" not in link and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_exist(page):
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    named = {m[1] for line in lines if (m := re.match(r"(?:\S*/)?facesdk ([a-z][a-z-]*)", line))}
    assert named <= set(COMMANDS)


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    names = {p.name for p in ROOT.glob("docs/*.md")} - {"README.md"}
    assert sorted(n for n in names if f"]({n})" not in index) == []
