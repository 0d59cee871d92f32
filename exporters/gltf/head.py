"""A head as nodes, skin and meshes of a glTF document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...mesh import Head, Material, Part
from ...mesh.surface import normals
from .document import Document

Array = NDArray[Any]

JOINTS = ("head", "neck", "eye_left", "eye_right")
"""Names of the joints' nodes, in the order of `Pose.angles`."""

_PARENTS = {"neck": "body", "head": "neck", "eye_left": "head", "eye_right": "head"}
_ORDER = ("body", "neck", "head", "eye_left", "eye_right")
_THIN = ("hair", "brow", "lash")
_STILL = 1e-5
"""Changes of a normal below this are none."""


@dataclass(frozen=True)
class Figure:
    """Where a figure's moving pieces are in the document."""

    joints: tuple[int, ...]
    """Nodes of `JOINTS`."""
    faces: tuple[int, ...]
    """Nodes with morph targets."""


def add_head(document: Document, head: Head) -> Figure:
    """The head: a node and a mesh for every part, all on one skeleton, which the masks bind.

    Parts that no shape moves have no targets; all others have all of them, in the head's order.
    """
    nodes = _joints(document, _centers(head))
    skin = document.add("skins", _skin(document, head, nodes))
    surface = _Surface.of(head)
    faces, scene = [], [nodes["body"]]
    for part in head.parts or (Part(head.name, slice(None), Material("surface")),):
        if not len(head.triangles[part.triangles]):
            continue
        mesh, moves = surface.mesh(document, part)
        name = f"{part.name}_mesh" if part.name in _ORDER else part.name
        scene.append(document.add("nodes", {"name": name, "mesh": mesh, "skin": skin}))
        faces += [scene[-1]] if moves else []
    document.json |= {"scene": document.add("scenes", {"nodes": scene})}
    return Figure(tuple(nodes[name] for name in JOINTS), tuple(faces))


def add_carrier(document: Document, names: tuple[str, ...]) -> Figure:
    """Joints, and a triangle of a millimetre with a target of every name, none of which moves it.

    glTF animates weights of meshes only, so curves without a head need one.
    """
    nodes = _joints(document, dict.fromkeys(_ORDER, np.zeros(3)))
    corners = np.array([[0, 0, 0], [0.001, 0, 0], [0, 0.001, 0]], np.float32)
    attributes = {"POSITION": document.vertices(corners, bounds=True)}
    zeros = document.zeros(3)
    primitive = {"attributes": attributes, "targets": [{"POSITION": zeros}] * len(names)}
    mesh = {"name": "curves", "primitives": [primitive], "extras": {"targetNames": list(names)}}
    face = document.add("nodes", {"name": "curves", "mesh": document.add("meshes", mesh)})
    document.json |= {"scene": document.add("scenes", {"nodes": [nodes["body"], face]})}
    return Figure(tuple(nodes[name] for name in JOINTS), (face,))


# -------------------------------------------------------------------- skeleton


def _centers(head: Head) -> dict[str, Array]:
    """Metres of every joint; where the head does not know one, that of the joint above."""
    found: dict[str, Array] = {"body": np.zeros(3)}
    for name in ("neck", "head", "eye_left", "eye_right"):
        joint = head.joints.get(name)
        above = found[_PARENTS[name]] if name != "head" else np.zeros(3)
        found[name] = above if joint is None else np.array(joint.center, float)
    return found


def _joints(document: Document, centers: dict[str, Array]) -> dict[str, int]:
    nodes: dict[str, int] = {}
    for name in _ORDER:
        entry: dict[str, Any] = {"name": name}
        parent = _PARENTS.get(name)
        offset = centers[name] - centers[parent] if parent else centers[name]
        if offset.any():
            entry["translation"] = [float(np.float32(x)) for x in offset]
        nodes[name] = document.add("nodes", entry)
        if parent:
            document.json["nodes"][nodes[parent]].setdefault("children", []).append(nodes[name])
    return nodes


def _skin(document: Document, head: Head, nodes: dict[str, int]) -> dict[str, Any]:
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(_ORDER), 1, 1))
    for matrix, center in zip(inverse, _centers(head).values(), strict=True):
        matrix[3, :3] = -center  # stored column by column
    return {
        "joints": [nodes[name] for name in _ORDER],
        "skeleton": nodes["body"],
        "inverseBindMatrices": document.values(inverse.reshape(-1, 16)),
    }


def _binding(head: Head) -> tuple[Array, Array]:
    """(V, 4) joints and weights of every vertex: body, neck, head and the eye on its side."""
    one = np.ones(len(head.neutral))
    follows, bends = (np.asarray(head.masks.get(n, one), float) for n in ("head", "neck"))
    left, right = (_eye_mask(head, name) for name in ("eye_left", "eye_right"))
    eye = np.maximum(left, right)
    shares = np.stack([(1 - follows) * (1 - bends), (1 - follows) * bends, follows], 1)
    weights = np.concatenate([shares * (1 - eye[:, None]), eye[:, None]], 1)
    whole = np.rint(weights * 65535).astype(np.int64)
    largest = whole.argmax(1)
    whole[np.arange(len(whole)), largest] += 65535 - whole.sum(1)
    joints = np.tile([0, 1, 2, 3], (len(whole), 1))
    joints[right > left, 3] = 4
    return np.where(whole > 0, joints, 0).astype("u1"), whole.astype("<u2")


def _eye_mask(head: Head, name: str) -> Array:
    """(V,) what turns with an eye; nothing where its centre is not known."""
    if name not in head.joints or name not in head.masks:
        return np.zeros(len(head.neutral))
    return np.asarray(head.masks[name] > 0, float)


# ---------------------------------------------------------------------- meshes


@dataclass(frozen=True, eq=False)
class _Surface:
    """What the vertices of a head bring to its meshes."""

    head: Head
    deltas: Array
    """(S, V, 3) metres, less what the eyes' joints do."""
    up: Array
    """(V, 3) normals."""
    changes: list[Array]
    """(V, 3) for every shape: how it turns the normals."""
    joints: Array
    """(V, 4)."""
    weights: Array
    """(V, 4)."""

    @classmethod
    def of(cls, head: Head) -> _Surface:
        deltas = head.basis.reshape(len(head.names), -1, 3)
        up = _normals(head.neutral, head.triangles)
        changes = [_normals(head.neutral + delta, head.triangles) - up for delta in deltas]
        for change in changes:
            change[np.abs(change).max(1) < _STILL] = 0
        return cls(head, deltas, up, changes, *_binding(head))

    def mesh(self, document: Document, part: Part) -> tuple[int, bool]:
        """A part's mesh of the vertices that it uses, and whether shapes move it."""
        corners = self.head.triangles[part.triangles]
        own = np.unique(corners)
        colored = self.head.colors is not None
        primitive: dict[str, Any] = {
            "attributes": self._attributes(document, own),
            "indices": document.indices(np.searchsorted(own, corners)),
            "material": document.add("materials", _material(part, colored=colored)),
        }
        mesh: dict[str, Any] = {"name": part.name, "primitives": [primitive]}
        moves = bool(self.deltas[:, own].any())
        if moves:
            changes = [change[own] for change in self.changes]
            primitive["targets"] = _targets(document, self.deltas[:, own], changes)
            mesh["extras"] = {"targetNames": list(self.head.names)}
        return document.add("meshes", mesh), moves

    def _attributes(self, document: Document, own: Array) -> dict[str, int]:
        attributes = {
            "POSITION": document.vertices(self.head.neutral[own], bounds=True),
            "NORMAL": document.vertices(self.up[own]),
            "JOINTS_0": document.vertices(self.joints[own]),
            "WEIGHTS_0": document.vertices(self.weights[own], normalized=True),
        }
        if self.head.uvs is not None:
            flipped = np.stack([self.head.uvs[own, 0], 1 - self.head.uvs[own, 1]], 1)
            attributes["TEXCOORD_0"] = document.vertices(flipped)
        if self.head.colors is not None:
            attributes["COLOR_0"] = document.vertices(linear(self.head.colors[own]))
        return attributes


def _normals(points: Array, triangles: Array) -> Array:
    """(V, 3) unit normals; those of lone points look forward."""
    up = normals(points.astype(float), triangles)
    up[np.linalg.norm(up, axis=1) < 0.5] = (0, 0, 1)
    return up


def _targets(document: Document, deltas: Array, changes: list[Array]) -> list[dict[str, int]]:
    zeros = document.zeros(deltas.shape[1])
    targets = []
    for delta, change in zip(deltas, changes, strict=True):
        still, steady = not delta.any(), not change.any()
        targets.append(
            {
                "POSITION": zeros if still else document.deltas(delta, bounds=True),
                "NORMAL": zeros if steady else document.deltas(change),
            }
        )
    return targets


def _material(part: Part, *, colored: bool) -> dict[str, Any]:
    material = part.material
    color = (
        [1.0, 1.0, 1.0] if colored else [float(c) for c in linear(np.array([material.color]))[0]]
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
    if any(word in f"{part.name} {material.name}".lower() for word in _THIN):
        entry["doubleSided"] = True
    return entry


def linear(colors: Array) -> Array:
    """(N, 3) float32 linear light of sRGB colours."""
    srgb = np.clip(np.asarray(colors, np.float64), 0, 1)
    bright = ((srgb + 0.055) / 1.055) ** 2.4
    return np.where(srgb <= 0.04045, srgb / 12.92, bright).astype(np.float32)
