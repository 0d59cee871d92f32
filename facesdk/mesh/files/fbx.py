"""Heads in FBX files, through ufbx: meshes with their blend shapes, in the skeleton's rest pose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FileFormatError
from ..head import Color, Material, Part, Texture
from ..textures import linear, srgb
from .assemble import Raw, check_size, joined
from .ufbx_scene import UfbxScene

Array = NDArray[Any]

MAX_BYTES = 1 << 29


def read_fbx(path: Path) -> Raw:
    """Read all meshes of a file as one head: Y up, in meters as far as the file states its unit.

    A blend shape counts at its full weight; in-between shapes on the way to it are left out.
    """
    if path.stat().st_size > MAX_BYTES:
        raise FileFormatError(f"{path} is too large for a head: over {MAX_BYTES:,} bytes")
    scene = UfbxScene.parse(path.read_bytes(), str(path), target_unit_meters=1.0)
    pieces: list[Raw] = []
    for node in scene.listed(scene.nodes):
        if node.mesh is not None and node.visible:
            pieces += _Mesh(scene, node, path).pieces()
            shapes = {name for piece in pieces for name in piece.shapes}
            check_size(sum(len(p.neutral) for p in pieces), len(shapes), path)
    if not any(len(p.triangles) for p in pieces):
        raise FileFormatError(f"{path} has no triangles; expected a mesh of a head")
    return joined(path.stem, pieces)


class _Mesh:
    """A mesh of a node."""

    def __init__(self, scene: UfbxScene, node: Any, path: Path) -> None:
        self._scene = scene
        self._node = node
        self._mesh = scene.keep(node.mesh)
        self._path = path
        self._matrix = scene.matrix(self._placed())
        check_size(int(self._mesh.num_vertices), 0, path)

    def _placed(self) -> Any:
        """Return the matrix of the rest pose; a skinned mesh follows its first bone."""
        for deformer in self._scene.listed(self._mesh.skin_deformers):
            for cluster in self._scene.listed(deformer.clusters):
                if cluster.num_weights:
                    return cluster.geometry_to_world
        return self._node.geometry_to_world

    def pieces(self) -> Iterator[Raw]:
        """Yield one surface per material."""
        points = self._scene.vectors(self._mesh.vertices)[:, :3]
        corners = self._scene.numbers(self._mesh.vertex_indices)
        triangles, faces = self._triangles()
        if not len(triangles):
            return
        if len(corners) and not (corners.min() >= 0 and corners.max() < len(points)):
            raise FileFormatError(f"{self._path} refers to vertices that a mesh does not have")
        uvs = self._attribute(self._mesh.vertex_uv, len(corners))
        colors = self._attribute(self._mesh.vertex_color, len(corners))
        turn, shift = self._matrix[:3, :3], self._matrix[:3, 3]
        if np.linalg.det(turn) < 0:
            triangles = triangles[:, ::-1]
        shapes = {name: delta @ turn.T for name, delta in self._shapes(len(points)).items()}
        materials = self._scene.listed(self._node.materials) or self._scene.listed(
            self._mesh.materials
        )
        owner = self._scene.numbers(self._mesh.face_material)
        part_of = owner[faces] if len(owner) > faces.max(initial=-1) else np.zeros(len(faces), int)
        for number in np.unique(part_of):
            # a vertex is split where its texture coordinates differ between faces
            used = triangles[part_of == number]
            parts = [corners[used.ravel()][:, None].astype(float)]
            parts += [uvs[used.ravel()]] if uvs is not None else []
            rows, first, place = np.unique(
                np.concatenate(parts, 1), axis=0, return_index=True, return_inverse=True
            )
            corner = used.ravel()[first]
            vertex = corners[corner]
            material = self._material(materials[number] if number < len(materials) else None)
            faces_here = place.reshape(-1, 3)
            yield Raw(
                str(self._node.name) or "mesh",
                points[vertex] @ turn.T + shift,
                faces_here,
                {name: delta[vertex] for name, delta in shapes.items()},
                (Part(str(self._node.name) or "mesh", slice(0, len(faces_here)), material),),
                colors=None if colors is None else _multiplied(colors[corner, :3], material.color),
                uvs=None if uvs is None else rows[:, 1:3],
            )

    def _triangles(self) -> tuple[Array, Array]:
        """Return (F, 3) corners of triangle fans, and the face of each."""
        triangles: list[tuple[int, int, int]] = []
        faces: list[int] = []
        for number, face in enumerate(self._scene.listed(self._mesh.faces)):
            begin, count = int(face.index_begin), int(face.num_indices)
            for i in range(1, count - 1):
                triangles.append((begin, begin + i, begin + i + 1))
                faces.append(number)
        return np.array(triangles, np.int64).reshape(-1, 3), np.array(faces, np.int64)

    def _attribute(self, attribute: Any, corners: int) -> Array | None:
        """Return (corners, n) values of an attribute, or None if the mesh lacks it."""
        if not attribute.exists:
            return None
        values = self._scene.vectors(attribute.values)
        indices = self._scene.numbers(attribute.indices)
        if len(indices) != corners or not len(values) or indices.max(initial=0) >= len(values):
            return None
        found = values[np.maximum(indices, 0)]
        return found if np.isfinite(found).all() else None

    def _shapes(self, count: int) -> dict[str, Array]:
        """Return (V, 3) offsets of every channel at its full weight."""
        shapes: dict[str, Array] = {}
        for deformer in self._scene.listed(self._mesh.blend_deformers):
            for channel in self._scene.listed(deformer.channels):
                keys = [(float(key.target_weight), self._scene.keep(key.shape))
                        for key in self._scene.listed(channel.keyframes)]  # fmt: skip
                keys = [(weight, shape) for weight, shape in keys if weight and shape is not None]
                if not keys:
                    continue
                weight, shape = max(keys, key=lambda key: key[0])
                name = str(channel.name) or str(shape.name)
                while name in shapes:
                    name += ".001"  # as Blender names a copy
                shapes[name] = self._offsets(shape, count) / weight
        return shapes

    def _offsets(self, shape: Any, count: int) -> Array:
        offsets = np.zeros((count, 3))
        places = self._scene.numbers(shape.offset_vertices)
        moved = self._scene.vectors(shape.position_offsets)
        known = (places >= 0) & (places < count)
        offsets[places[known]] = moved[: len(places)][known]
        if not np.isfinite(offsets).all():
            raise FileFormatError(f"{self._path} has shapes that are not finite")
        return offsets

    def _material(self, material: Any) -> Material:
        if material is None:
            return Material("default")
        maps = self._scene.keep(material.fbx)
        base = self._scene.keep(maps.diffuse_color)
        value = base.value_vec4
        given = (value.x, value.y, value.z) if base.has_value else (0.8, 0.8, 0.8)
        # like Blender and Godot, take colors for linear light
        red, green, blue = srgb(np.clip(np.array(given), 0, 1)).tolist()
        color: Color = (red, green, blue)
        image = self._image(base.texture) if base.texture is not None else None
        if image is None:
            return Material(str(material.name) or "material", color)
        return Material(
            str(material.name) or "material", color, texture=Texture(image), alpha="cut"
        )

    def _image(self, texture: Any) -> bytes | None:
        """Return an embedded image, or the file of that name beside the FBX."""
        self._scene.keep(texture)
        content = bytes(texture.content or b"")
        if content:
            return content
        folder = self._path.parent.resolve()
        relative = PureWindowsPath(str(texture.relative_filename or texture.filename or ""))
        if not relative.name:
            return None
        for name in (Path(*relative.parts), Path(relative.name), Path("textures") / relative.name):
            try:
                file = (folder / name).resolve()
                inside = file.is_relative_to(folder) and file.is_file()
                if inside and file.stat().st_size <= MAX_BYTES:
                    return file.read_bytes()
            except (OSError, ValueError):
                continue
        return None


def _multiplied(colors: Array, color: Color) -> Array:
    """Return sRGB colors of vertices: linear ones times the sRGB color of their material."""
    return srgb(colors * linear(np.array(color)))
