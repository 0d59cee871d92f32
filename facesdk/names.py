"""Match the names in files to the controls of a rig, however they are spelled.

    match(["blendShape1.JawOpen", "mouth_smile_L.001", "bodyFat"], Rig.load("arkit"))

finds `jawOpen` and `mouthSmileLeft`, and leaves `bodyFat` out. Every reader of animation and of
heads uses this module, so a spelling that one understands is understood by all.

Names are compared word by word: `jawOpenExtra` and `notJawOpen` are not `jawOpen`. Case and
separators do not count, nor does what stands before a name (`Wolf.`, `blendShape1.`, `M_F00_`),
a word such as `Face` or `_BS` at either end, or Blender's `.001`. A side may be written
`Left`, `left`, `L` or `l` and may stand at the end, in front or in the middle.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

from .rig import Rig, rigs

_COPY = re.compile(r"[._]\d{3}$")
"""Blender's number of a copy, `.001`; exporters to FBX write it as `_001`."""

_PLACE = re.compile(r"[.:|/]")
"""Signs that stand between the name of a deformer or mesh and that of its shape."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
"""A word of a name in camel case."""

_SIDES = {"l": "l", "left": "l", "r": "r", "right": "r"}

_KINDS = {"ar", "blend", "blendshape", "bs", "geo", "head", "face", "location", "mesh", "morph",
          "shape", "shapes", "target", "tgt"}  # fmt: skip
"""Words that programs put before or after a name."""

_VISEME = {"v", "vis", "viseme", "visemes"}
"""Words that mark a viseme: `viseme_aa`, `vrc.v_aa`."""

_VISEME_LETTERS = {"a": "aa", "e": "E", "i": "ih", "o": "oh", "u": "ou"}
"""Visemes whose names are letters, as web avatars have them: `viseme_I`."""

_PRESETS = {
    "fcl_mth_a": "aa", "fcl_mth_i": "ih", "fcl_mth_u": "ou", "fcl_mth_e": "ee", "fcl_mth_o": "oh",
    "fcl_eye_close": "blink", "fcl_eye_close_l": "blinkLeft", "fcl_eye_close_r": "blinkRight",
    "fcl_all_joy": "happy", "fcl_all_angry": "angry", "fcl_all_sorrow": "sad",
    "fcl_all_fun": "relaxed", "fcl_all_surprised": "surprised", "eyesclosed": "blink",
    "あ": "aa", "い": "ih", "う": "ou", "え": "ee", "お": "oh", "まばたき": "blink",
}  # fmt: skip
"""Presets of VRM by the morph targets that VRoid, Ready Player Me and MMD have for them."""

_SHORT = 6
"""Letters below which a name is taken only by itself: `Fcl_MTH_E` is not the viseme `E`."""

_PREFERRED = ("arkit", "a2f", "livelink", "vrm", "oculus", "metahuman")
"""Rigs that come first where names fit several equally well."""


class Spelling(NamedTuple):
    """The control that a written name stands for."""

    control: str
    half: str = ""
    """`l` or `r` for one side of a control without sides: `browInnerUp_L`."""


class Vocabulary:
    """The spellings of a set of names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact = dict.fromkeys(names)
        self._known = _spellings(tuple(self._exact))
        self._visemes = {"sil", "PP", "FF"} <= set(self._exact)
        self._presets = {"aa", "happy", "blink"} <= set(self._exact)

    def find(self, written: str) -> Spelling | None:
        """Return the name that is meant, or None."""
        if written in self._exact:
            return Spelling(written)
        text = _COPY.sub("", written)
        parts = [part for part in re.split(r"[\W_]+", text) if part]
        own = [part for part in re.split(r"[\W_]+", _PLACE.split(text)[-1]) if part]
        if self._presets and (name := _PRESETS.get(_PLACE.split(text)[-1].lower())):
            return Spelling(name)
        if self._visemes and (found := self._viseme(parts)):
            return found
        return self._whole(parts, own)

    def _whole(self, parts: list[str], own: list[str]) -> Spelling | None:
        words = [part.lower() for part in parts]
        while words:
            for start in range(len(words)):
                free = start >= len(words) - len(own) and _KINDS.issuperset(
                    words[len(words) - len(own) : start]
                )
                if found := self._looked_up(words[start:], short=free):
                    return found
            if words[-1] not in _KINDS:
                break
            words.pop()
            own = own[:-1]
        return self._without_kinds(parts[-1]) if parts else None

    def _looked_up(self, words: Sequence[str], *, short: bool) -> Spelling | None:
        """Return what words mean, with a side anywhere among them."""
        variants = ["".join(words)]
        for i, word in enumerate(words):
            if word in _SIDES:
                variants.append("".join((*words[:i], *words[i + 1 :], _SIDES[word])))
        for text in variants:
            found = self._known.get(text)
            if found and (short or len(found.control) >= _SHORT):
                return found
        return None

    def _without_kinds(self, part: str) -> Spelling | None:
        """Return what one word in camel case means: `FaceJawOpen`, `jawOpenShape`."""
        words = [word.lower() for word in _WORD.findall(part)]
        while words and words[0] in _KINDS:
            words = words[1:]
            if found := self._looked_up(words, short=True):
                return found
        words = [word.lower() for word in _WORD.findall(part)]
        while words and words[-1] in _KINDS:
            words = words[:-1]
            if found := self._looked_up(words, short=True):
                return found
        return None

    def _viseme(self, parts: Sequence[str]) -> Spelling | None:
        """Return the viseme of `viseme_aa`, `vrc.v_PP` or `VisemeI`."""
        several = parts if len(parts) != 1 else _WORD.findall(parts[0])
        words = [word.lower() for word in several]
        if len(words) < 2 or words[-2] not in _VISEME:
            return None
        lowered = {name.lower(): name for name in self._exact}
        name = lowered.get(words[-1]) or _VISEME_LETTERS.get(words[-1])
        return Spelling(name) if name in self._exact else None


@cache
def _spellings(names: tuple[str, ...]) -> Mapping[str, Spelling]:
    """Return names and halves by their spelling in small letters without separators."""
    prefix = _shared_prefix(names)
    known: dict[str, Spelling] = {}
    plain: dict[str, Spelling] = {}
    for name in names:
        known.setdefault(_flat(name), Spelling(name))
        plain.setdefault(_flat(name[len(prefix) :]), Spelling(name))
    known = plain | known
    sided: dict[str, Spelling] = {}
    halves: dict[str, Spelling] = {}
    for name in names:
        base, side = _sided(name[len(prefix) :])
        for letter, word in (("l", "left"), ("r", "right")):
            if side == letter:
                for text in (base + letter, base + word, word + base, letter + base):
                    sided.setdefault(text, Spelling(name))
            elif not side:
                for text in (base + letter, base + word, word + base):
                    halves.setdefault(text, Spelling(name, letter))
    return halves | sided | known


def _flat(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _sided(name: str) -> tuple[str, str]:
    """Return a name in small letters without its side, and the side: `l`, `r` or nothing."""
    for end, letter in (("Left", "l"), ("Right", "r")):
        if name.endswith(end) or name.lower().endswith("_" + end.lower()):
            return _flat(name[: -len(end)]), letter
    if re.search(r"([a-z]|_)[LR]$", name):
        return _flat(name[:-1]), name[-1].lower()
    return _flat(name), ""


def _shared_prefix(names: Sequence[str]) -> str:
    """Return what many names begin with, up to an underscore: `CTRL_expressions_`."""
    if len(names) < 2:
        return ""
    low, high = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), 0)
    return low[: low.rfind("_", 0, length) + 1]


@cache
def _vocabulary(names: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(names)


def vocabulary(rig: Rig | str) -> Vocabulary:
    """Return the spellings of a rig's controls."""
    return _vocabulary(rig.names if isinstance(rig, Rig) else Rig.load(rig).names)


def bare(written: str) -> str:
    """Return a name without what stands before its last dot, colon or bar; keeps `.001`."""
    copy = _COPY.search(written)
    end = copy.start() if copy else len(written)
    return _PLACE.split(written[:end])[-1] + written[end:]


# --------------------------------------------------------------------- many names


@dataclass(frozen=True)
class Matches:
    """What the names in a file stand for on a rig."""

    rig: Rig
    found: Mapping[str, tuple[str, ...]]
    """Names in the file by control; two names are the halves of a control without sides."""
    unknown: tuple[str, ...] = ()
    """Names that are no control of the rig."""
    repeated: tuple[str, ...] = ()
    """Names of controls that another name in the file already stands for; they are not used."""

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Controls that no name stands for."""
        return tuple(name for name in self.rig.names if name not in self.found)

    @property
    def count(self) -> int:
        """Number of names that are used."""
        return sum(map(len, self.found.values()))

    def columns(self, names: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the places in `names` of each control of the rig, in its order."""
        place = {name: i for i, name in reversed(list(enumerate(names)))}
        return [tuple(place[n] for n in self.found.get(c, ())) for c in self.rig.names]

    def notes(self) -> dict[str, Any]:
        """Return what is missing or not used, for the `meta` of a clip."""
        lists = {
            "missing_controls": self.missing,
            "repeated_targets": self.repeated,
            "ignored_targets": self.unknown,
        }
        notes: dict[str, Any] = {key: list(names) for key, names in lists.items() if names}
        renamed = {c: list(names) for c, names in self.found.items() if names != (c,)}
        return notes | ({"renamed": renamed} if renamed else {})

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "rig": self.rig.name,
            "matched": {control: list(names) for control, names in self.found.items()},
            "missing": list(self.missing),
            "unknown": list(self.unknown),
            "repeated": list(self.repeated),
        }


def match(names: Sequence[str], rig: Rig, *, source: str = "the file") -> Matches:
    """Return what names stand for on a rig.

    Of several names for one control on one mesh the exact spelling counts, else the first; a
    warning lists the others. `source` names the file in it.
    """
    known, plain = vocabulary(rig), without_shared_end(names)
    groups: dict[str, list[tuple[bool, bool, int, str, Spelling]]] = {}
    unknown = []
    for order, written in enumerate(names):
        spelling = known.find(written) or known.find(plain[written])
        if spelling is None:
            unknown.append(written)
            continue
        rank = (bool(spelling.half), bare(written) != spelling.control, order, written, spelling)
        groups.setdefault(spelling.control, []).append(rank)
    found: dict[str, tuple[str, ...]] = {}
    repeated: list[str] = []
    twice: list[str] = []
    for control in (c for c in rig.names if c in groups):
        group = sorted(groups[control])
        sides: dict[str, str] = {}
        for *_, written, spelling in group:
            if "" in sides or spelling.half in sides:
                repeated.append(written)
                first = sides.get("", sides.get(spelling.half, ""))
                if place(written) == place(first):
                    twice.append(f"{written} ({control})")
            else:
                sides[spelling.half] = written
        found[control] = tuple(sides[side] for side in sorted(sides))
    if twice:
        warn_twice(source, twice)
    return Matches(rig, found, tuple(unknown), tuple(repeated))


def place(written: str) -> str:
    """Return the mesh or deformer that a name begins with, or nothing."""
    return "".join(_PLACE.split(_COPY.sub("", written))[:-1])


def is_control(written: str) -> bool:
    """Whether a name stands for a control of one of the rigs that files usually hold."""
    return any(vocabulary(rig).find(written) for rig in _PREFERRED)


def warn_twice(source: str, twice: Sequence[str]) -> None:
    """Warn of names that stand for what others stand for."""
    warnings.warn(
        f"{source} has the same shape more than once; each counts once, unused: {some(twice)}; "
        "delete or rename the copies",
        stacklevel=4,
    )


def best_match(
    names: Sequence[str], guess: str | None = None, *, source: str = "the file"
) -> Matches | None:
    """Return names on the built-in rig that they fit best, or None if they are of another rig.

    A rig fits if all names are its controls or if they are a quarter of its controls. Where
    several fit equally, `guess` comes first.
    """
    order = [guess, *(name for name in _PREFERRED if name != guess)]
    plain = without_shared_end(names)
    ranked: list[tuple[int, int, Rig]] = []
    for rig in rigs():
        if set(rig.names) == set(names):
            return match(names, rig, source=source)
        known = vocabulary(rig)
        spelled = [known.find(plain[name]) for name in names]
        controls = {s.control for s in spelled if s is not None}
        if controls and len(controls) >= min(len(rig) // 4, len(set(names))):
            rank = order.index(rig.name) if rig.name in order else len(order)
            ranked.append((-len(controls), rank, rig))
    if not ranked:
        return None
    return match(names, min(ranked, key=lambda entry: entry[:2])[2], source=source)


def without_shared_end(names: Sequence[str]) -> dict[str, str]:
    """Return names without the words that all of them end in: `jawOpen_weight`.

    A side is kept, and so are fewer than three names.
    """
    ends = {name: _COPY.sub("", name) for name in names}
    if len(ends) >= 3:
        lowest, highest = min(t[::-1] for t in ends.values()), max(t[::-1] for t in ends.values())
        pairs = zip(lowest, highest, strict=False)
        length = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
        shared = lowest[:length][::-1]
        begin = re.search(r"[\W_]", shared)
        words = re.split(r"[\W_]+", shared[begin.end() :].lower()) if begin else []
        if begin and not set(words) & set(_SIDES):
            length = len(shared) - begin.start()
            return {name: text[:-length] or name for name, text in ends.items()}
    return {name: name for name in names}


def some(names: Sequence[str], limit: int = 8) -> str:
    """Return the first names of a list as text."""
    shown = ", ".join(names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
