"""Hooks of the documentation site, called by `mkdocs build --strict`; see mkdocs.yml.

They add three steps to MkDocs:

- `exporters/` and `datasets/` are installed inside `facesdk`, so the sources are copied to
  `build/docs` the way they are installed, where mkdocstrings reads them.
- The API reference has one page per package, generated from the package's `__all__`.
- Some files outside `docs/` become pages of the site. Links to all others lead to the repository.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "build" / "docs"

PAGES = {
    "MODEL_CARD.md": "model_card.md",
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Files outside `docs/` that are pages of the site, with their place in it."""

INTERNAL = {"facesdk.cli"}
"""Packages whose modules are not an API."""

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


# ----------------------------------------------------------------------- hooks


def on_startup(**_: Any) -> None:
    """Copy the sources as installed, before mkdocstrings looks for the folder."""
    copy_sources()


def on_config(config: Any) -> Any:
    """Add the reference pages to the navigation."""
    for section in config.nav:
        if "API reference" in section:
            section["API reference"] += [{name: api_page(name)} for name in packages()]
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=text))
    for name in packages():
        files.append(File.generated(config, api_page(name), content=reference(name)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Point links to files outside `docs/` to their page on the site or to the repository."""
    place = page.file.src_uri
    source = {page: source for source, page in PAGES.items()}.get(place, f"docs/{place}")

    def replaced(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        if "://" in link or link.startswith(("/", "mailto:")):
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        return before + site_link(target, place, config["repo_url"]) + after

    return _LINK.sub(replaced, markdown)


def site_link(target: str, place: str, repository: str) -> str:
    """Return the link from a page of the site to a file of the repository."""
    inside = PAGES.get(target, target.removeprefix("docs/"))
    if target in PAGES or target.startswith("docs/"):
        return posixpath.relpath(inside, posixpath.dirname(place) or ".")
    kind = "tree" if (ROOT / target).is_dir() else "blob"
    return f"{repository.rstrip('/')}/{kind}/main/{target}"


# ------------------------------------------------------------------- reference


def copy_sources() -> None:
    """Copy the Python files to `build/docs/facesdk`, laid out as they are installed."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    for package, folder in package_folders().items():
        for path in (ROOT / folder).rglob("*.py"):
            target = SOURCES.joinpath(*package.split("."), path.relative_to(ROOT / folder))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def package_folders() -> dict[str, str]:
    """Return the folder of each package, as mapped for setuptools."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folders: dict[str, str] = document["tool"]["setuptools"]["package-dir"]
    return folders


def packages() -> list[str]:
    """Return the packages with public names, `facesdk` first."""
    initial = sorted(SOURCES.rglob("__init__.py"))
    names = [".".join(path.parent.relative_to(SOURCES).parts) for path in initial]
    public = [n for n in names if n not in INTERNAL and next(public_names(n), None)]
    return sorted(public, key=lambda name: (name != "facesdk", name))


def public_names(package: str) -> Iterator[str]:
    """Yield the names in a package's `__all__`, without importing it."""
    path = SOURCES.joinpath(*package.split("."), "__init__.py")
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield from (name for name in ast.literal_eval(node.value) if not name.startswith("__"))


def api_page(package: str) -> str:
    """Return the path of a package's page."""
    return f"api/{package}.md"


def reference(package: str) -> str:
    """Return the Markdown of a package's page: its docstring, then every public name."""
    entries = "\n\n".join(f"::: {package}.{name}" for name in public_names(package))
    return (
        f"# {package}\n\n::: {package}\n    options:\n      members: []\n"
        f"      show_root_heading: false\n      show_root_toc_entry: false\n\n{entries}\n"
    )
