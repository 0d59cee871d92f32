"""A set of takes in a folder, with the controls of a rig or vertices of one topology.

annotation.json       name, license, rig or null, takes
audio/<take>.wav      any file that soundfile reads
tracks/<take>.npz     values (T, C) with names (C,), or vertices (T, V, 3) in meters
templates.npz         (V, 3) neutral face by subject; vertices only
regions.npz           (V,) weights `lips`; vertices only, optional
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...archives import load_npz
from ...arrays import Floats
from ...audio import SAMPLE_RATE, read_audio
from ...clip import Clip, exact_fps
from ...documents import load_json
from ...errors import FaceSDKError, FileFormatError, reading, unknown_name
from ...files import whole_file
from ...rig import Rig
from .base import NAME, Take, TakeSet

FORMAT, VERSION = "facesdk.annotation", 1

_LARGEST_TRACK = 1 << 31
"""Bytes of one track; an hour of ARKit curves at 60 fps is a fiftieth of it."""


class AnnotationFolder(TakeSet):
    """The takes in a folder; raises `FileFormatError` for missing or malformed files."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        with reading(self.folder / "annotation.json", FileFormatError):
            self._read(self._document())

    def _read(self, document: Mapping[str, Any]) -> None:
        try:
            self.name = str(document["name"])
            self.license = str(document["license"])
            self.rig = self._rig(document["rig"])
            self._audio = {str(t["id"]): self._inside(t["audio"]) for t in document["takes"]}
            self.takes = tuple(
                Take(str(t["id"]), str(t["subject"]), Fraction(*t["fps"]), str(t["split"]))
                for t in document["takes"]
            )
        except FaceSDKError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise FileFormatError(
                f"{self.folder / 'annotation.json'} lacks or misspells a field: {error!r}"
            ) from error
        if not NAME.fullmatch(self.name):
            raise FileFormatError(
                f"{self.folder}: {self.name!r} is not a name of letters, digits, '_', '.' and '-'"
            )
        if len(self._audio) != len(self.takes):
            raise FileFormatError(f"{self.folder} lists a take twice")

    def _document(self) -> dict[str, Any]:
        path = self.folder / "annotation.json"
        if not path.exists():
            raise FileFormatError(
                f"{self.folder} is not a set of annotated recordings: it has no annotation.json"
            )
        document = load_json(path, "annotation", error=FileFormatError)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise FileFormatError(f'{path}: expected "format": "{FORMAT}"')
        if document.get("version") != VERSION:
            raise FileFormatError(
                f"{path} has version {document.get('version')!r}; this facesdk reads {VERSION}"
            )
        return document

    def _rig(self, rig: str | None) -> Rig | None:
        if rig is None:
            return None
        return Rig.load(self._inside(rig) if rig.endswith(".json") else rig)

    def _inside(self, name: str) -> Path:
        path = self.folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise FileFormatError(f"{self.folder}: {name!r} must be a path below the folder")
        return path

    def samples(self, take: Take) -> Floats:
        """Return (N,) mono audio at 16 kHz."""
        return read_audio(self._audio[take.id], sample_rate=SAMPLE_RATE)

    def track(self, take: Take) -> Floats:
        """Return (T, C) values in the order of the rig, or (T, V, 3) vertices in meters.

        Controls that are missing in a track stay at rest.
        """
        path = self.folder / "tracks" / f"{take.id}.npz"
        with reading(path, FileFormatError):
            return self._track(path)

    def _track(self, path: Path) -> Floats:
        arrays = _arrays(path)
        if self.rig is None:
            return self._vertices(arrays, path)
        values, names = arrays.get("values"), arrays.get("names")
        if values is None or names is None or values.shape[1:] != names.shape:
            raise FileFormatError(f"{path} must contain values (T, C) and names (C,)")
        _finite(values, path)
        full = np.tile(self.rig.rest, (len(values), 1))
        full[:, [self.rig.index(str(name)) for name in names]] = values
        return _finite(full, path)

    def _vertices(self, arrays: Mapping[str, NDArray[Any]], path: Path) -> Floats:
        vertices = arrays.get("vertices")
        if vertices is None or vertices.ndim != 3 or vertices.shape[2] != 3:
            raise FileFormatError(f"{path} must contain vertices (T, V, 3)")
        return _finite(vertices, path)

    def template(self, subject: str) -> Floats:
        """Return (V, 3) meters of a subject's neutral face."""
        if subject not in self._templates:
            raise unknown_name(f"{self.folder}: no template of subject", subject, self._templates)
        return self._templates[subject]

    @cached_property
    def _templates(self) -> dict[str, Floats]:
        path = self.folder / "templates.npz"
        return {name: _finite(array, path) for name, array in _arrays(path).items()}

    def lips(self) -> Floats | None:
        """Return (V,) weights of the lips from `regions.npz`, or None without that file."""
        path = self.folder / "regions.npz"
        return _finite(_arrays(path)["lips"], path) if path.exists() else None


class AnnotationWriter:
    """Writer of an annotation folder, take by take; `finish` makes it readable."""

    def __init__(
        self,
        folder: str | Path,
        *,
        rig: Rig | str | None,
        name: str = "",
        license: str = "unknown",  # noqa: A002
    ) -> None:
        """`rig` None is for vertices; a rig that is not built in is stored with the set."""
        self.folder = Path(folder)
        self._rig = Rig.load(rig) if isinstance(rig, str) else rig
        self._facts = {"name": name or self.folder.name, "license": license}
        self._takes: list[dict[str, Any]] = []
        self._templates: dict[str, Floats] = {}
        for part in ("audio", "tracks"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)

    def add(
        self,
        take: str,
        samples: ArrayLike,
        track: Clip | ArrayLike,
        *,
        subject: str,
        fps: Fraction | float | None = None,
        split: str = "train",
    ) -> None:
        """Store a take: (N,) audio at 16 kHz, and a clip or (T, V, 3) vertices at `fps`."""
        import soundfile

        rate = track.fps if isinstance(track, Clip) else exact_fps(fps or 0)
        checked = Take(take, subject, rate, split)
        audio = f"audio/{take}.wav"
        soundfile.write(self.folder / audio, np.asarray(samples), SAMPLE_RATE, subtype="PCM_16")
        with whole_file(self.folder / "tracks" / f"{take}.npz") as file:
            np.savez_compressed(file, **self._content(checked, track))
        self._takes.append(
            {"id": take, "subject": subject, "split": split, "audio": audio,
             "fps": [rate.numerator, rate.denominator]}
        )  # fmt: skip

    def _content(self, take: Take, track: Clip | ArrayLike) -> dict[str, Any]:
        if self._rig is None:
            vertices = np.asarray(track, np.float32)
            if vertices.ndim != 3 or vertices.shape[1:] != self._template(take.subject).shape:
                raise FileFormatError(
                    f"take {take.id!r}: vertices must be (T, V, 3) like the template of "
                    f"{take.subject!r}, got {vertices.shape}"
                )
            return {"vertices": vertices}
        if not isinstance(track, Clip) or track.rig.name != self._rig.name:
            raise FileFormatError(f"take {take.id!r} must be a clip on rig {self._rig.name!r}")
        return {"values": track.values, "names": np.array(track.rig.names)}

    def _template(self, subject: str) -> Floats:
        if subject not in self._templates:
            raise unknown_name("no template yet for subject", subject, self._templates)
        return self._templates[subject]

    def template(self, subject: str, vertices: ArrayLike) -> None:
        """Store a subject's neutral face, (V, 3) meters; it must precede the subject's takes."""
        self._templates[subject] = np.asarray(vertices, np.float32)

    def lips(self, weights: ArrayLike) -> None:
        """Store the (V,) weights of the lips."""
        np.savez_compressed(self.folder / "regions.npz", lips=np.asarray(weights, np.float32))

    def finish(self) -> Path:
        """Write the index; return the folder."""
        if self._templates:
            arrays: dict[str, Any] = dict(self._templates)
            np.savez_compressed(self.folder / "templates.npz", **arrays)
        document = {
            "format": FORMAT, "version": VERSION, **self._facts, "rig": self._stored_rig(),
            "takes": self._takes,
        }  # fmt: skip
        with whole_file(self.folder / "annotation.json") as file:
            file.write((json.dumps(document, indent=1) + "\n").encode())
        return self.folder

    def _stored_rig(self) -> str | None:
        if self._rig is None:
            return None
        try:
            if Rig.load(self._rig.name) == self._rig:
                return self._rig.name
        except FaceSDKError:
            pass
        (self.folder / "rig.json").write_text(self._rig.to_text(), encoding="utf-8")
        return "rig.json"


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file; arrays of objects are refused."""
    if not path.exists():
        raise FileFormatError(f"{path} does not exist; annotation.json lists it")
    return load_npz(path, limit=_LARGEST_TRACK)


def _finite(array: NDArray[Any], path: Path) -> Floats:
    if array.dtype.kind not in "fiu" or not len(array) or not np.isfinite(array).all():
        raise FileFormatError(f"{path} must contain finite numbers and at least one frame")
    return np.asarray(array, np.float32)
