"""An option of a performance is written down once: in `facesdk/performance.py`."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import facesdk
from facesdk.cli import UsageError
from facesdk.cli.options import add_performance_options, performance_options
from facesdk.performance import Performance, PerformanceFields

PACKAGE = Path(facesdk.__file__).parent
ROOMS = ("model", "batch", "cli", "rpc")
"""Packages that pass a performance on. `seed` means other things in training."""

NAMES = {option.name for option in fields(Performance)}
OPTIONS = {f"--{prefix}{name.replace('_', '-')}" for name in NAMES for prefix in ("", "no-")}


def spelled_out(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every parameter, class field and option string that is a field's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg in NAMES:
            yield node.lineno, node.arg
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                target = field.target if isinstance(field, ast.AnnAssign) else None
                if isinstance(target, ast.Name) and target.id in NAMES:
                    yield field.lineno, target.id
        if isinstance(node, ast.Constant) and node.value in OPTIONS:
            yield node.lineno, str(node.value)


def allowed(path: Path, name: str) -> bool:
    """`line_seed` derives a number from a number; it is no option."""
    return (path.parent.name, path.name, name) == ("batch", "settings.py", "seed")


def test_an_option_is_spelled_out_in_one_module():
    found = [
        f"{path.relative_to(PACKAGE)}:{line} {name}"
        for room in ROOMS
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for line, name in spelled_out(ast.parse(path.read_text("utf-8")))
        if not allowed(path, name)
    ]
    assert not found


def test_the_test_finds_what_it_looks_for():
    code = "def f(*, blinks=True): ...\nclass C:\n    tail: float = 0\nadd('--no-settle')\n"
    found = {name for _, name in spelled_out(ast.parse(code))}
    assert found == {"blinks", "tail", "--no-settle"}


def test_keywords_are_the_fields():
    assert set(PerformanceFields.__annotations__) == NAMES


def parse(*words: str) -> Performance:
    parser = argparse.ArgumentParser()
    add_performance_options(parser)
    return performance_options(parser.parse_args(words))


def test_the_command_line_has_an_option_per_field():
    assert parse() == Performance()
    words = ("--seed", "3", "--no-blinks", "--no-settle", "--tail", "1.5")
    assert parse(*words) == Performance(seed=3, blinks=False, settle=False, tail=1.5)


@pytest.mark.parametrize("words", [("--seed", "-1"), ("--tail", "-0.1"), ("--tail", "nan")])
def test_values_that_make_no_sense_are_wrong_usage(words):
    with pytest.raises(UsageError, match="must"):
        parse(*words)
