"""`facesdk doctor`: a report that never fails for a part that is missing."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from facesdk.cli import doctor, main
from facesdk.errors import ModelError, missing_extra

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """OpenGL is not opened in the tests."""
    monkeypatch.setattr(doctor, "_renderer", lambda name: f"test driver of {name}")


def test_the_report_has_every_part(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["self_test"]["frames"] == 60
    assert report["self_test"]["real_time_factor"] > 0
    assert report["model"]["look_aheads_ms"]
    assert report["cache"]["free_bytes"] > 0
    assert report["packages"]["numpy"]
    assert "CPUExecutionProvider" in report["onnxruntime_providers"]["available"]
    assert set(report["extras"]) == set(PROJECT["optional-dependencies"]) - {"all", "docs", "test"}


def test_the_text_has_a_line_per_part(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in ("facesdk", "Python", "onnxruntime", "OpenGL", "ffmpeg", "cache", "self test"):
        assert f"\n{word}" in "\n" + text


@pytest.mark.parametrize("name", doctor._EXTRAS)
def test_extras_are_those_of_the_project(name):
    wanted = PROJECT["optional-dependencies"][name]
    assert [w.split(">=")[0] for w in wanted] == list(doctor._EXTRAS[name][1])


def test_a_missing_extra_comes_with_its_command(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert 'missing: pip install "facesdk-anim[render]", or pip install ".[render]"' in out


def test_a_missing_ffmpeg_is_no_failure(monkeypatch, capsys):
    def missing():
        raise missing_extra("writing MP4", "render")

    monkeypatch.setattr("facesdk.render.encode.ffmpeg", missing)
    assert main(["doctor"]) == 0
    assert "ffmpeg        none, writing MP4 needs the 'render' extra" in capsys.readouterr().out


def test_a_broken_model_is_exit_code_1(monkeypatch, capsys):
    def broken():
        raise ModelError("model.onnx is damaged")

    monkeypatch.setattr("facesdk.model.load", broken)
    assert main(["doctor"]) == 1
    assert "self test     FAILED, ModelError: model.onnx is damaged" in capsys.readouterr().out
