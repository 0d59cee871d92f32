"""Meshes compressed by Draco, through DracoPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import missing_extra

Array = NDArray[Any]


def draco_arrays(data: bytes) -> tuple[dict[int, Array], Array]:
    """Return (V, n) values by the number of each attribute, and (F, 3) corners.

    Raises `MissingExtraError` without DracoPy, `ValueError` for damaged data.
    """
    try:
        import DracoPy
    except ImportError:
        raise missing_extra("a glTF compressed by Draco", "draco") from None
    try:
        mesh = DracoPy.decode(data)
        arrays = {int(a["unique_id"]): np.asarray(a["data"]) for a in mesh.attributes}
        corners = np.asarray(mesh.faces, np.uint32)
    except Exception as error:  # it has errors of its own kinds
        raise ValueError(f"its compressed data are damaged: {error}") from error
    return arrays, corners.reshape(-1, 3)
