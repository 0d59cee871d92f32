"""NumPy's `.npz`: everything a clip holds as arrays, for notebooks and training."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import IO, Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ..archives import load_npz
from ..arrays import Floats
from ..clip import POSE_JOINTS, Clip, Event, Pose, exact_fps
from ..errors import FaceSDKError, FileFormatError
from ..rig import Rig
from ..source import FrameSource
from .format import Format
from .options import DEFAULTS, TIMES, WriteOptions
from .rigs import listed_rig
from .spool import Spool, spooled

_WRITE: Literal["w"] = "w"
"""Members of an archive are bytes; there is no text mode."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAX_BYTES = 1 << 32
_MAX_INFO = 1 << 24
_REQUIRED = ("values", "controls", "fps")


def write_arrays(
    source: FrameSource, file: BinaryIO, options: WriteOptions = DEFAULTS
) -> tuple[str, ...]:
    """Write the whole clip, uncompressed; nothing is dropped.

    `values` (T, C) and `pose` (T, 4, 3) are float32, `times` (T,) seconds as float64, `controls`
    and `joints` names, `fps` [numerator, denominator], `info` a JSON text with the rig, the start,
    events and meta.
    """
    with (
        spooled(source) as spool,
        zipfile.ZipFile(cast(IO[bytes], _Forwards(file)), "w") as archive,
    ):
        width = len(source.info.rig)
        _stream(archive, "values", (spool.frames, width), spool, lambda rows: rows[:, :width])
        if spool.has_pose:
            shape = (spool.frames, len(POSE_JOINTS), 3)
            _stream(archive, "pose", shape, spool, lambda rows: rows[:, width:])
            _add(archive, "joints", np.array(POSE_JOINTS))
        start = source.info.start
        rate = source.info.fps
        _add(archive, "times", float(start) + np.arange(spool.frames) / float(rate))
        _add(archive, "controls", np.array(source.info.rig.names))
        _add(archive, "fps", np.array([rate.numerator, rate.denominator]))
        _add(archive, "info", np.array(json.dumps(_info(source, options), ensure_ascii=False)))
    return ()


def _info(source: FrameSource, options: WriteOptions) -> dict[str, Any]:
    name = {} if options.name is None else {"name": options.name}
    return {
        "rig": {"name": source.info.rig.name, "version": source.info.rig.version},
        "sample_rate": source.info.sample_rate,
        "start_sample": source.info.start_sample,
        "events": [[e.sample, e.name, dict(e.data)] for e in source.info.events],
        "meta": dict(source.info.meta) | name,
        "extra": dict(source.info.extra),
    }


class _Forwards(io.RawIOBase):
    """A file that cannot seek, so that files and pipes get the same bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    data = io.BytesIO()
    np.lib.format.write_array(data, array, (1, 0), allow_pickle=False)
    with archive.open(_entry(name), _WRITE) as member:
        member.write(data.getvalue())


def _stream(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    spool: Spool,
    part: Callable[[Floats], Floats],
) -> None:
    """Write an array part by part, in little memory."""
    data = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(data, header)
    with archive.open(_entry(name), _WRITE, force_zip64=True) as member:
        member.write(data.getvalue())
        for rows in spool.rows():
            member.write(np.ascontiguousarray(part(rows), "<f4").tobytes())


# ---------------------------------------------------------------------- reading


def read_arrays(file: BinaryIO, rig: Rig | None = None) -> Clip:
    """Read the clip in arrays `values`, `controls` and `fps`; others may be missing."""
    name = str(getattr(file, "name", "arrays"))
    try:
        arrays = load_npz(file, limit=_MAX_BYTES, only={*_REQUIRED, "pose", "info"})
        if missing := [key for key in _REQUIRED if key not in arrays]:
            raise FileFormatError(f"expected arrays {', '.join(_REQUIRED)}; no {missing[0]!r}")
        return _clip(arrays, rig)
    except (
        FaceSDKError,
        ValueError,
        TypeError,
        KeyError,
        ArithmeticError,
        RecursionError,
    ) as error:
        said = str(error)
        raise FileFormatError(said if name in said else f"{name}: {said}") from error


def _clip(arrays: Mapping[str, NDArray[Any]], rig: Rig | None) -> Clip:
    info = _read_info(arrays.get("info"))
    names = [str(n) for n in arrays["controls"].reshape(-1)]
    label = info.get("rig") or {}
    found, order = listed_rig(
        names,
        name=str(label.get("name", "custom")),
        version=str(label.get("version", "0")),
        rig=rig,
    )
    values = arrays["values"]
    if values.ndim != 2 or values.shape[1] != len(names):
        raise FileFormatError(f"values must be (T, {len(names)}), got {values.shape}")
    return Clip(
        found,
        np.asarray(values if order is None else values[:, order], np.float32),
        _rate(arrays["fps"]),
        pose=Pose(np.asarray(arrays["pose"], np.float32)) if "pose" in arrays else None,
        start_sample=int(info.get("start_sample", 0)),
        sample_rate=int(info.get("sample_rate", 16_000)),
        events=tuple(Event(int(s), str(n), dict(d)) for s, n, d in info.get("events", ())),
        meta=info.get("meta", {}),
        extra=info.get("extra", {}),
    )


def _read_info(info: NDArray[Any] | None) -> Mapping[str, Any]:
    if info is None:
        return {}
    if info.nbytes > _MAX_INFO or info.size != 1:
        raise FileFormatError("info must be one JSON text")
    document = json.loads(str(info.reshape(-1)[0]))
    if not isinstance(document, dict):
        raise FileFormatError("info must be a JSON object")
    return document


def _rate(fps: NDArray[Any]) -> Fraction:
    numbers = fps.reshape(-1)
    if numbers.size == 1:
        return exact_fps(float(numbers[0]))
    if numbers.size != 2 or numbers.dtype.kind not in "iu" or min(numbers) <= 0:
        raise FileFormatError("fps must be a number, or a numerator and a denominator")
    return Fraction(int(numbers[0]), int(numbers[1]))


FORMATS = (
    Format(
        "npz",
        ".npz",
        write_arrays,
        read_arrays,
        description="arrays for NumPy: everything, bit-exact",
        recognizes=lambda head: head.startswith(b"PK\3\4"),
        options=TIMES | {"name"},
    ),
)
