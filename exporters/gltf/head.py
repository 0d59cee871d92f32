"""A head as nodes, skin and meshes of a glTF document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...clip import POSE_JOINTS
from ...mesh import Head, Part
from ..scene.materials import is_thin, linear, parts_of
from ..scene.placeholder import NAME, TRIANGLE
from ..scene.shapes import rest_normals, shapes_of
from ..scene.skeleton import PARENTS, joint_offsets, joint_places
from ..scene.skin import skin_weights
from .document import Document, Snapshot, new_document

Array = NDArray[Any]


@dataclass(frozen=True)
class Figure:
    """Nodes of a document that animations move."""

    joints: tuple[int, ...]
    """Nodes of the joints, in the order of `Pose.angles`."""
    faces: tuple[int, ...]
    """Nodes with morph targets."""


def add_head(document: Document, head: Head, *, sparse: bool = True) -> Figure:
    """Add a head to an empty document: a mesh for every part, all on one skeleton.

    Parts that no shape moves have no targets; all others have all of them, in the head's order,
    in sparse accessors if those are allowed.
    """
    snapshot, figure = _built(head, sparse)
    document.restore(snapshot)
    return figure


@lru_cache(2)
def _built(head: Head, sparse: bool) -> tuple[Snapshot, Figure]:
    """Return the document of a head, kept for the next file."""
    with new_document() as document:
        places = joint_places(head)
        nodes = _add_joints(document, places)
        skin = document.add("skins", _skin(document, places, nodes))
        surface = _Surface(head, sparse)
        document.most_zeros = max(len(surface.own(part)) for part in parts_of(head))
        faces, scene = [], [nodes["root"]]
        for part in parts_of(head):
            mesh, moves = surface.add_mesh(document, part)
            name = f"{part.name}_mesh" if part.name in PARENTS else part.name
            scene.append(document.add("nodes", {"name": name, "mesh": mesh, "skin": skin}))
            faces += [scene[-1]] if moves else []
        document.json |= {"scene": document.add("scenes", {"nodes": scene})}
        return document.snapshot(), Figure(tuple(nodes[n] for n in POSE_JOINTS), tuple(faces))


def add_placeholder(document: Document, names: tuple[str, ...], head: Head | None = None) -> Figure:
    """Add joints, and a triangle of a millimeter with a target of every name that moves nothing.

    The joints are those of the head, or of the built-in one. glTF animates weights of meshes only,
    so curves without a head need a mesh.
    """
    nodes = _add_joints(document, joint_places(head))
    attributes = {"POSITION": document.vertices(TRIANGLE, bounds=True)}
    document.most_zeros = len(TRIANGLE)
    zeros = document.zeros(3)
    primitive = {"attributes": attributes, "targets": [{"POSITION": zeros}] * len(names)}
    mesh = {"name": NAME, "primitives": [primitive], "extras": {"targetNames": list(names)}}
    face = document.add("nodes", {"name": NAME, "mesh": document.add("meshes", mesh)})
    document.json |= {"scene": document.add("scenes", {"nodes": [nodes["root"], face]})}
    return Figure(tuple(nodes[name] for name in POSE_JOINTS), (face,))


# -------------------------------------------------------------------- skeleton


def _add_joints(document: Document, places: Mapping[str, Array]) -> dict[str, int]:
    nodes: dict[str, int] = {}
    for name, offset in joint_offsets(places).items():
        entry: dict[str, Any] = {"name": name}
        if offset.any():
            entry["translation"] = [float(np.float32(x)) for x in offset]
        nodes[name] = document.add("nodes", entry)
        if parent := PARENTS[name]:
            document.json["nodes"][nodes[parent]].setdefault("children", []).append(nodes[name])
    return nodes


def _skin(
    document: Document, places: Mapping[str, Array], nodes: Mapping[str, int]
) -> dict[str, Any]:
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(PARENTS), 1, 1))
    for matrix, name in zip(inverse, PARENTS, strict=True):
        matrix[3, :3] = -places[name]  # stored column by column
    return {
        "joints": [nodes[name] for name in PARENTS],
        "skeleton": nodes["root"],
        "inverseBindMatrices": document.values(inverse.reshape(-1, 16)),
    }


def _binding(head: Head) -> tuple[Array, Array]:
    """Return (V, 4) joints and weights per vertex: root, neck, head and the eye on its side.

    Weights are floats: assimp reads those of 16 bits as if they were, and smaller ones are coarse.
    """
    shares = skin_weights(head)
    right = shares[:, 4] > 0
    weights = np.column_stack([shares[:, :3], np.where(right, shares[:, 4], shares[:, 3])])
    shares = weights.astype("<f4")
    joints = np.tile([0, 1, 2, 3], (len(shares), 1))
    joints[right, 3] = 4
    return np.where(shares > 0, joints, 0).astype("u1"), shares


# ---------------------------------------------------------------------- meshes


class _Surface:
    """The meshes of a head."""

    def __init__(self, head: Head, sparse: bool) -> None:
        self._head = head
        self._sparse = sparse
        self._joints, self._weights = _binding(head)
        self._offsets = np.zeros((len(head.names), len(head.neutral), 3), np.float32)
        self._turns = np.zeros_like(self._offsets)
        for i, shape in enumerate(shapes_of(head)):
            self._offsets[i, shape.vertices] = shape.offsets
            self._turns[i, shape.vertices] = shape.turns

    def own(self, part: Part) -> Array:
        """Return the vertices of a part."""
        return np.unique(self._head.triangles[part.triangles])

    def add_mesh(self, document: Document, part: Part) -> tuple[int, bool]:
        """Add the mesh of a part's own vertices; returns it and whether shapes move it."""
        head = self._head
        corners = head.triangles[part.triangles]
        own = self.own(part)
        primitive: dict[str, Any] = {
            "attributes": self._attributes(document, own),
            "indices": document.indices(np.searchsorted(own, corners)),
            "material": document.add("materials", _material(part, colored=head.colors is not None)),
        }
        mesh: dict[str, Any] = {"name": part.name, "primitives": [primitive]}
        offsets = self._offsets[:, own]
        if offsets.any():
            primitive["targets"] = _targets(
                document, offsets, self._turns[:, own], sparse=self._sparse
            )
            mesh["extras"] = {"targetNames": list(head.names)}
        return document.add("meshes", mesh), "targets" in primitive

    def _attributes(self, document: Document, own: Array) -> dict[str, int]:
        head = self._head
        attributes = {
            "POSITION": document.vertices(head.neutral[own], bounds=True),
            "NORMAL": document.vertices(rest_normals(head)[own]),
            "JOINTS_0": document.vertices(self._joints[own]),
            "WEIGHTS_0": document.vertices(self._weights[own]),
        }
        if head.uvs is not None:
            flipped = np.stack([head.uvs[own, 0], 1 - head.uvs[own, 1]], 1)
            attributes["TEXCOORD_0"] = document.vertices(flipped)
        if head.colors is not None:
            colors = linear(head.colors[own]).astype(np.float32)
            attributes["COLOR_0"] = document.vertices(colors)
        return attributes


def _targets(
    document: Document, deltas: Array, changes: Array, *, sparse: bool
) -> list[dict[str, int]]:
    zeros = document.zeros(deltas.shape[1])
    targets = []
    for delta, change in zip(deltas, changes, strict=True):
        still, steady = not delta.any(), not change.any()
        targets.append(
            {
                "POSITION": zeros if still else document.deltas(delta, bounds=True, sparse=sparse),
                "NORMAL": zeros if steady else document.deltas(change, sparse=sparse),
            }
        )
    return targets


def _material(part: Part, *, colored: bool) -> dict[str, Any]:
    material = part.material
    color = (
        [1.0, 1.0, 1.0] if colored else linear(np.array(material.color)).astype(np.float32).tolist()
    )
    entry: dict[str, Any] = {
        "name": material.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [*color, float(material.opacity)],
            "metallicFactor": 0.0,
            "roughnessFactor": float(material.roughness),
        },
    }
    if material.opacity < 1:
        entry["alphaMode"] = "BLEND"
    if is_thin(part):
        entry["doubleSided"] = True
    return entry
