"""Choose the reader for a head file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError, MeshError, reading, unknown_name
from ..builtin.head import Detail, builtin_head
from ..fit.calibrate import flame_head
from ..flame import FlameModel, is_flame
from ..head import Head
from .assemble import Raw, assemble, check_size, names_of_shapes, turned_up
from .bs_skin import is_bs_skin, read_bs_skin
from .fbx import read_fbx
from .gltf import read_gltf
from .obj import read_obj, read_obj_folder
from .ply import read_ply
from .unpickle import load_arrays

Array = NDArray[Any]

SURFACES: Mapping[str, Callable[[Path], Raw]] = {
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".vrm": read_gltf,
    ".fbx": read_fbx,
    ".obj": read_obj,
    ".ply": read_ply,
}
ARRAYS = (".npz", ".pkl", ".npy")


def load_head(
    path: str | Path | None = None,
    *,
    identity: Mapping[str, Any] | None = None,
    detail: Detail = "low",
    topology: str | Path | None = None,
    subject: str | None = None,
    up: Literal["y", "z"] = "y",
) -> Head:
    """Load the built-in head, or the one at a path.

    `path` may be a folder of OBJ files (as in ICT-FaceKit), a `.glb`, `.gltf`, `.vrm`, `.fbx`,
    `.obj` or `.ply` file, Audio2Face's `bs_skin.npz`, a FLAME model, which gets the built-in head's
    shapes, or the templates of VOCASET and BIWI (`.pkl`, `.npz`), of which `subject` picks one.
    Files without triangles take them from `topology`, or from an OBJ or PLY file with as many
    vertices in the same folder. `up` is the axis that points up in the file: "y", or "z" for a head
    that looks along -Y as in Blender. `identity` (age, sex, ethnicity) and `detail` ("low" for
    motion, "high" for stills) apply to the built-in head only.

    Raises `FileFormatError` for a file that cannot be read.
    """
    if path is None:
        return builtin_head(identity, detail=detail)
    if identity:
        raise MeshError(f"identity options apply to the built-in head only, not to {path}")
    if up not in ("y", "z"):
        raise unknown_name("no axis that points up", up, ("y", "z"))
    file = Path(path)
    if not file.exists():
        raise FileFormatError(f"{file} does not exist; give the path of a head")
    with reading(file, FileFormatError):
        return _loaded(file, topology, subject, turned_up if up == "z" else _as_it_is)


def _loaded(
    file: Path, topology: str | Path | None, subject: str | None, upright: Callable[[Raw], Raw]
) -> Head:
    suffix = file.suffix.lower()
    if file.is_dir():
        return assemble(upright(read_obj_folder(file)))
    if suffix in SURFACES:
        return assemble(upright(SURFACES[suffix](file)))
    if suffix not in ARRAYS:
        kinds = ", ".join((*SURFACES, *ARRAYS))
        raise FileFormatError(
            f"{file} is not a supported head file; expected {kinds}, or a folder of .obj files"
        )
    if suffix == ".npz" and is_bs_skin(file):
        return assemble(upright(_with_triangles(read_bs_skin(file), file, topology)))
    if subject is None and is_flame(arrays := load_arrays(file)):
        return flame_head(FlameModel.from_arrays(arrays, file), builtin_head())
    raw = read_template(file, subject)
    return assemble(upright(_with_triangles(raw, file, topology)))


def read_shape_names(path: str | Path) -> dict[str, dict[str, list[str]]]:
    """Return the names of a head's shapes in its file, by rig and by the control they stand for.

    Shapes of no rig are under `other`. Raises `FileFormatError` for files that hold no shapes.
    """
    file = Path(path)
    with reading(file, FileFormatError):
        if file.is_dir():
            return names_of_shapes(read_obj_folder(file))
        if file.suffix.lower() in SURFACES:
            return names_of_shapes(SURFACES[file.suffix.lower()](file))
        if file.suffix.lower() == ".npz" and is_bs_skin(file):
            return names_of_shapes(read_bs_skin(file))
    raise FileFormatError(f"{file} is not a head with shapes; expected {', '.join(SURFACES)}")


def _as_it_is(raw: Raw) -> Raw:
    return raw


def read_template(file: Path, subject: str | None = None) -> Raw:
    """Read one subject's neutral from a file of templates, (V, 3) arrays by subject."""
    with reading(file, FileFormatError):
        return _template(file, subject)


def _template(file: Path, subject: str | None) -> Raw:
    arrays = load_arrays(file)
    people = {
        name: array
        for name, array in arrays.items()
        if array.ndim == 2 and array.shape[1] == 3 and array.dtype.kind == "f"
    }
    if not people:
        raise FileFormatError(f"{file} holds no (V, 3) array of vertices")
    if subject is None:
        subject = "v_template" if "v_template" in people else next(iter(people))
    if subject not in people:
        raise unknown_name(f"{file} has no subject", subject, people)
    check_size(len(people[subject]), 0, file)
    faces = next((arrays[k] for k in ("f", "faces") if k in arrays), np.zeros((0, 3), int))
    return Raw(subject, people[subject].astype(float), faces)


def _with_triangles(raw: Raw, file: Path, topology: str | Path | None) -> Raw:
    """Return a head of vertices with the triangles of another file."""
    if topology is not None:
        surface = _surface(Path(topology))
        if len(surface.neutral) != len(raw.neutral):
            raise FileFormatError(
                f"{topology} has {len(surface.neutral)} vertices, {file} has {len(raw.neutral)}"
            )
        return _joined(raw, surface)
    if len(raw.triangles):
        return raw
    for path in sorted(file.parent.iterdir()):
        if path.suffix.lower() in (".obj", ".ply"):
            surface = _surface(path)
            if len(surface.neutral) == len(raw.neutral):
                return _joined(raw, surface)
    return raw


def _surface(path: Path) -> Raw:
    if path.suffix.lower() not in (".obj", ".ply"):
        raise FileFormatError(f"topology must be an .obj or .ply file, got {path}")
    return SURFACES[path.suffix.lower()](path)


def _joined(raw: Raw, surface: Raw) -> Raw:
    return Raw(raw.name, raw.neutral, surface.triangles, raw.shapes, colors=surface.colors,
               masks=raw.masks)  # fmt: skip
