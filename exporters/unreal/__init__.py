"""Files for Unreal: a script that makes an AnimSequence, CurveTables, curves for RigMapper."""

from __future__ import annotations

from ..format import Format
from ..options import TIMES
from .script import SETTINGS, write_script
from .tables import write_rig_mapper, write_table_csv, write_table_json

FORMATS = (
    Format(
        "unreal-python",
        ".py",
        write_script,
        rigs=("metahuman", "arkit", "metahuman-gui", "livelink"),
        description="a script that makes an AnimSequence in Unreal's editor",
        options=frozenset({"tolerance", "name"}),
        settings=SETTINGS,
    ),
    Format(
        "curve-table-csv",
        ".csv",
        write_table_csv,
        description="Unreal CurveTable: one row per curve, one column per time",
        options=TIMES | {"tolerance"},
    ),
    Format(
        "curve-table-json",
        ".json",
        write_table_json,
        description="Unreal CurveTable: one object per curve",
        options=TIMES | {"tolerance"},
    ),
    Format(
        "rig-mapper-csv",
        ".csv",
        write_rig_mapper,
        rigs=("arkit", "metahuman", "metahuman-gui"),
        description="curves for Unreal's RigMapper: one row per curve and frame",
    ),
)
