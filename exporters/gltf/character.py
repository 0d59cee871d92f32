"""A character in a glTF or VRM file that is kept as it is, with clips as further animations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...arrays import Floats
from ...clip import POSE_ANGLES, POSE_JOINTS
from ...errors import ExportError, FileFormatError, RigError
from ...mesh.builtin.eyes import GAZE
from ...mesh.convention import contains_jaw
from ...mesh.drive import shape_weights, undriven
from ...mesh.files.assemble import Raw
from ...mesh.files.gltf import Scene, in_words, mesh_target_names
from ...retarget import Conversion, conversion
from ...rig import Rig
from ...source import Block, ClipInfo, FrameSource, moving_angles, moving_controls
from ..options import WriteOptions
from ..rigs import bare_rig
from ..spool import spooled
from .bones import Bone, find_bones, transforms
from .face import Bind, Controls, Face
from .source_file import SourceFile

Array = NDArray[Any]

KEPT = (".glb", ".gltf", ".vrm")
"""Files that can be kept."""

RIGS = ("arkit", "oculus", "vrm")
"""Rigs that characters are looked at for, the richest first."""

_EYES = {"left_eye": "Left", "right_eye": "Right"}


def open_character(path: str | Path) -> Character:
    """Return the character in a file, kept for the next line; raises `FileFormatError`."""
    file = Path(path).absolute()
    if not file.is_file() or file.suffix.lower() == ".gltf":  # its buffers lie in other files
        return Character(path)
    state = file.stat()
    return _opened(Path(path), file, state.st_mtime_ns, state.st_size)


@lru_cache(2)
def _opened(path: Path, *_: object) -> Character:
    return Character(path)


class Character:
    """A file with a face that morph targets move, and bones."""

    def __init__(self, path: str | Path) -> None:
        """Raises `FileFormatError` for a file that cannot be read."""
        self.file = SourceFile.read(Path(path))
        self.path = self.file.path
        document = self.file.json
        with in_words(self.path):
            self.bones: Mapping[str, Bone] = find_bones(document)
            self.transforms = self._parted()
            """Members of nodes that change where a clip turns them."""
            names: dict[int, list[str]] = {}
            for i, node in enumerate(document.get("nodes") or ()):
                if "mesh" in node and (own := mesh_target_names(document, int(node["mesh"]))):
                    names[i] = own
            self.face = Face(document, names, self.path)
            self.is_avatar = bool({"VRM", "VRMC_vrm"} & set(document.get("extensions") or ()))
            """Whether the file is a VRM avatar."""
            self.animations = {str(a.get("name")) for a in document.get("animations") or ()}
            """Names of the animations that it has."""

    def _parted(self) -> dict[int, dict[str, Any]]:
        """Return new members of bones with a matrix, which cannot be animated."""
        nodes = self.file.json.get("nodes") or ()
        parts = {bone.node: transforms(nodes[bone.node]) for bone in self.bones.values()}
        return {node: {"matrix": None} | new for node, new in parts.items() if new is not None}

    # -------------------------------------------------------------------- rigs

    @cached_property
    def _known(self) -> Mapping[str, Controls]:
        known = {name: self.face.controls(Rig.load(name)) for name in RIGS}
        if self.face.looks_by == "bone" and set(_EYES) & set(self.bones):
            vrm = known["vrm"]
            kept = {n: binds for n, binds in vrm.binds.items() if not n.startswith("look")}
            known["vrm"] = replace(vrm, binds=kept)
        return known

    def controls_for(self, rig: Rig) -> tuple[Controls, ...]:
        """Return the controls that show a clip on a rig: those of the mouth, and all others.

        Each come from the rig of which the character has the most; often both are one. Empty for
        a character on which nothing of the rig is shown.
        """
        reached = [c for c in self._known.values() if _way(rig, c.rig) is not None]
        own = None if rig.name in self._known else self.face.controls(rig)
        if own is not None and own.binds:
            reached.append(own)
        mouth, rest = (
            max(
                reached,
                key=lambda c: (c.count(mouth=m), c.rig == rig and rig.name in RIGS),
                default=None,
            )
            for m in (True, False)
        )
        if mouth is None or rest is None:
            return ()
        if mouth is rest or not rest.count(mouth=False):
            return (mouth,) if mouth.binds else ()
        parts = (mouth.only(mouth=True), rest.only(mouth=False))
        return tuple(part for part in parts if part.binds)

    @property
    def rig(self) -> str:
        """The rig to bake for: the one that it has, or one that leads to all that it has."""
        board = self.face.controls(Rig.load("metahuman"))
        parts = self.controls_for(Rig.load("arkit"))
        if len(board.binds) > sum(len(part.binds) for part in parts):
            return "metahuman"
        return parts[0].rig.name if len(parts) == 1 else "arkit"

    def describe(self, rig: Rig) -> str:
        """Return what of the character a clip on a rig moves, as one line of text."""
        parts = self.controls_for(rig)
        nodes = {b.node for part in parts for binds in part.binds.values() for b in binds}
        names = " and ".join(f"{len(p.binds)} controls of rig {p.rig.name}" for p in parts)
        bones = ", ".join(f"{j} ({self._node_name(b.node)})" for j, b in self.bones.items())
        meshes = f" on {len(nodes)} mesh{'es' if len(nodes) > 1 else ''}" if nodes else ""
        return f"{self.path}: {names or 'no known shapes'}{meshes}; bones: {bones or 'none'}"

    def _node_name(self, node: int) -> str:
        return str(self.file.json["nodes"][node].get("name", node))

    def require_controls(self, rig: Rig) -> tuple[Controls, ...]:
        """Return `controls_for`; raises `ExportError` if nothing of the face would move."""
        parts = self.controls_for(rig)
        if not parts and not self.bones:
            names = list(dict.fromkeys(n for own in self.face.names.values() for n in own))
            has = f"its {len(names)} shapes ({_some(names)})" if names else "it has no shapes"
            raise ExportError(
                f"nothing of {self.path} would move: no name of rig {rig.name!r}, ARKit "
                f"(jawOpen, ...), visemes (viseme_aa, ...) or VRM (aa, ...) among {has}, and no "
                "bone of a head; rename its shapes, or give --set keep=no and another head"
                if names
                else f"nothing of {self.path} would move: {has} and no bone of a head"
            )
        return parts

    # ------------------------------------------------------------------ shapes

    @cached_property
    def close_contains_jaw(self) -> bool:
        """Whether its mouthClose contains the jaw that it closes, as in Audio2Face."""
        binds = self._known["arkit"].binds
        if not {"jawOpen", "mouthClose"} <= set(binds):
            return False
        try:
            with in_words(self.path):
                raw = Scene.parse(self.file.data, self.path).raw(self.path.stem)
                jaw, close = (self._delta(raw, binds[n]) for n in ("jawOpen", "mouthClose"))
                return contains_jaw(raw.neutral, jaw, close)
        except FileFormatError as error:
            warnings.warn(
                f"{error}; mouthClose is taken as ARKit's, which does not contain the jaw",
                stacklevel=3,
            )
            return False

    def _delta(self, raw: Raw, binds: Sequence[Bind]) -> Array:
        """Return the (V, 3) offsets of a control, of targets with the same name once."""
        shares = {self.face.names[b.node][b.target]: b.weight for b in binds}
        total = np.zeros((len(raw.neutral), 3))
        for name, weight in shares.items():
            total += weight * raw.shapes.get(name, 0.0)
        return total

    @cached_property
    def gaze_moves_eyes(self) -> Mapping[str, bool]:
        """Whether gaze shapes move the vertices that follow the bone of an eye."""
        if self.face.looks_by == "expression" and "lookUp" in self._known["vrm"].binds:
            return dict.fromkeys(_EYES, True)
        found = {}
        for eye, side in _EYES.items():
            binds = [b for n, bs in self._known["arkit"].binds.items()
                     if n in GAZE and n.endswith(side) for b in bs]  # fmt: skip
            try:
                with in_words(self.path):
                    scene = Scene.parse(self.file.data, self.path) if binds else None
                    found[eye] = eye in self.bones and any(
                        self._moves(scene, bind.node, bind.target, self.bones[eye].node)
                        for bind in binds
                        if scene is not None
                    )
            except FileFormatError:
                found[eye] = False
        return found

    def _moves(self, scene: Scene, node: int, target: int, bone: int) -> bool:
        """Whether a target moves vertices that follow a bone."""
        document = self.file.json
        entry = document["nodes"][node]
        joints = ()
        if "skin" in entry:
            joints = document["skins"][int(entry["skin"])]["joints"]
        elif node not in document["nodes"][bone].get("children", ()):
            return False
        for primitive in document["meshes"][int(entry["mesh"])]["primitives"]:
            targets = primitive.get("targets", ())
            if target >= len(targets) or "POSITION" not in targets[target]:
                continue
            moved = np.abs(scene.accessor(int(targets[target]["POSITION"]))).max(1)
            follows = np.ones(len(moved), bool)
            if joints:
                if bone not in joints or "JOINTS_0" not in primitive["attributes"]:
                    continue
                own = scene.accessor(int(primitive["attributes"]["JOINTS_0"]))
                share = scene.accessor(int(primitive["attributes"]["WEIGHTS_0"]))
                follows = ((own == list(joints).index(bone)) * share).sum(1) > 0.5
            if follows.any() and moved[follows].max() > 0.05 * moved.max(initial=0) > 0:
                return True
        return False


class CharacterCurves:
    """The frames of a source as weights of a character's controls, and turns of its bones."""

    def __init__(self, source: FrameSource, character: Character) -> None:
        """Raises `ExportError` for a character on which nothing would move."""
        self.source = source
        self._character = character
        rig = source.info.rig
        self._to_arkit = _way(rig, Rig.load("arkit"))
        self.parts = character.require_controls(rig)
        self._ways = [_way(rig, part.rig) for part in self.parts]
        self._moved: set[str] = set()
        self._turned: set[str] = set()
        names = [f"{part.rig.name}.{name}" for part in self.parts for name in part.binds]
        self._rig = bare_rig(names or ("none",), name="character")

    @property
    def info(self) -> ClipInfo:
        """Info of the source, on a rig of the character's controls."""
        return replace(self.source.info, rig=self._rig)

    def blocks(self) -> Iterator[Block]:
        """Yield weights (n, C) and angles (n, 4, 3).

        Raises `ExportError` at the end if the clip moves, and nothing of the character does.
        """
        self._moved.clear()
        self._turned.clear()
        rig = self.source.info.rig
        for values, pose in self.source.blocks():
            self._moved |= moving_controls(values, rig)
            weights = [self._weights(i, values) for i in range(len(self.parts))]
            angles = self._angles(values, pose)
            self._turned |= moving_angles(angles)
            joined = np.hstack(weights) if weights else np.zeros((len(values), 1), np.float32)
            yield Block(joined, angles)
        silent = self._moved & set(self._without_effect())
        if self._moved and (silent == self._moved or not self.parts):
            text = (
                f"{self._character.path} shows none of the controls of rig {rig.name!r} that move "
                f"({_some(sorted(self._moved))}); {self._character.describe(rig)}"
            )
            if not any(self._turns(joint) for joint in self._character.bones):
                raise ExportError(f"nothing would move: {text}")
            warnings.warn(text, stacklevel=2)

    def _turns(self, joint: str) -> bool:
        return any(name.startswith(f"pose.{joint}.") for name in self._turned)

    def _weights(self, index: int, values: Floats) -> Floats:
        """Return (n, c) weights of the controls of one part."""
        part, way = self.parts[index], self._ways[index]
        names = list(part.binds)
        rig = self.source.info.rig
        if part.rig.name == "arkit" and rig.names != part.rig.names:
            weights = shape_weights(names, values, rig)
        else:
            converted = values if way is None else way(values, None)[0]
            weights = converted[:, [part.rig.index(name) for name in names if name in part.rig]]
            extra = [name for name in names if name not in part.rig]
            if extra:
                whole = np.zeros((len(values), len(names)), np.float32)
                whole[:, [i for i, name in enumerate(names) if name in part.rig]] = weights
                weights = whole
        return weights if part.expressions is None else part.expressions.applied(weights, names)

    def _angles(self, values: Floats, pose: Floats | None) -> Floats | None:
        """Return the angles of bones: of the pose, of controls that are angles, and the gaze."""
        gaze: dict[str, Floats] = {}
        if self._to_arkit is not None:
            arkit, pose = self._to_arkit(values, pose)
            gaze = {eye: _gaze(arkit, side) for eye, side in _EYES.items()}
        if pose is None and not any(angles.any() for angles in gaze.values()):
            return np.zeros((len(values), 4, 3), np.float32)
        turned = np.zeros((len(values), 4, 3), np.float32) if pose is None else pose.copy()
        for eye, angles in gaze.items():
            if eye not in self._character.bones:
                continue
            joint = POSE_JOINTS.index(eye)
            posed = turned[:, joint]
            further = np.abs(posed) > np.abs(angles)
            if self._character.gaze_moves_eyes[eye]:
                turned[:, joint] = np.where(further, posed - angles, 0)
            else:
                turned[:, joint] = np.where(further, posed, angles)
        return turned

    @property
    def turning(self) -> list[str]:
        """Joints that moved in the last pass and have a bone."""
        return [joint for joint in self._character.bones if self._turns(joint)]

    @property
    def dropped(self) -> tuple[str, ...]:
        """Controls and angles that moved in the last pass and have no effect on the character."""
        silent = self._moved & set(self._without_effect())
        lost = [name for name in self.source.info.rig.names if name in silent]
        for name in POSE_ANGLES:
            if name in self._turned and name.split(".")[1] not in self._character.bones:
                lost.append(name)
        return tuple(lost)

    def _without_effect(self) -> list[str]:
        """Return the controls of the clip's rig that move nothing of the character."""
        rig = self.source.info.rig
        silent = set(rig.names) - {"sil", "neutral"}
        for part, way in zip(self.parts, self._ways, strict=True):
            if way is None:  # the character has the rig's own names
                silent -= set(part.binds)
                continue
            lost = set(way.without_effect(part.binds))
            if part.rig.name == "arkit" and way.maps:  # what reaches shapes beyond ARKit's
                lost -= set(way.dropped) - set(undriven(list(part.binds), rig))
            silent &= lost
        if self._to_arkit is not None and silent:
            bones = self._character.bones
            looks = [n for n in GAZE for eye, side in _EYES.items()
                     if n.endswith(side) and eye in bones]  # fmt: skip
            angles = [n for n in POSE_ANGLES if n.split(".")[1] in bones]
            silent &= set(self._to_arkit.without_effect([*looks, *angles]))
        return [name for name in rig.names if name in silent]


def _gaze(arkit: Floats, side: str) -> Floats:
    """Return (n, 3) angles that gaze shapes ask of the eye on one side."""
    rig = Rig.load("arkit")
    angles = np.zeros((len(arkit), 3), np.float32)
    for name, turn in GAZE.items():
        if name.endswith(side):
            angles[:, :2] += arkit[:, rig.index(name), None] * np.array(turn, np.float32)
    return angles


def _way(source: Rig, target: Rig) -> Conversion | None:
    """Return the conversion between rigs; None where no map leads there."""
    if source.names == target.names:
        return Conversion(source, target)
    try:
        return conversion(source, target)
    except RigError:
        return None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


# --------------------------------------------------------------------- writing


def write_onto(
    character: Character,
    clips: Mapping[str, FrameSource],
    file: BinaryIO,
    options: WriteOptions,
    *,
    binary: bool,
) -> tuple[str, ...]:
    """Write the character's file with an animation for every clip that has frames.

    Returns the controls and angles that move and have no effect on the character.
    """
    driven = {name: CharacterCurves(source, character) for name, source in clips.items()}
    taken = set(character.animations)
    nodes: dict[int, dict[str, Any]] = {}
    with character.file.adding(binary=binary) as document:
        for name, curves in driven.items():
            unique = _unused(name, taken)
            taken.add(unique)
            turned = _add_animation(document, character, unique, curves, options.tolerance)
            nodes |= {n: character.transforms[n] for n in turned if n in character.transforms}
        character.file.write(file, document, binary=binary, nodes=nodes)
    return tuple(dict.fromkeys(name for curves in driven.values() for name in curves.dropped))


def _unused(name: str, taken: set[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name} {number}", number + 1
    return unique


def _add_animation(
    document: Any, character: Character, name: str, curves: CharacterCurves, tolerance: float | None
) -> list[int]:
    """Add the animation of a clip; returns the nodes that it turns."""
    from .animation import Animation

    turned = []
    with spooled(curves) as spool:
        animation = Animation(document, curves, spool, tolerance)
        if spool.frames:
            with in_words(character.path):
                meshes = _meshes(character, curves)
            for nodes, rows in meshes:
                animation.weights(nodes, rows)
            for joint in curves.turning:
                first = spool.names.index(f"pose.{joint}.yaw")
                bone = character.bones[joint]
                angles = itemgetter((slice(None), slice(first, first + 3)))
                animation.rotation(bone.node, angles, placed=bone.placed)
                turned.append(bone.node)
        animation.finish(name)
    return turned


def _meshes(
    character: Character, curves: CharacterCurves
) -> list[tuple[list[int], Callable[[Array], Array]]]:
    """Return nodes whose targets move alike, and the function from channels to their weights."""
    controls = [(part, name) for part in curves.parts for name in part.binds]
    matrices: dict[int, Array] = {}
    touched: dict[int, Array] = {}

    def matrix(node: int) -> Array:
        count = len(character.face.names[node])
        touched.setdefault(node, np.zeros(count, bool))
        return matrices.setdefault(node, np.zeros((len(controls), count), np.float32))

    for i, (part, name) in enumerate(controls):
        for bind in part.binds[name]:
            matrix(bind.node)[i, bind.target] += bind.weight
            touched[bind.node][bind.target] = True
        if name == "mouthClose" and part.rig.name == "arkit" and character.close_contains_jaw:
            for bind in part.binds.get("jawOpen", ()):
                matrix(bind.node)[i, bind.target] -= bind.weight
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    rest: dict[int, Array] = {}
    for node in sorted(matrices):
        rest[node] = np.where(touched[node], 0, _defaults(character, node)).astype(np.float32)
        groups.setdefault((matrices[node].tobytes(), rest[node].tobytes()), []).append(node)
    return [(nodes, _weighing(matrices[nodes[0]], rest[nodes[0]])) for nodes in groups.values()]


def _weighing(matrix: Array, rest: Array) -> Callable[[Array], Array]:
    return lambda rows: np.asarray(rows[:, : len(matrix)] @ matrix + rest, np.float32)


def _defaults(character: Character, node: int) -> Array:
    """Return the (S,) weights that a node's targets have without an animation."""
    document = character.file.json
    entry = document["nodes"][node]
    given = entry.get("weights") or document["meshes"][int(entry["mesh"])].get("weights") or ()
    weights = np.zeros(len(character.face.names[node]))
    weights[: len(given)] = given[: len(weights)]
    return weights
