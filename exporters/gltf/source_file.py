"""Somebody's `.glb`, `.gltf` or `.vrm` file, to which entries are added and nothing else is done.

The text of its JSON, its buffers and its other chunks keep their bytes. New numbers go behind the
binary chunk, or into a buffer of their own in a `.gltf` file.
"""

from __future__ import annotations

import base64
import json
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO
from urllib.parse import unquote

from ...errors import FileFormatError
from ...mesh.files.gltf import MAX_BYTES, beside, glb_chunks, in_words
from .document import Document, check_length
from .splice import Splice

_MARK = "facesdk-numbers-go-here"
_URI = "data:application/octet-stream;base64,"
_PICTURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp",
             b"\xabKTX": "image/ktx2"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class SourceFile:
    """The content of a file."""

    path: Path
    text: str
    """JSON, as written."""
    json: Mapping[str, Any]
    binary: bytes | None
    """The binary chunk; None for a text file, and for a `.glb` file without one."""
    is_glb: bool
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    """Further chunks of a `.glb` file: type and content."""
    rest: bytes = b""
    """Bytes behind the length that the file declares."""
    data: bytes = field(default=b"", repr=False)
    """The whole file."""

    @classmethod
    def read(cls, path: Path) -> SourceFile:
        """Read a file; raises `FileFormatError`."""
        if not path.is_file():
            raise FileFormatError(f"{path} is not a file; give a .glb, .gltf or .vrm file")
        if path.stat().st_size > MAX_BYTES:
            raise FileFormatError(f"{path} is too large for a character: over {MAX_BYTES:,} bytes")
        with in_words(path):
            return cls._parsed(path.read_bytes(), path)

    @classmethod
    def _parsed(cls, data: bytes, path: Path) -> SourceFile:
        is_glb = data[:4] == b"glTF"
        binary, rest = None, b""
        others: list[tuple[bytes, bytes]] = []
        written = data
        if is_glb:
            (first, written), *further = glb_chunks(data)
            if first != b"JSON":
                raise ValueError("its first chunk is not JSON")
            rest = data[struct.unpack_from("<I", data, 8)[0] :]
            for kind, content in further:
                if kind == b"BIN\0" and binary is None:
                    binary = content
                else:
                    others.append((kind, content))
        text = written.rstrip(b"\0 ").decode("utf-8-sig")
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("asset"), dict):
            raise ValueError("its asset entry is missing")
        version = str(document["asset"].get("version", ""))
        if not version.startswith("2."):
            raise ValueError(f"glTF version {version!r}")
        return cls(path, text, document, binary, is_glb, tuple(others), rest, data)

    # ------------------------------------------------------------------ adding

    @contextmanager
    def adding(self, *, binary: bool) -> Iterator[Document]:
        """Open a document whose entries continue this file's; `write` puts both together."""
        lists = {kind: v for kind, v in self.json.items() if isinstance(v, list)}
        after = {kind: len(entries) for kind, entries in lists.items()}
        buffer, offset = 0, 0
        if (old := self._joined if binary else None) is None:
            buffer = after.get("buffers", 0)
        else:
            offset = len(old) + -len(old) % 4
        with TemporaryFile() as file:
            yield Document(file, after=after, buffer=buffer, offset=offset)

    @cached_property
    def _joined(self) -> bytes | None:
        """The bytes in front of the new ones in a binary chunk; None for a buffer of their own."""
        with in_words(self.path):
            buffers = self.json.get("buffers") or ()
            if not buffers:
                return self.binary or b""
            if "uri" not in buffers[0]:
                return self.binary
            return None if self.is_glb else self._resource(str(buffers[0]["uri"]))

    def write(
        self,
        file: BinaryIO,
        added: Document,
        *,
        binary: bool,
        nodes: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        """Write the file with the entries of a document added.

        `nodes` holds members of nodes that are set, or removed where they are None. Files that
        this one refers to are put inside, unless the result lies in the same folder.
        """
        with in_words(self.path):
            splice = Splice(self.text)
            for index, members in (nodes or {}).items():
                splice.update("nodes", index, dict(members))
            inside = binary != self.is_glb or not self._same_folder(file)
            before = self._joined if binary else None
            self._settle_buffers(splice, before, binary=binary, inside=inside)
            if inside:
                self._settle_pictures(splice, added, binary=before is not None)
            for kind, entries in added.json.items():
                if isinstance(entries, list):
                    splice.append(kind, entries)
            self._settle_length(splice, added, before)
            text = splice.finish().encode()
        if binary:
            self._write_binary(file, text, before, added)
        else:
            inside = added.length > 0
            head, tail, _ = _parted(text, added, inside=inside)
            _write_parted(file, head, tail, added, inside=inside)

    def _settle_buffers(
        self, splice: Splice, before: bytes | None, *, binary: bool, inside: bool
    ) -> None:
        """Move the content of buffers to where the result has it."""
        for i, buffer in enumerate(self.json.get("buffers") or ()):
            uri = buffer.get("uri")
            if i == 0 and before is not None:
                continue
            if uri is None and i == 0 and not binary and self.binary is not None:
                content = base64.b64encode(self.binary).decode()
                splice.update("buffers", i, {"uri": _URI + content, "byteLength": len(self.binary)})
            elif uri is not None and inside and not str(uri).startswith("data:"):
                content = base64.b64encode(self._resource(str(uri))).decode()
                splice.update("buffers", i, {"uri": _URI + content})

    def _settle_length(self, splice: Splice, added: Document, before: bytes | None) -> None:
        """Add the new numbers to the first buffer, or a buffer of their own."""
        if not added.length:
            if before is not None and not self.is_glb and self.json.get("buffers"):
                splice.update("buffers", 0, {"uri": None})
            return
        if before is None:
            new = {"byteLength": added.length, "uri": _URI + _MARK}
            splice.append("buffers", [new])
            return
        total = len(before) + -len(before) % 4 + added.length
        if not self.json.get("buffers"):
            splice.append("buffers", [{"byteLength": total}])
        else:
            members: dict[str, Any] = {"byteLength": total}
            if "uri" in self.json["buffers"][0]:
                members["uri"] = None
            splice.update("buffers", 0, members)

    def _settle_pictures(self, splice: Splice, added: Document, *, binary: bool) -> None:
        """Put pictures in other files inside."""
        for i, image in enumerate(self.json.get("images") or ()):
            uri = image.get("uri")
            if uri is None or str(uri).startswith("data:"):
                continue
            try:
                data = self._resource(str(uri))
            except FileFormatError as error:
                warnings.warn(f"{error}; the reference is kept", stacklevel=2)
                continue
            kinds = (kind for mark, kind in _PICTURES.items() if data.startswith(mark))
            kind = image.get("mimeType") or next(kinds, None)
            if binary and kind:
                view = added.view(data)
                splice.update("images", i, {"uri": None, "bufferView": view, "mimeType": kind})
            else:
                content = base64.b64encode(data).decode()
                uri = f"data:{kind or 'application/octet-stream'};base64,{content}"
                splice.update("images", i, {"uri": uri})

    def _same_folder(self, file: BinaryIO) -> bool:
        """Whether an open file lies in the folder of this one."""
        name = getattr(file, "name", None)
        if not isinstance(name, str) or not Path(name).is_file():
            return False
        return Path(name).resolve().parent == self.path.resolve().parent

    def _resource(self, uri: str) -> bytes:
        """Return what a URI refers to: data inside, or a file in the folder of this one."""
        if uri.startswith("data:"):
            return base64.b64decode(unquote(uri.partition(",")[2]), validate=True)
        return beside(self.path, uri).read_bytes()

    # ------------------------------------------------------------------ writing

    def _write_binary(
        self, file: BinaryIO, text: bytes, before: bytes | None, added: Document
    ) -> None:
        inside = before is None and added.length > 0
        head, tail, size = _parted(text, added, inside=inside)
        tail += b" " * (-size % 4)
        size += -size % 4
        old = (self.binary or b"") if before is None else before
        new = 0 if inside else added.length
        length = len(old) + -len(old) % 4 + new + -new % 4
        chunk = 8 + length if length or self.binary is not None else 0
        others = b"".join(struct.pack("<I4s", len(c), kind) + c for kind, c in self.chunks)
        total = 20 + size + chunk + len(others)
        check_length(total)
        file.write(struct.pack("<4sIII4s", b"glTF", 2, total, size, b"JSON"))
        _write_parted(file, head, tail, added, inside=inside)
        if chunk:
            file.write(struct.pack("<I4s", length, b"BIN\0") + old + bytes(-len(old) % 4))
            for piece in () if inside else added.pieces():
                file.write(piece)
            file.write(bytes(-new % 4))
        file.write(others + self.rest)


def _parted(text: bytes, added: Document, *, inside: bool) -> tuple[bytes, bytes, int]:
    """Return the text before and after the numbers inside it, and the length with them."""
    if not inside:
        return text, b"", len(text)
    head, _, tail = text.partition(_MARK.encode())
    return head, tail, len(head) + len(tail) + 4 * -(-added.length // 3)


def _write_parted(
    file: BinaryIO, head: bytes, tail: bytes, added: Document, *, inside: bool
) -> None:
    file.write(head)
    for piece in added.pieces() if inside else ():
        file.write(base64.b64encode(piece))
    file.write(tail)
