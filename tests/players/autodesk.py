"""Autodesk's FBX SDK, as the converter FBX2glTF uses it; what it writes is evaluated here."""

from __future__ import annotations

import os
import platform
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pygltflib
from node_tools import FOLDER, installed
from readers.gltf import numbers, spherical

from . import Played, Player, placed, skinned

_RATE = 60
"""Frames per second that it bakes."""


def program() -> Path:
    name = "FBX2glTF.exe" if os.name == "nt" else "FBX2glTF"
    return (
        FOLDER
        / "node_modules"
        / "fbx2gltf"
        / "bin"
        / {"Windows": "Windows_NT"}.get(platform.system(), platform.system())
        / name
    )


def missing() -> str | None:
    if reason := installed():
        return reason
    try:
        program().chmod(0o755)
        subprocess.run([program(), "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"FBX2glTF does not run here: {error}"
    return None


def convert(path: Path) -> Path:
    """The file as .glb, and nothing said about it but what was written."""
    made = path.with_suffix(".converted.glb")
    command = [program(), "-i", path, "-o", made.with_suffix(""), "-b",
               "--anim-framerate", f"bake{_RATE}"]  # fmt: skip
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = (said.stdout + said.stderr).splitlines()
    odd = [line for line in lines if not line.startswith(("Animation ", "Wrote "))]
    assert not odd, odd
    return made


def play(path: Path, times: np.ndarray, begin: float, fps: Fraction) -> Played:
    """Its time counts from the take's first whole frame of 1/60 s; it is asked at such frames."""
    scene = pygltflib.GLTF2().load(str(convert(path)))
    animation = scene.animations[0]
    start = np.round(begin * _RATE) / _RATE
    frames = np.clip(np.round((times - start) * _RATE), 1, None)
    last = max(numbers(scene, s.input)[-1, 0] for s in animation.samplers)
    at = np.unique(np.minimum(frames, np.floor((last + 1e-4) * _RATE) - 1)) / _RATE
    weights: dict[str, list[np.ndarray]] = {}
    by_mesh: dict[int, np.ndarray] = {}
    turns: dict[int, np.ndarray] = {}
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        keys = numbers(scene, sampler.input)[:, 0].astype(float)
        values = numbers(scene, sampler.output)
        node = scene.nodes[channel.target.node]
        if channel.target.path == "weights":
            table = values.reshape(len(keys), -1)
            found = np.stack([np.interp(at, keys, column) for column in table.T])
            by_mesh[node.mesh] = found
            targets = scene.meshes[node.mesh].primitives[0].targets
            names = [scene.accessors[target["POSITION"]].name for target in targets]
            for name, row in zip(names, found, strict=True):
                weights.setdefault(name, []).append(row)
        elif channel.target.path == "rotation":
            turns[channel.target.node] = spherical(at, keys, values)
    rest, points = vertices(scene, by_mesh, turns, len(at))
    named = {scene.nodes[i].name: t for i, t in turns.items()}
    return Played(at + start, weights, named, rest, points)


def vertices(
    scene: pygltflib.GLTF2, weights: dict[int, np.ndarray], turns: dict[int, np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) vertices at rest and (T, N, 3) of all meshes, by the rules of glTF."""
    world = _world(scene, turns, count)
    rest, points = [], []
    for number, node in enumerate(scene.nodes):
        if node.mesh is None:
            continue
        for primitive in scene.meshes[node.mesh].primitives:
            still = numbers(scene, primitive.attributes.POSITION).astype(float)
            moved = np.tile(still, (count, 1, 1))
            for row, target in zip(weights.get(node.mesh, ()), primitive.targets, strict=False):
                moved += row[:, None, None] * numbers(scene, target["POSITION"])
            bones, shares = world[number][:, None], np.ones((len(still), 1))
            if node.skin is not None:
                bones, shares = _skin(scene, scene.skins[node.skin], primitive, world)
            rest.append(still)
            points.append(skinned(still, moved, bones, shares))
    return np.concatenate(rest), np.concatenate(points, 1)


def _world(
    scene: pygltflib.GLTF2, turns: dict[int, np.ndarray], count: int
) -> dict[int, np.ndarray]:
    world: dict[int, np.ndarray] = {}

    def walk(number: int, above: np.ndarray) -> None:
        node = scene.nodes[number]
        still = np.tile(np.array(node.rotation or (0, 0, 0, 1), float), (count, 1))
        local = placed(turns.get(number, still), np.array(node.translation or (0, 0, 0), float))
        local[:, :3, :3] *= np.array(node.scale or (1, 1, 1), float)
        world[number] = above @ local
        for child in node.children or ():
            walk(child, world[number])

    for root in scene.scenes[scene.scene].nodes:
        walk(root, np.tile(np.eye(4), (count, 1, 1)))
    return world


def _skin(
    scene: pygltflib.GLTF2, skin: pygltflib.Skin, primitive: pygltflib.Primitive,
    world: dict[int, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(T, J, 4, 4) matrices of joints and (N, J) shares."""
    inverse = numbers(scene, skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
    bones = np.stack([world[j] @ undo for j, undo in zip(skin.joints, inverse, strict=True)], 1)
    joints = numbers(scene, primitive.attributes.JOINTS_0).astype(int)
    weights = numbers(scene, primitive.attributes.WEIGHTS_0).astype(float)
    shares = np.zeros((len(joints), len(skin.joints)))
    for column in range(joints.shape[1]):
        np.add.at(shares, (np.arange(len(joints)), joints[:, column]), weights[:, column])
    return bones, shares


PLAYERS = (Player("Autodesk FBX SDK (FBX2glTF)", ("fbx",), play, missing),)
