"""Heads by path: which reader takes which file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, MeshError
from .builtin import Detail, builtin_head
from .head import Head


def load_head(
    path: str | Path | None = None,
    *,
    identity: Mapping[str, Any] | None = None,
    detail: Detail = "low",
) -> Head:
    """The built-in head, or the one at a path.

    `identity` (age, sex, ethnicity) and `detail` ("low" for motion, "high" for stills) belong to
    the built-in head.
    """
    if path is None:
        return builtin_head(identity, detail=detail)
    if identity:
        raise MeshError(f"identity options belong to the built-in head, {path} has its own face")
    raise FileFormatError(f"{path} is no head that facesdk reads")
