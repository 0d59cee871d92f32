"""A head in USD: its skeleton, its mesh on it, its blend shapes and materials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from ...mesh import Head, Material, Part
from ..scene.materials import is_thin, linear, materials_of, parts_of
from ..scene.shapes import rest_normals, shapes_of
from ..scene.skeleton import PARENTS, joint_offsets
from ..scene.skin import skin_weights
from .layer import Array, Prim, identifier, identifiers, text

MESH = "face"
MATERIALS = "Materials"
_SURFACE = "Surface"
_COLORS = "Colors"
_INFLUENCES = 4

# -------------------------------------------------------------------- skeleton


def joint_paths() -> dict[str, str]:
    """Return the token of every joint, its path from the root; parents first."""
    paths: dict[str, str] = {}
    for name, parent in PARENTS.items():
        paths[name] = f"{paths[parent]}/{name}" if parent else name
    return paths


def local_places(places: Mapping[str, Array]) -> Array:
    """Return (J, 3) positions of joints, each from its parent."""
    return np.array(list(joint_offsets(places).values()))


def add_skeleton(root: Prim, places: Mapping[str, Array]) -> Prim:
    """Add the joints, none turned at rest."""
    skeleton = root.child("Skeleton", "Skeleton", ["SkelBindingAPI"])
    joints = list(joint_paths().values())
    skeleton.add("token[]", "joints", joints, uniform=True)
    world = np.array([places[name] for name in PARENTS])
    skeleton.add("matrix4d[]", "bindTransforms", _moved(world), uniform=True)
    skeleton.add("matrix4d[]", "restTransforms", _moved(local_places(places)), uniform=True)
    return skeleton


def _moved(places: Array) -> Array:
    """Return (J, 4, 4) translation matrices for row vectors."""
    matrices = np.tile(np.eye(4), (len(places), 1, 1))
    matrices[:, 3, :3] = places
    return matrices


# ------------------------------------------------------------------------ mesh


def add_head(root: Prim, head: Head, path: str, scale: float, *, name: str = MESH) -> None:
    """Add mesh `name`, blend shapes and materials of a head to the prim at `path`."""
    parts = parts_of(head)
    looks = materials_of(parts)
    names = identifiers([material.name for material in looks])
    paths = {m: f"{path}/{MATERIALS}/{n}" for m, n in zip(looks, names, strict=True)}
    mesh = root.child("Mesh", name, ["SkelBindingAPI", "MaterialBindingAPI"])
    _add_surface(mesh, head, scale)
    _add_skin(mesh, head, f"{path}/Skeleton")
    _add_shapes(mesh, head, f"{path}/{name}", scale)
    _add_parts(mesh, head, parts, paths)
    scope = root.child("Scope", MATERIALS)
    for material in looks:
        _add_material(scope, material, paths[material], colored=head.colors is not None)


def _add_surface(mesh: Prim, head: Head, scale: float) -> None:
    points = _scaled(head.neutral, scale)
    thin = any(map(is_thin, parts_of(head)))
    by_vertex = {"interpolation": "vertex"}
    mesh.add("bool", "doubleSided", thin, uniform=True)
    mesh.add("float3[]", "extent", [points.min(0), points.max(0)])
    mesh.add("int[]", "faceVertexCounts", np.full(len(head.triangles), 3))
    mesh.add("int[]", "faceVertexIndices", head.triangles.reshape(-1))
    mesh.add("normal3f[]", "normals", rest_normals(head), facts=by_vertex)
    mesh.add("point3f[]", "points", points)
    if head.colors is not None:
        mesh.add("color3f[]", "primvars:displayColor", linear(head.colors), facts=by_vertex)
    if head.uvs is not None:
        mesh.add("texCoord2f[]", "primvars:st", head.uvs, facts=by_vertex)
    mesh.add("token", "subdivisionScheme", "none", uniform=True)


def _scaled(points: Array, scale: float) -> Array:
    return points if scale == 1 else (points.astype(np.float64) * scale).astype(np.float32)


def _add_skin(mesh: Prim, head: Head, skeleton: str) -> None:
    """Add the up to four joints that every vertex follows."""
    weights = skin_weights(head)
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :_INFLUENCES]
    shares = np.take_along_axis(weights, joints, 1)
    shares = shares / shares.sum(1, keepdims=True)
    per_vertex: dict[str, str | int | float] = {
        "elementSize": _INFLUENCES,
        "interpolation": "vertex",
    }
    joints = np.where(shares > 0, joints, 0)
    mesh.add("matrix4d", "primvars:skel:geomBindTransform", np.eye(4))
    mesh.add("int[]", "primvars:skel:jointIndices", joints.reshape(-1), facts=per_vertex)
    mesh.add("float[]", "primvars:skel:jointWeights", shares.reshape(-1), facts=per_vertex)
    mesh.point("skel:skeleton", skeleton)


def _add_parts(
    mesh: Prim, head: Head, parts: Sequence[Part], materials: Mapping[Material, str]
) -> None:
    """Add a subset of the faces for every part, with its material."""
    mesh.add("token", "subsetFamily:materialBind:familyType", "nonOverlapping", uniform=True)
    taken = [child.name for child in mesh.children]
    faces = np.arange(len(head.triangles))
    for part, name in zip(parts, identifiers([p.name for p in parts], taken), strict=True):
        subset = mesh.child("GeomSubset", name, ["MaterialBindingAPI"])
        subset.add("token", "elementType", "face", uniform=True)
        subset.add("token", "familyName", "materialBind", uniform=True)
        subset.add("int[]", "indices", faces[part.triangles])
        subset.point("material:binding", materials[part.material])


# ---------------------------------------------------------------------- shapes


def _add_shapes(mesh: Prim, head: Head, path: str, scale: float) -> None:
    prims = identifiers(head.names)
    mesh.add("token[]", "skel:blendShapes", [text(name) for name in head.names], uniform=True)
    mesh.point("skel:blendShapeTargets", *(f"{path}/{prim}" for prim in prims))
    for prim, shape in zip(prims, shapes_of(head), strict=True):
        blend = mesh.child("BlendShape", prim)
        vertices, offsets, turns = shape
        if not len(vertices):  # no indices would mean all vertices
            vertices = np.zeros(1, np.intp)
            offsets = turns = np.zeros((1, 3), np.float32)
        blend.add("vector3f[]", "normalOffsets", turns, uniform=True)
        blend.add("vector3f[]", "offsets", _scaled(offsets, scale), uniform=True)
        blend.add("int[]", "pointIndices", vertices, uniform=True)


# ------------------------------------------------------------------- materials


def _add_material(scope: Prim, material: Material, path: str, *, colored: bool) -> None:
    """Add a material; colors of vertices replace its own."""
    prim = scope.child("Material", identifier(path.rpartition("/")[2]))
    prim.add("token", "outputs:surface", connected=f"{path}/{_SURFACE}.outputs:surface")
    shader = prim.child("Shader", _SURFACE)
    shader.add("token", "info:id", "UsdPreviewSurface", uniform=True)
    color = linear(np.array([material.color]))[0]
    source = f"{path}/{_COLORS}.outputs:result" if colored else None
    shader.add("color3f", "inputs:diffuseColor", color, connected=source)
    shader.add("float", "inputs:ior", _refraction(material.specular))
    shader.add("float", "inputs:metallic", 0.0)
    shader.add("float", "inputs:opacity", material.opacity)
    shader.add("float", "inputs:roughness", material.roughness)
    shader.add("token", "outputs:surface")
    if colored:
        reader = prim.child("Shader", _COLORS)
        reader.add("token", "info:id", "UsdPrimvarReader_float3", uniform=True)
        reader.add("float3", "inputs:fallback", color)
        reader.add("string", "inputs:varname", "displayColor")
        reader.add("float3", "outputs:result")


def _refraction(specular: float) -> float:
    """Return the index of refraction for a strength of the highlight: 1.5 for 0.5."""
    root = sqrt(0.08 * min(max(specular, 0.0), 1.0))
    return round((1 + root) / (1 - root), 6)
