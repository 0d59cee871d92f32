"""Runs inside Blender's Python: imports files and writes down what Blender shows.

A request a line on stdin: {"path", "answer", "times", "begin", "fps"}; `answer` is the .npz that is
written. "ready" on stdout follows each.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import bpy
import numpy as np

UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
"""From Blender's Z up to Y up."""


def load(path: str, fps: list[int]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    render = bpy.context.scene.render
    render.fps, render.fps_base = 24, 1.0
    if path.endswith(".fbx"):
        bpy.ops.wm.fbx_import(filepath=path)
    elif path.endswith((".glb", ".gltf")):
        bpy.ops.import_scene.gltf(filepath=path)
    else:  # Blender takes time codes for frames and leaves the rate to its user
        render.fps = round(fps[0] / fps[1])
        render.fps_base = render.fps * fps[1] / fps[0]
        bpy.ops.wm.usd_import(filepath=path)


def seek(seconds: float) -> None:
    render = bpy.context.scene.render
    frame = seconds * render.fps / render.fps_base
    whole = int(np.floor(frame + 1e-4))
    bpy.context.scene.frame_set(whole, subframe=min(max(frame - whole, 0.0), 0.9999))


def vertices(meshes: list[Any]) -> np.ndarray:
    graph = bpy.context.evaluated_depsgraph_get()
    found = []
    for mesh in meshes:
        seen = mesh.evaluated_get(graph)
        data = seen.to_mesh()
        at = np.empty(len(data.vertices) * 3, np.float32)
        data.vertices.foreach_get("co", at)
        world = np.array(seen.matrix_world)
        found.append(at.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
        seen.to_mesh_clear()
    return np.concatenate(found).astype(float) @ UP.T


def unit(matrix: Any) -> np.ndarray:
    """Rotation of a matrix with a scale."""
    turned = np.array(matrix.to_3x3())
    return turned / np.linalg.norm(turned, axis=0)


def joints(rest: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn of every joint against its parent, Y up."""
    found = {}
    for thing in bpy.context.scene.objects:
        if thing.type == "EMPTY":
            found[thing.name] = UP @ unit(thing.matrix_local) @ UP.T
        if thing.type != "ARMATURE":
            continue
        world = {
            b.name: unit(thing.matrix_world) @ unit(b.matrix) @ rest[b.name].T
            for b in thing.pose.bones
        }
        for bone in thing.pose.bones:
            above = world[bone.parent.name] if bone.parent else np.eye(3)
            found[bone.name] = UP @ above.T @ world[bone.name] @ UP.T
    return found


def quaternion(matrix: np.ndarray) -> list[float]:
    from mathutils import Matrix

    w, x, y, z = Matrix(matrix.tolist()).to_quaternion()
    return [x, y, z, w]


def answer(request: dict[str, Any]) -> None:
    load(request["path"], request["fps"])
    scene = bpy.context.scene
    meshes = [o for o in scene.objects if o.type == "MESH" and o.name != "Icosphere"]
    armatures = [o for o in scene.objects if o.type == "ARMATURE"]
    keyed = [o for o in meshes if o.data.shape_keys]
    render = scene.render
    first = min(action.frame_range[0] for action in bpy.data.actions)
    late = first * render.fps_base / render.fps - request["begin"]
    if not request["path"].endswith(".fbx"):  # its importers move keys to frame 1
        late = 0.0
    rest = {
        b.name: unit(a.matrix_world) @ unit(b.matrix_local) for a in armatures for b in a.data.bones
    }
    keys = [k for o in keyed for k in o.data.shape_keys.key_blocks[1:]]
    for armature in armatures:
        armature.data.pose_position = "REST"
    for key in keys:
        key.mute = True
    bpy.context.view_layer.update()
    found: dict[str, Any] = {"rest": vertices(meshes)}
    for armature in armatures:
        armature.data.pose_position = "POSE"
    for key in keys:
        key.mute = False
    points, weights, turns = [], [], {}
    for time in request["times"]:
        seek(time + late)
        weights.append([key.value for key in keys])
        points.append(vertices(meshes))
        for name, turned in joints(rest).items():
            turns.setdefault(name, []).append(quaternion(turned))
    found |= {"points": np.array(points), "weights": np.array(weights)}
    found |= {"names": np.array([key.name for key in keys], str)}
    found |= {f"turn {name}": np.array(turned) for name, turned in turns.items()}
    np.savez(request["answer"], **found)


if __name__ == "__main__":
    print("ready", bpy.app.version_string, flush=True)
    for line in sys.stdin:
        answer(json.loads(line))
        print("ready", flush=True)
