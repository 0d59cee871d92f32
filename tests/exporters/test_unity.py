"""Unity's `.anim`: what Unity is told, and what its own files tell us."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from probe import probe
from readers.unity import clip as parsed
from readers.unity import documents, read_anim

from facesdk import Clip, Event, Pose, Rig
from facesdk.errors import ExportError, FileFormatError
from facesdk.exporters import read_clip, read_clips, write_clip
from facesdk.exporters.rigs import bare_rig
from facesdk.mesh.rotation import matrices

ARKIT = Rig.load("arkit")


def still(**controls: float) -> Clip:
    """Two frames of one face."""
    values = np.zeros((2, len(ARKIT)), np.float32)
    for name, value in controls.items():
        values[:, ARKIT.index(name)] = value
    return Clip(ARKIT, values, 30)


def reread(clip: Clip, **options) -> Clip:
    file = io.BytesIO()
    write_clip(clip, file, "unity-anim", **options)
    return read_clip(file, "unity-anim")


# -------------------------------------------------------------------- what is written


def test_left_stays_left_and_turns_change_hands(tmp_path):
    """A point ahead of a head turned to its left is at negative x in Unity's left-handed axes."""
    angles = np.zeros((2, 4, 3), np.float32)
    angles[:, 0] = 0.5, 0.3, 0.2
    write_clip(replace(still(eyeBlinkLeft=0.25), pose=Pose(angles)), tmp_path / "a.anim")
    document = parsed(tmp_path / "a.anim")
    moved = {e["attribute"] for e in document["m_FloatCurves"]
             if float(e["curve"]["m_Curve"][0]["value"])}  # fmt: skip
    assert moved == {"blendShape.eyeBlinkLeft"}
    (head,) = [e for e in document["m_EulerCurves"] if e["path"] == "root/neck/head"]
    told = head["curve"]["m_Curve"][0]["value"]
    x, y, z = (np.radians(float(told[axis])) for axis in "xyz")
    unity = turn(y, 1) @ turn(x, 0) @ turn(z, 2)
    mirror = np.diag([-1, 1, 1])
    np.testing.assert_allclose(mirror @ unity @ mirror, matrices(angles[0, 0]), atol=1e-6)
    assert (unity @ [0, 0, 1])[0] < 0


def turn(angle: float, axis: int) -> np.ndarray:
    """Rotation about an axis of Unity; the formula is that of right-handed axes."""
    matrix = np.eye(3)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix[[a, b], [a, b]] = np.cos(angle)
    matrix[b, a], matrix[a, b] = np.sin(angle), -np.sin(angle)
    return matrix


def test_slopes_are_those_of_the_curve(tmp_path):
    """Between keys Unity's curve goes where the clip of twice the rate does."""
    fine = probe(frames=81, pose=False)
    coarse = replace(fine, values=fine.values[::2], fps=fine.fps / 2)
    write_clip(coarse, tmp_path / "a.anim")
    found = read_anim(tmp_path / "a.anim")
    times = float(fine.start_sample / 16_000) + np.arange(81) / float(fine.fps)
    smooth = np.array([found[n].sample(times) for n in ARKIT.names]).T
    linear = np.array([np.interp(times, t.times, t.values) for t in map(found.get, ARKIT.names)]).T
    smooth_off, linear_off = (np.square(c - fine.values)[4:-4].mean() for c in (smooth, linear))
    assert smooth_off < 0.25 * linear_off


def test_the_clip_says_where_it_begins_and_ends(tmp_path):
    write_clip(probe(), tmp_path / "a.anim", start=2, name="hello")
    document = parsed(tmp_path / "a.anim")
    span = document["m_AnimationClipSettings"]
    assert float(span["m_StartTime"]) == 2
    assert float(span["m_StopTime"]) == pytest.approx(2 + 74 * 1001 / 30000, abs=1e-8)
    assert float(document["m_SampleRate"]) == pytest.approx(30000 / 1001, abs=1e-5)
    assert document["m_Name"] == "hello"


def test_events_call_a_method_that_nobody_needs_to_have(tmp_path):
    write_clip(probe(), tmp_path / "a.anim", settings={"event": "Say"})
    cue, end = parsed(tmp_path / "a.anim")["m_Events"]
    assert (cue["functionName"], cue["messageOptions"]) == ("Say", "1")
    assert json.loads(cue["data"]) == {"name": "cue", "data": {"text": "left"}}
    assert end["data"] == "end"
    assert float(cue["time"]) == (8008 + 1601) / 16_000


def test_the_meta_keeps_its_guid(tmp_path):
    def guid(name: str, **options) -> str:
        write_clip(still(), tmp_path / name, **options)
        (document,) = documents(tmp_path / f"{name}.meta")
        assert document["NativeFormatImporter"]["mainObjectFileID"] == "7400000"
        return document["guid"]

    assert guid("a.anim") == guid("a.anim", tolerance=0.1) != guid("b.anim")
    assert len(guid("a.anim")) == 32
    assert guid("a.anim", settings={"guid": "AB" * 16}) == "ab" * 16


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [({"settings": {"guid": "12"}}, "32 hexadecimal"), ({"start": -1}, "count time from 0")],
)
def test_what_unity_cannot_take_is_an_error_and_no_file(asked, wrong, tmp_path):
    with pytest.raises(ExportError, match=wrong):
        write_clip(still(), tmp_path / "a.anim", **asked)
    assert not list(tmp_path.iterdir())


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_any_text_can_be_a_path_or_an_event(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.anim"
    events = (Event(0, text), Event(1, "x", {text: text}))
    clip = Clip(bare_rig(["a", text]), np.zeros((1, 2)), 30, events=events)
    write_clip(clip, path, settings={"renderer": text})
    (_, curve) = parsed(path)["m_FloatCurves"]
    assert (curve["path"], curve["attribute"]) == (text.strip(), f"blendShape.{text}")
    assert read_clip(path).events == clip.events


# ------------------------------------------------------------------------ what is read


@settings(max_examples=30)
@given(
    hnp.arrays(np.float32, (4, 3), elements=st.floats(-2, 2, width=32)),
    st.integers(1, 3600 * 16_000),
    st.sampled_from(["60000/1001", 24, 60, 90]),
)
def test_our_own_files_come_back(values, start, fps):
    clip = Clip(bare_rig("abc"), values, fps, start_sample=start)
    again = reread(clip)
    assert (again.rig.names, again.fps, again.start_sample) == (clip.rig.names, clip.fps, start)
    np.testing.assert_allclose(again.values, values, atol=2e-8)


def test_pose_events_and_name_come_back():
    again = reread(probe(), name="hello")
    np.testing.assert_allclose(again.pose.angles, probe().pose.angles, atol=1e-7)
    assert again.events == probe().events
    assert again.meta == {"name": "hello"}


KEY = """\
      - serializedVersion: 3
        time: {0}
        value: {1}
        inSlope: {2}
        outSlope: {3}
        tangentMode: 136
        weightedMode: {4}
        inWeight: {5}
        outWeight: {6}
"""


def keys(*rows) -> str:
    return "".join(KEY.format(*row) for row in rows)


def shape(name: str, text: str, path: str = "Body") -> str:
    return (
        f"  - curve:\n      serializedVersion: 2\n      m_Curve:\n{text}      m_PreInfinity: 2\n"
        f"      m_PostInfinity: 2\n      m_RotationOrder: 4\n    attribute: blendShape.{name}\n"
        f"    path: {path}\n    classID: 137\n    script: {{fileID: 0}}\n"
    )


def asset(floats: str = "  m_FloatCurves: []\n", more: str = "", name: str = "Blink") -> str:
    return (
        "%YAML 1.1\n%TAG !u! tag:unity3d.com,2011:\n--- !u!1102 &-3640950755358343151\n"
        "AnimatorState:\n  m_Name: x\n  m_Transitions:\n  - {fileID: 1}\n"
        f"--- !u!74 &7400000\nAnimationClip:\n  m_Name: {name}\n  serializedVersion: 6\n{more}"
        f"  m_PositionCurves:\n  - curve:\n      m_Curve:\n{keys((0, 1, 0, 0, 0, 0, 0))}"
        f"    path: Hips\n{floats}  m_SampleRate: 10\n  m_Events: []\n"
    )


def loaded(text: str, **options) -> Clip:
    return read_clip(io.BytesIO(text.encode()), "unity-anim", **options)


def blink(*rows) -> np.ndarray:
    floats = "  m_FloatCurves:\n" + shape("Face_BS.EyeBlink_L", keys(*rows))
    return loaded(asset(floats)).curve("eyeBlinkLeft")


def test_names_are_found_whatever_stands_before_them():
    floats = "  m_FloatCurves:\n" + "".join(
        shape(f"Face_BS.{n[0].upper()}{n[1:]}", keys((0, i, 0, 0, 0, 0, 0)))
        for i, n in enumerate(ARKIT.names)
    )
    found = loaded(asset(floats) + asset(floats).partition("&-3640950755358343151\n")[2])
    assert found.rig.name == "arkit"
    np.testing.assert_allclose(found.values, [np.arange(52) / 100], atol=1e-7)
    assert found.meta["name"] == "Blink"


def test_several_clips_and_renderers():
    one = "  m_FloatCurves:\n" + shape("jawOpen", keys((0, 50, 0, 0, 0, 0, 0)), path="Teeth")
    two = one + "".join(
        shape(n, keys((0, 20, 0, 0, 0, 0, 0)), path="Face") for n in ("jawOpen", "eyeBlinkLeft")
    )
    text = asset(one) + asset(two, name='"Ti\\u00e9de"').partition("2011:\n")[2]
    first, second = read_clips(io.BytesIO(text.encode()), "unity-anim")
    assert (first.meta["name"], second.meta["name"]) == ("Blink", "Tiéde")
    assert first.curve("jawOpen") == pytest.approx(0.5)
    assert second.curve("jawOpen") == pytest.approx(0.2)
    assert second.meta["imported"]["other_renderers"] == ["Teeth"]


def test_steps_hold_until_the_next_key():
    rows = [(0, 10, "Infinity", "Infinity", 0, 0, 0), (0.3, 70, "-Infinity", 0, 0, 0, 0),
            (0.5, 70, 0, 0, 0, 0, 0)]  # fmt: skip
    np.testing.assert_allclose(blink(*rows), [0.1, 0.1, 0.1, 0.7, 0.7, 0.7])


def test_keys_are_joined_by_cubic_curves():
    """Half way: the mean, and an eighth of the span times what the slopes differ."""
    np.testing.assert_allclose(
        blink((0, 20, 0, 100, 0, 0, 0), (0.2, 40, -50, 0, 0, 0, 0)),
        [0.2, 0.3 + 0.2 * 1.5 / 8, 0.4], rtol=1e-6,
    )  # fmt: skip


def test_weighted_tangents_are_bezier_curves():
    """Both arms half of the span and level: symmetric, half way in the middle, later to rise."""
    rows = [(0, 0, 0, 0, 2, 0, 0.5), (0.8, 100, 0, 0, 1, 0.5, 0)]
    found = blink(*rows)
    np.testing.assert_allclose(found[4], 0.5, atol=1e-6)
    np.testing.assert_allclose(found + found[::-1], 1, atol=1e-6)
    u = np.linspace(0, 1, 2001)
    time = 0.8 * (1.5 * (1 - u) ** 2 * u + 1.5 * (1 - u) * u**2 + u**3)
    value = 3 * (1 - u) * u**2 + u**3
    np.testing.assert_allclose(found, np.interp(np.arange(9) / 10, time, value), atol=1e-6)


def test_lines_that_go_on_are_read():
    rows = keys((0, 20, 0, 0, 0, 0, 0))
    text = "  m_FloatCurves:\n" + shape("jawOpen", rows)
    folded = text.replace("path: Body", "path: Armature/Hips/Spine\n      and Head").replace(
        "script: {fileID: 0}", "script: {fileID: 11500000, guid: 0123456789abcdef,\n      type: 3}"
    )
    assert loaded(asset(folded)).curve("jawOpen") == pytest.approx(0.2)


def jaw(*rows: tuple) -> str:
    """A file of one curve from times and values."""
    level = keys(*((*row, 0, 0, 0, 0, 0) for row in rows))
    return asset("  m_FloatCurves:\n" + shape("jawOpen", level))


def euler(order: int, value: str, path: str = "Armature/Head") -> str:
    text = keys((0, value, "{x: 0, y: 0,\n          z: 0}", "{x: 0, y: 0, z: 0}", 0, 0, 0))
    return (
        f"  m_EulerCurves:\n  - curve:\n      m_Curve:\n{text}      m_RotationOrder: {order}\n"
        f"    path: {path}\n"
    )


@pytest.mark.parametrize(
    ("order", "axes"), list(enumerate(["XYZ", "XZY", "YZX", "YXZ", "ZXY", "ZYX"]))
)
def test_every_rotation_order_of_unity(order, axes):
    floats = "  m_FloatCurves:\n" + shape("jawOpen", keys((0, 20, 0, 0, 0, 0, 0)))
    found = loaded(asset(floats, euler(order, "{x: 10, y: 20, z: 30}")))
    unity = np.eye(3)
    for axis in axes:
        unity = turn(np.radians({"X": 10, "Y": 20, "Z": 30}[axis]), "XYZ".index(axis)) @ unity
    mirror = np.diag([-1, 1, 1])
    np.testing.assert_allclose(
        matrices(found.pose.angles[0, 0]), mirror @ unity @ mirror, atol=1e-6
    )
    assert not found.pose.angles[0, 1:].any()


def test_quaternions_and_what_the_editor_shows():
    """A clip that has editor curves alone, and one whose head turns by quaternions."""
    half = np.radians(15)
    value = f"{{x: 0, y: {np.sin(half)}, z: 0, w: {np.cos(half)}}}"
    flat = "{x: 0, y: 0, z: 0, w: 0}"
    floats = shape("jawOpen", keys((0, 20, 0, 0, 0, 0, 0)))
    turned = keys((0, value, flat, flat, 0, 0, 0))
    rotation = f"  m_RotationCurves:\n  - curve:\n      m_Curve:\n{turned}    path: J_Bip_C_Head\n"
    first = loaded(asset("  m_FloatCurves:\n" + floats, rotation))
    axes = "".join(
        shape("x", keys((0, degrees, 0, 0, 0, 0, 0)), path="Head")
        .replace("blendShape.x", f"localEulerAnglesRaw.{axis}")
        .replace("137", "4")
        for axis, degrees in (("x", 0), ("y", 30), ("z", 0))
    )
    second = loaded(asset("  m_FloatCurves: []\n  m_EditorCurves:\n" + floats + axes))
    for clip in (first, second):
        np.testing.assert_allclose(clip.pose.angles[0, 0], [-np.radians(30), 0, 0], atol=1e-6)
        assert clip.curve("jawOpen") == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("\x00\x01serialized", "Force Text"),
        (asset(), "no AnimationClip that moves blend shapes"),
        (asset(more="  m_CompressedRotationCurves:\n  - m_Path: Hips\n"), "compressed"),
        (jaw((0, "nan")), "finite"),
        (jaw((1, 1), (0, 1)), "runs backwards"),
        (jaw((0, 1), (1e9, 1)), "lasts"),
        (asset("  m_FloatCurves:\n  - 5\n"), "anim"),
        (asset("  m_FloatCurves:\n" + "  - a:\n" * 1 + "".join(
            " " * (6 + 2 * i) + "b:\n" for i in range(60))), "too deeply"),
        (asset("  m_FloatCurves:\n" + "  - x: " + "y" * 70_000 + "\n"), "longer than"),
    ],
)  # fmt: skip
def test_files_that_are_no_clips_are_refused_in_words(text, wrong):
    with pytest.raises(FileFormatError, match=wrong):
        loaded(text)


@settings(max_examples=50)
@given(st.data())
def test_damaged_files_are_refused_or_read(data):
    """Whatever is cut out or put in, nothing but a FileFormatError comes of it."""
    whole = DAMAGED
    a = data.draw(st.integers(0, len(whole)))
    b = data.draw(st.integers(a, min(a + 400, len(whole))))
    put = data.draw(
        st.sampled_from(["", "-", "{", "\n", ":", "'", '"', "  ", "9e999", "é", "- - -"])
    )
    try:
        clip = loaded(whole[:a] + put + whole[b:])
    except FileFormatError:
        return
    assert np.isfinite(clip.values).all()


def _small() -> str:
    floats = "  m_FloatCurves:\n" + "".join(
        shape(n, keys((0, 1, 0, 0, 0, 0, 0), (0.2, 50, 1, 2, 3, 0.1, 0.2)))
        for n in ("jawOpen", "mouthClose")
    )
    event = "  m_Events:\n  - time: 0.1\n    functionName: Play\n    data: x\n"
    text = asset(floats, euler(4, "{x: 1, y: 2, z: 3}"))
    return text.replace("  m_Events: []\n", event)


DAMAGED = _small()


def test_the_undamaged_file_is_a_clip():
    clip = loaded(DAMAGED)
    assert clip.events == (Event(1600, "Play", {"text": "x"}),)
    assert len(clip) == 3
