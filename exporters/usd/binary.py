"""Layers in binary, `.usdc`: the text as usd-core stores it."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import BinaryIO

from ...errors import ExportError, missing_extra
from .layer import Layer
from .text import write_text


def write_binary(layer: Layer, file: BinaryIO) -> None:
    """Write a layer; raises `MissingExtraError` without usd-core."""
    try:
        from pxr import Sdf, Tf
    except ImportError:
        raise missing_extra("writing binary USD", "usd") from None
    with TemporaryDirectory() as folder:
        plain, stored = Path(folder) / "layer.usda", Path(folder) / "layer.usdc"
        with plain.open("wb") as out:
            write_text(layer, out)
        try:
            whole = Sdf.Layer.OpenAsAnonymous(str(plain)).Export(str(stored))
        except Tf.ErrorException as error:
            raise ExportError(f"usd-core cannot store the clip: {error}") from error
        if not whole:
            raise ExportError("usd-core cannot store the clip; is the temporary folder full?")
        with stored.open("rb") as made:
            copyfileobj(made, file)
