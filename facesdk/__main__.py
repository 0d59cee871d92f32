"""The `facesdk` command."""

from __future__ import annotations

import sys

from facesdk.cli import main as run_command
from facesdk.cli import prepare_process


def main() -> int:
    """Run the command that the arguments name; returns the exit code."""
    prepare_process()
    return run_command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
