"""Types of arrays that occur everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Columns = NDArray[np.intp]
"""Places in an array."""
Indices = NDArray[np.int32]
"""Corners of triangles, as vertices."""
