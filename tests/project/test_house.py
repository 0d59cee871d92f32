"""The house: who may import whom, what an import costs, what the wheel holds."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

import facesdk

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = {package: ROOT / folder for package, folder in SETUPTOOLS["package-dir"].items()}

LEVELS = (
    {
        "errors",
        "frozen",
        "archives",
        "printing",
        "names",
        "files",
        "resample",
        "rig",
        "clip",
        "documents",
        "arrays",
        "retarget",
        "performance",
        "source",
        "channels",
        "edits",
        "difference",
        "processes",
    },
    {"alignment", "audio", "articulation", "mesh", "metrics"},
    {"motion", "model"},
    {"exporters", "live", "render", "onnx_export"},
    {"batch", "rpc"},
    {"cli", "__main__"},
)
"""Rooms; each may import rooms of its own level and of those above it in this table."""

WORKSHOP = {"train", "datasets"}
"""Rooms that may import everything, and that nothing in the runtime imports."""

WORKSHOP_COMMANDS = {"facesdk.cli.train", "facesdk.cli.datasets", "facesdk.cli.export_onnx"}
"""Subcommands that are the workshop's own door: they count as a part of it."""

BASE = {"numpy", "onnxruntime", "soundfile", "soxr", "rich"}
"""Third-party modules of an installation without extras."""

ROOM_EXTRAS: dict[str, set[str]] = {
    "alignment": {"hibari"},
    "exporters": {"pxr", "ufbx"},
    "mesh": {"DracoPy", "PIL", "ufbx"},
    "onnx_export": {"onnx"},
    "render": {"OpenGL", "imageio_ffmpeg", "pyrender"},
}
"""Further modules that a room of the runtime may import inside its functions."""


# -------------------------------------------------------------------- the tree


@cache
def modules() -> dict[str, Path]:
    """Source file by module name, as installed."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


@cache
def imports() -> dict[str, frozenset[str]]:
    """Modules that each module imports, at its top or inside functions; not for type checkers."""
    return {name: frozenset(_imported(name, path)) for name, path in modules().items()}


def _imported(name: str, path: Path) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _nodes(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: None if node.level < 2 else 1 - node.level]
            base = ".".join((*(above if node.level else ()), *filter(None, [node.module])))
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in modules() else base


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _nodes(node)


def room(module: str) -> str:
    """First name below the package; `facesdk` for the package itself."""
    return module.split(".")[1] if "." in module else module


def level(module: str) -> int | None:
    return next((i for i, rooms in enumerate(LEVELS) if room(module) in rooms), None)


def in_workshop(module: str) -> bool:
    return room(module) in WORKSHOP or module in WORKSHOP_COMMANDS


def ours(names: frozenset[str]) -> set[str]:
    return {n for n in names if n.partition(".")[0] == "facesdk"}


# ------------------------------------------------------------------- the order


def test_every_room_has_its_place():
    rooms = {room(name) for name in modules()} - WORKSHOP - {"facesdk"}
    assert rooms <= set().union(*LEVELS)


def test_imports_point_up():
    wrong = [
        f"{name} imports {target}"
        for name, targets in imports().items()
        if not in_workshop(name) and name != "facesdk"
        for target in ours(targets) - {"facesdk"}
        if level(target) is None or level(target) > level(name)
    ]
    assert not wrong


def test_rooms_do_not_import_each_other_in_circles():
    graph: dict[str, set[str]] = {}
    for name, targets in imports().items():
        needs = {room(t) for t in ours(targets)} - {room(name), "facesdk"}
        graph.setdefault("cli-workshop" if name in WORKSHOP_COMMANDS else room(name), set())
        graph["cli-workshop" if name in WORKSHOP_COMMANDS else room(name)] |= needs
    graph["facesdk"] = set()
    assert list(TopologicalSorter(graph).static_order())


def test_nothing_in_the_runtime_imports_the_workshop():
    wrong = [
        f"{name} imports {target}"
        for name, targets in imports().items()
        if not in_workshop(name)
        for target in ours(targets)
        if in_workshop(target)
    ]
    assert not wrong


def test_only_the_training_room_knows_torch():
    users = {
        name for name, targets in imports().items() if any(_root(t) == "torch" for t in targets)
    }
    assert {room(name) for name in users} <= {"train"}


def test_the_runtime_imports_what_is_installed():
    wrong = []
    for name, targets in imports().items():
        known = BASE | {"facesdk"} | ROOM_EXTRAS.get(room(name), set()) | sys.stdlib_module_names
        if not in_workshop(name):
            wrong += [f"{name} imports {t}" for t in targets if _root(t) not in known]
    assert not wrong


def test_base_dependencies_are_those_of_the_project():
    names = {d.split(">=")[0] for d in PROJECT["project"]["dependencies"]}
    assert names == BASE


def test_modules_find_each_other_by_relative_imports():
    """An absolute `facesdk.` import works too, but a moved or vendored copy would mix classes."""
    wrong = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            absolute = isinstance(node, ast.ImportFrom) and not node.level and node.module
            if absolute and _root(str(node.module)) == "facesdk" and name != "facesdk.__main__":
                wrong.append(f"{name}:{node.lineno}")
    assert not wrong


def _root(module: str) -> str:
    return module.partition(".")[0]


# ------------------------------------------------------- what an import costs


def modules_after(code: str) -> set[str]:
    """Top-level third-party modules in a fresh interpreter that ran some code."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nimport json\n"
    script += "print()\nprint(json.dumps([m for m in sys.modules if m not in before]))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = {_root(m) for m in json.loads(done.stdout.splitlines()[-1])}
    names -= {*sys.stdlib_module_names, "facesdk", "cython_runtime"}  # the last comes with numpy 1
    return {n for n in names if not n.startswith("_")}


def test_importing_facesdk_is_free():
    assert modules_after("import facesdk") == set()


def test_animation_needs_numpy_alone():
    code = "from facesdk import Clip, Rig, concat\nfrom facesdk import exporters, retarget\n"
    assert modules_after(code + "retarget.conversion('arkit', 'metahuman')") == {"numpy"}


def test_the_model_room_waits_for_onnxruntime():
    assert "onnxruntime" not in modules_after("from facesdk import Model, Session, bake, load")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["rigs"]])
def test_the_command_line_loads_nothing_heavy(words):
    code = f"from facesdk.cli import main\ntry: main({words})\nexcept SystemExit: pass"
    assert modules_after(code) <= ({"numpy"} if words == ["rigs"] else set())


def test_every_runtime_module_imports_without_torch():
    names = [n for n in modules() if not in_workshop(n) and n != "facesdk.__main__"]
    code = "import importlib\nfor name in {}: importlib.import_module(name)"
    assert modules_after(code.format(names)).isdisjoint({"torch", "scipy", "hibari"})
    without = [n for n in names if room(n) != "onnx_export"]
    assert "onnx" not in modules_after(code.format(without))


# -------------------------------------------------------------- exported names


def test_exported_names_exist():
    for name in (n for n in modules() if not in_workshop(n)):
        module = importlib.import_module(name)
        exported = getattr(module, "__all__", [])
        assert [n for n in exported if not hasattr(module, n)] == [], name
        assert len(exported) == len(set(exported)), name


def test_lazy_names_are_the_typed_ones():
    tree = ast.parse((FOLDERS["facesdk"] / "__init__.py").read_text("utf-8"))
    (block,) = (
        n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)
    )
    typed = {a.name: f"facesdk.{n.module}" for n in block.body for a in n.names}
    assert {*typed, "__version__"} == set(facesdk.__all__) <= set(dir(facesdk))
    for name, home in typed.items():
        assert getattr(facesdk, name) is getattr(importlib.import_module(home), name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'dance'"):
        _ = facesdk.dance
    with pytest.raises(ImportError):
        exec("from facesdk import dance")


# ------------------------------------------------------------------- the wheel


def packages_in_tree() -> dict[str, Path]:
    """Folders with Python files by package name."""
    found = {}
    for name, path in modules().items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found[package] = path.parent
    return found


def data_in_tree() -> set[str]:
    """Paths in the wheel of every file below a package folder that is no Python."""
    found = set()
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*"):
            hidden = any(part.startswith((".", "__pycache__")) for part in path.parts)
            if path.is_file() and path.suffix not in (".py", ".pyc") and not hidden:
                inside = PurePosixPath(*package.split("."), *path.relative_to(folder).parts)
                found.add(str(inside))
    return found


def test_packages_are_those_of_the_tree():
    tree = packages_in_tree()
    assert sorted(SETUPTOOLS["packages"]) == sorted(tree)
    assert [str(p) for p in tree.values() if not (p / "__init__.py").exists()] == []


def test_top_level_rooms_are_mapped():
    mapped = {p.name for p in FOLDERS.values()}
    rooms = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert rooms == mapped - {"proto"}


def test_wheel_holds_every_module_and_data_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {n for n in archive.namelist() if ".dist-info/" not in n}
    python = {_path_in_wheel(name, path) for name, path in modules().items()}
    assert held == python | data_in_tree()


def _path_in_wheel(module: str, path: Path) -> str:
    inside = module.replace(".", "/")
    return f"{inside}/__init__.py" if path.name == "__init__.py" else f"{inside}.py"


def test_wheel_brings_licence_and_notice(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {n.rpartition("/")[2] for n in archive.namelist() if ".dist-info/licenses/" in n}
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert names == {"LICENSE", "NOTICE"}
    assert "License-Expression: Apache-2.0" in text
    assert f"Version: {facesdk.__version__}" in text


# ------------------------------------------------------------- the whole house


def test_constraints_pin_every_direct_dependency():
    wanted = set(PROJECT["project"]["dependencies"])
    wanted |= {d for extra in PROJECT["project"]["optional-dependencies"].values() for d in extra}
    names = {d.split(">=")[0] for d in wanted if not d.startswith("facesdk-anim")}
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = [line.split("==")[0] for line in lines if line and not line.startswith("#")]
    assert sorted(names) == sorted(pinned)


def test_changelog_knows_this_version():
    assert f"## {facesdk.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_text_files_and_pipes_name_their_encoding():
    """Without one they are cp1252 on Windows."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (*modules().values(), *ROOT.glob("tools/*.py"), *ROOT.glob("examples/*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and _guesses_encoding(node)
    ]
    assert not wrong


def _guesses_encoding(call: ast.Call) -> bool:
    keywords = {k.arg: k.value for k in call.keywords}
    match call.func:
        case _ if "encoding" in keywords:
            return False
        case ast.Attribute(attr="run" | "Popen" | "check_output"):
            return "text" in keywords
        case ast.Attribute(attr="read_text"):
            return not call.args
        case ast.Attribute(attr="write_text"):
            return len(call.args) < 2
        case ast.Name(id="open") | ast.Attribute(attr="open"):
            given = [*call.args, *keywords.values()]
            modes = [a.value for a in given if isinstance(a, ast.Constant)]
            texts = [m for m in modes if isinstance(m, str) and set(m) <= set("rwxa+t")]
            return bool(texts) or not given
    return False
