"""JSON documents: read, check the header, write with one entry per line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import FaceSDKError, FileFormatError, RigError, reading

MAX_BYTES = 1 << 26
"""Largest JSON document that describes a rig, a table, a map or a model."""

_MAX_TOML = 1 << 18
_DEEP_KEY = re.compile(rb"(?:[\w\"'-]{1,64}[ \t]*\.[ \t]*){40}|(?:[\[{][ \t\r\n]*){40}")
"""Keys of 40 parts, or as many brackets in a row."""


def load_json(path: Path, kind: str, *, error: type[FaceSDKError] = RigError) -> Any:
    """Return the JSON document in a file.

    Raises `error` naming the `kind` of file that was expected, for a file that is missing, larger
    than `MAX_BYTES`, not JSON or nested too deeply.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error(f"{path} does not exist; give a {kind} name or the path of a file") from None
    except (OSError, ValueError) as cause:
        raise error(f"{path} cannot be read as a JSON {kind} file: {cause}") from cause
    if len(data) > MAX_BYTES:
        raise error(f"{path} is larger than {MAX_BYTES >> 20} MiB, too large for a {kind} file")
    return parse_json(data, str(path), f"JSON {kind} file", error=error)


def parse_json(data: bytes | str, source: str, kind: str, *, error: type[FaceSDKError]) -> Any:
    """Return the JSON document in a text; raises `error` naming the source."""
    with reading(source, error):
        try:
            text = data if isinstance(data, str) else data.decode("utf-8-sig")
            return json.loads(text)
        except ValueError as cause:
            raise error(f"{source} cannot be read as a {kind}: {cause}") from cause
        except RecursionError as cause:
            raise error(f"{source} is not a {kind}: it is nested too deeply") from cause


def parse_toml(data: bytes, source: str) -> dict[str, Any]:
    """Return the tables of a TOML text; raises `FileFormatError` naming the source.

    tomllib takes time with the square of the depth of keys, and of the length of some damaged
    values, so both are bounded.
    """
    if len(data) > _MAX_TOML:
        raise FileFormatError(f"{source} is larger than {_MAX_TOML >> 10} KiB, too large for TOML")
    if _DEEP_KEY.search(data):
        raise FileFormatError(f"{source} is not valid TOML: it is nested too deeply")
    with reading(source, FileFormatError):
        try:
            return tomllib.loads(data.decode("utf-8-sig"))
        except ValueError as error:
            raise FileFormatError(f"{source} cannot be read as TOML: {error}") from error


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
