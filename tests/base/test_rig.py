import json
import re

import numpy as np
import pytest

from facesdk.articulation import Rules
from facesdk.cli import main
from facesdk.errors import FaceSDKError, RigError, UnknownNameError
from facesdk.model import RigOutput
from facesdk.model.rig_table import RigTable
from facesdk.retarget import conversion_from_file
from facesdk.rig import Control, Rig, rig_names

RAW = "CTRL_expressions_"

SHIPPED = {
    "arkit": 52,
    "livelink": 61,
    "a2f": 68,
    "metahuman": 251,
    "metahuman-gui": 174,
    "flame": 115,
    "oculus": 15,
    "vrm": 18,
}
SIDES = {"left": "right", "right": "left", "center": "center"}


@pytest.fixture(params=SHIPPED)
def rig(request):
    return Rig.load(request.param)


def test_every_rig_has_its_controls():
    assert {name: len(Rig.load(name)) for name in SHIPPED} == SHIPPED
    assert set(SHIPPED) <= set(rig_names())


def test_orders_are_those_of_the_field():
    arkit, raw, gui = Rig.load("arkit"), Rig.load("metahuman"), Rig.load("metahuman-gui")
    assert list(arkit.names) == sorted(arkit.names)
    assert (arkit.names[0], arkit.names[-1]) == ("browDownLeft", "tongueOut")
    assert raw.index("CTRL_expressions_browDownL") == 0
    assert raw.index("CTRL_expressions_jawOpen") == 62
    assert raw.index("CTRL_expressions_tongueWide") == 250
    assert gui.index("CTRL_L_eye_blink-translateY") == 36
    assert gui.index("CTRL_R_eye_blink-translateY") == 105
    assert Rig.load("oculus").names[:3] == ("sil", "PP", "FF")


def test_live_link_files_and_packets_order_jaw_and_mouth_differently():
    livelink = Rig.load("livelink")
    csv, udp = livelink.names, livelink.order("udp")
    assert csv[15:17] == ("JawRight", "JawLeft")
    assert udp[15:17] == ("JawLeft", "JawRight")
    assert csv[21:23] == ("MouthRight", "MouthLeft")
    assert udp[21:23] == ("MouthLeft", "MouthRight")
    assert sum(a != b for a, b in zip(csv, udp, strict=True)) == 4
    assert Rig.load("a2f").names[:52] == udp[:52]


def test_gui_header_has_its_duplicate_and_the_rig_does_not():
    gui = Rig.load("metahuman-gui")
    assert len(set(gui.names)) == 174
    assert len(set(gui.labels)) == 172
    assert gui.labels[25:27] == gui.labels[27:29] == gui.names[27:29]
    assert gui.names[25] == "CTRL_C_tongue_roll-translateX"
    assert [i for i, (a, b) in enumerate(zip(gui.names, gui.labels, strict=True)) if a != b] == [
        25,
        26,
    ]


def test_every_control_has_a_region_and_a_side_that_fits_its_partner(rig):
    for control in rig.controls:
        assert control.region != "other"
        if control.mirror is None:
            assert control.side == "center"
            continue
        partner = rig.controls[rig.index(control.mirror)]
        assert partner.side == SIDES[control.side]
        assert partner.region == control.region
        assert partner.mirror == control.name


def test_mirroring_twice_changes_nothing(rig):
    values = np.arange(len(rig), dtype=np.float32)
    once = values[rig.mirror_order] * rig.mirror_signs
    np.testing.assert_array_equal(once[rig.mirror_order] * rig.mirror_signs, values)


def test_ranges_survive_mirroring(rig):
    ends = np.stack([rig.minimum, rig.maximum])[:, rig.mirror_order] * rig.mirror_signs
    np.testing.assert_array_equal(ends.min(0), rig.minimum)
    np.testing.assert_array_equal(ends.max(0), rig.maximum)
    assert ((rig.minimum <= rig.rest) & (rig.rest <= rig.maximum)).all()


@pytest.mark.parametrize(
    ("rig", "control", "side", "mirror", "sign"),
    [
        ("arkit", "jawLeft", "center", "jawRight", 1),
        ("arkit", "eyeLookInLeft", "left", "eyeLookInRight", 1),
        ("arkit", "tongueOut", "center", None, 1),
        ("livelink", "HeadYaw", "center", None, -1),
        ("livelink", "HeadPitch", "center", None, 1),
        ("livelink", "LeftEyeYaw", "left", "RightEyeYaw", -1),
        ("metahuman", RAW + "eyeLookLeftL", "left", RAW + "eyeLookRightR", 1),
        ("metahuman", RAW + "jawChinRaiseDL", "left", RAW + "jawChinRaiseDR", 1),
        ("metahuman", RAW + "teethLeftD", "center", RAW + "teethRightD", 1),
        ("metahuman", RAW + "mouthStickyDC", "center", None, 1),
        ("metahuman", RAW + "mouthLipsStickyLPh2", "left", RAW + "mouthLipsStickyRPh2", 1),
        ("metahuman-gui", "CTRL_C_jaw-translateX", "center", None, -1),
        ("metahuman-gui", "CTRL_L_eye-translateX", "left", "CTRL_R_eye-translateX", -1),
        ("metahuman-gui", "CTRL_L_nose-translateX", "left", "CTRL_R_nose-translateX", 1),
        ("flame", "jaw_pose_y", "center", None, -1),
        ("flame", "leye_pose_x", "left", "reye_pose_x", 1),
        ("vrm", "lookLeft", "center", "lookRight", 1),
    ],
)  # fmt: skip
def test_mirror_partners(rig, control, side, mirror, sign):
    rig = Rig.load(rig)
    control = rig.controls[rig.index(control)]
    assert (control.side, control.mirror, control.mirror_sign) == (side, mirror, sign)


@pytest.mark.parametrize(
    ("rig", "control", "region"),
    [
        ("arkit", "cheekSquintLeft", "cheek"),
        ("arkit", "mouthClose", "mouth"),
        ("metahuman", "CTRL_expressions_eyeCheekRaiseL", "cheek"),
        ("metahuman", "CTRL_expressions_earUpL", "ear"),
        ("metahuman", "CTRL_expressions_eyelashesUpINL", "eye"),
        ("metahuman", "CTRL_expressions_teethUpU", "teeth"),
        ("metahuman-gui", "CTRL_neck_throatUpDown-translateY", "neck"),
        ("flame", "neck_pose_x", "neck"),
        ("flame", "expression_099", "expression"),
    ],
)
def test_regions(rig, control, region):
    rig = Rig.load(rig)
    assert rig.controls[rig.index(control)].region == region


@pytest.mark.parametrize(
    ("rig", "control", "hint"),
    [
        ("arkit", "jawOpn", "'jawOpen'"),
        ("arkit", "JAWOPEN", "'jawOpen'"),
        ("metahuman", "jawOpn", "'CTRL_expressions_jawOpen'"),
        ("metahuman", "CTRL_expressions_jawOpn", "'CTRL_expressions_jawOpen'"),
        ("oculus", "xyz", "known: sil, PP"),
        ("metahuman", "xyz", "there are 251"),
    ],
)
def test_unknown_control_names_the_nearest(rig, control, hint):
    with pytest.raises(
        UnknownNameError, match=rf"rig '{rig}' has no control '{control}'; .*{re.escape(hint)}"
    ):
        Rig.load(rig).index(control)


def test_unknown_rig_and_order_name_the_known():
    with pytest.raises(UnknownNameError, match="'metahuman'"):
        Rig.load("metahumen")
    with pytest.raises(UnknownNameError, match="udp"):
        Rig.load("livelink").order("csv")
    with pytest.raises(FaceSDKError):
        Rig.load("../rigs/arkit")


def test_files_read_back_as_they_were_written(rig, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(rig.to_text(), "utf-8")
    assert Rig.load(path) == rig
    assert Rig.load(str(path)).orders == rig.orders
    assert Rig.load(path).to_text() == rig.to_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "facesdk.clip"}, "is not a rig file"),
        ({"version": 2}, "version 2"),
        ({"controls": [{"name": "a"}, {"name": "a"}]}, "duplicate controls: a"),
        ({"controls": [{"name": "a", "mirror": "a2"}]}, "'a2'"),
        ({"controls": [{"name": "a", "mirror": "b"}, {"name": "b"}]}, "which mirrors to None"),
        ({"controls": [{"name": "a", "range": [0, 1], "rest": 2}]}, "rest 2.0 must lie"),
        ({"controls": [{"name": "a", "region": "chin"}]}, "got 'chin'"),
        ({"controls": [{"nam": "a"}]}, "lacks or misspells"),
        ({"controls": [{"name": "a", "range": [0]}]}, "lacks or misspells"),
        ({"controls": []}, "has no controls"),
        ({"orders": {"wire": ["jawOpen"]}}, "every control once"),
        ({"orders": ["udp"]}, "lacks or misspells"),
    ],
)
def test_broken_rig_files_are_refused(change, message):
    document = Rig.load("arkit").to_json() | change
    with pytest.raises(FaceSDKError, match=re.escape(message)):
        Rig.from_json(json.loads(json.dumps(document)))


def test_a_file_that_is_not_there_or_no_json_says_so(tmp_path):
    with pytest.raises(RigError, match="does not exist"):
        Rig.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(RigError, match="cannot be read as a JSON rig file"):
        Rig.load(tmp_path / "bad.json")


def test_columns_by_region_and_side():
    rig = Rig("two", "1", (Control("a", side="left", region="eye"), Control("b", region="jaw")))
    assert rig.columns(region="eye", side="left") == [0]
    assert rig.columns(region="jaw") == [1]
    assert rig.columns() == [0, 1]


def test_command_lists_and_describes_rigs(capsys):
    assert main(["rigs", "--json"]) == 0
    listed = {rig["name"]: rig for rig in json.loads(capsys.readouterr().out)}
    assert {name: listed[name]["controls"] for name in SHIPPED} == SHIPPED
    assert "metahuman" in listed["arkit"]["converts_to"]
    assert main(["rigs"]) == 0
    assert re.search(r"^arkit +1 +52  Apple ARKit", capsys.readouterr().out, re.MULTILINE)
    assert main(["rigs", "livelink"]) == 0
    text = capsys.readouterr().out
    assert "other orders: udp" in text
    assert re.search(r"LeftEyeYaw +-3.1416 .. 3.1416 +0 +left +eye +RightEyeYaw, negated", text)
    assert main(["rigs", "vrm", "--json"]) == 0
    assert Rig.from_json(json.loads(capsys.readouterr().out)) == Rig.load("vrm")
    assert main(["rigs", "vrn"]) == 1
    assert "did you mean 'vrm'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "9" * 5000 + "}"])
@pytest.mark.parametrize(
    "read",
    [Rig.load, RigTable.load, conversion_from_file, RigOutput.of, Rules.load],
    ids=["rig", "table", "map", "output", "rules"],
)
def test_documents_that_are_nested_too_deeply_are_refused(read, text, tmp_path):
    path = tmp_path / "deep.json"
    path.write_text(text)
    with pytest.raises(FaceSDKError, match=r"deep\.json"):
        read(path)


def test_weights_of_tables_are_finite_and_terms_bounded(tmp_path):
    def table(controls):
        document = {"format": "facesdk.table", "version": 1, "rig": "oculus", "controls": controls}
        path = tmp_path / "table.json"
        path.write_text(json.dumps(document))
        return path

    for weight in (float("nan"), float("inf"), 1e300):
        with pytest.raises(RigError, match="must be finite"):
            RigTable.load(table({"aa": {"jaw": weight}}))
    with pytest.raises(RigError, match="factors"):
        RigTable.load(table({"aa": {"*".join(["jaw"] * 1000): 1.0}}))
