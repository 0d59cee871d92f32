"""glTF 2.0 heads, `.glb` or `.gltf`: meshes with morph targets, placed by the scene's nodes."""

from __future__ import annotations

import base64
import binascii
import json
import struct
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError
from ..head import Color, Material, Part, Texture
from ..textures import SKIN
from .assemble import MAX_VERTICES, Raw, check_size, is_animated, joined
from .draco import draco_arrays
from .vrm import Expressions

Array = NDArray[Any]

MAX_BYTES = 1 << 29
MAX_NODES = 100_000
_TRIANGLES = 4
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_UNREAD = {"EXT_meshopt_compression", "KHR_meshopt_compression"}
"""Extensions without which the numbers cannot be read. KHR_mesh_quantization needs no code of its
own: it only allows integers in places where the reader takes any accessor."""

_DRACO = "KHR_draco_mesh_compression"
_BROKEN = (LookupError, TypeError, ValueError, AttributeError, struct.error, ArithmeticError)


def read_gltf(path: Path) -> Raw:
    """Read the scene's meshes as one head, in meters, Y up, looking along +Z as glTF defines it."""
    # `assemble` refuses what overflows
    with in_words(path), np.errstate(over="ignore", invalid="ignore"):
        return Scene.read(path).raw(path.stem)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn any error of a broken file into a `FileFormatError`."""
    try:
        yield
    except FileFormatError:
        raise
    except RecursionError:
        raise FileFormatError(f"{path} is nested too deeply for a glTF file") from None
    except _BROKEN as error:
        words = f"{type(error).__name__}: {error}"
        raise FileFormatError(f"{path} is not a valid glTF 2.0 file ({words})") from error


class Scene:
    """A glTF document and its buffers."""

    def __init__(self, document: Mapping[str, Any], binary: bytes, path: Path) -> None:
        self.document = document
        self._binary = binary
        self._path = path
        self._buffers: dict[int, bytes] = {}
        self._unpacked: dict[int, Array] = {}
        """Values of accessors that are compressed."""
        unread = _UNREAD & set(document.get("extensionsRequired", ()))
        if unread:
            raise FileFormatError(
                f"{path} needs {', '.join(sorted(unread))}, which facesdk does not read; "
                "export it without compression, or decompress it: "
                f"npx @gltf-transform/cli cp {path.name} plain.glb"
            )

    @classmethod
    def read(cls, path: Path) -> Scene:
        """Read the document and the binary chunk of a file."""
        if path.stat().st_size > MAX_BYTES:
            raise FileFormatError(f"{path} is too large for a head: over {MAX_BYTES:,} bytes")
        return cls.parse(path.read_bytes(), path)

    @classmethod
    def parse(cls, data: bytes, path: Path) -> Scene:
        """Parse the bytes of a file; `path` names it in errors."""
        text, binary = _chunks(data) if data[:4] == b"glTF" else (data, b"")
        document = json.loads(text)
        if not isinstance(document, dict) or "asset" not in document:
            raise ValueError("its asset entry is missing")
        return cls(document, binary, path)

    # ------------------------------------------------------------------ arrays

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            entry = self.document["buffers"][index]
            self._buffers[index] = self._bytes_of(entry.get("uri"), int(entry["byteLength"]))
        return self._buffers[index]

    def _bytes_of(self, uri: str | None, length: int) -> bytes:
        if uri is None:
            data = self._binary
        elif uri.startswith("data:"):
            try:
                data = base64.b64decode(unquote(uri.partition(",")[2]), validate=True)
            except binascii.Error as error:
                raise ValueError(f"a buffer is not base64: {error}") from error
        else:
            data = self._beside(uri).read_bytes()
        if length > len(data):
            raise ValueError(f"a buffer of {length} bytes has only {len(data)}")
        return data

    def _beside(self, uri: str) -> Path:
        return beside(self._path, uri)

    def _view(self, index: int, offset: int, dtype: np.dtype[Any], count: int, width: int) -> Array:
        """Return (count, width) numbers of a buffer view without copying."""
        view = self.document["bufferViews"][index]
        data = self._buffer(int(view["buffer"]))
        start = int(view.get("byteOffset", 0))
        length = int(view["byteLength"])
        row = dtype.itemsize * width
        stride = int(view.get("byteStride", row))
        needed = offset + stride * (count - 1) + row if count else 0
        if min(start, length, offset, count) < 0 or stride < row:
            raise ValueError("a buffer view has negative sizes")
        if needed > length or start + length > len(data):
            raise ValueError(f"an accessor needs {needed} bytes of a view of {length}")
        part = memoryview(data)[start + offset : start + length]
        shape, strides = (count, width), (stride, dtype.itemsize)
        return np.ndarray(shape, dtype, part, 0, strides) if count else np.zeros(shape, dtype)

    def _decompressed(self, primitive: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a primitive whose accessors are those that its Draco data holds.

        Vertices are in the order of the morph targets, which Draco leaves uncompressed.
        """
        packed = primitive["extensions"][_DRACO]
        view = self.document["bufferViews"][int(packed["bufferView"])]
        start, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
        data = self._buffer(int(view["buffer"]))
        if min(start, length) < 0 or start + length > len(data):
            raise ValueError("compressed data lie outside their buffer")
        arrays, corners = draco_arrays(bytes(data[start : start + length]))
        attributes = dict(primitive["attributes"])
        for name, number in packed["attributes"].items():
            if name in attributes:
                self._unpacked[int(attributes[name])] = arrays[int(number)]
        indices = primitive.get("indices")
        if indices is not None:
            self._unpacked[int(indices)] = corners.reshape(-1, 1)
        return primitive

    def accessor(self, index: int) -> Array:
        """Return (count, width) values of an accessor, sparse ones filled in."""
        entry = self.document["accessors"][index]
        dtype, width = np.dtype(_COMPONENTS[entry["componentType"]]), _WIDTHS[entry["type"]]
        count = int(entry["count"])
        if index in self._unpacked:
            values = self._unpacked[index]
            dtype = values.dtype
        elif "bufferView" in entry:
            view, offset = int(entry["bufferView"]), int(entry.get("byteOffset", 0))
            values = self._view(view, offset, dtype, count, width)
        elif not 0 <= count <= 3 * MAX_VERTICES:
            raise ValueError(f"an accessor with {count} values")
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in entry:
            values = self._filled(values.copy(), entry["sparse"], dtype, width)
        if entry.get("normalized") and dtype.kind in "iu":
            return np.maximum(values / np.iinfo(dtype).max, -1)
        return values

    def _filled(
        self, values: Array, sparse: Mapping[str, Any], dtype: np.dtype[Any], width: int
    ) -> Array:
        count = int(sparse["count"])
        where, what = sparse["indices"], sparse["values"]
        kind = np.dtype(_COMPONENTS[where["componentType"]])
        offset = int(where.get("byteOffset", 0))
        places = self._view(int(where["bufferView"]), offset, kind, count, 1)[:, 0]
        offset = int(what.get("byteOffset", 0))
        values[places] = self._view(int(what["bufferView"]), offset, dtype, count, width)
        return values

    # ------------------------------------------------------------------- nodes

    def _placed(self) -> Iterator[tuple[Mapping[str, Any], Array]]:
        """Yield nodes with a mesh, and the matrix that places it in the scene."""
        nodes = self.document.get("nodes", [])
        if scenes := self.document.get("scenes"):
            roots = scenes[int(self.document.get("scene", 0))].get("nodes", [])
        else:
            children = {int(c) for n in nodes for c in n.get("children", ())}
            roots = [i for i in range(len(nodes)) if i not in children]
        matrices: dict[int, Array] = {}
        queue = deque((int(root), self._front()) for root in roots)
        while queue:
            index, above = queue.popleft()
            if index in matrices or len(matrices) > MAX_NODES:
                raise ValueError("its nodes are not a tree")
            matrices[index] = above @ node_matrix(nodes[index])
            queue += [(int(c), matrices[index]) for c in nodes[index].get("children", ())]
        for index, matrix in matrices.items():
            if "mesh" in nodes[index]:
                yield nodes[index], self._bound(nodes[index], matrix, matrices)

    def _front(self) -> Array:
        """Return the matrix of the scene: VRM 0 looks along -Z, everything else along +Z."""
        turned = "VRM" in self.document.get("extensions", {})
        return np.diag([-1.0, 1.0, -1.0, 1.0]) if turned else np.eye(4)

    def _bound(self, node: Mapping[str, Any], own: Array, matrices: Mapping[int, Array]) -> Array:
        """Return the matrix of a mesh at rest; a skinned one follows its first joint."""
        if "skin" not in node:
            return own
        skin = self.document["skins"][int(node["skin"])]
        joint = int(skin["joints"][0])
        inverse = np.eye(4)
        if "inverseBindMatrices" in skin:
            inverse = self.accessor(int(skin["inverseBindMatrices"]))[0].reshape(4, 4).T
        return np.asarray(matrices.get(joint, np.eye(4)) @ inverse)

    # ------------------------------------------------------------------ meshes

    def target_names(self, mesh: int) -> list[str]:
        """Return the names of a mesh's morph targets."""
        return mesh_target_names(self.document, mesh)

    def shape_names(self, mesh: Mapping[str, Any], primitive: Mapping[str, Any]) -> list[str]:
        """Return a name per target of a primitive, no two alike.

        Targets without a name have their mesh's number in it where several meshes have such.
        """
        count = len(primitive.get("targets", ()))
        names = _target_names(mesh, primitive, count)
        if names == _numbered(count) and self._nameless > 1:
            number = next(i for i, m in enumerate(self.document["meshes"]) if m is mesh)
            names = [f"mesh{number}_{name}" for name in names]
        taken: set[str] = set()
        for i, name in enumerate(names):
            while name in taken:
                name += ".001"  # as Blender names a copy
            taken.add(name)
            names[i] = name
        return names

    def _check_names(self) -> None:
        """Warn of meshes with another number of names than of targets."""
        for mesh in self.document["meshes"]:
            first = mesh["primitives"][0]
            count = len(first.get("targets", ()))
            for extra in (mesh.get("extras"), first.get("extras")):
                names = extra.get("targetNames") if isinstance(extra, dict) else None
                if isinstance(names, list) and names and len(names) != count:
                    warnings.warn(
                        f"{self._path}: mesh {str(mesh.get('name', 'mesh'))!r} has {len(names)} "
                        f"names for {count} morph targets, so the names are not used; export it "
                        "again with a name for each",
                        stacklevel=2,
                    )

    @cached_property
    def _nameless(self) -> int:
        """Number of meshes whose targets have no names."""
        firsts = [(mesh, mesh["primitives"][0]) for mesh in self.document["meshes"]]
        counted = [(m, p, len(p.get("targets", ()))) for m, p in firsts]
        return sum(bool(n) and _target_names(m, p, n) == _numbered(n) for m, p, n in counted)

    def raw(self, name: str) -> Raw:
        """Return all meshes of the scene as one surface with its shapes."""
        pieces: list[Raw] = []
        names: dict[str, None] = {}
        count = 0
        for node, matrix in self._placed():
            for piece in self._primitives(node, matrix):
                pieces.append(piece)
                names |= dict.fromkeys(piece.shapes)
                count += len(piece.neutral)
                check_size(count, len(names), self._path)  # one mesh may stand in many nodes
        if not any(len(p.triangles) for p in pieces):
            raise FileFormatError(f"{self._path} has no triangles in its scene")
        self._check_names()
        bindings = Expressions(self.document, self._path).bindings(self._shape_of)
        return replace(joined(name, pieces), bindings=bindings)

    def _shape_of(self, mesh: int, target: int) -> str | None:
        """Return the name of a target in `Raw.shapes`, or None if it moves no point."""
        entry = self.document["meshes"][mesh]
        names = self.shape_names(entry, entry["primitives"][0])
        moves = any("POSITION" in p["targets"][target] for p in entry["primitives"]
                    if target < len(p.get("targets", ())))  # fmt: skip
        return names[target] if target < len(names) and moves else None

    def _primitives(self, node: Mapping[str, Any], matrix: Array) -> Iterator[Raw]:
        mesh = self.document["meshes"][int(node["mesh"])]
        name = str(mesh.get("name") or node.get("name") or "mesh")
        for primitive in mesh["primitives"]:
            if int(primitive.get("mode", _TRIANGLES)) == _TRIANGLES:
                weights = node.get("weights") or mesh.get("weights") or ()
                yield self._primitive(primitive, mesh, name, matrix, weights)

    def _primitive(
        self, primitive: Mapping[str, Any], mesh: Mapping[str, Any], name: str, matrix: Array,
        weights: Sequence[float] = (),
    ) -> Raw:  # fmt: skip
        if _DRACO in primitive.get("extensions", {}):
            primitive = self._decompressed(primitive)
        attributes = primitive["attributes"]
        points = self._numbers(attributes["POSITION"], 3)
        corners = np.arange(len(points))
        if "indices" in primitive:
            indices = self.accessor(int(primitive["indices"]))
            if indices.dtype.kind != "u" or indices.shape[1] != 1:
                raise ValueError(f"indices of mesh {name!r} are not a list of vertex numbers")
            corners = indices[:, 0].astype(np.int64)
        triangles: Array = corners[: len(corners) // 3 * 3].reshape(-1, 3)
        if triangles.size and triangles.max() >= len(points):
            raise ValueError(f"mesh {name!r} refers to vertices it does not have")
        if np.linalg.det(matrix[:3, :3]) < 0:
            triangles = triangles[:, ::-1]
        targets = primitive.get("targets", ())
        check_size(len(points), len(targets), self._path)
        shapes: dict[str, Array] = {}
        placed = points @ matrix[:3, :3].T + matrix[:3, 3]
        defaults = chain((float(weight) for weight in weights), repeat(0.0))
        for shape, target, weight in zip(
            self.shape_names(mesh, primitive), targets, defaults, strict=False
        ):
            if "POSITION" in target:
                delta = self._numbers(target["POSITION"], 3)
                if len(delta) != len(points):
                    raise ValueError(f"target {shape!r} of mesh {name!r} has {len(delta)} vertices")
                shapes[shape] = delta @ matrix[:3, :3].T
                if weight and not is_animated(shape):  # a clip sets the shapes that it knows
                    placed = placed + weight * shapes[shape]
        colors = None
        uvs = self._uvs(attributes, primitive.get("material"))
        if "COLOR_0" in attributes:
            colors = _srgb(self._numbers(attributes["COLOR_0"], 3))
        part = Part(name, slice(0, len(triangles)), self._material(primitive.get("material")))
        return Raw(name, placed, triangles, shapes, (part,), colors=colors, uvs=uvs)

    def _numbers(self, index: int, width: int) -> Array:
        """Return (N, width) finite floats of an accessor."""
        values = self.accessor(int(index))[:, :width].astype(float)
        if values.shape[1] != width or not np.isfinite(values).all():
            raise ValueError("an attribute has too few numbers, or numbers that are not finite")
        return values

    def _uvs(self, attributes: Mapping[str, Any], material: Any) -> Array | None:
        """Return (V, 2) coordinates of the base texture, origin at the lower left."""
        info, chosen = self._base_texture(material), 0
        transform: Mapping[str, Any] = {}
        if info is not None:
            transform = info.get("extensions", {}).get("KHR_texture_transform", {})
            chosen = int(transform.get("texCoord", info.get("texCoord", 0)))
        name = f"TEXCOORD_{chosen}"
        if name not in attributes:
            return None
        uvs = self._numbers(attributes[name], 2)
        if transform:
            turn = float(transform.get("rotation", 0.0))
            cos, sin = np.cos(turn), np.sin(turn)
            scaled = uvs * np.array(transform.get("scale", (1, 1)), float)
            uvs = scaled @ np.array([[cos, -sin], [sin, cos]])
            uvs = uvs + np.array(transform.get("offset", (0, 0)), float)
        return np.asarray(uvs * [1, -1] + [0, 1])

    def _base_texture(self, material: Any) -> Mapping[str, Any] | None:
        """Return the reference to the texture of a material's color."""
        if material is None:
            return None
        entry = self.document["materials"][int(material)]
        surface = entry.get("pbrMetallicRoughness", {})
        glossy = entry.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness", {})
        found = surface.get("baseColorTexture") or glossy.get("diffuseTexture")
        return found if isinstance(found, dict) else None

    def _image(self, info: Mapping[str, Any]) -> bytes | None:
        """Return the PNG or JPEG file of a texture, or None with a warning."""
        texture = self.document["textures"][int(info["index"])]
        if "source" not in texture:  # only in a form such as KTX2 or WebP
            kinds = ", ".join(texture.get("extensions", {})) or "no image"
            warnings.warn(f"{self._path}: a texture has {kinds} only, it is left out", stacklevel=2)
            return None
        image = self.document["images"][int(texture["source"])]
        try:
            if "bufferView" in image:
                view = self.document["bufferViews"][int(image["bufferView"])]
                start, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
                data = self._buffer(int(view["buffer"]))
                if min(start, length) < 0 or start + length > len(data):
                    raise ValueError("an image lies outside its buffer")
                return bytes(data[start : start + length])
            return self._bytes_of(str(image["uri"]), 0)
        except FileFormatError as error:
            warnings.warn(f"{error}; the texture is left out", stacklevel=2)
            return None

    def _material(self, index: int | None) -> Material:
        if index is None:
            return Material("default")
        entry = self.document["materials"][int(index)]
        surface = entry.get("pbrMetallicRoughness", {})
        glossy = entry.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness", {})
        given = surface.get("baseColorFactor", glossy.get("diffuseFactor"))
        color = np.array((0.8, 0.8, 0.8, 1.0) if given is None else given, float)
        info, texture = self._base_texture(index), None
        if info is not None:
            factor = (1.0, 1.0, 1.0) if given is None else color[:3].clip(0, 1).tolist()
            red, green, blue = (float(c) for c in factor)
            data = self._image(info)
            texture = None if data is None else Texture(data, (red, green, blue))
            if given is None:
                color = np.array((*SKIN, 1.0))
        red, green, blue = (float(c) for c in _srgb(color[None, :3])[0])
        rgb: Color = (red, green, blue)
        mode = str(entry.get("alphaMode", "OPAQUE"))
        kinds: dict[str, Literal["cut", "blend"]] = {"MASK": "cut", "BLEND": "blend"}
        return Material(
            str(entry.get("name", "material")),
            rgb,
            roughness=float(np.clip(surface.get("roughnessFactor", 0.6), 0, 1)),
            opacity=float(np.clip(color[3], 0, 1)) if mode == "BLEND" else 1.0,
            texture=texture,
            alpha=kinds.get(mode, "opaque"),
            cutoff=float(np.clip(entry.get("alphaCutoff", 0.5), 0, 1)),
            both_sides=bool(entry.get("doubleSided", False)),
        )


def beside(path: Path, uri: str) -> Path:
    """Return a file in the folder of a document; files elsewhere are refused."""
    folder = path.parent.resolve()
    for name in (unquote(uri), uri):  # some exporters do not encode what looks encoded
        with suppress(OSError, ValueError):  # a name that no file can have
            file = (folder / name).resolve()
            if file.is_relative_to(folder) and file.is_file():
                break
    else:
        raise FileFormatError(f"{path} refers to {uri!r}, which is not in its folder")
    if file.stat().st_size > MAX_BYTES:
        raise FileFormatError(f"{file} has more than {MAX_BYTES:,} bytes")
    return file


def glb_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of the chunks of a GLB file."""
    _, version, length = struct.unpack_from("<4sII", data)
    if version != 2 or length > len(data):
        raise ValueError(f"version {version}, {len(data)} of {length} bytes")
    place = 12
    while place + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, place)
        if place + 8 + size > length:
            raise ValueError("a chunk is longer than the file")
        yield kind, data[place + 8 : place + 8 + size]
        place += 8 + size


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """Return the JSON and binary chunks of a GLB file."""
    text = binary = b""
    for kind, chunk in glb_chunks(data):
        if kind == b"JSON":
            text = chunk.rstrip(b"\0 ")  # padded with zeros by some exporters
        else:
            binary = binary or chunk
    return text, binary


def mesh_target_names(document: Mapping[str, Any], mesh: int) -> list[str]:
    """Return the names of a mesh's morph targets."""
    entry = document["meshes"][mesh]
    first = entry["primitives"][0]
    return _target_names(entry, first, len(first.get("targets", ())))


def _target_names(mesh: Mapping[str, Any], primitive: Mapping[str, Any], count: int) -> list[str]:
    extras = (mesh.get("extras"), primitive.get("extras"))
    for extra in extras:
        names = extra.get("targetNames") if isinstance(extra, dict) else None
        if isinstance(names, list) and len(names) == count:
            return [str(n) for n in names]
    return _numbered(count)


def _numbered(count: int) -> list[str]:
    return [f"target{i}" for i in range(count)]


def node_matrix(node: Mapping[str, Any]) -> Array:
    """Return the (4, 4) matrix of a node relative to its parent."""
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = (float(n) for n in node.get("rotation", (0, 0, 0, 1)))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), float)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), float)
    return matrix


def _srgb(linear: Array) -> Array:
    linear = np.clip(linear, 0, 1)
    bright = 1.055 * np.power(linear, 1 / 2.4, where=linear > 0, out=np.zeros_like(linear)) - 0.055
    return np.where(linear <= 0.0031308, linear * 12.92, bright)
