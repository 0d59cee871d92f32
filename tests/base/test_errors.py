"""Errors: their tree, their fields, and their way through pickles."""

from __future__ import annotations

import ast
import errno
import pickle
import re
from importlib import import_module
from pathlib import Path

import pytest

from facesdk import errors
from facesdk.batch import PlanError
from facesdk.cli import UsageError
from facesdk.errors import (
    FileFormatError,
    UnknownNameError,
    missing_extra,
    reading,
    unknown_name,
)
from facesdk.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
TREE = dict(re.findall(r"[├└]── (\w+)\s+(\w*Error)?", errors.__doc__ or ""))
"""Errors and the builtins that they derive from."""

ERRORS = [PlanError, UsageError, *(getattr(errors, n) for n in TREE if hasattr(errors, n))]


def test_the_tree_in_the_docstring_is_complete():
    found = {
        node.name
        for room in ("facesdk", "exporters", "datasets")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "FaceSDKError" for base in node.bases)
    }
    assert found == set(TREE) == {error.__name__ for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_the_builtin_of_the_tree(error):
    if builtin := TREE[error.__name__]:
        assert issubclass(error, getattr(import_module("builtins"), builtin))


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_can_be_pickled(error):
    copy = pickle.loads(pickle.dumps(error("what came in")))
    assert (type(copy), str(copy)) == (error, "what came in")


def test_an_unknown_name_has_its_suggestions():
    error = unknown_name("no rig", "arkitt", ["arkit", "vrm"])
    assert (error.name, error.suggestions) == ("arkitt", ("arkit",))
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.name, copy.suggestions, str(copy)) == ("arkitt", ("arkit",), str(error))


def test_a_control_is_suggested_without_its_prefix():
    with pytest.raises(UnknownNameError) as caught:
        Rig.load("metahuman").index("jawOpn")
    assert caught.value.name == "jawOpn"
    assert caught.value.suggestions[0] == "CTRL_expressions_jawOpen"


def test_a_missing_extra_is_installed_from_the_index_or_from_a_checkout():
    text = str(missing_extra("rendering", "render"))
    assert 'pip install "facesdk-anim[render]"' in text
    assert 'pip install ".[render]"' in text


# ----------------------------------------------------------------------- the net of readers


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ZeroDivisionError("division by zero"), "unexpected ZeroDivisionError: division by zero"),
        (MemoryError(), "needs more memory than there is"),
        (RecursionError("deep"), "nested too deeply"),
        (StopIteration(), "unexpected StopIteration"),
        (OSError("no number"), "unexpected OSError: no number"),
        (OSError(errno.EINVAL, "Invalid argument"), "unexpected OSError"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "File name too long"),
    ],
)
def test_an_unexpected_error_of_a_reader_names_the_file(cause, words):
    with pytest.raises(FileFormatError, match=words) as caught, reading("a.b", FileFormatError):
        raise cause
    assert str(caught.value).startswith("a.b cannot be read: ")
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize(
    "passing",
    [KeyboardInterrupt(), FileNotFoundError(errno.ENOENT, "missing"), UnknownNameError("no")],
)
def test_errors_that_say_what_is_wrong_pass_the_net(passing):
    with pytest.raises(type(passing)) as caught, reading("a.b", FileFormatError):
        raise passing
    assert caught.value is passing


def test_names_of_any_length_are_unknown_in_little_time():
    long = "a" * 1_000_000
    assert len(str(unknown_name("no control", long, ["a", "b"]))) < 400
    assert unknown_name("no control", "a", [str(i) for i in range(100_000)]).suggestions == ()
    with pytest.raises(UnknownNameError):
        Rig.load("é" * 3000)
