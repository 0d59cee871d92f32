"""Small files of every format, kept to see when their bytes change.

python tests/make_golden.py [FORMAT ...]
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from probe import probe
from readers import options

from facesdk.exporters import EXPORTERS, write_clip

FOLDER = Path(__file__).parent / "data" / "golden"
FRAMES = {"oculus": 60}
"""Of rigs whose formats need more than 3."""
GOLDEN = {f.name: (f.rigs or ("arkit",))[0] for f in EXPORTERS.values()}
"""Rig of every format's golden file."""


def golden_path(name: str) -> Path:
    """Where a format's golden file lies."""
    return FOLDER / f"{name}{EXPORTERS[name].extension}"


def golden_bytes(name: str) -> bytes:
    """The golden file as it is written now."""
    file = io.BytesIO()
    write_clip(probe(GOLDEN[name], frames=FRAMES.get(GOLDEN[name], 3)), file, name, **options(name))
    return file.getvalue()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or GOLDEN:
        golden_path(name).write_bytes(golden_bytes(name))
        print(golden_path(name), golden_path(name).stat().st_size)
