"""FBX files open in ufbx, for readers of heads and of animation."""

from __future__ import annotations

import ctypes
import gc
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError, missing_extra

Array = NDArray[Any]


def ufbx_module(task: str = "reading FBX") -> ModuleType:
    """Return ufbx; raises `MissingExtraError` without it."""
    try:
        import ufbx
    except ImportError:
        raise missing_extra(task, "fbx-read") from None
    module: ModuleType = ufbx
    return module


class UfbxScene:
    """A scene of ufbx and every object read from it.

    The package (0.0.5) miscounts references: a scene shows its elements to the garbage collector
    without owning them, and an item of a list that was returned before comes without a reference.
    So all elements get one reference that is never given back, which keeps some bytes of each for
    the life of the process; the memory of the scene itself is released with the last user of this.
    """

    size = 0
    """Bytes of the file."""

    def __init__(self, scene: Any) -> None:
        self._scene = self.keep(scene)
        for owned in gc.get_referents(scene):  # among them the context, which does the miscounting
            if not isinstance(owned, type):
                self.keep(owned)
        self.listed(scene.elements)

    @classmethod
    def parse(cls, data: bytes, name: str, **options: Any) -> UfbxScene:
        """Parse the bytes of a file, turned to Y up; `name` is used in errors."""
        ufbx = ufbx_module()
        try:
            axes = ufbx.axes_right_handed_y_up
            scene = cls(ufbx.load_memory(data, target_axes=axes, **options))
        except (ufbx.UfbxError, ValueError, UnicodeError) as error:
            raise FileFormatError(
                f"{name} is not an FBX file: {error or type(error).__name__}"
            ) from error
        scene.size = len(data)
        return scene

    def __getattr__(self, name: str) -> Any:
        return self.keep(getattr(self._scene, name))

    def __del__(self) -> None:
        self._scene.free()

    def keep(self, thing: Any) -> Any:
        """Return an object, which is never deallocated."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
        if gc.is_tracked(thing):
            ctypes.pythonapi.PyObject_GC_UnTrack(ctypes.py_object(thing))
        return thing

    def listed(self, several: Any) -> list[Any]:
        """Return the items of a list, which must not be iterated."""
        self.keep(several)
        return [self.keep(several[index]) for index in range(len(several))]

    def vectors(self, several: Any) -> Array:
        """Return (N, n) numbers of a list of vectors."""
        if not len(self.keep(several)):
            return np.zeros((0, 3))
        with memoryview(several) as view:
            return np.array(view, np.float64)

    def numbers(self, several: Any) -> Array:
        """Return (N,) whole numbers of a list."""
        self.keep(several)
        return np.fromiter((several[i] for i in range(len(several))), np.int64, len(several))

    def matrix(self, matrix: Any) -> Array:
        """Return (4, 4) of an affine matrix."""
        result = np.eye(4)
        for column, name in enumerate(("c0", "c1", "c2", "c3")):
            vector = getattr(matrix, name)
            result[:3, column] = vector.x, vector.y, vector.z
        return result
