"""A head in FBX: mesh, blend shapes, materials and skin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Doubles, Floats
from ...mesh import Head, Material
from ..scene.materials import linear
from ..scene.shapes import Shape, rest_normals, shapes_of
from ..scene.skeleton import PARENTS
from ..scene.skin import skin_weights
from .looks import Looks, looks
from .nodes import Array, Long, Node, Value, group, prop, properties, vector
from .objects import ROOT, Objects
from .skeleton import Skeleton

Values = NDArray[np.floating[Any]]

NAME = "face"
"""Of the mesh, so that it is called as no joint is."""


@dataclass(frozen=True)
class Surface:
    """A head as the arrays of a file, shapes in the head's order."""

    looks: Looks
    mesh: Sequence[Node]
    shapes: Sequence[Sequence[Node]]


def add_surface(
    objects: Objects, head: Head, skeleton: Skeleton, scale: float, *, name: str = NAME
) -> dict[str, int]:
    """Add a head as a mesh called `name`; returns the key of every shape's channel by its name."""
    surface = _surface(head, scale)
    model = _add_model(objects, name)
    mesh = objects.add("Geometry", name, "Geometry", "Mesh", children=surface.mesh)
    objects.connect(mesh, model)
    for material in surface.looks.materials:
        objects.connect(_add_material(objects, material), model)
    _add_skin(objects, mesh, head, skeleton)
    _add_bind_pose(objects, name, model, skeleton)
    return _add_shapes(objects, mesh, head.names, surface)


def _add_model(objects: Objects, name: str) -> int:
    entries = [
        prop("InheritType", "enum", "", "", 1),
        vector("Lcl Translation", np.zeros(3)),
        vector("Lcl Rotation", np.zeros(3)),
        vector("Lcl Scaling", np.ones(3)),
        prop("DefaultAttributeIndex", "int", "Integer", "", 0),
    ]
    model = objects.add(
        "Model", name, "Model", "Mesh",
        children=[Node("Version", 232), properties(*entries), Node("Shading", True),
                  Node("Culling", "CullingOff")],
    )  # fmt: skip
    objects.connect(model, ROOT)
    return model


# ------------------------------------------------------------------------- arrays


@lru_cache(2)
def _surface(head: Head, scale: float) -> Surface:
    """Return the arrays of a head, kept for the next file."""
    shapes = [_shape(shape, scale) for shape in shapes_of(head)]
    worn = looks(head)
    return Surface(worn, _mesh(head, worn, rest_normals(head), scale), shapes)


def _mesh(head: Head, worn: Looks, rest: Floats, scale: float) -> list[Node]:
    polygons = head.triangles.astype(np.int32)
    polygons[:, 2] = ~polygons[:, 2]
    layers = [_layer("Normal", 102, "Normals", rest, "NormalsIndex", head.triangles)]
    if worn.tints is not None:
        tints = np.column_stack([worn.tints, np.ones(len(worn.tints))])
        layers.append(_layer("Color", 101, "Colors", tints, "ColorIndex", worn.corners))
    if head.uvs is not None:
        layers.append(_layer("UV", 101, "UV", head.uvs, "UVIndex", head.triangles))
    layers.append(_material_layer(worn))
    kinds = ["Normal", *(["Color"] * (head.colors is not None)), *(["UV"] * (head.uvs is not None))]
    return [
        Node("Vertices", Array.of(_scaled(head.neutral, scale), "f8")),
        Node("PolygonVertexIndex", Array.of(polygons, "i4")),
        Node("GeometryVersion", 124),
        *layers,
        Node("Layer", 0, children=[Node("Version", 100), *map(_in_layer, [*kinds, "Material"])]),
    ]


def _scaled(points: NDArray[np.float32], scale: float) -> Doubles:
    return points.astype(np.float64) * scale


def _layer(
    kind: str, version: int, name: str, data: Values, index: str, corners: NDArray[np.int32]
) -> Node:
    """Return a layer of vertex data by corner of every triangle."""
    return Node(
        f"LayerElement{kind}",
        0,
        children=[
            Node("Version", version),
            Node("Name", "map1" if kind == "UV" else ""),
            Node("MappingInformationType", "ByPolygonVertex"),
            Node("ReferenceInformationType", "IndexToDirect"),
            Node(name, Array.of(data, "f8")),
            Node(index, Array.of(corners, "i4")),
        ],
    )


def _material_layer(worn: Looks) -> Node:
    return Node(
        "LayerElementMaterial",
        0,
        children=[
            Node("Version", 101),
            Node("Name", ""),
            Node("MappingInformationType", "ByPolygon"),
            Node("ReferenceInformationType", "IndexToDirect"),
            Node("Materials", Array.of(worn.faces, "i4")),
        ],
    )


def _in_layer(kind: str) -> Node:
    return group("LayerElement", Node("Type", f"LayerElement{kind}"), Node("TypedIndex", 0))


def _shape(shape: Shape, scale: float) -> list[Node]:
    """Return the vertices that a shape moves, their offsets, and changes of their normals."""
    vertices, offsets, turns = shape
    if not len(vertices):  # readers drop a shape without vertices
        vertices = np.zeros(1, np.intp)
        offsets = turns = np.zeros((1, 3), np.float32)
    return [
        Node("Version", 100),
        Node("Indexes", Array.of(vertices, "i4")),
        Node("Vertices", Array.of(_scaled(offsets, scale), "f8")),
        Node("Normals", Array.of(turns, "f8")),
    ]


# ---------------------------------------------------------------------- materials


def _add_material(objects: Objects, material: Material) -> int:
    """Add a material as Blender, ufbx and Unity read one: roughness 1 - sqrt(shininess) / 10.

    Colors are linear light, as most programs take them.
    """
    shininess = 100 * (1 - float(np.clip(material.roughness, 0, 1))) ** 2
    specular = [0.08 * material.specular] * 3
    entries = [
        _color("DiffuseColor", linear(np.array(material.color)).tolist()),
        _factor("DiffuseFactor", 1.0),
        _color("SpecularColor", specular),
        _factor("SpecularFactor", 1.0),
        _factor("ShininessExponent", shininess),
        prop("Shininess", "double", "Number", "", shininess),  # its older name
        _factor("TransparencyFactor", 1.0 - material.opacity),
        prop("Opacity", "double", "Number", "", float(material.opacity)),
    ]
    return objects.add(
        "Material", material.name, "Material",
        children=[Node("Version", 102), Node("ShadingModel", "phong"), Node("MultiLayer", 0),
                  properties(*entries)],
    )  # fmt: skip


def _color(name: str, color: Iterable[float]) -> Node:
    return prop(name, "Color", "", "A", *map(float, color))


def _factor(name: str, value: float) -> Node:
    return prop(name, "Number", "", "A", value)


# ---------------------------------------------------------------------- deformers


def _add_shapes(
    objects: Objects, mesh: int, names: Sequence[str], surface: Surface
) -> dict[str, int]:
    deformer = objects.add(
        "Deformer", "shapes", "Deformer", "BlendShape", children=[Node("Version", 100)]
    )
    objects.connect(deformer, mesh)
    channels = {}
    for name, arrays in zip(names, surface.shapes, strict=True):
        channel = objects.add(
            "Deformer", name, "SubDeformer", "BlendShapeChannel",
            children=[Node("Version", 100), Node("DeformPercent", 0.0),
                      Node("FullWeights", Array.of([100.0], "f8")),
                      properties(_factor("DeformPercent", 0.0))],
        )  # fmt: skip
        shape = objects.add("Geometry", name, "Geometry", "Shape", children=arrays)
        objects.connect(channel, deformer)
        objects.connect(shape, channel)
        channels[name] = channel
    return channels


def _add_skin(objects: Objects, mesh: int, head: Head, skeleton: Skeleton) -> None:
    skin = objects.add(
        "Deformer", "skin", "Deformer", "Skin",
        children=[Node("Version", 101), Node("Link_DeformAcuracy", 50.0)],
    )  # fmt: skip
    objects.connect(skin, mesh)
    by_joint = dict(zip(PARENTS, skin_weights(head).T, strict=True))
    for joint in ("left_eye", "right_eye", "head", "neck", "root"):
        weights = by_joint[joint]
        vertices = np.flatnonzero(weights > 1e-6)
        if not len(vertices):
            continue
        place = skeleton.places[joint]
        cluster = objects.add(
            "Deformer", joint, "SubDeformer", "Cluster",
            children=[Node("Version", 100), Node("UserData", "", ""),
                      Node("Indexes", Array.of(vertices, "i4")),
                      Node("Weights", Array.of(weights[vertices], "f8")),
                      Node("Transform", _moved(-place)), Node("TransformLink", _moved(place))],
        )  # fmt: skip
        objects.connect(cluster, skin)
        objects.connect(skeleton.keys[joint], cluster)


def _add_bind_pose(objects: Objects, name: str, model: int, skeleton: Skeleton) -> None:
    """Add the positions of mesh and joints when they were bound."""
    tied = [(model, np.zeros(3))]
    tied += [(skeleton.keys[name], place) for name, place in skeleton.places.items()]
    entries = [
        group("PoseNode", Node("Node", Long(key)), Node("Matrix", _moved(place)))
        for key, place in tied
    ]
    objects.add(
        "Pose", name, "Pose", "BindPose",
        children=[Node("Type", "BindPose"), Node("Version", 100),
                  Node("NbPoseNodes", len(tied)), *entries],
    )  # fmt: skip


def _moved(by: Doubles) -> Value:
    """Return a translation matrix, stored column by column."""
    matrix = np.eye(4)
    matrix[3, :3] = by
    return Array.of(matrix, "f8")
