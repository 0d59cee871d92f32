"""The bones of a character that a pose turns: by VRM's humanoid map, else by their names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...clip import POSE_JOINTS
from ...mesh.files.gltf import MAX_NODES, node_matrix
from ...mesh.rotation import product

Array = NDArray[Any]

_HUMAN = {"head": "head", "neck": "neck", "leftEye": "left_eye", "rightEye": "right_eye"}
"""Joints of a pose by VRM's names."""

_OTHER_LANGUAGES = {"頭": "head", "首": "neck", "左目": "left_eye", "右目": "right_eye"}
_RIGIFY = {"head": "spine006", "neck": "spine004"}
"""Rigify's spine goes on into neck and head."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SIDES = {"l": "left", "left": "left", "lt": "left", "lft": "left",
          "r": "right", "right": "right", "rt": "right", "rgt": "right"}  # fmt: skip
_USUAL = {"mixamorig", "cc", "base", "j", "bip", "adj", "facial", "face", "def", "c", "m", "b", "g",
          "bn", "jnt", "joint", "bone", "bind", "skin", "sk", "armature", "skeleton", "character",
          "char", "rig", "biped", "valve", "valvebiped", "center", "ctr", "org", "x"}  # fmt: skip
"""Words of a bone's name that skeletons add to all bones."""
_GLUED = {
    f"{a}{b}": (a, b)
    for side in _SIDES
    for a, b in ((side, "eye"), ("eye", side), (side, "eyeball"))
}
_TAILS = {"m", "c", "x", "jnt", "joint", "bone", "bn", "def", "bind", "skin", "sk", "ball"}
_OTHERS = {"ik", "ctrl", "control", "controller", "target", "aim", "look", "lookat", "pole", "top",
           "end", "nub", "tip", "master", "helper", "mch", "hair", "hat", "brow", "lid", "lash",
           "cam", "camera", "prop", "light", "collider", "physics", "locator", "null",
           "attach", "socket", "fore", "highlight"}  # fmt: skip
"""Words of bones that are not the joint, whatever else their names contain."""

_SNAP = np.radians(12)
"""A character that faces an axis of the scene to within this angle faces it exactly."""


@dataclass(frozen=True, eq=False)
class Bone:
    """A node that a joint of a pose turns, and how its own axes lie in the character."""

    node: int
    rest: Array
    """(4,) its own rotation at rest."""
    axes: Array
    """(3, 3) from directions of the character (left, up, forward) to those of its parent."""

    def placed(self, turns: Array) -> Array:
        """Return (n, 4) rotations of the node for (n, 4) turns in the character's axes."""
        return product(self._moved(turns, self.axes), self.rest)

    def turns(self, placed: Array) -> Array:
        """Return (n, 4) turns in the character's axes for (n, 4) rotations of the node."""
        return self._moved(product(placed, self.rest * [-1, -1, -1, 1]), self.axes.T)

    @staticmethod
    def _moved(turns: Array, axes: Array) -> Array:
        """Return rotations about axes that are moved; mirrored axes turn the other way."""
        vectors = np.linalg.det(axes) * turns[..., :3] @ axes.T
        return np.concatenate([vectors, turns[..., 3:]], -1)


def find_bones(document: Mapping[str, Any]) -> dict[str, Bone]:
    """Return the bones of a glTF document by joint of a `Pose`, as far as it has them.

    Raises errors of the kinds that `mesh.files.gltf.in_words` turns into a `FileFormatError`.
    """
    skeleton = Skeleton(document)
    nodes = skeleton.joints()
    found = {}
    for joint in POSE_JOINTS:
        if joint not in nodes:
            continue
        try:
            found[joint] = skeleton.bone(nodes[joint])
        except _ShearError:
            warnings.warn(
                f"the bone of {joint} has a matrix with shear, which animations cannot have, and "
                "is not turned",
                stacklevel=4,
            )
    return found


class _ShearError(ValueError):
    """A matrix that is no translation, rotation and scale."""


def transforms(node: Mapping[str, Any]) -> dict[str, list[float]] | None:
    """Return a node's matrix as translation, rotation and scale, which animations need.

    None for a node without a matrix. Raises `ValueError` for a matrix with shear.
    """
    if "matrix" not in node:
        return None
    matrix = node_matrix(node)
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    if np.linalg.det(matrix[:3, :3]) < 0:
        scale[0] = -scale[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = matrix[:3, :3] / scale
    if not np.allclose(turn.T @ turn, np.eye(3), atol=1e-4):
        raise _ShearError("a bone's matrix has shear")
    return {
        "translation": matrix[:3, 3].tolist(),
        "rotation": _quaternion(turn).tolist(),
        "scale": scale.tolist(),
    }


class Skeleton:
    """The nodes of a document at rest."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._nodes: Sequence[Mapping[str, Any]] = document.get("nodes", ())
        if len(self._nodes) > MAX_NODES:
            raise ValueError(f"{len(self._nodes):,} nodes")
        self._parents = {
            int(c): i for i, n in enumerate(self._nodes) for c in n.get("children", ())
        }
        self._matrices: dict[int, Array] = {-1: np.eye(4)}
        self._skinned = {int(j) for s in document.get("skins", ()) for j in s.get("joints", ())}

    # ------------------------------------------------------------------- names

    def joints(self) -> dict[str, int]:
        """Return the node of every joint of a pose that is found."""
        found = self._of_avatar()
        for joint in POSE_JOINTS:
            if joint not in found and (node := self._named(joint)) is not None:
                found[joint] = node
        found |= self._of_rigify(found)
        if found.get("neck") == found.get("head"):
            found.pop("neck", None)
        return found

    def _of_avatar(self) -> dict[str, int]:
        """Return the joints that VRM's humanoid map names."""
        extensions = self._document.get("extensions", {})
        named: dict[str, Any] = {}
        for key in ("VRMC_vrm", "VRMC_vrm_animation", "VRM"):
            bones = extensions.get(key, {}).get("humanoid", {}).get("humanBones", {})
            if isinstance(bones, list):
                bones = {str(bone.get("bone")): bone for bone in bones}
            named = named or bones
        nodes = {_HUMAN[n]: int(bone["node"]) for n, bone in named.items() if n in _HUMAN}
        return {joint: node for joint, node in nodes.items() if 0 <= node < len(self._nodes)}

    def _of_rigify(self, found: Mapping[str, int]) -> dict[str, int]:
        """Return head and neck as Rigify has them: the last bones of the spine."""
        bones: dict[str, int] = {}
        for i, node in enumerate(self._nodes):
            name = "".join(_words(str(node.get("name", ""))))
            for joint, ending in _RIGIFY.items():
                if name in (f"def{ending}", ending) and "mesh" not in node:
                    bones.setdefault(joint, i)
                    if name != ending:
                        bones[joint] = i
        if "head" not in bones:
            return {}
        deforms = str(self._nodes[bones["head"]].get("name", "")).lower().startswith("def")
        return bones if deforms or "head" not in found else {}

    def _named(self, joint: str) -> int | None:
        """Return the node whose name fits a joint best: a bone of a skin before any other."""
        ranked = []
        for i, node in enumerate(self._nodes):
            if "mesh" in node or "camera" in node:
                continue
            name = str(node.get("name", ""))
            if (rank := name_rank(name, joint)) is not None:
                deforms = "def" in name.lower()[:4]
                ranked.append((i not in self._skinned, not deforms, *rank, self._depth(i), i))
        return min(ranked)[-1] if ranked else None

    def _depth(self, node: int) -> int:
        return len(self._above(node))

    def _above(self, node: int) -> list[int]:
        """Return the ancestors of a node, the nearest first."""
        chain: list[int] = []
        while (node := self._parents.get(node, -1)) >= 0:
            if node in chain:
                raise ValueError("its nodes are not a tree")
            chain.append(node)
        return chain

    # -------------------------------------------------------------------- axes

    def bone(self, node: int) -> Bone:
        """Return a node as a bone."""
        own = transforms(self._nodes[node]) or self._nodes[node]
        rest = np.array(own.get("rotation", (0, 0, 0, 1)), float)
        above = self._world(self._parents.get(node, -1))[:3, :3]
        left, _, right = np.linalg.svd(np.linalg.pinv(above) @ self.front)
        return Bone(node, rest / max(float(np.linalg.norm(rest)), 1e-12), left @ right)

    def _world(self, node: int) -> Array:
        """Return the (4, 4) matrix of a node in the scene."""
        chain = [] if node < 0 else [node, *self._above(node)]
        for here in reversed(chain):
            if here not in self._matrices:
                above = self._matrices[self._parents.get(here, -1)]
                self._matrices[here] = above @ node_matrix(self._nodes[here])
        return self._matrices[node]

    @cached_property
    def front(self) -> Array:
        """(3, 3) columns: where the character's left, up and forward point in the scene."""
        extensions = self._document.get("extensions", {})
        if "VRM" in extensions and "VRMC_vrm" not in extensions:
            return np.diag([-1.0, 1.0, -1.0])
        if {"VRMC_vrm", "VRMC_vrm_animation"} & set(extensions):
            return np.eye(3)
        up = self._up()
        left = np.zeros(3)
        for one, other in self._pairs():
            apart = self._world(one)[:3, 3] - self._world(other)[:3, 3]
            apart -= up * (apart @ up)
            length = np.linalg.norm(apart)
            left += apart / length if length > 1e-6 else 0
        usual = np.array([1.0, 0, 0])
        if np.linalg.norm(left) < 0.5:
            return np.column_stack([usual, up, np.cross(usual, up)])
        left /= np.linalg.norm(left)
        axis = np.zeros(3)
        axis[np.abs(left).argmax()] = np.sign(left[np.abs(left).argmax()])
        left = axis if left @ axis > np.cos(_SNAP) else left
        return np.column_stack([left, up, np.cross(left, up)])

    def _up(self) -> Array:
        """Return the axis of the scene along which the head is above the root of its bones."""
        up = np.array([0.0, 1.0, 0.0])
        head = self.joints().get("head")
        if head is None:
            return up
        reach = self._world(head)[:3, 3] - np.array(
            [self._world(i)[:3, 3] for i in self._above(head)] or [self._world(head)[:3, 3]]
        )
        longest = reach[np.linalg.norm(reach, axis=1).argmax()]
        axis = int(np.abs(longest).argmax())
        if axis == 2 and longest[2] > 3 * np.abs(np.delete(longest, axis)).max():
            return np.array([0.0, 0.0, 1.0])
        return up

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Yield left and right bones whose names differ only in the side."""
        sides: dict[tuple[str, ...], dict[str, int]] = {}
        bones = [i for i in range(len(self._nodes)) if i in self._skinned] or range(
            len(self._nodes)
        )
        for i in bones:
            words = _words(str(self._nodes[i].get("name", "")))
            side = next((_SIDES[w] for w in words if w in _SIDES), None)
            if side:
                key = tuple("*" if w in _SIDES else w for w in words)
                sides.setdefault(key, {}).setdefault(side, i)
        for pair in sides.values():
            if len(pair) == 2:
                yield pair["left"], pair["right"]


def name_rank(name: str, joint: str) -> tuple[int, int] | None:
    """Return how well a bone's name fits a joint of a pose, the smaller the better; else None."""
    if _OTHER_LANGUAGES.get(name) == joint:
        return 0, 0
    words = _words(name)
    side, _, part = joint.rpartition("_")
    if part == "neck":
        words = [w for w in words if w not in ("twist", "lower")]
    if set(words) & _OTHERS:
        return None
    sides = {_SIDES[w] for w in words if w in _SIDES}
    words = [w for w in words if w not in _SIDES]
    number = 0
    while words and (words[-1] in _TAILS or words[-1].isdigit()):
        number += int(words[-1]) if words[-1].isdigit() else 0
        words.pop()
    if not words or words.pop() not in (part, f"{part}ball"):
        return None
    if sides != ({side} if side else set()):
        return None
    return len([w for w in words if w not in _USUAL and not w.isdigit()]), number


def _words(name: str) -> list[str]:
    """Return the words and numbers of a name, in small letters."""
    words = (word.lower() for word in _WORD.findall(name))
    return [part for word in words for part in _GLUED.get(word, (word,))]


def _quaternion(turn: Array) -> Array:
    """Return the (4,) quaternion x, y, z, w of a (3, 3) rotation."""
    values, vectors = np.linalg.eigh(
        np.array(
            [
                [turn[0, 0] - turn[1, 1] - turn[2, 2], 0, 0, 0],
                [turn[1, 0] + turn[0, 1], turn[1, 1] - turn[0, 0] - turn[2, 2], 0, 0],
                [turn[2, 0] + turn[0, 2], turn[2, 1] + turn[1, 2],
                 turn[2, 2] - turn[0, 0] - turn[1, 1], 0],
                [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1],
                 np.trace(turn)],
            ]
        ) / 3
    )  # fmt: skip
    best = vectors[:, values.argmax()]
    return np.asarray(best if best[3] >= 0 else -best)
