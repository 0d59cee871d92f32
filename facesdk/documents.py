"""JSON documents: reading them, checking what they are, writing one entry per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import RigError


def read_json(path: Path, kind: str) -> Any:
    """The JSON document in a file; raises `RigError` naming the kind of file that was expected."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RigError(f"{path} does not exist; give a {kind} name or the path of a file") from None
    except (OSError, ValueError) as error:
        raise RigError(f"{path} cannot be read as a JSON {kind} file: {error}") from error


def json_lines(document: Mapping[str, Any]) -> str:
    """JSON text with one line for each key and for each entry of a list or object below it."""
    return "{\n" + ",\n".join(_json_entry(key, value) for key, value in document.items()) + "\n}\n"


def _json_entry(key: str, value: Any) -> str:
    title = f" {json.dumps(key)}: "
    if isinstance(value, dict) and value:
        lines = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
        return title + "{\n" + ",\n".join(lines) + "\n }"
    if isinstance(value, list) and value:
        return title + "[\n" + ",\n".join(f"  {json.dumps(v)}" for v in value) + "\n ]"
    return title + json.dumps(value)
