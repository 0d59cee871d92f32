"""Text tables with one row per frame: plain, Live Link Face, Audio2Face, MetaHuman board."""

from __future__ import annotations

from ..format import Format
from ..options import TIMES
from . import a2f, control_board, livelink
from .a2f import read_a2f_csv, write_a2f_csv
from .control_board import HEADER, is_control_board, read_control_board, write_control_board
from .curves import read_csv, write_csv
from .livelink import read_livelink_csv, write_livelink_csv

FORMATS = (
    Format(
        "csv",
        ".csv",
        write_csv,
        read_csv,
        description="a table of times, controls and pose",
        options=TIMES,
    ),
    Format(
        "livelink-csv",
        ".csv",
        write_livelink_csv,
        read_livelink_csv,
        rigs=(livelink.RIG,),
        description="Live Link Face take for Unreal",
        recognizes=lambda head: head.lower().startswith(b"timecode,blendshapecount,"),
        options=TIMES,
    ),
    Format(
        "a2f-csv",
        ".csv",
        write_a2f_csv,
        read_a2f_csv,
        rigs=(a2f.RIG,),
        description="table of Audio2Face-3D clients",
        recognizes=lambda head: b"timeCode" in head and b",blendShapes." in head,
        options=TIMES,
    ),
    Format(
        "control-board",
        ".txt",
        write_control_board,
        read_control_board,
        rigs=(control_board.RIG,),
        description="174 columns of the MetaHuman control board, 60 frames per second",
        recognizes=is_control_board,
        settings=(HEADER,),
    ),
)
