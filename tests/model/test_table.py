from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facesdk.errors import FaceSDKError, RigError, UnknownNameError
from facesdk.model.rig_outputs import RigOutput
from facesdk.model.rig_table import RigTable, table_names
from facesdk.retarget import RigMap, conversion
from facesdk.rig import Rig

UNITS = Rig.load("units")
curves = hnp.arrays(
    np.float32, (3, len(UNITS)), elements=st.floats(0, 1, width=32, allow_subnormal=False)
)


def units(**values):
    row = UNITS.rest[None].copy()
    for name, value in values.items():
        row[0, UNITS.index(name)] = value
    return row


def value(table, control, **values):
    return float(table(units(**values))[0, table.rig.index(control)])


@given(curves)
@pytest.mark.parametrize("name", table_names())
def test_tables_stay_in_the_rigs_ranges(name, values):
    table = RigTable.load(name)
    out = table(values)
    assert out.shape == (3, len(table.rig))
    assert (out >= table.rig.minimum).all()
    assert (out <= table.rig.maximum).all()


@given(curves)
def test_sealed_lips_cancel_the_jaw_on_arkit(values):
    values = values.copy()
    values[:, UNITS.index("closure")] = 1
    table = RigTable.load("arkit")
    out = table(values)
    jaw, close = (out[:, table.rig.index(c)] for c in ("jawOpen", "mouthClose"))
    np.testing.assert_allclose(close, jaw, atol=1e-6)


@given(curves)
def test_mouth_close_never_exceeds_the_jaw(values):
    table = RigTable.load("arkit")
    out = table(values)
    jaw, close = (out[:, table.rig.index(c)] for c in ("jawOpen", "mouthClose"))
    assert (close <= jaw + 1e-6).all()


@given(curves)
def test_visemes_share_one_mouth(values):
    np.testing.assert_allclose(RigTable.load("oculus")(values).sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("viseme", "shape"),
    [
        ("PP", {"closure": 1, "aperture": 0, "voicing": 1}),
        ("FF", {"labiodental": 1, "aperture": 0.3}),
        ("TH", {"tongue_dental": 1, "aperture": 0.4, "jaw": 0.2}),
        ("SS", {"sibilant": 1, "aperture": 0.4, "jaw": 0.05, "spread": 0.3}),
        ("CH", {"sibilant": 1, "protrusion": 0.7, "rounding": 0.5, "aperture": 0.4}),
        ("aa", {"jaw": 1, "aperture": 1, "voicing": 1}),
        ("ou", {"rounding": 1, "protrusion": 0.9, "jaw": 0.15, "aperture": 0.2, "voicing": 1}),
        ("oh", {"rounding": 0.85, "protrusion": 0.6, "jaw": 0.6, "aperture": 0.5, "voicing": 1}),
        ("ih", {"spread": 1, "jaw": 0.2, "aperture": 0.55, "voicing": 1}),
        ("kk", {"tongue_back": 1, "jaw": 0.25, "aperture": 0.4}),
        ("sil", {}),
    ],
)
def test_each_sound_shows_its_viseme(viseme, shape):
    table = RigTable.load("oculus")
    row = table(units(**shape))[0]
    assert table.rig.names[int(row.argmax())] == viseme


def test_metahuman_seals_all_four_quadrants_and_moves_its_tongue():
    table = RigTable.load("metahuman")
    for quadrant in ("UL", "UR", "DL", "DR"):
        assert value(table, f"CTRL_expressions_mouthLipsTogether{quadrant}", closure=1) == 1
    assert value(table, "CTRL_expressions_tongueTipUp", tongue_tip=1) > 0.5
    assert value(table, "CTRL_expressions_tongueOut", tongue_dental=1) > 0.3


@pytest.mark.parametrize("name", ["arkit", "metahuman", "vrm", "a2f"])
def test_left_and_right_are_treated_alike(name):
    table = RigTable.load(name)
    rng = np.random.default_rng(1)
    values = rng.random((20, len(UNITS)), np.float32)
    mirrored = table(values[:, UNITS.mirror_order])
    np.testing.assert_allclose(mirrored[:, table.rig.mirror_order], table(values), atol=1e-6)


def test_terms_multiply_and_complement():
    table = RigTable(Rig.load("arkit"), UNITS, {"jawOpen": {"jaw*~closure": 0.5, "1": 0.1}})
    assert value(table, "jawOpen", jaw=0.8, closure=0.25) == pytest.approx(0.1 + 0.5 * 0.8 * 0.75)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"controls": {"jawOpn": {"jaw": 1}}}, UnknownNameError, "did you mean 'jawOpen'"),
        ({"controls": {"jawOpen": {"jav": 1}}}, UnknownNameError, "did you mean 'jaw'"),
        ({"rig": "arkitt"}, UnknownNameError, "did you mean 'arkit'"),
        ({"format": "other"}, RigError, "not a table file"),
        ({"version": 2}, RigError, "reads version 1"),
        ({"controls": None}, RigError, "lacks or misspells"),
        (
            {"derived": {"seal": {"unit": "closure", "from": 0.5, "to": 0.5}}},
            RigError,
            "`from` must be less",
        ),
    ],
)
def test_bad_tables_say_what_is_wrong(change, error, words):
    document = {"format": "facesdk.table", "version": 1, "rig": "arkit", "controls": {}}
    with pytest.raises(error, match=words):
        RigTable.from_json({**document, **change})


def test_tables_can_be_files(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"format": "facesdk.table", "version": 1, "rig": "arkit", '
                    '"controls": {"jawOpen": {"jaw": 1}}}')  # fmt: skip
    assert value(RigTable.load(path), "jawOpen", jaw=0.5) == 0.5
    path.write_text("{")
    with pytest.raises(FaceSDKError, match="cannot be read"):
        RigTable.load(path)


# ------------------------------------------------------------- beside other rigs


@given(curves)
def test_audio2face_is_arkit_with_a_tongue(values):
    output, arkit = RigOutput.of("a2f"), RigTable.load("arkit")
    mouth, _ = conversion("arkit", "a2f")(arkit(values))
    tongue = [output.rig.index(name) for name in output.override.moved]
    assert {output.rig.controls[i].region for i in tongue} == {"tongue"}
    result = output(values)
    np.testing.assert_array_equal(np.delete(result, tongue, 1), np.delete(mouth, tongue, 1))
    np.testing.assert_array_equal(result[:, tongue], RigTable.load("a2f")(values)[:, tongue])


@given(curves)
def test_vrm_blinks_both_eyes_at_once_and_one_alone(values):
    table = RigTable.load("vrm")
    out = table(values)
    left, right = (values[:, UNITS.index(f"blink_{side}")] for side in ("left", "right"))
    both, more_left, more_right = (
        out[:, table.rig.index(name)] for name in ("blink", "blinkLeft", "blinkRight")
    )
    np.testing.assert_allclose(both, np.minimum(left, right), atol=1e-6)
    np.testing.assert_allclose(both + more_left, left, atol=1e-6)
    np.testing.assert_allclose(both + more_right, right, atol=1e-6)


@given(curves)
def test_flames_jaw_opens_but_never_behind_sealed_lips(values):
    table = RigTable.load("flame")
    jaw = table.rig.index("jaw_pose_x")
    sealed, open_ = values.copy(), values.copy()
    sealed[:, UNITS.index("closure")] = 1
    open_[:, UNITS.index("closure")] = 0
    assert (table(sealed)[:, jaw] == 0).all()
    wider = open_.copy()
    wider[:, [UNITS.index("jaw"), UNITS.index("aperture")]] = 1
    assert (table(wider)[:, jaw] >= table(open_)[:, jaw]).all()
    assert (np.delete(table(values), jaw, 1) == 0).all()


def test_a_calibrated_flame_takes_arkits_table(tmp_path, monkeypatch):
    monkeypatch.setenv("FACESDK_CACHE", str(tmp_path))
    assert RigOutput.of("flame").stand_in is RigTable.load("flame")
    weights = {"jawOpen": {"jaw_pose_x": 0.4}, "mouthFunnel": {"expression_003": 1.5}}
    made = RigMap(Rig.load("arkit"), Rig.load("flame"), weights)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "arkit-to-flame.json").write_text(made.to_text(), "utf-8")
    output = RigOutput.of("flame")
    assert output.stand_in is None
    row = output(units(rounding=1, aperture=1, jaw=1))[0]
    assert row[output.rig.index("jaw_pose_x")] > 0.05
    assert row[output.rig.index("expression_003")] > 0.05


def test_a_unit_may_be_taken_off_another():
    document = {
        "format": "facesdk.table", "version": 1, "rig": "arkit",
        "derived": {"more": {"unit": "jaw", "less": "closure", "from": 0, "to": 0.5}},
        "controls": {"jawOpen": {"more": 1}, "mouthClose": {"~more": 1}},
    }  # fmt: skip
    table = RigTable.from_json(document)
    assert value(table, "jawOpen", jaw=0.6, closure=0.4) == pytest.approx(0.4)
    assert value(table, "mouthClose", jaw=0.6, closure=0.4) == pytest.approx(0.6)
    assert value(table, "jawOpen", jaw=0.4, closure=0.6) == 0
    document["derived"]["more"]["less"] = "clossure"
    with pytest.raises(UnknownNameError, match="did you mean 'closure'"):
        RigTable.from_json(document)


def test_an_edited_table_takes_the_place_of_its_rigs_own(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"format": "facesdk.table", "version": 1, "rig": "vrm", '
                    '"controls": {"aa": {"jaw": 0.5}}}')  # fmt: skip
    output = RigOutput.of(RigTable.load(path))
    assert output.rig.name == "vrm"
    assert output(units(jaw=1))[0].tolist() == [0.5] + [0.0] * 17
