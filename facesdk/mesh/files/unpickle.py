"""Read arrays from untrusted pickles and npz files without running any code in them.

FLAME, its masks and the templates of VOCASET and BIWI are distributed as pickles, most of them of
Python 2. A pickle is a program; this reader does not run it: every class of numpy, chumpy and
scipy.sparse that may occur is replaced by a stand-in that only stores its state, and every other
class is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...archives import load_npy, load_npz
from ...errors import FileFormatError

Array = NDArray[Any]

MAX_BYTES = 1 << 29
"""Largest file, and largest array in it, in bytes; FLAME has 54 MB."""

MAX_STEPS = 1_000_000
"""Largest number of instructions in a pickle; FLAME's has some hundreds."""

_MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}
_BROKEN = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, NotImplementedError, OverflowError, RecursionError, TypeError, ValueError,
    struct.error,
)  # fmt: skip


def load_arrays(path: str | Path) -> dict[str, Array]:
    """Return arrays by name from a `.pkl`, `.npz` or `.npy` file; other contents are left out.

    Sparse matrices are returned dense. A file that is a single array or list has it under the name
    `data`. Raises `FileFormatError` if the file refers to a class that is not an array.
    """
    file = Path(path)
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise FileFormatError(f"{file} has {size:,} bytes, expected at most {MAX_BYTES:,}")
    if file.suffix in (".npz", ".npy"):
        return _load_numpy(file)
    try:
        return _named(_unpickled(file.read_bytes()))
    except FileFormatError as error:
        raise FileFormatError(f"{file}: {error}") from error
    except _BROKEN as error:
        raise FileFormatError(f"{file} is not a pickle of arrays: {error}") from error


def _load_numpy(file: Path) -> dict[str, Array]:
    if file.suffix == ".npy":
        return {"data": load_npy(file, limit=MAX_BYTES)}
    return load_npz(file, limit=MAX_BYTES)


def _check_size(count: int, size: int = 1) -> None:
    if not 0 <= count * size <= MAX_BYTES:
        raise FileFormatError(f"an array of {count * size:,} bytes, expected at most {MAX_BYTES:,}")


# --------------------------------------------------------------------------------- reading pickles


def _unpickled(data: bytes) -> Any:
    """Return the contents of a pickle, with stand-ins for its objects."""
    _check_steps(data)
    return _Unpickler(io.BytesIO(data), encoding="latin1").load()


def _check_steps(data: bytes) -> None:
    """Refuse pickles that make the reader itself reserve memory: large memos, truncated blocks."""
    for step, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
        if step > MAX_STEPS or (opcode.name in _MEMO and int(argument or 0) > MAX_STEPS):
            raise FileFormatError(f"a pickle of more than {MAX_STEPS:,} steps")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        if package == "chumpy":
            return _Formula
        known = _SPARSE if module.startswith("scipy.sparse.") else _STAND_INS
        key = name[:3] if known is _SPARSE else f"{module}.{name}".replace("._core.", ".core.")
        if key not in known:
            raise FileFormatError(
                f"it refers to {module}.{name}, which is not an array; "
                "facesdk does not run code from files"
            )
        return known[key]


class _StandIn:
    """Stores the state of an object that is never created."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> Array | None:
        """Return the array that the object stands for, or None."""
        raise NotImplementedError


class _Dtype(_StandIn):
    """`numpy.dtype`: a type code, and a state that begins with (version, byte order)."""

    def __init__(self, code: str = "", *_: Any) -> None:
        super().__init__()
        self._code = str(code)

    @property
    def dtype(self) -> np.dtype[Any]:
        order: Any = self.state[1] if self.state else "="
        dtype = np.dtype(self._code.lstrip("<>=|"))
        if dtype.kind not in "biuf":
            raise FileFormatError(f"an array of {self._code!r}, expected numbers")
        return dtype.newbyteorder(order)


class _Array(_StandIn):
    """`numpy.ndarray`; its state is (version, shape, dtype, Fortran order, bytes)."""

    def value(self) -> Array | None:
        _, shape, dtype, fortran, raw = self.state
        return _from_bytes(raw, dtype, shape, "F" if fortran else "C")


class _Buffer(_StandIn):
    """An array as pickles since protocol 5 write it: (bytes, dtype, shape, order)."""

    def __init__(self, *parts: Any) -> None:
        super().__init__()
        self._parts = parts

    def value(self) -> Array | None:
        return _from_bytes(*self._parts)


class _Scalar(_StandIn):
    """A single number of numpy: (dtype, bytes)."""

    def __init__(self, dtype: Any, raw: Any = b"") -> None:
        super().__init__()
        self._dtype, self._raw = dtype, raw

    def value(self) -> Array | None:
        return _from_bytes(self._raw, self._dtype, (), "C")


class _Formula(_StandIn):
    """Any chumpy object: a value `x`, or a selection `idxs` of another one, `a`."""

    def value(self) -> Array | None:
        state = self.state if isinstance(self.state, dict) else {}
        if "x" in state:
            return _value(state["x"])
        if not {"a", "idxs"} <= set(state) or isinstance(state["idxs"], _Formula):
            return None
        chosen, among = _value(state["idxs"]), _value(state["a"])
        if chosen is None or among is None:
            return None
        picked: Array = among.ravel()[chosen.astype(np.intp).ravel()]
        shape = state.get("preferred_shape")
        return picked if shape is None else picked.reshape(shape)


class _Sparse(_StandIn):
    """A matrix of scipy.sparse: `data` and the places of its entries."""

    def value(self) -> Array | None:
        state = self.state
        height, width = (int(n) for n in state.get("_shape", state.get("shape")))
        _check_size(height * width, 8)
        rows, columns = self._places(state)
        matrix = np.zeros((height, width))
        np.add.at(matrix, (rows, columns), _required(state, "data"))
        return matrix

    def _places(self, state: Mapping[str, Any]) -> tuple[Array, Array]:
        """Return row and column of every entry."""
        row, column = state.get("coords", (state.get("row"), state.get("col")))
        places = {"row": row, "col": column}
        return _required(places, "row"), _required(places, "col")


class _SparseColumns(_Sparse):
    def _places(self, state: Mapping[str, Any]) -> tuple[Array, Array]:
        starts = _required(state, "indptr")
        outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        return _required(state, "indices"), outer


class _SparseRows(_SparseColumns):
    def _places(self, state: Mapping[str, Any]) -> tuple[Array, Array]:
        columns, rows = super()._places(state)
        return rows, columns


_SPARSE: dict[str, type[_Sparse]] = {"coo": _Sparse, "csc": _SparseColumns, "csr": _SparseRows}


def _reconstruct(kind: Any, *_: Any) -> Any:
    """Return an empty stand-in for `copyreg` and numpy."""
    if not (isinstance(kind, type) and issubclass(kind, _StandIn)):
        raise FileFormatError(f"it rebuilds {kind!r}, which is not an array")
    return kind()


def _encode(text: str, encoding: str = "latin1", *_: Any) -> bytes:
    """Return bytes as Python 3 writes them in the protocols of Python 2."""
    return text.encode("latin1" if encoding in ("latin1", "latin-1") else "ascii")


_STAND_INS: dict[str, Any] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _Scalar,
    "numpy.core.numeric._frombuffer": _Buffer,
    "copy_reg._reconstructor": _reconstruct,
    "copyreg._reconstructor": _reconstruct,
    "copyreg.__newobj__": _reconstruct,
    "__builtin__.object": _StandIn,
    "builtins.object": _StandIn,
    "__builtin__.bytearray": bytearray,
    "builtins.bytearray": bytearray,
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": _encode,
}


# -------------------------------------------------------------------------------- making the arrays


def _named(content: Any) -> dict[str, Array]:
    if not isinstance(content, Mapping):
        content = {"data": content}
    arrays = {str(name): _value(entry) for name, entry in content.items()}
    return {name: array for name, array in arrays.items() if array is not None}


def _value(entry: Any) -> Array | None:
    """Return the array that an entry of the pickle stands for; None for text and other values."""
    if isinstance(entry, _StandIn):
        return entry.value()
    if isinstance(entry, bool | int | float):
        return np.array(entry)
    if isinstance(entry, list | tuple) and entry:
        return _stacked(entry)
    return None


def _stacked(entries: Sequence[Any]) -> Array | None:
    """Return a list of numbers, arrays or lists of numbers as one array."""
    _check_size(sum(len(e) if isinstance(e, list | tuple) else 1 for e in entries), 8)
    lists = [entry for entry in entries if isinstance(entry, list | tuple)]
    if any(isinstance(part, list | tuple) for entry in lists for part in entry):
        return None
    rows = [_value(entry) for entry in entries]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows) or len({row.shape for row in known}) > 1:
        return None
    _check_size(sum(row.nbytes for row in known))
    return np.array(known)


def _required(state: Mapping[str, Any], name: str) -> Array:
    array = _value(state.get(name))
    if array is None:
        raise FileFormatError(f"a sparse matrix without {name!r}")
    return array


def _from_bytes(raw: Any, dtype: Any, shape: Any, order: str) -> Array:
    if not isinstance(dtype, _Dtype) or not isinstance(raw, str | bytes | bytearray):
        raise FileFormatError("an array of objects, expected numbers")
    data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    numbers = np.frombuffer(data, dtype.dtype)
    native = numbers.astype(numbers.dtype.newbyteorder("="))
    shaped: Array = native.reshape(tuple(int(n) for n in shape), order="F" if order == "F" else "C")
    return shaped
