"""Audio2Face's blendshape file `bs_skin.npz`, read and written.

It holds `poseNames` with the neutral first, `neutral`, one array per pose, and `frontalMask`, the
vertices that the solver uses. It contains no triangles.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError
from ..head import Head
from .assemble import Raw, check_size
from .unpickle import load_arrays

Array = NDArray[Any]

CENTIMETERS = 100.0


def is_bs_skin(path: Path) -> bool:
    """Whether a file is an archive with pose names."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "poseNames.npy" in archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def read_bs_skin(path: Path, triangles: Array | None = None) -> Raw:
    """Read the neutral and the shapes; triangles come from elsewhere.

    Poses may be vertices or offsets from the neutral; both occur in practice.
    """
    arrays = load_arrays(path)
    names = _names(arrays, path)
    neutral = _numbers(arrays, "neutral", path)
    if neutral.ndim != 2 or neutral.shape[1] != 3:
        raise FileFormatError(f"{path}: neutral must be (V, 3), got {neutral.shape}")
    check_size(len(neutral), len(names), path)
    poses = {}
    for name in names:
        if name.lower() == "neutral":
            continue
        pose = _numbers(arrays, name, path, f"pose {name!r}")
        if pose.shape != neutral.shape:
            raise FileFormatError(
                f"{path}: pose {name!r} must be {neutral.shape} like the neutral, got {pose.shape}"
            )
        poses[name] = pose
    if _are_vertices(neutral, poses):
        poses = {name: pose - neutral for name, pose in poses.items()}
    masks = (
        {"frontal": _mask(_numbers(arrays, "frontalMask", path), len(neutral))}
        if "frontalMask" in arrays
        else {}
    )
    faces = np.zeros((0, 3), int) if triangles is None else triangles
    return Raw(path.stem, neutral, faces, poses, masks=masks)


def _numbers(arrays: dict[str, Array], name: str, path: Path, label: str = "") -> Array:
    array = arrays.get(name)
    if array is None or array.dtype.kind not in "fiub":
        found = "none" if array is None else f"an array of {array.dtype}"
        raise FileFormatError(f"{path}: {label or name} must be an array of numbers, got {found}")
    return array.astype(float)


def _names(arrays: dict[str, Array], path: Path) -> list[str]:
    names = arrays["poseNames"]
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise FileFormatError(f"{path}: poseNames must be a row of text, got {names.dtype}")
    return [n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in names.tolist()]


def _are_vertices(neutral: Array, poses: dict[str, Array]) -> bool:
    """Whether poses are closer to the neutral than to zero."""
    away = [(np.abs(p - neutral).mean(), np.abs(p).mean()) for p in poses.values()]
    return sum(bool(near < far) for near, far in away) > len(away) / 2


def _mask(frontal: Array, count: int) -> Array:
    """Return (V,) 0 or 1 for vertex numbers, or for one value per vertex."""
    mask = np.zeros(count)
    if frontal.shape == (count,) and frontal.max(initial=0) <= 1:
        mask[:] = frontal
    else:
        inside = frontal[(frontal >= 0) & (frontal < count)].astype(int)
        mask[inside] = 1
    return mask


def write_bs_skin(head: Head, file: BinaryIO, *, scale: float = CENTIMETERS) -> None:
    """Write a head as `bs_skin.npz`, in Audio2Face's units and with its mouthClose.

    Writes the shapes of the head as vertices. The same head gives the same bytes.
    """
    poses = {name: head.delta(name) for name in head.names}
    if {"jawOpen", "mouthClose"} <= set(poses):
        poses["mouthClose"] = poses["mouthClose"] + poses["jawOpen"]
    arrays: dict[str, Array] = {
        "poseNames": np.array(["neutral", *poses]),
        "neutral": (head.neutral * scale).astype(np.float32),
        "frontalMask": _frontal(head),
    }
    for name, delta in poses.items():
        arrays[name] = ((head.neutral + delta) * scale).astype(np.float32)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, member.getvalue(), zipfile.ZIP_DEFLATED)


def _frontal(head: Head) -> Array:
    """Return the vertices of the face that shapes move, those in front of its middle."""
    if "frontal" in head.masks:
        return np.flatnonzero(head.masks["frontal"] > 0.5).astype(np.int32)
    moved = np.abs(head.deltas).max((0, 2)) > 1e-4
    if any(p.name == "skin" for p in head.parts):
        skin = np.zeros(len(head.neutral), bool)
        skin[head.part_vertices("skin")] = True
        moved &= skin
    front = head.neutral[:, 2] > np.median(head.neutral[moved, 2]) if moved.any() else moved
    return np.flatnonzero(moved & front).astype(np.int32)
