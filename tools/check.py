"""Run all checks that a change must pass.

    python3 tools/check.py                  set up .venv, then all steps
    python3 tools/check.py lint tests       only these steps
    python3 tools/check.py --here tests     in the environment of this Python, unchanged
    python3 tools/check.py --extras test    without torch, which is in the training extra

Needs only Python 3.11 or newer. After a failed step the others still run; the exit code is 1 if
any failed. Tests that were skipped are listed at the end. If CI is set in the environment, the
tests run under coverage, which takes longer, and must reach a minimum.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "check"
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST = (3, 11)
FLOOR = 95
"""Minimum test coverage in percent of lines, on Linux with all extras."""


@dataclass
class Check:
    """The environment of the steps, and their final report."""

    python: str
    extras: str
    constraints: Path = CONSTRAINTS
    skipped: list[str] = field(default_factory=list)
    closing: str = ""
    """Last line of pytest."""

    def run(self, *words: str | Path, cwd: Path = ROOT) -> bool:
        """Return whether `python words...` exits with 0."""
        command = [self.python, *map(str, words)]
        return subprocess.run(command, cwd=cwd, env=_environment(), check=False).returncode == 0

    def has(self, module: str) -> bool:
        """Whether the environment has a module."""
        lookup = (
            f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        )
        return self.run("-c", lookup)


def _environment() -> dict[str, str]:
    """Return this process's variables without those that change Python's search paths."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MYPYPATH")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return kept | {"NO_MKDOCS_2_WARNING": "1"}  # a page of advertising before every build


# ----------------------------------------------------------------------- steps


def setup(check: Check) -> bool:
    """Install facesdk and the tools of the checks into the environment."""
    print(f"installing facesdk-anim[{check.extras}] into {check.python}; torch takes its time")
    return check.run(
        "-m", "pip", "install", "--quiet", "-e", f".[{check.extras}]", "-c", check.constraints
    )


def lint(check: Check) -> bool:
    """Run ruff: rules and formatting."""
    return check.run("-m", "ruff", "check") & check.run("-m", "ruff", "format", "--check")


def types(check: Check) -> bool:
    """Run mypy, strict, on the package as installed, with exporters/ and datasets/ inside."""
    if not check.has("torch"):
        check.skipped.append("types: need torch, which the train extra brings")
        return True
    folder = WORK / "typecheck"
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(_wheel(check)) as wheel:
        wheel.extractall(folder)
    config = ("--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache")
    package = check.run("-m", "mypy", *config, "-p", "facesdk", cwd=folder)
    programs = [*ROOT.glob("tools/*.py"), *ROOT.glob("examples/*.py")]
    return package & check.run("-m", "mypy", *config, *programs, cwd=folder)


def wheel(check: Check) -> bool:
    """Install only the wheel into a new environment and bake with it outside the sources."""
    environment, neutral = WORK / "venv", WORK / "neutral"
    for folder in (environment, neutral):
        shutil.rmtree(folder, ignore_errors=True)
    neutral.mkdir(parents=True)
    for name in ("tools/smoke.py", "examples/hello.wav"):
        shutil.copy(ROOT / name, neutral)
    built = _wheel(check)
    if not check.run("-m", "venv", environment):
        return False
    installed = Check(_python_of(environment), "")
    install = ("-m", "pip", "install", "--quiet", "-c", CONSTRAINTS, built)
    return installed.run(*install) and installed.run("smoke.py", "hello.wav", cwd=neutral)


def docs(check: Check) -> bool:
    """Build the documentation site, strict: all links and all names of the API reference."""
    if not check.has("mkdocs"):
        check.skipped.append("docs: need mkdocs, which the docs extra brings")
        return True
    return check.run("-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", WORK / "site")


def tests(check: Check) -> bool:
    """Run pytest, in CI under coverage; skipped tests go into the summary."""
    report = WORK / "tests.xml"
    report.unlink(missing_ok=True)
    measured = bool(os.environ.get("CI")) and check.has("coverage")
    runner = ("coverage", "run", "-m", "pytest") if measured else ("pytest",)
    command = [check.python, "-m", *runner, f"--junitxml={report}"]
    with subprocess.Popen(
        command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, encoding="utf-8",
        errors="replace",
    ) as pytest:  # fmt: skip
        for line in pytest.stdout or ():
            print(line, end="", flush=True)
            check.closing = line.strip() or check.closing
    if report.exists():
        skips = ElementTree.parse(report).iterfind(".//testcase/skipped")
        reasons = Counter(map(_reason, skips))
        check.skipped += [f"{n} test{'s' * (n > 1)}: {why}" for why, n in reasons.items()]
    return (pytest.returncode == 0) & (not measured or _covered(check))


def _covered(check: Check) -> bool:
    """Return whether the coverage suffices; prints the files with less than 100 %."""
    whole = sys.platform == "linux" and check.has("torch")
    if not whole:
        check.skipped.append("coverage floor: holds on Linux with all extras")
    floor = (f"--fail-under={FLOOR}",) if whole else ()
    report = ("-m", "coverage", "report", "--skip-covered", "--sort=cover", *floor)
    return check.run("-m", "coverage", "combine", "--quiet") & check.run(*report)


def _reason(skip: ElementTree.Element) -> str:
    """Return the reason why a test was skipped; for a whole file it is in the text."""
    message, text = skip.get("message", ""), skip.text or ""
    return text.rpartition("Skipped: ")[2][:-2] if message == "collection skipped" else message


STEPS: dict[str, Callable[[Check], bool]] = {
    "lint": lint,
    "types": types,
    "docs": docs,
    "wheel": wheel,
    "tests": tests,
}


def _wheel(check: Check) -> Path:
    """Return the wheel, built once."""
    folder = WORK / "dist"
    if not any(folder.glob("*.whl")):
        folder.mkdir(parents=True, exist_ok=True)
        command = [check.python, str(ROOT / "tools" / "build_wheel.py"), str(folder)]
        subprocess.run(command, check=True, env=_environment())
    return next(folder.glob("*.whl"))


# --------------------------------------------------------------------- running


def main() -> int:
    """Run the steps and print a summary; return 0 if all passed."""
    arguments = _arguments()
    if sys.version_info < OLDEST:
        print(f"facesdk needs Python 3.11 or newer, this is {sys.version.split()[0]}")
        return 2
    for folder in ("dist", "typecheck"):
        shutil.rmtree(WORK / folder, ignore_errors=True)
    WORK.mkdir(parents=True, exist_ok=True)
    python = sys.executable if arguments.here else _own_python()
    check = Check(python, arguments.extras, arguments.constraints)
    steps = {name: STEPS[name] for name in STEPS if name in (arguments.steps or STEPS)}
    if not arguments.here:
        steps = {"setup": setup} | steps
    return _sum_up(check, _run(check, steps))


def _arguments() -> argparse.Namespace:
    words = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=words[0], epilog=words[2], formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"some of: {', '.join(STEPS)}")
    parser.add_argument("--here", action="store_true", help="use the environment of this Python")
    parser.add_argument(
        "--extras", default="all,test", help="what to install; all,test unless given"
    )
    parser.add_argument(
        "--constraints", type=Path, default=CONSTRAINTS, help="versions; constraints.txt by default"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.steps) - set(STEPS):
        parser.error(f"no step {sorted(unknown)[0]!r}; there are {', '.join(STEPS)}")
    return arguments


def _own_python() -> str:
    """Return the Python of the checkout's environment, which is created if missing."""
    folder = ROOT / ".venv"
    if not Path(_python_of(folder)).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return _python_of(folder)


def _python_of(environment: Path) -> str:
    return str(environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def _run(check: Check, steps: dict[str, Callable[[Check], bool]]) -> list[tuple[str, bool, float]]:
    results = []
    for name, step in steps.items():
        print(f"\n=== {name}: {step.__doc__}", flush=True)
        began = time.monotonic()
        try:
            good = step(check)
        except subprocess.CalledProcessError as error:
            print(f"{error.cmd[0]} failed with {error.returncode}")
            good = False
        results.append((name, good, time.monotonic() - began))
        if name == "setup" and not good:
            break
    return results


def _sum_up(check: Check, results: Sequence[tuple[str, bool, float]]) -> int:
    print("\n=== summary")
    for name, good, seconds in results:
        print(f"{name:<8}{'ok' if good else 'FAILED':<8}{seconds:6.0f} s")
    print("skipped:" if check.skipped else "skipped: nothing")
    for line in check.skipped:
        print(f"  {line}")
    if check.closing:
        print(check.closing)
    return 0 if all(good for _, good, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
