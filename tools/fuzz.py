"""Feed damaged files to every reader of facesdk, in child processes with limits.

    python tools/fuzz.py                            40 mutants per reader, as the tests do
    python tools/fuzz.py --mutants 3000 --seed 7    more of them
    python tools/fuzz.py --minutes 30 head flame    for half an hour, only readers of heads
    python tools/fuzz.py --keep DIR                 keep the mutants that were findings

Every mutant must give a result or a `FaceSDKError` within the limits of time and memory. Another
exception, a dead process, a timeout or more memory than allowed is a finding, and the exit code is
1. A `FaceSDKError` of the net at a reader's door (`facesdk.errors.reading`) is counted as `caught`:
it is allowed, and names a check that is missing further inside. A mutant depends only on the seed,
the reader's name and its own number, so `--seed S --only N` makes one of them again.
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import pickle
import re
import shutil
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

SECONDS = 12.0
"""Processor time that one mutant may take."""

PATIENCE = 240.0
"""Real time after which a child counts as stuck; a busy machine takes long."""

MEMORY = 3 << 30
"""Bytes of address space that a child may need beyond those it has when it begins."""

Random = np.random.Generator


# ------------------------------------------------------------------------------------ readers


@dataclass(frozen=True)
class Target:
    """A reader, and the files that its mutants are made of."""

    name: str
    read: Callable[[Path], object]
    seeds: Sequence[tuple[str, bytes]]
    """Names and contents of valid files; a name may have a folder."""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Files that lie next to a mutant, unchanged."""
    costly: bool = False
    """Whether a mutant takes long, so that a short run tries fewer."""


def targets(folder: Path) -> list[Target]:
    """Return all readers with small seeds, which are made in `folder`."""
    return [*_clips(folder), *_heads(folder), *_documents(), *_sounds(folder), *_training()]


def _clips(folder: Path) -> Iterator[Target]:
    from facesdk import Clip, Rig
    from facesdk.clip import Event, Pose
    from facesdk.exporters import EXPORTERS, read_clips, write_clip

    frames = np.linspace(0, 1, 12)[:, None]
    for format_ in EXPORTERS.values():
        if format_.read is None:
            continue
        seeds = []
        for index, rig in enumerate((format_.rigs or ("arkit", "oculus"))[:2]):
            own = Rig.load(rig)
            turns = (
                Pose(np.broadcast_to(frames[:, :, None] / 9, (12, 4, 3))) if index == 0 else None
            )
            clip = Clip(
                own, np.tile(frames * 0.8, (1, len(own))).clip(own.minimum, own.maximum),
                Fraction(30), pose=turns, events=(Event(160, "word", {"text": "hé"}),),
            )  # fmt: skip
            file = folder / f"clip{index}{format_.extension}"
            extra = {"head": small_head()} if "head" in format_.options else {}
            try:
                writer = "glb" if format_.name == "vrm" else format_.name  # a vrm needs an avatar
                write_clip(clip, file, writer, **extra)
            except ImportError:
                break
            seeds.append((file.name, file.read_bytes()))
        name = format_.name

        def read(path: Path, name: str = name) -> object:
            return [len(clip) for clip in read_clips(path, name)]

        if seeds and _readable(read, folder / seeds[0][0]):
            yield Target(f"clip {name}", read, seeds, costly=name.startswith("usd"))
    detected = ("clip0.csv", "clip0.json", "clip0.txt", "clip0.npz", "clip0.glb")
    files = [(f, (folder / f).read_bytes()) for f in detected if (folder / f).exists()]
    yield Target("clip detected", lambda path: [len(c) for c in read_clips(path)], files)


def _readable(read: Callable[[Path], object], path: Path) -> bool:
    """Whether the extra that a format needs is installed."""
    try:
        read(path)
    except ImportError:
        return False
    return True


def small_head() -> Any:
    """Return a grid of vertices with a few shapes."""
    from facesdk.mesh import Head

    u, v = np.meshgrid(np.linspace(-0.08, 0.08, 6), np.linspace(-0.1, 0.1, 6))
    points = np.stack([u, v, 0.08 - 4 * u**2 - 3 * v**2], -1).reshape(-1, 3).astype(np.float32)
    corners = [i + 6 * j for j in range(5) for i in range(5)]
    triangles = np.array([t for c in corners for t in ((c, c + 1, c + 6), (c + 1, c + 7, c + 6))])
    names = ("jawOpen", "mouthClose", "eyeBlinkLeft")
    low = (points[:, 1:2] < 0) * np.array([0, -0.02, 0])
    deltas = np.stack([low, -low * 0.5, low * 0.1]).astype(np.float32)
    return Head("grid", points, triangles.astype(np.int32), names, deltas)


def _heads(folder: Path) -> Iterator[Target]:
    from facesdk.mesh import load_head, write_bs_skin
    from facesdk.mesh.flame import FlameModel

    head = small_head()
    glb = (folder / "clip0.glb").read_bytes()
    document, binary = glb_parts(glb)
    document["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(binary).decode()
    vertices = "".join(f"v {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in head.neutral)
    obj = vertices + "".join(f"f {a}/1 {b} {c}\n" for a, b, c in head.triangles + 1)
    header = (
        "ply\nformat {} 1.0\nelement vertex 36\nproperty float x\nproperty float y\n"
        "property float z\nelement face 50\nproperty list uchar int vertex_indices\nend_header\n"
    )
    text = header.format("ascii") + "".join(f"{x} {y} {z}\n" for x, y, z in head.neutral)
    text += "".join(f"3 {a} {b} {c}\n" for a, b, c in head.triangles)
    rows = np.zeros(50, [("n", "u1"), ("corners", "<i4", 3)])
    rows["n"], rows["corners"] = 3, head.triangles
    little = header.format("binary_little_endian").encode()
    little += head.neutral.astype("<f4").tobytes() + rows.tobytes()
    skin = BytesIO()
    write_bs_skin(head, skin)
    flame = _flame()
    sphere = {"ada": flame["v_template"], "ben": flame["v_template"] * 1.1}
    yield Target(
        "head gltf", load_head, [("a.glb", glb), ("b.gltf", json.dumps(document).encode())]
    )
    yield Target("head vrm", load_head, [("a.vrm", _vrm(document, binary))])
    yield Target("head obj", load_head, [("a.obj", obj.encode())])
    yield Target(
        "head obj folder", lambda path: load_head(path.parent),
        [("jawOpen.obj", obj.encode()), ("neutral.obj", obj.encode())],
        {"neutral.obj": obj.encode()},
    )  # fmt: skip
    yield Target("head ply", load_head, [("a.ply", text.encode()), ("b.ply", little)])
    yield Target("head bs_skin", load_head, [("a.npz", skin.getvalue())])
    yield Target("head template", load_head, [
        ("a.npz", npz(sphere)), ("b.pkl", pickle.dumps(sphere, 2)), ("c.npy", npy(sphere["ada"])),
    ])  # fmt: skip
    yield Target(
        "flame model", FlameModel.load,
        [
            ("a.npz", npz(flame)), ("b.pkl", pickle.dumps(flame, 2)),
            ("c.pkl", pickle.dumps(flame, 5)),
        ],
    )  # fmt: skip


def _vrm(document: Mapping[str, Any], binary: bytes) -> bytes:
    binds = [{"node": 0, "index": 0, "weight": 1.0}]
    preset = {"aa": {"morphTargetBinds": binds}, "blink": {"morphTargetBinds": binds}}
    groups = [{"name": "A", "presetName": "a", "binds": [{"mesh": 0, "index": 0, "weight": 100}]}]
    extensions = {
        "VRMC_vrm": {"specVersion": "1.0", "expressions": {"preset": preset, "custom": preset}},
        "VRM": {"blendShapeMaster": {"blendShapeGroups": groups}},
    }
    return glb_of({**document, "extensions": extensions}, binary)


def _flame() -> dict[str, Any]:
    random = np.random.default_rng(0)
    count = 40
    return {
        "v_template": random.uniform(-0.1, 0.1, (count, 3)),
        "f": random.integers(0, count, (60, 3)).astype(np.uint32),
        "shapedirs": random.normal(0, 0.002, (count, 3, 20)),
        "posedirs": random.normal(0, 0.002, (count, 3, 36)),
        "J_regressor": random.dirichlet(np.full(count, 0.1), 5),
        "weights": random.dirichlet(np.full(5, 0.3), count),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.int64),
    }


def _documents() -> Iterator[Target]:
    from facesdk import Rig
    from facesdk.articulation import Rules
    from facesdk.batch.cache import NAME, BakeCache
    from facesdk.model import load
    from facesdk.model.rig_table import RigTable
    from facesdk.retarget import conversion_from_file

    data = ROOT / "facesdk" / "data"

    def table(path: Path) -> object:
        found = RigTable.load(path)
        return found(np.full((2, len(found.units)), 0.5, np.float32))

    def moved(path: Path) -> object:
        found = conversion_from_file(path)
        return found(np.full((2, len(found.source)), 0.5, np.float32))

    def model(path: Path) -> object:
        speaker = load(path.parent).session(rig="arkit", fps=30)
        return len(speaker.push(np.zeros(6400, np.float32))) + len(speaker.flush())

    def cached(path: Path) -> object:
        return BakeCache(path.parent).finished(str(path.parent / "a.json"), "f" * 64)

    rig, maps = data / "rigs", data / "maps"
    yield Target("rig", Rig.load, _files(rig / "oculus.json", rig / "livelink.json"))
    pairs = ("arkit-to-oculus.json", "livelink-to-arkit.json", "arkit-to-metahuman.json")
    yield Target("map", moved, _files(*(maps / p for p in pairs if (maps / p).exists())))
    yield Target("table", table, _files(data / "tables" / "arkit.json"))
    yield Target("rules", Rules.load, _files(data / "articulation" / "rules.json"))
    folder = data / "models" / "default"
    onnx = (folder / "model.onnx").read_bytes()
    yield Target(
        "model manifest", model, _files(folder / "model.json"), {"model.onnx": onnx}, costly=True
    )
    entry = {"output": "a.json", "fingerprint": "f" * 64, "facts": {"bytes": 1, "sha256": "0"}}
    yield Target("bake cache", cached, [(NAME, 3 * (json.dumps(entry) + "\n").encode())])


def _files(*paths: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in paths]


TEXT_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.6
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.6
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.2
            text = "HH"
        intervals [2]:
            xmin = 0.2
            xmax = 0.4
            text = "AH0"
        intervals [3]:
            xmin = 0.4
            xmax = 0.6
            text = ""
"""


def _sounds(folder: Path) -> Iterator[Target]:
    import soundfile

    from facesdk.articulation import read_timings
    from facesdk.audio import read_audio

    sound = 0.3 * np.sin(np.arange(3000) / 7).astype(np.float32)
    files = []
    kinds = (
        ("a.wav", "WAV", "PCM_16"), ("b.wav", "WAV", "FLOAT"), ("c.wav", "WAVEX", "PCM_24"),
        ("d.wav", "RF64", "PCM_16"), ("e.wav", "WAV", "IMA_ADPCM"), ("f.aiff", "AIFF", "PCM_16"),
        ("g.flac", "FLAC", "PCM_16"), ("h.ogg", "OGG", "VORBIS"),
        ("i.mp3", "MP3", "MPEG_LAYER_III"),
    )  # fmt: skip
    for name, kind, subtype in kinds:
        with suppress(soundfile.LibsndfileError, ValueError):  # an older libsndfile writes no mp3
            stereo = np.stack([sound, -sound], 1) if name < "d" else sound
            soundfile.write(folder / name, stereo, 16_000, format=kind, subtype=subtype)
            files.append((name, (folder / name).read_bytes()))
    yield Target("audio", lambda path: len(read_audio(path)), files)
    phones = [["HH", 0.0, 0.1], ["AH1", 0.1, 0.3], ["M", 0.3, 0.4]]
    records = [{"phone": p, "start": a, "end": b} for p, a, b in phones]
    yield Target("phones", read_timings, [
        ("a.TextGrid", TEXT_GRID.encode()), ("b.TextGrid", TEXT_GRID.encode("utf-16")),
        ("c.lab", b"0 1000000 h\n1000000 3000000 a\n3000000 4000000 m\n"),
        ("d.lab", b"0.0 0.1 HH\n0.1 0.3 AH\n0.3 0.4 M\n"),
        ("e.json", json.dumps(phones).encode()),
        ("f.json", json.dumps({"phones": records}).encode()),
    ])  # fmt: skip


LEARN = b"""steps = 20
rate = 1e-3
hidden = 16
batch = 2
pca = true
flame_model = ""
"""


def _training() -> Iterator[Target]:
    import soundfile

    from facesdk.datasets.faces.folder import AnnotationFolder
    from facesdk.datasets.speech.corpus import Corpus
    from facesdk.datasets.speech.recipe import Recipe
    from facesdk.render.vertices import VertexFile

    sound = BytesIO()
    soundfile.write(sound, np.zeros(1600), 16_000, format="WAV")
    take = {"id": "one", "subject": "ada", "fps": [30, 1], "split": "train", "audio": "one.wav"}
    document = {
        "format": "facesdk.annotation", "version": 1, "name": "faces", "license": "CC0",
        "rig": "oculus", "takes": [take],
    }  # fmt: skip
    from facesdk import Rig

    names = np.array(Rig.load("oculus").names)
    track = npz({"values": np.zeros((4, len(names)), np.float32), "names": names})
    annotation = json.dumps(document).encode()

    def faces(path: Path) -> object:
        root = path.parent.parent if path.parent.name == "tracks" else path.parent
        found = AnnotationFolder(root)
        return [found.track(t).shape for t in found.takes]

    def corpus(path: Path) -> object:
        found = Corpus(path.parent)
        return [len(u.phones) for u in found], found.facts()

    beside = {"annotation.json": annotation, "one.wav": sound.getvalue(), "tracks/one.npz": track}
    yield Target(
        "faces", faces, [("annotation.json", annotation), ("tracks/one.npz", track)], beside
    )
    recipes = ROOT / "datasets" / "recipes"
    yield Target("recipe", Recipe.load, _files(*sorted(recipes.glob("*.toml"))[:2]))
    line = {"id": "a", "file": "a.wav", "voice": "v", "split": "train", "text": "hi",
            "seconds": 0.2, "phones": [["h", 0.0, 0.1], ["a", 0.1, 0.2]]}  # fmt: skip
    yield Target("corpus", corpus, [("utterances.jsonl", 3 * (json.dumps(line) + "\n").encode())])
    head = small_head()
    vertices = npy(np.stack([head.neutral, head.neutral * 1.01]))
    yield Target(
        "vertices", lambda path: list(VertexFile(path, head).frames()), [("a.npy", vertices)]
    )
    try:
        from facesdk.train.heads.config import LearnConfig
    except ImportError:  # torch is in the training extra
        return
    yield Target("learn config", LearnConfig.load, [("a.toml", LEARN)])


# ------------------------------------------------------------------------------------ containers


def npz(arrays: Mapping[str, Any], *, deflate: bool = True) -> bytes:
    """Return arrays as an `.npz` file."""
    file = BytesIO()
    (np.savez_compressed if deflate else np.savez)(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    """Return an array as an `.npy` file."""
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def glb_parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the document and the binary chunk of a GLB."""
    length = struct.unpack_from("<I", data, 12)[0]
    document: dict[str, Any] = json.loads(data[20 : 20 + length])
    return document, data[28 + length :]


def glb_of(document: Any, binary: bytes) -> bytes:
    """Return a GLB of a document and a binary chunk."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


# ------------------------------------------------------------------------------------ mutations

NUMBERS = (
    "0", "-0", "-1", "1", "2", "255", "65536", "80000", "2147483647", "-2147483648", "4294967295",
    "1e9", "1e15", "1e30", "1e308", "-1e308", "1e999", "1e-320", "nan", "NaN", "inf", "Infinity",
    "99999999999999999999999", "0.30000000001", "", "0x10", "1_0", "½", "1,5", "9" * 5000,
)  # fmt: skip
BITS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7F800000,
        0x7FC00000, 0x7F7FFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, 1e308, -1e308, float("inf"),
    float("nan"), "", "x", "../../etc/passwd", "/etc/passwd", "\x1b]52;c;AA\x07", "\u202e",
    "é" * 300, "nan", [], {}, [[]], [{}], {"": {}}, [0] * 2000, {"a": [None]},
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def mutant(name: str, data: bytes, random: Random) -> bytes:
    """Return a damaged copy of a file."""
    binary = b"\0" in data[:2000] and not data.startswith((b"\xff\xfe", b"\xfe\xff"))
    ways: list[Callable[[bytes, Random], bytes]] = [_bytes_changed, _cut, _moved]
    ways += (
        [_integers_changed] * 2 if binary else [_numbers_changed, _numbers_changed, _words_changed]
    )
    suffix = Path(name).suffix.lower()
    if suffix in (".json", ".gltf") or data.lstrip()[:1] in (b"{", b"["):
        ways += [_document_changed] * 4 + [_deep]
    if suffix in (".glb", ".vrm", ".vrma") and data[:4] == b"glTF":
        ways += [_glb_changed] * 6
    if suffix == ".npz":
        ways += [_npz_changed] * 6
    if suffix == ".npy":
        ways += [_npy_changed] * 3
    if suffix == ".toml":
        ways += [_deep_toml]
    for _ in range(int(random.choice([1, 1, 1, 2, 4]))):
        with suppress(Exception):  # what is damaged already may not fit the next change
            data = ways[int(random.integers(len(ways)))](data, random)
    return data


def _bytes_changed(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(int(random.choice([1, 1, 2, 8, 40]))):
        place = int(random.integers(max(len(changed), 1)))
        if random.random() < 0.5:  # headers matter more than what follows
            place = int(random.integers(min(max(len(changed), 1), 200)))
        if changed:
            if random.random() < 0.5:
                changed[place] ^= 1 << int(random.integers(8))
            else:
                changed[place] = int(random.integers(256))
    return bytes(changed)


def _integers_changed(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(int(random.choice([1, 1, 2, 5]))):
        size = int(random.choice([1, 2, 4, 4, 8]))
        most = len(changed) if random.random() < 0.5 else min(len(changed), 300)
        place = int(random.integers(max(most - size, 1)))
        value = BITS[int(random.integers(len(BITS)))] & ((1 << 8 * size) - 1)
        order = "little" if random.random() < 0.8 else "big"
        changed[place : place + size] = value.to_bytes(size, order)  # type: ignore[arg-type]
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    begin, end = sorted(int(x) for x in random.integers(0, len(data) + 1, 2))
    return data[:begin] if random.random() < 0.5 else data[:begin] + data[end:]


def _moved(data: bytes, random: Random) -> bytes:
    begin, end = sorted(int(x) for x in random.integers(0, len(data) + 1, 2))
    piece = data[begin : min(end, begin + 4000)]
    place = int(random.integers(len(data) + 1))
    times = int(random.choice([1, 1, 2, 30]))
    return data[:place] + piece * times + data[place:]


def _numbers_changed(data: bytes, random: Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    for _ in range(int(random.choice([1, 1, 3]))):
        match = found[int(random.integers(len(found)))]
        number = NUMBERS[int(random.integers(len(NUMBERS)))].encode()
        data = data[: match.start()] + number + data[match.end() :]
        found = list(_NUMBER.finditer(data))
    return data


def _words_changed(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    row = int(random.integers(len(lines)))
    way = int(random.integers(8))
    if way == 0:
        del lines[row]
    elif way == 1:
        lines[row:row] = [lines[row]] * int(random.choice([1, 2, 50]))
    elif way == 2:
        other = int(random.integers(len(lines)))
        lines[row], lines[other] = lines[other], lines[row]
    elif way == 3:
        odd = (
            b"\0",
            b"\xff\xfe",
            b"\x1b[2J",
            b"\xef\xbb\xbf",
            b"\r",
            b'"',
            b"{",
            b"[" * 3000,
            b"\t",
        )
        at = int(random.integers(len(lines[row]) + 1))
        lines[row] = lines[row][:at] + odd[int(random.integers(len(odd)))] + lines[row][at:]
    else:
        words = re.findall(rb"\w+", data)
        old, new = (words[int(i)] for i in random.integers(0, len(words), 2))
        lines[row] = lines[row].replace(old, new) if old in lines[row] else lines[row] + b" " + new
    return b"\n".join(lines)


def _document_changed(data: bytes, random: Random) -> bytes:
    document = json.loads(data)
    for _ in range(int(random.choice([1, 1, 2]))):
        document = _changed(document, random)
    return json.dumps(document, ensure_ascii=bool(random.integers(2))).encode("utf-8", "replace")


def _changed(document: Any, random: Random) -> Any:
    """Change one place of a document."""
    holder: Any = None
    key: Any = None
    here = document
    while isinstance(here, dict | list) and here and (holder is None or random.random() < 0.85):
        holder = here
        keys = list(here) if isinstance(here, dict) else range(len(here))
        key = keys[int(random.integers(len(keys)))]
        here = here[key]
    if holder is None:
        return VALUES[int(random.integers(len(VALUES)))]
    way = random.random()
    if way < 0.2:
        del holder[key]
    elif way < 0.3 and isinstance(holder, list):
        holder.insert(int(random.integers(len(holder) + 1)), holder[key])
    elif way < 0.35 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif way < 0.5 and isinstance(here, int | float) and not isinstance(here, bool):
        near = (here + 1, here - 1, -here, here * 1000, here * 1e9, here / 3, 2**32 + int(here))
        holder[key] = near[int(random.integers(len(near)))]
    else:
        holder[key] = VALUES[int(random.integers(len(VALUES)))]
    return document


def _deep(data: bytes, random: Random) -> bytes:
    depth = int(random.choice([500, 5000, 100_000]))
    nested = b"[" * depth if random.random() < 0.5 else b'{"a":' * depth
    if random.random() < 0.5:
        nested += b"0" + (b"]" if nested[:1] == b"[" else b"}") * depth
    place = data.find(b":") + 1
    end = data.find(b",", place)
    return data[:place] + nested + data[end:] if random.random() < 0.7 else nested


def _deep_toml(data: bytes, random: Random) -> bytes:
    depth = int(random.choice([500, 5000, 50_000]))
    odd = (b"a = " + b"[" * depth, b"a = " + b"[" * depth + b"]" * depth, b"a." * depth + b"b = 1",
           b"[" + b"a." * depth + b"b]", b"a = " + b"{b = " * depth)  # fmt: skip
    return odd[int(random.integers(len(odd)))] + b"\n" + data


def _glb_changed(data: bytes, random: Random) -> bytes:
    document, binary = glb_parts(data)
    for _ in range(int(random.choice([1, 1, 2]))):
        document = _changed(document, random)
    if random.random() < 0.3:
        binary = _integers_changed(binary, random)
    return glb_of(document, binary)


def _npz_changed(data: bytes, random: Random) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = list(entries)[int(random.integers(len(entries)))]
    way = random.random()
    if way < 0.1:
        del entries[name]
    elif way < 0.2:
        entries |= {f"{name}{i}": entries[name] for i in range(int(random.choice([1, 300])))}
    elif way < 0.6:
        entries[name] = _npy_changed(entries[name], random)
    else:
        entries[name] = _bytes_changed(entries[name], random)
    file = BytesIO()
    kind = zipfile.ZIP_DEFLATED if random.random() < 0.5 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", kind) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return file.getvalue()


def _npy_changed(data: bytes, random: Random) -> bytes:
    array = np.load(BytesIO(data))
    shapes = ((0,), (), (1,), (3, 0), (10**9, 52), (2**40,), (1, *array.shape), (array.size,))
    way = int(random.integers(5))
    if way == 0:  # a header that declares something else
        header = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': "
        text = header + f"{shapes[int(random.integers(len(shapes)))]}, }}\n"
        start = b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text.encode()
        return start + bytes(array.tobytes())
    if way == 1:
        kinds = ("<f8", "<i8", "<u1", "<U3", "S2", "<c16", "?", "<M8[s]", ">f2")
        kind = kinds[int(random.integers(len(kinds)))]
        return npy(np.zeros(array.shape, kind))
    if way == 2:
        odd = (np.nan, np.inf, -1, 1e308, 2**31)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changed = array.astype(np.float64)
            changed.reshape(-1)[: int(random.integers(1, 4))] = odd[int(random.integers(len(odd)))]
            return npy(changed.astype(array.dtype))
    if way == 3:
        return npy(array[: len(array) // 2] if array.ndim else array.reshape(1))
    return npy(array.T if random.random() < 0.5 else array[None])


# ------------------------------------------------------------------------------------ the child


def _work(pipe: Connection[Any, Any], chosen: Sequence[str]) -> None:
    """Read mutants as the parent orders, and answer with what happened."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        found = {t.name: t for t in targets(folder)}
        pipe.send([(t.name, t.costly) for t in found.values() if _is_chosen(t.name, chosen)])
        _limit_memory()
        while (order := pipe.recv()) is not None:
            name, seed, number, keep = order
            work = folder / "work"
            work.mkdir()
            path = place(found[name], seed, number, work)
            if keep:
                shutil.copytree(work, keep, dirs_exist_ok=True)
            pipe.send(outcome(found[name], path))
            shutil.rmtree(work, ignore_errors=True)


def _is_chosen(name: str, chosen: Sequence[str]) -> bool:
    return not chosen or any(word in name for word in chosen)


def place(target: Target, seed: int, number: int, folder: Path) -> Path:
    """Write a mutant and what belongs next to it; return its path."""
    random = np.random.default_rng([seed, *target.name.encode(), number])
    name, data = target.seeds[int(random.integers(len(target.seeds)))]
    for other, content in target.beside.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(content)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mutant(name, data, random))
    return path


def outcome(target: Target, path: Path) -> tuple[str, str]:
    """Return `read`, `refused`, `caught` or a finding, and where an exception came from."""
    began = time.process_time()
    kind, where = _outcome(target, path)
    if (seconds := time.process_time() - began) > SECONDS:
        return "timeout", f"{seconds:.0f} s of processor time"
    return kind, where


def _outcome(target: Target, path: Path) -> tuple[str, str]:
    from facesdk.errors import FaceSDKError

    try:
        target.read(path)
    except FaceSDKError as error:
        text = str(error)
        if "it needs more memory than there is" in text:
            return "memory", _where(error)
        if re.search(r"unexpected [A-Z]\w+(:|$)", text):
            return "caught", _where(error)
        return "refused", ""
    except Exception as error:
        return "error", _where(error)
    return "read", ""


def _where(error: BaseException) -> str:
    """Return the first cause of an exception, and the lines of ours that it passed."""
    while error.__cause__ is not None:
        error = error.__cause__
    own = [f for f in traceback.extract_tb(error.__traceback__) if str(ROOT) in f.filename]
    lines = [f"{Path(f.filename).relative_to(ROOT)}:{f.lineno}" for f in own][-1:]
    return f"{type(error).__name__} at {' '.join(lines)}: {str(error)[:120]}"


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)


# ------------------------------------------------------------------------------------ the parent


@dataclass
class Report:
    """What became of all mutants."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """By reader, how many mutants were read, refused, caught, ..."""
    findings: list[str] = field(default_factory=list)
    caught: Counter[str] = field(default_factory=Counter)
    """By place, exceptions that only the net at the door caught."""


class _Child:
    def __init__(self, chosen: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, list(chosen)))
        self._process.start()
        theirs.close()
        self.names: list[tuple[str, bool]] = self.pipe.recv()

    def ask(self, order: tuple[Any, ...], seconds: float) -> tuple[str, str]:
        self.pipe.send(order)
        if not self.pipe.poll(seconds):
            return "timeout", f"more than {seconds:g} s"
        try:
            answer: tuple[str, str] = self.pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return "crash", f"exit code {self._process.exitcode}"
        return answer

    def end(self) -> None:
        with suppress(OSError):
            self.pipe.send(None)
            self.pipe.close()
        self._process.join(2)
        self._process.kill()
        self._process.join()


BAD = ("error", "crash", "timeout", "memory")


def fuzz(
    *,
    seed: int = 0,
    mutants: int = 40,
    seconds: float | None = None,
    chosen: Sequence[str] = (),
    first: int = 0,
    keep: Path | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Report:
    """Try mutants of all readers, or of those with a word of `chosen` in their name.

    `mutants` are tried per reader, a tenth of that where one takes long; `seconds` ends the run
    earlier. Call it below `if __name__ == "__main__":` or from a test.
    """
    report = Report()
    began = time.monotonic()
    child = _Child(chosen)
    try:
        for name, costly in child.names:
            counts = report.counts.setdefault(name, Counter())
            for number in range(first, first + (max(2, mutants // 10) if costly else mutants)):
                if seconds is not None and time.monotonic() - began > seconds:
                    return report
                kind, where = child.ask((name, seed, number, None), PATIENCE)
                counts[kind] += 1
                if kind == "caught":
                    report.caught[f"{name}: {where}"] += 1
                if kind in BAD:
                    report.findings.append(f"{name} #{number}: {kind}: {where}")
                    log(report.findings[-1])
                if kind in ("crash", "timeout", "memory"):
                    child.end()
                    child = _Child(chosen)
                if kind in (*BAD, "caught") and keep is not None:
                    child.ask(
                        (name, seed, number, str(keep / f"{name}-{number}".replace(" ", "-"))),
                        PATIENCE,
                    )
            log(f"{name:<24}" + ", ".join(f"{counts[k]} {k}" for k in sorted(counts)))
    finally:
        child.end()
    return report


def main() -> int:
    """Run the fuzzer and print what it found; 1 if there are findings."""
    words = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=words[0], epilog=words[2], formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("readers", nargs="*", metavar="READER", help="words of the readers to try (default: all)")
    add("--seed", type=int, default=0, help="the same seed gives the same mutants")
    add("--mutants", type=int, default=40, help="mutants per reader (default: 40)")
    add("--minutes", type=float, help="repeat with further mutants for this long")
    add("--only", type=int, metavar="N", help="try this mutant only")
    add("--keep", type=Path, metavar="DIR", help="keep the mutants that were findings")
    args = parser.parse_args()
    log: Callable[[str], None] = lambda text: print(text, flush=True)  # noqa: E731
    end = None if args.minutes is None else time.monotonic() + 60 * args.minutes
    total, findings, caught, first = 0, list[str](), Counter[str](), args.only or 0
    while True:
        report = fuzz(
            seed=args.seed, mutants=1 if args.only is not None else args.mutants, first=first,
            seconds=None if end is None else end - time.monotonic(), chosen=args.readers,
            keep=args.keep, log=log,
        )  # fmt: skip
        total += sum(c.total() for c in report.counts.values())
        findings += report.findings
        caught += report.caught
        first += args.mutants
        if end is None or time.monotonic() > end:
            break
    for where, count in caught.most_common():
        print(f"caught at the door {count} times: {where}")
    print(f"{total} mutants, {len(findings)} findings, {caught.total()} caught at the door")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
