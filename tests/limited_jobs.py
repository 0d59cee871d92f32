"""Programs for `run_limited` in the tests: a module that a new process can import."""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    what = sys.argv[-1]
    if what == "answer":
        sys.stdout.buffer.write(os.environ.get("ODD", "unset").encode())
    elif what == "crash":
        os.abort()
    elif what == "exit":
        sys.exit(5)
    elif what == "sleep":
        time.sleep(600)
    elif what == "spin":
        while True:
            pass
    elif what == "memory":
        bytearray(8 << 30)
    elif what == "output":
        for _ in range(1000):
            sys.stdout.buffer.write(b" " * 100_000)
    sys.stdout.flush()
