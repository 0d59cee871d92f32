"""JSON documents: read, check the header, write with one entry per line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import FaceSDKError, RigError


def load_json(path: Path, kind: str) -> Any:
    """Return the JSON document in a file.

    Raises `RigError` naming the `kind` of file that was expected.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RigError(f"{path} does not exist; give a {kind} name or the path of a file") from None
    except (OSError, ValueError) as error:
        raise RigError(f"{path} cannot be read as a JSON {kind} file: {error}") from error


def check_header(
    document: Any,
    *,
    format: str,  # noqa: A002
    source: str,
    version: int = 1,
    error: type[FaceSDKError] = RigError,
) -> None:
    """Raise `error` unless a document is an object of this format and version.

    `format` is a name such as `facesdk.map`; `source` names the document in the message.
    """
    if not isinstance(document, dict) or document.get("format") != format:
        kind = format.rpartition(".")[2]
        raise error(f'{source} is not a {kind} file: expected "format": "{format}"')
    if document.get("version") != version:
        raise error(
            f"{source} has version {document.get('version')!r} of {format}; "
            f"this facesdk reads version {version}"
        )


def json_lines(document: Mapping[str, Any]) -> str:
    """Return JSON text with a line per key, and per entry of a list or object below it."""
    return "{\n" + ",\n".join(_json_entry(key, value) for key, value in document.items()) + "\n}\n"


def _json_entry(key: str, value: Any) -> str:
    title = f" {json.dumps(key)}: "
    if isinstance(value, dict) and value:
        lines = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
        return title + "{\n" + ",\n".join(lines) + "\n }"
    if isinstance(value, list) and value:
        return title + "[\n" + ",\n".join(f"  {json.dumps(v)}" for v in value) + "\n ]"
    return title + json.dumps(value)
