"""The README and the pages behind it work as written: snippets, commands, links."""

from __future__ import annotations

import io
import os
import pickle
import re
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from pkgutil import resolve_name

import pytest
import soundfile

import facesdk
from facesdk.cli import COMMANDS, main
from facesdk.exporters import read_clip, write_clip
from facesdk.mesh import load_head

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md"])
FIRST_SCREEN = 45
"""Lines."""

SHELL = re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)
SNIPPET = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]*) -->\n+)?```(?P<kind>python|pycon)\n(?P<code>.*?)^```$",
    re.M | re.S,
)
NOT_RUN = {"flame.md": 1, "guide_live.md": 1, "learned_layers.md": 1, "training.md": 1}
"""How many snippets of a page are not run; the page gives the reason."""


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def snippets(page: Path) -> list[re.Match[str]]:
    return list(SNIPPET.finditer(page.read_text("utf-8")))


def script(page: Path) -> str:
    """The Python snippets of a page as one program, every line where it is on the page."""
    text = page.read_text("utf-8")
    lines = [""] * (text.count("\n") + 1)
    for match in snippets(page):
        if match["kind"] == "python" and not match["reason"]:
            first = text.count("\n", 0, match.start("code"))
            code = match["code"].splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines)


def sessions(page: Path) -> str:
    """The interactive sessions of a page as one text for doctest."""
    found = [m["code"] for m in snippets(page) if m["kind"] == "pycon" and not m["reason"]]
    return "\n".join(found)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder that has the examples, as a checkout has."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The files that snippets read: a line, clips of it, heads, the rig of docs/rigs.md."""
    made = tmp_path_factory.mktemp("prepared")
    line = ROOT / "examples" / "hello.wav"
    (made / "lines").mkdir()
    for name in ("hello.wav", "line.wav", "lines/hello.wav", "lines/bye.wav"):
        shutil.copy(line, made / name)
    soundfile.write(made / "pumpkin.wav", *soundfile.read(ROOT / "tests" / "data" / "pumpkin.flac"))
    write_clip(facesdk.bake(line), made / "line.json")
    write_clip(facesdk.bake(line, rig="livelink"), made / "take.csv", "livelink-csv")
    write_clip(facesdk.bake(line, fps=10), made / "hero.glb")
    make = runpy.run_path(str(ROOT / "tests" / "make_flame.py"))
    flame, _ = make["from_head"](load_head(identity={"age": 40}))
    (made / "FLAME_NEUTRAL.pkl").write_bytes(pickle.dumps(flame, protocol=2))
    rigs = (ROOT / "docs" / "rigs.md").read_text("utf-8")
    blocks = re.findall(r"^```json\n(.*?)^```$", rigs, re.M | re.S)
    for name, block in zip(("robot.json", "arkit-to-robot.json"), blocks, strict=True):
        (made / name).write_text(block, "utf-8")
    return made


@pytest.fixture
def supplied(folder, prepared) -> Path:
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    return folder


def python(*words: str | Path) -> str:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, words)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    *_, last = done.stderr.splitlines() or [""]
    if last.startswith("facesdk.errors.MissingExtraError"):
        pytest.skip(last.partition(": ")[2])
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


# --------------------------------------------------------------------- snippets


@pytest.mark.parametrize("page", [p for p in PAGES if script(p).strip()], ids=page_id)
def test_the_python_of_a_page_runs_as_a_script(page, supplied):
    """One program without a main guard, as a reader pastes it; line numbers are the page's."""
    program = supplied / f"{page.stem}_page.py"
    program.write_text(script(page), "utf-8")
    python(program)


@pytest.mark.parametrize("page", [p for p in PAGES if sessions(p)], ids=page_id)
def test_a_session_prints_what_the_page_shows(page, supplied):
    (supplied / "session.txt").write_text(sessions(page), "utf-8")
    code = (
        "import doctest, sys; "
        "sys.exit(doctest.testfile('session.txt', module_relative=False, encoding='utf-8').failed)"
    )
    python("-c", code)


def test_few_snippets_are_not_run():
    reasons = {page.name: [m["reason"] for m in snippets(page) if m["reason"]] for page in PAGES}
    assert {name: len(found) for name, found in reasons.items() if found} == NOT_RUN


def test_the_session_of_the_readme_is_short():
    assert sessions(ROOT / "README.md").count(">>> ") <= 5
    assert len([line for line in script(ROOT / "README.md").splitlines() if line.strip()]) <= 7


# -------------------------------------------------------------------- the front


def test_first_screen_shows_a_picture_and_how_to_install():
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN])
    assert README.split("\n\n")[1].startswith("![")
    assert SHELL[0] in screen
    assert "facesdk bake examples/hello.wav" in SHELL[0]


def test_the_test_command_is_that_of_ci():
    assert SHELL[-1].split() == ["python3", "tools/check.py"]
    assert (ROOT / ".ci" / "run").read_text("utf-8").rstrip().endswith(SHELL[-1].strip())


def test_the_bake_command_bakes(folder, capsys):
    (words,) = re.findall(r"\.venv/bin/facesdk (bake .*)$", SHELL[0], re.M)
    assert main(words.split()) == 0
    assert read_clip("hello.json").curve("jawOpen").max() > 0.1


def test_the_test_command_is_one(folder):
    assert "lint" in python(ROOT / "tools" / "check.py", "--help")


def test_example_programs_run(folder):
    assert "335 frames" in python("examples/bake_line.py", "examples/hello.wav", folder)
    assert read_clip(folder / "hello.csv").rig.name == "livelink"
    assert read_clip(folder / "hello.json").rig.name == "arkit"


def test_watch_example_runs(folder):
    python("examples/watch_line.py", "examples/hello.wav", folder)
    assert (folder / "hello.png").read_bytes().startswith(b"\x89PNG")


def test_export_example_runs(folder):
    output = python(
        "examples/export_formats.py", "examples/hello.wav", folder, "vrma", "json", "vmc"
    )
    assert {"hello.vrma", "hello.json", "hello.osc"} <= {path.name for path in folder.iterdir()}
    assert "hello.vrma" in output


def test_own_rig_example_runs(folder):
    assert "ShutterL" in python("examples/own_rig.py", "examples/hello.wav", folder)
    assert facesdk.Rig.load(folder / "robot.json").name == "robot"
    header, first = (folder / "hello.csv").read_text("utf-8").splitlines()[:2]
    assert "JawAngle" in header
    assert len(first.split(",")) == len(header.split(","))


def test_own_motion_example_runs(folder):
    python("examples/own_motion.py", "examples/hello.wav", folder)
    clip = read_clip(folder / "hello.csv", "livelink-csv")
    assert abs(clip.curve("HeadPitch")).max() > 0.02
    assert read_clip(folder / "hello.glb").pose.angles[:, 0, 1].max() > 0.02


def test_own_character_example_runs(folder):
    output = python("examples/own_character.py", "examples/hello.wav", folder)
    assert "8 controls of rig arkit on 5 meshes; bones: head (Head), neck (Neck)" in output
    again = python("examples/own_character.py", "examples/hello.wav", folder / "out", "hello.glb")
    assert "335 frames" in again
    assert read_clip(folder / "out" / "hello.glb").pose.angles[:, 0, 0].max() > 0.1


def test_many_speakers_example_runs(folder):
    output = python("examples/many_speakers.py", "3", "1")
    (difference,) = re.findall(r"difference (\S+)", output)
    assert float(difference) < 1e-5
    assert output.count("real-time factor") == 2


def test_edit_example_runs(folder):
    output = python("examples/edit_line.py", "examples/hello.wav", folder)
    assert "jawOpen" in output
    before, after = (read_clip(folder / f"hello{end}.json") for end in ("", "-edited"))
    third = float(before.duration) / 3
    jaw = facesdk.compare(before, after).changed
    assert {"jawOpen"} <= {channel.name for channel in jaw}
    (found,) = (channel for channel in jaw if channel.name == "jawOpen")
    assert third < found.seconds < 2 * third
    assert "channels changed" in python(
        "examples/edit_line.py", folder / "hello.json", folder / "again"
    )


@pytest.mark.parametrize("program", sorted(p.stem for p in (ROOT / "examples").glob("*.py")))
def test_an_example_that_is_interrupted_ends_like_a_program(folder, program):
    """Ctrl-C in the middle of `main`: exit code 130 and no traceback."""
    code = (
        "import sys\n"
        "sys.path.insert(0, 'examples')\n"
        "from pathlib import Path\n"
        f"path = Path('examples/{program}.py')\n"
        "text = path.read_text('utf-8')\n"
        "begin, end = text.split('if __name__ == \"__main__\":')\n"
        "names = {'__name__': '__main__', '__file__': str(path.resolve())}\n"
        "exec(compile(begin, str(path), 'exec'), names)\n"
        "def interrupted(*_, **__): raise KeyboardInterrupt\n"
        "names['main'] = interrupted\n"
        "sys.argv = [str(path)]\n"
        "exec(compile('if True:' + end, str(path), 'exec'), names)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT,
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if "extra" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(
    "program",
    [
        "bake_line",
        "edit_line",
        "export_formats",
        "own_character",
        "own_motion",
        "own_rig",
        "stream_line",
        "watch_line",
    ],
)
def test_an_example_reports_a_missing_file_without_a_traceback(folder, program):
    done = subprocess.run(
        [sys.executable, f"examples/{program}.py", "absent.wav"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: absent.wav does not exist")


def test_engine_example_runs(folder):
    assert python("examples/export_engine.py", folder).count("#") > 300
    assert (folder / "face.json").exists()


def test_stream_example_runs(folder):
    code = (
        "import sys; sys.path.insert(0, 'examples'); import stream_line; stream_line.main(pace=0)"
    )
    assert python("-c", code).count("#") > 100


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    broken = [
        link
        for link in links
        if "://" not in link and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_exist(page):
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    lines = [line for kind, block in blocks if kind in ("", "sh") for line in block.splitlines()]
    named = {m[1] for line in lines if (m := re.match(r"(?:\S*/)?facesdk ([a-z][a-z-]*)", line))}
    assert named <= set(COMMANDS)


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    names = {p.name for p in ROOT.glob("docs/*.md")} - {"README.md"}
    assert sorted(n for n in names if f"]({n})" not in index) == []


def test_every_page_is_on_the_site():
    nav = (ROOT / "mkdocs.yml").read_text("utf-8")
    names = {p.name for p in ROOT.glob("docs/*.md")}
    assert sorted(n for n in names if f": {n}\n" not in nav) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_named_on_a_page_exist(page):
    """Paths from the root of the repository, in code."""
    top = "benchmarks|datasets|docs|examples|exporters|facesdk|tests|tools"
    named = re.findall(rf"(?:`|python |pytest )((?:{top})/[\w./-]+)", page.read_text("utf-8"))
    installed = {"facesdk/exporters": "exporters", "facesdk/datasets": "datasets"}
    places = (re.sub("|".join(installed), lambda m: installed[m[0]], name) for name in named)
    assert sorted({name for name in places if not (ROOT / name).exists()}) == []


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=page_id)
def test_names_of_the_package_on_a_page_exist(page):
    """Such as `facesdk.mesh.Head`; the changelog also names what is gone."""
    names = re.findall(r"`(facesdk(?:\.\w+)+)[`(]", page.read_text("utf-8"))
    formats = ("facesdk.clip", "facesdk.map", "facesdk.model", "facesdk.rig", "facesdk.events")
    assert [name for name in sorted(set(names)) if name not in formats and not _exists(name)] == []


def _exists(name: str) -> bool:
    """Whether a dotted name is defined, as far as the installed extras show it."""
    try:
        resolve_name(name)
    except (AttributeError, ModuleNotFoundError) as error:
        return isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("facesdk")
    return True


COMMAND = re.compile(r"(?:^|[`(/ ])facesdk ([a-z][a-z-]*)((?: [^`\n|]*)?)", re.M)


@cache
def options_of(command: str) -> frozenset[str]:
    """Options in the help of a command, and of its actions."""
    help_ = io.StringIO()
    with redirect_stdout(help_), pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    found = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help_.getvalue()))
    actions = re.search(r"\{([a-z,-]+)\} \.\.\.|ACTION \.\.\.", help_.getvalue())
    for action in ACTIONS.get(command, ()) if actions else ():
        found |= options_of(f"{command} {action}")
    return frozenset(found)


ACTIONS = {"flame": ("info", "calibrate"), "datasets": ("build", "info")}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_options_of_commands_exist(page):
    wrong = [
        f"{command} {option}"
        for command, rest in COMMAND.findall(page.read_text("utf-8"))
        if command in COMMANDS
        for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest.partition(" #")[0])
        if option not in options_of(command)
    ]
    assert wrong == []
