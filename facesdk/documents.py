"""Reading JSON documents, and writing them with one entry per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import RigError


def read_json(path: Path, kind: str) -> Any:
    """Return the JSON document in a file; raises `RigError` naming the expected `kind` of file."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RigError(f"{path} does not exist; give a {kind} name or the path of a file") from None
    except (OSError, ValueError) as error:
        raise RigError(f"{path} cannot be read as a JSON {kind} file: {error}") from error


def json_lines(document: Mapping[str, Any]) -> str:
    """Return JSON text with one line per key and per entry of the list or object below it."""
    return "{\n" + ",\n".join(_json_entry(key, value) for key, value in document.items()) + "\n}\n"


def _json_entry(key: str, value: Any) -> str:
    title = f" {json.dumps(key)}: "
    if isinstance(value, dict) and value:
        lines = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
        return title + "{\n" + ",\n".join(lines) + "\n }"
    if isinstance(value, list) and value:
        return title + "[\n" + ",\n".join(f"  {json.dumps(v)}" for v in value) + "\n ]"
    return title + json.dumps(value)
