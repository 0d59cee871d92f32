"""The front of the project: addresses, lowest versions, the workflow, the documentation site."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOW = (ROOT / ".github" / "workflows" / "check.yml").read_text("utf-8")
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "mkdocs.yml", ".github/**/*.*", "pyproject.toml")
    for path in ROOT.glob(pattern)
)


def lowest(extras: tuple[str, ...]) -> dict[str, str]:
    """Lower bound by distribution."""
    wanted = list(PROJECT["dependencies"])
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    bounds = (re.match(r"([a-z0-9-]+)>=([0-9.rc]+)", requirement, re.I) for requirement in wanted)
    return {match[1]: match[2] for match in bounds if match}


def test_lowest_versions_are_those_the_project_allows():
    lines = (ROOT / "constraints-lowest.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    bounds = lowest(("fbx-read", "onnx", "usd", "test"))
    assert {name: _padded(pin) for name, pin in pins.items()} == {
        name: _padded(bound) for name, bound in bounds.items()
    }


def _padded(version: str) -> list[int]:
    """`1.26` and `1.26.0` are the same version."""
    return [*map(int, re.findall(r"\d+", version)), 0, 0, 0][:4]


def test_addresses_are_those_of_one_repository():
    repositories = {
        match
        for path in TEXTS
        for match in re.findall(r"github\.com/(facesdk[\w-]*/[\w-]+)", path.read_text("utf-8"))
    }
    assert repositories == {"facesdk/facesdk"}
    assert set(PROJECT["urls"]) >= {"Homepage", "Documentation", "Issues", "Changelog"}


def test_the_workflow_covers_the_classifiers():
    tested = set(re.search(r"python: \[(.*)\]", WORKFLOW)[1].replace('"', "").split(", "))
    named = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert {min(named), max(named)} <= tested
    assert "ubuntu-latest, macos-latest, windows-latest" in WORKFLOW


@pytest.fixture(scope="module")
def hooks() -> dict:
    return runpy.run_path(str(ROOT / "tools" / "docs_hooks.py"))


@pytest.mark.parametrize(
    ("target", "place", "link"),
    [
        ("MODEL_CARD.md", "model.md", "model_card.md"),
        ("docs/bake.md", "model_card.md", "bake.md"),
        ("docs/bake.md", "api/facesdk.md", "../bake.md"),
        ("NOTICE", "heads.md", "https://example.org/blob/main/NOTICE"),
        ("examples", "heads.md", "https://example.org/tree/main/examples"),
    ],
)
def test_links_of_the_site(target, place, link, hooks):
    assert hooks["site_link"](target, place, "https://example.org/") == link


def test_the_reference_has_every_public_name(hooks):
    import facesdk
    import facesdk.exporters

    hooks["copy_sources"]()
    assert hooks["packages"]()[0] == "facesdk"
    for package in (facesdk, facesdk.exporters):
        page = hooks["reference"](package.__name__)
        names = [name for name in package.__all__ if not name.startswith("__")]
        assert all(f"::: {package.__name__}.{name}\n" in page for name in names)
