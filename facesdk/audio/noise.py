"""Keeping the messages of decoders, which write to the file behind stderr, off the terminal."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock

_STDERR = 2
_NOISE = re.compile(
    rb"(?:Note|Warning): .*|\[?(?:src/)?libmpg123/.*|\[\S*\.[ch]:.*|.*mpg123.*|"
    rb"(?:ID3|Xing|Lame|LAME|RVA|Frankenstein|big_values|junk|resync|part2_3|Cannot read).*|\s*"
)
_lock = RLock()


@contextmanager
def decoder_messages_held_back() -> Iterator[None]:
    """Discard what libmpg123 writes to stderr within the block; other lines are passed on after it.

    libsndfile gives no way to silence it. File descriptor 2 belongs to the whole process, so blocks
    of several threads follow one another. Where there is no such descriptor nothing happens.
    """
    with _lock:
        try:
            kept = os.dup(_STDERR)
        except OSError:
            yield
            return
        try:
            with tempfile.TemporaryFile() as caught:
                os.dup2(caught.fileno(), _STDERR)
                try:
                    yield
                finally:
                    os.dup2(kept, _STDERR)
                    caught.seek(0)
                    _pass_on(caught.read())
        finally:
            os.close(kept)


def _pass_on(text: bytes) -> None:
    """Write the lines that do not come from the decoder."""
    lines = [line for line in text.splitlines(keepends=True) if not _NOISE.fullmatch(line.rstrip())]
    with suppress(OSError):
        if lines:
            os.write(_STDERR, b"".join(lines))
