"""Names in files and the controls they stand for."""

from __future__ import annotations

import io
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesdk import Clip, Rig, rig
from facesdk.cli import main
from facesdk.errors import FileFormatError
from facesdk.exporters import read_clip, write_clip
from facesdk.names import Spelling, best_match, match, vocabulary, without_shared_end

ARKIT = Rig.load("arkit")

BEFORE = ("", "Face_", "blendShape1.", "head.", "Wolf:", "M_F00_", "A25_", "BS_", "Body|head_geo.")
AFTER = ("", "_BS", ".001", "_012", "_Geo", "_shape")
CASES = (str, str.lower, str.upper, lambda name: name[0].upper() + name[1:])


def words(name: str) -> list[str]:
    """`mouth`, `Smile`, `Left` of mouthSmileLeft."""
    split = "".join(f" {c}" if c.isupper() else c for c in name)
    return split.split()


@st.composite
def spellings(draw) -> tuple[str, str]:
    """A control and a way in which files write it."""
    name = draw(st.sampled_from(ARKIT.names))
    parts = words(name)
    if parts[-1] in ("Left", "Right") and draw(st.booleans()):
        side = draw(st.sampled_from([parts[-1], parts[-1][0]]))
        rest = parts[:-1]
        joined = draw(st.sampled_from(["_", "-", " "])).join(rest)
        written = draw(st.sampled_from([f"{joined}_{side}", f"{side}_{joined}"]))
    else:
        written = draw(st.sampled_from(["", "_", " ", "-"])).join(parts)
    written = draw(st.sampled_from(CASES))(written)
    return name, draw(st.sampled_from(BEFORE)) + written + draw(st.sampled_from(AFTER))


@given(spellings())
def test_any_spelling_is_the_control(pair):
    name, written = pair
    assert vocabulary(ARKIT).find(written) == Spelling(name)


@given(spellings(), st.sampled_from(["Extra", "er", "X2", "_Extra", "Wide", "_left_lower"]))
def test_a_longer_name_is_another(pair, more):
    name, _ = pair
    found = vocabulary(ARKIT).find(name + more)
    assert found is None


@pytest.mark.parametrize(
    "written", ["notJawOpen", "notjawOpen", "jawOpener", "jaw", "Open", "", "_"]
)
def test_parts_of_names_are_not_names(written):
    assert vocabulary(ARKIT).find(written) is None


@pytest.mark.parametrize(
    ("rig_name", "written", "control"),
    [
        ("oculus", "viseme_aa", "aa"), ("oculus", "viseme_I", "ih"), ("oculus", "vrc.v_ou", "ou"),
        ("oculus", "Body.vrc.v_sil", "sil"), ("oculus", "VisemePP", "PP"), ("oculus", "V_TH", "TH"),
        ("oculus", "Fcl_MTH_E", None), ("oculus", "mouth_aa", None), ("vrm", "viseme_aa", None),
        ("vrm", "Fcl_MTH_A", "aa"), ("vrm", "Fcl_EYE_Close", "blink"), ("vrm", "あ", "aa"),
        ("vrm", "Face.Blink_L", "blinkLeft"), ("vrm", "eyesClosed", "blink"),
        ("livelink", "jawOpen", "JawOpen"), ("a2f", "tongue_tip_up", "TongueTipUp"),
        ("metahuman", "jawOpen", "CTRL_expressions_jawOpen"),
        ("metahuman", "eye_blink_left", "CTRL_expressions_eyeBlinkL"),
    ],
)  # fmt: skip
def test_other_rigs_have_their_own_spellings(rig_name, written, control):
    found = vocabulary(rig_name).find(written)
    assert (found and found.control) == control


@pytest.mark.parametrize("name", rig.rig_names())
def test_every_rig_is_found_by_its_own_names(name):
    names = Rig.load(name).names
    assert best_match(names).rig.name == name
    assert match(names, Rig.load(name)).found == {n: (n,) for n in names}


@pytest.mark.parametrize(
    "name", ["arkit", "livelink", "metahuman", "a2f", "oculus", "metahuman-gui"]
)
def test_a_name_less_or_more_is_the_same_rig(name):
    names = list(Rig.load(name).names)
    less = best_match(names[:-1], name)
    assert (less.rig.name, less.missing) == (name, (names[-1],))
    more = best_match([*names, "bodyFat"], name)
    assert (more.rig.name, more.unknown) == (name, ("bodyFat",))


def test_names_of_no_rig_are_none():
    assert best_match(["grin", "hatTilt"]) is None
    assert best_match([f"bone{i}" for i in range(200)] + ["jawOpen"]) is None


def test_the_same_shape_twice_counts_once_with_a_warning():
    with pytest.warns(UserWarning, match=r"same shape more than once.*JawOpen \(jawOpen\)"):
        found = match(["JawOpen", "jawOpen", "mouthPucker"], ARKIT)
    assert found.found["jawOpen"] == ("jawOpen",)
    assert found.repeated == ("JawOpen",)


def test_one_shape_on_several_meshes_is_no_mistake():
    found = match(["face.jawOpen", "teeth.jawOpen", "tongue.jawOpen"], ARKIT)
    assert found.found == {"jawOpen": ("face.jawOpen",)}
    assert found.repeated == ("teeth.jawOpen", "tongue.jawOpen")


def test_words_that_all_names_end_in_do_not_count():
    names = [f"{n}_weight" for n in ARKIT.names]
    assert match(names, ARKIT).count == 52
    sided = ["eyeBlink_L", "mouthSmile_L", "browDown_L"]
    assert without_shared_end(sided) == {n: n for n in sided}


# ------------------------------------------------------------------------------ in files

WRITTEN = ("Face.jaw_open", "mouthSmile_L", "mouthSmile_R", "browInnerUp_L", "browInnerUp_R",
           "mouthPucker.001", "bodyFat")  # fmt: skip
VALUES = np.array([[0.5, 0.25, 0.75, 0.2, 0.6, 0.125, 1.0]] * 3, np.float32)


def files() -> dict[str, bytes]:
    """One animation in the formats whose names are free."""
    clip = Clip(rig.Rig("own", "1", tuple(map(rig.Control, WRITTEN))), VALUES, Fraction(30))
    found = {}
    for name in ("csv", "livelink-csv", "a2f-csv", "a2f-json", "unity-anim", "usda", "glb", "fbx"):
        file, options = (
            io.BytesIO(),
            {"settings": {"mesh": False}} if name in ("glb", "fbx") else {},
        )
        write_clip(clip, file, name, **options)
        found[name] = file.getvalue()
    found["usda"] = found["usda"].replace(b'string rig = "own"', b"")
    return found


FILES = files()


@pytest.mark.parametrize(
    "name", ["csv", "livelink-csv", "a2f-csv", "a2f-json", "unity-anim", "usda", "glb", "fbx"]
)
def test_every_reader_matches_alike(name):
    clip = read_clip(io.BytesIO(FILES[name]), name, rig=ARKIT)
    assert clip.rig == ARKIT
    wanted = {"jawOpen": 0.5, "mouthSmileLeft": 0.25, "mouthSmileRight": 0.75, "browInnerUp": 0.4,
              "mouthPucker": 0.125}  # fmt: skip
    for control in ARKIT.names:
        assert clip.curve(control)[1] == pytest.approx(wanted.get(control, 0), abs=1e-4), control
    notes = clip.meta["imported"]
    assert notes["ignored_targets"] == ["bodyFat"]
    assert notes["renamed"]["jawOpen"] == ["Face.jaw_open"]
    assert sorted(notes["renamed"]["browInnerUp"]) == ["browInnerUp_L", "browInnerUp_R"]
    assert len(notes["missing_controls"]) == 47


@pytest.mark.parametrize("name", ["csv", "a2f-json", "glb"])
def test_names_of_another_rig_are_refused(name):
    with pytest.raises(FileFormatError, match=r"none of the 7 names .*is known.*nearest|known:"):
        read_clip(io.BytesIO(FILES[name]), name, rig=Rig.load("flame"))


@pytest.mark.parametrize(("name", "kept"), [("csv", True), ("unity-anim", False), ("npz", True)])
def test_names_of_ones_own_rig_are_kept(name, kept):
    """But for a deformer that Unity and FBX put before all of them."""
    own = rig.Rig("own", "1", (rig.Control("Hat.tilt"), rig.Control("Hat.spin")))
    file = io.BytesIO()
    write_clip(Clip(own, np.zeros((2, 2), np.float32), Fraction(30)), file, name)
    again = read_clip(io.BytesIO(file.getvalue()), name)
    assert again.rig.names == (own.names if kept else ("tilt", "spin"))


def test_a_control_twice_in_a_table_counts_once():
    table = b"time,jawOpen,mouthPucker,jawOpen\n0,0.5,0.25,1\n0.1,0.5,0.25,1\n"
    board = {"exportFps": 30, "facsNames": ["jawOpen", "mouthPucker", "jawOpen"],
             "weightMat": [[0.5, 0.25, 1]]}  # fmt: skip
    for data, name in ((table, "csv"), (json.dumps(board).encode(), "a2f-json")):
        with pytest.warns(UserWarning, match="same shape more than once"):
            clip = read_clip(io.BytesIO(data), name, rig=ARKIT)
        assert clip.curve("jawOpen")[0] == 0.5
        assert clip.curve("mouthPucker")[0] == 0.25


def test_a_table_without_controls_is_refused():
    for wanted in (None, ARKIT):
        with pytest.raises(FileFormatError):
            read_clip(io.BytesIO(b"time\n0\n0.1\n"), "csv", rig=wanted)


def test_names_are_printed(tmp_path, capsys):
    path = tmp_path / "take.csv"
    path.write_bytes(FILES["csv"])
    assert main(["info", str(path), "--names", "--from-rig", "arkit"]) == 0
    text = capsys.readouterr().out
    assert "jawOpen                      Face.jaw_open" in text
    assert "left out, not in the rig:\n  bodyFat" in text
    assert "  tongueOut" in text.partition("not in the file:")[2]
    assert main(["info", str(path), "--names", "--json", "--from-rig", "arkit"]) == 0
    facts = json.loads(capsys.readouterr().out)["clip"]
    assert facts["matched"]["mouthPucker"] == ["mouthPucker.001"]
    assert facts["left_out"] == ["bodyFat"]


def test_conversion_tells_what_is_left_out(tmp_path, capsys):
    path = tmp_path / "take.csv"
    path.write_bytes(FILES["csv"])
    out = tmp_path / "out.csv"
    assert (
        main(["convert", str(path), "--from-rig", "arkit", "--to", "livelink", "-o", str(out)]) == 0
    )
    told = capsys.readouterr().err
    assert "left out, not in rig 'arkit': bodyFat" in told
    assert "lacks these controls" in told
