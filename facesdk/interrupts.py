"""Ctrl-C while processes are started: it belongs to the parent, which stops them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from this process, and so from a child that is not ready for it, for a moment.

    It arrives when the block ends. Does nothing where signals cannot be held back (Windows).
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
