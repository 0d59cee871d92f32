"""Layers as text, `.usda`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

import numpy as np

from ..numbers import shortest
from .layer import NUMBERS, WORDS, Attribute, Facts, Layer, Prim, Relationship, Samples, text

_INDENT = "    "
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def write_text(layer: Layer, file: BinaryIO) -> None:
    """Write a layer, line by line."""
    for line in chain(_head(layer), _prim(layer.root, "")):
        file.write(line.encode() + b"\n")


def _head(layer: Layer) -> Iterator[str]:
    yield "#usda 1.0"
    yield "("
    for name, value in layer.facts.items():
        yield f"{_INDENT}{name} = {_plain(value)}"
    yield ")"
    yield ""


def _prim(prim: Prim, indent: str) -> Iterator[str]:
    yield f'{indent}{f"def {prim.type}" if prim.type else "over"} "{prim.name}"'
    yield from _about(prim, indent)
    yield f"{indent}{{"
    inside = indent + _INDENT
    for entry in prim.properties:
        lines = _relationship(entry) if isinstance(entry, Relationship) else _attribute(entry)
        yield from (inside + line for line in lines)
    for child in prim.children:
        yield from _prim(child, inside)
    for name, variants in prim.variants.items():
        yield f'{inside}variantSet "{name}" = {{'
        for variant, over in variants.items():
            yield f'{inside}{_INDENT}"{variant}" {{'
            yield from _prim(over, inside + 2 * _INDENT)
            yield f"{inside}{_INDENT}}}"
        yield f"{inside}}}"
    yield f"{indent}}}"


def _about(prim: Prim, indent: str) -> Iterator[str]:
    """Return the metadata of a prim."""
    lines = []
    if prim.apis:
        lines.append(f"prepend apiSchemas = {_value('token[]', prim.apis)}")
    if prim.facts:
        lines += ["customData = {", *_dictionary("facesdk", prim.facts), "}"]
    if prim.variants:
        lines += ["variants = {"]
        lines += [
            f"{_INDENT}string {n} = {quoted(next(iter(v)))}" for n, v in prim.variants.items()
        ]
        lines += ["}", f"prepend variantSets = {_value('string[]', list(prim.variants))}"]
    if lines:
        yield f"{indent}("
        yield from (indent + _INDENT + line for line in lines)
        yield f"{indent})"


def _dictionary(name: str, facts: Facts) -> Iterator[str]:
    yield f"{_INDENT}dictionary {name} = {{"
    for key, value in facts.items():
        kind = "string" if isinstance(value, str) else "double"
        kind = "int64" if isinstance(value, int) else kind
        yield f"{2 * _INDENT}{kind} {key} = {_plain(value)}"
    yield f"{_INDENT}}}"


def _relationship(entry: Relationship) -> Iterator[str]:
    paths = ", ".join(f"<{path}>" for path in entry.targets)
    yield f"rel {entry.name} = {paths if len(entry.targets) == 1 else f'[{paths}]'}"


def _attribute(entry: Attribute) -> Iterator[str]:
    declared = f"{'uniform ' * entry.uniform}{entry.type} {entry.name}"
    about = "".join(f"\n{2 * _INDENT}{k} = {_plain(v)}" for k, v in entry.facts.items())
    about = f" ({about}\n{_INDENT})" if about else ""
    if entry.value is not None:
        yield f"{declared} = {_value(entry.type, entry.value)}{about}"
    elif entry.samples is None and entry.connected is None:
        yield declared + about
    if entry.samples is not None:
        yield f"{declared}.timeSamples = {{"
        yield from (_INDENT + line for line in _samples(entry, entry.samples))
        yield "}"
    if entry.connected is not None:
        yield f"{declared}.connect = <{entry.connected}>"


def _samples(entry: Attribute, samples: Samples) -> Iterator[str]:
    done = 0
    for rows in samples.rows():
        times = samples.times[done : done + len(rows)].tolist()
        done += len(rows)
        for time, row in zip(times, _exact(entry.item, rows), strict=True):
            yield f"{_plain(time)}: {_bracketed(row, entry.is_array)},"


def _value(type_: str, value: Any) -> str:
    item, is_array = type_.removesuffix("[]"), type_.endswith("[]")
    if item == "asset":
        return f"@@@{text(value)}@@@" if "@" in value else f"@{text(value)}@"
    if item in WORDS:
        return f"[{', '.join(map(quoted, value))}]" if is_array else quoted(value)
    return _bracketed(_exact(item, value), is_array)


def _exact(item: str, value: Any) -> Any:
    """Return numbers of a type as lists, in as few digits as identify them."""
    number = NUMBERS[item][0]
    array = np.asarray(value, number)
    if number == "<f4":
        return shortest(np.atleast_1d(array)).reshape(array.shape).tolist()
    return (array.astype("i4") if number == "?" else array).tolist()


def _bracketed(numbers: Any, is_array: bool) -> str:
    """Return nested numbers: brackets around arrays, parentheses around single values."""
    line = json.dumps(numbers, separators=(", ", ": "))
    if not is_array:
        return line.replace("[", "(").replace("]", ")")
    return f"[{line[1:-1].replace('[', '(').replace(']', ')')}]"


def _plain(value: str | float) -> str:
    return quoted(value) if isinstance(value, str) else repr(value).removesuffix(".0")


def quoted(value: str) -> str:
    """Return text in quotation marks."""
    signs = (_ESCAPES.get(c) or (f"\\x{ord(c):02x}" if c < " " else c) for c in text(value))
    return f'"{"".join(signs)}"'
