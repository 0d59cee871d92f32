"""USD: what usd-core's validators say, what its skinning draws, what comes back."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from probe import MARKED, START, probe, tiny_head
from pxr import Gf, Sdf, Usd, UsdGeom, UsdMedia, UsdShade, UsdSkel, UsdValidation, Vt
from readers.usd import played, read_usd_core

from facesdk import Clip, Control, Pose, Rig
from facesdk.errors import ExportError, FileFormatError, MissingExtraError
from facesdk.exporters import read_clip, read_clips, write_clip, write_clips
from facesdk.exporters.usd.layer import identifier, identifiers
from facesdk.exporters.usd.text import quoted
from facesdk.mesh import load_head
from facesdk.mesh.surface import normals

HEAD = tiny_head()
CURVES = {"settings": {"mesh": False}}


def gazing_head():
    gaze = {"eyeLookOutLeft": (0.4, 0.0), "eyeLookDownRight": (0.0, 0.3)}
    return replace(HEAD, gaze=gaze)


def saved(folder, clip=None, **options):
    path = folder / "clip.usda"
    write_clip(probe() if clip is None else clip, path, **({"head": HEAD} | options))
    return path


def bare(fps, frames=4, start=0):
    values = np.linspace(0, 1, frames, dtype=np.float32)[:, None]
    return Clip(Rig("one", "1", (Control("jawOpen"),)), values, fps, start_sample=start)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return Usd.Stage.Open(str(saved(tmp_path_factory.mktemp("usd"))))


# ---------------------------------------------------------------------- validators


def complaints(path) -> list[str]:
    """What all of usd-core's validators find."""
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) >= 20
    found = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    return [f"{e.GetName()}: {e.GetMessage()}" for e in found]


@pytest.mark.parametrize("frames", [0, 1, 75])
@pytest.mark.parametrize(
    ("rig", "options"),
    [
        ("arkit", {"head": HEAD}),
        ("oculus", {"head": gazing_head(), "tolerance": 0.05}),
        ("metahuman", CURVES),
        ("arkit", {"head": replace(HEAD, colors=np.full((16, 3), 0.5, np.float32), parts=())}),
    ],
    ids=["head", "other rig", "curves", "colours"],
)
@pytest.mark.parametrize("extension", ["usda", "usdc"])
def test_validators_have_nothing_to_say(rig, options, frames, extension, tmp_path):
    path = tmp_path / f"clip.{extension}"
    (tmp_path / "line.wav").touch()
    write_clip(probe(rig, frames=frames), path, audio="line.wav", **options)
    assert complaints(path) == []


def test_validators_have_nothing_to_say_about_several_clips(tmp_path):
    path = tmp_path / "clips.usda"
    write_clips({"a b": probe(), "a_b": probe("oculus"), "9": bare(24)}, path, head=HEAD)
    assert complaints(path) == []


# -------------------------------------------------------------------- what is drawn


def drawn(stage, code) -> np.ndarray:
    """(V, 3) as usd-core deforms the mesh: blend shapes, then joints."""
    cache, root = UsdSkel.Cache(), UsdSkel.Root(stage.GetDefaultPrim())
    cache.Populate(root, Usd.PrimDefaultPredicate)
    mesh = UsdGeom.Mesh.Get(stage, "/Face/face")
    skeleton = cache.GetSkelQuery(UsdSkel.Skeleton.Get(stage, "/Face/Skeleton"))
    animation, skinning = skeleton.GetAnimQuery(), cache.GetSkinningQuery(mesh.GetPrim())
    weights = skinning.GetBlendShapeMapper().Remap(animation.ComputeBlendShapeWeights(code))
    shapes = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(mesh.GetPrim()))
    points = mesh.GetPointsAttr().Get()
    shares, shape_of, sub_of = shapes.ComputeSubShapeWeights(weights)
    assert shapes.ComputeDeformedPoints(
        shares, shape_of, sub_of, shapes.ComputeBlendShapePointIndices(),
        shapes.ComputeSubShapePointOffsets(), points,
    )  # fmt: skip
    transforms = skeleton.ComputeSkinningTransforms(code)
    assert skinning.ComputeSkinnedPoints(transforms, points, code)
    return np.array(points)


@pytest.mark.parametrize("head", [HEAD, gazing_head()], ids=["shapes", "gaze"])
@pytest.mark.parametrize(("unit", "scale"), [("m", 1), ("cm", 100)])
def test_usd_draws_every_vertex_where_the_head_has_it(head, unit, scale, tmp_path):
    clip = probe()
    stage = Usd.Stage.Open(str(saved(tmp_path, head=head, settings={"unit": unit})))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1 / scale
    for frame in (0, 33, 74):
        wanted = head.vertices(head.weights(clip)[frame], clip.pose.angles[frame])
        np.testing.assert_allclose(drawn(stage, 15 + frame), wanted * scale, atol=2e-6 * scale)


def test_a_clip_of_another_rig_is_drawn_as_the_head_shows_it(tmp_path):
    clip = probe("oculus")
    stage = Usd.Stage.Open(str(saved(tmp_path, clip)))
    wanted = HEAD.vertices(HEAD.weights(clip)[20], clip.pose.angles[20])
    np.testing.assert_allclose(drawn(stage, 35), wanted, atol=2e-6)


def test_left_is_left_and_outside_is_outside(stage):
    mesh = UsdGeom.Mesh.Get(stage, "/Face/face")
    points = np.array(mesh.GetPointsAttr().Get())
    np.testing.assert_array_equal(points, HEAD.neutral)
    assert points[MARKED, 0] > 0.1
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert mesh.GetOrientationAttr().Get() == "rightHanded"
    indices = np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
    np.testing.assert_array_equal(indices, HEAD.triangles)
    np.testing.assert_allclose(
        mesh.GetNormalsAttr().Get(), normals(HEAD.neutral, HEAD.triangles), atol=1e-5
    )
    np.testing.assert_allclose(UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Get(), HEAD.uvs)
    low, high = mesh.GetExtentAttr().Get()
    np.testing.assert_array_equal((low, high), (points.min(0), points.max(0)))


def test_every_shape_moves_what_it_moves_and_turns_its_normals(stage):
    rest = normals(HEAD.neutral, HEAD.triangles)
    for name in HEAD.names:
        shape = UsdSkel.BlendShape.Get(stage, f"/Face/face/{name}")
        rows = np.array(shape.GetPointIndicesAttr().Get())
        moved, turned = np.zeros((2, 16, 3))
        moved[rows] = shape.GetOffsetsAttr().Get()
        turned[rows] = shape.GetNormalOffsetsAttr().Get()
        np.testing.assert_array_equal(moved.astype(np.float32), HEAD.delta(name))
        wanted = normals(HEAD.neutral + HEAD.delta(name), HEAD.triangles) - rest
        np.testing.assert_allclose(turned, wanted, atol=2e-4)


def test_a_shape_that_does_nothing_moves_nothing(tmp_path):
    deltas = HEAD.deltas.copy()
    deltas[3] = 0
    stage = Usd.Stage.Open(str(saved(tmp_path, head=replace(HEAD, deltas=deltas))))
    shape = UsdSkel.BlendShape.Get(stage, f"/Face/face/{HEAD.names[3]}")
    assert list(shape.GetPointIndicesAttr().Get()) == [0]
    assert not np.any(shape.GetOffsetsAttr().Get())


def test_parts_have_their_materials(stage):
    faces = {}
    for subset in UsdGeom.Subset.GetAllGeomSubsets(UsdGeom.Mesh.Get(stage, "/Face/face")):
        material = UsdShade.MaterialBindingAPI(subset.GetPrim()).ComputeBoundMaterial()[0]
        shader = material.ComputeSurfaceSource("")[0]
        color = shader.GetInput("diffuseColor").Get()
        faces[subset.GetPrim().GetName()] = (len(subset.GetIndicesAttr().Get()), tuple(color))
        assert shader.GetInput("ior").Get() == pytest.approx(1.5)
    assert {n: count for n, (count, _) in faces.items()} == {
        "skin": 12, "left_eye": 4, "right_eye": 4,
    }  # fmt: skip
    srgb = np.array([0.8, 0.6, 0.5])
    np.testing.assert_allclose(faces["skin"][1], ((srgb + 0.055) / 1.055) ** 2.4, atol=1e-6)


def test_joints_hang_on_each_other(stage):
    skeleton = UsdSkel.Skeleton.Get(stage, "/Face/Skeleton")
    joints = [path.rpartition("/")[2] for path in skeleton.GetJointsAttr().Get()]
    bind = [np.array(m.ExtractTranslation()) for m in skeleton.GetBindTransformsAttr().Get()]
    for name, joint in HEAD.joints.items():
        np.testing.assert_allclose(bind[joints.index(name)], joint.center, atol=1e-12)
    query = UsdSkel.Cache().GetSkelQuery(skeleton)
    rest = query.ComputeJointSkelTransforms(0, atRest=True)
    np.testing.assert_allclose([m.ExtractTranslation() for m in rest], bind, atol=1e-12)
    assert skeleton.GetJointsAttr().Get()[3] == "root/neck/head/left_eye"


# ----------------------------------------------------------------------------- time


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60, 72, 90, "24000/1001", "30000/1001",
                                 "60000/1001", "47.952"])  # fmt: skip
def test_any_frame_rate_comes_back_exact(fps, tmp_path):
    clip = bare(fps)
    path = saved(tmp_path, clip)
    stage = Usd.Stage.Open(str(path))
    assert stage.GetTimeCodesPerSecond() == stage.GetFramesPerSecond() == float(clip.fps)
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, 3)
    assert list(played(stage).GetBlendShapeWeightTimeSamples()) == [0, 1, 2, 3]
    assert read_clip(path) == clip


@settings(max_examples=20, deadline=None)
@given(
    st.fractions(1, 240, max_denominator=1001),
    st.integers(-(10**9), 10**9),
    st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=12),
    st.floats(0, 0.3),
)
def test_every_clip_comes_back(fps, start, curve, tolerance):
    values = np.array(curve, np.float32).reshape(-1, 1)
    clip = replace(bare(fps), values=values, start_sample=start)
    file = io.BytesIO()
    write_clip(clip, file, "usda", tolerance=tolerance, **CURVES)
    file.seek(0)
    back = read_clip(file)
    assert (back.fps, back.start_sample, len(back)) == (clip.fps, start, len(clip))
    np.testing.assert_allclose(back.values, values, rtol=0, atol=tolerance + 1e-5)


def test_clips_before_zero_come_back(tmp_path):
    path = saved(tmp_path, bare(60), offset=-0.25)
    assert read_clip(path).start_sample == -4000
    assert Usd.Stage.Open(str(path)).GetStartTimeCode() == -15


def test_thinned_joints_are_no_further_off(tmp_path):
    rng = np.random.default_rng(3)
    angles = np.cumsum(rng.normal(0, 0.04, (90, 4, 3)), 0).clip(-1.2, 1.2)
    clip = replace(probe(frames=90), pose=Pose(angles))
    back = read_clip(saved(tmp_path, clip, tolerance=0.03))
    assert np.abs(back.pose.angles - clip.pose.angles).max() <= 0.03 + 1e-6


# ---------------------------------------------------------------------- several clips


def test_a_variant_chooses_the_clip(tmp_path):
    clips = {"anger": probe(), "joy 2": probe("oculus").slice(10, 40), "none": bare(24, 0)}
    path = tmp_path / "clips.usda"
    assert write_clips(clips, path, head=HEAD) == ()
    stage = Usd.Stage.Open(str(path))
    variants = stage.GetDefaultPrim().GetVariantSets().GetVariantSet("clip")
    assert variants.GetVariantSelection() == "anger"
    for variant in ("anger", "joy_2", "none"):
        variants.SetVariantSelection(variant)
        assert played(stage).GetPrim().GetName() == variant
    back = read_clips(path)
    assert [c.meta["name"] for c in back] == list(clips)
    for found, clip in zip(back, clips.values(), strict=True):
        np.testing.assert_array_equal(found.values, clip.values)
        assert (found.events, found.start_sample) == (clip.events, clip.start_sample)


def test_clips_of_other_rates_lie_between_the_frames_of_the_first(tmp_path):
    path = tmp_path / "clips.usda"
    write_clips({"slow": bare(24), "fast": bare(60, 7, start=8000)}, path, **CURVES)
    stage = Usd.Stage.Open(str(path))
    times = UsdSkel.Animation.Get(stage, "/Face/Skeleton/fast").GetBlendShapeWeightsAttr()
    codes = np.array(times.GetTimeSamples())
    np.testing.assert_allclose(codes / 24, 0.5 + np.arange(7) / 60, rtol=0, atol=1e-15)
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, 14.4)
    assert [c.fps for c in read_clips(path)] == [24, 60]


def test_the_recording_begins_where_the_clip_says(tmp_path):
    path = saved(tmp_path, bare(30), audio="a b@c.wav", offset=0.5)
    stage = Usd.Stage.Open(str(path))
    audio = UsdMedia.SpatialAudio.Get(stage, "/Face/Audio")
    assert audio.GetFilePathAttr().Get().path == "a b@c.wav"
    assert audio.GetStartTimeAttr().Get() == 15


# -------------------------------------------------------------------- rigs and names


def test_a_rig_that_moves_no_head_keeps_its_curves(tmp_path):
    rig = Rig("own", "1", (Control("tail", minimum=-2),))
    clip = Clip(rig, np.array([[0.25], [-2]]), 30)
    path = saved(tmp_path, clip)
    assert set(read_usd_core(path)) == {"tail"}
    assert read_clip(path, rig=rig) == clip


@pytest.mark.parametrize("rig", ["arkit", "metahuman"])
def test_without_a_head_a_triangle_has_a_shape_of_every_control(rig, tmp_path):
    stage = Usd.Stage.Open(str(saved(tmp_path, probe(rig), head=None, **CURVES)))
    (mesh,) = [p for p in stage.Traverse() if p.IsA(UsdGeom.Mesh)]
    assert mesh.GetPath() == "/Face/curves"
    assert len(UsdGeom.Mesh(mesh).GetPointsAttr().Get()) == 3
    order = list(played(stage).GetBlendShapeOrder())
    assert order == list(probe(rig).rig.names)
    assert list(UsdSkel.BindingAPI(mesh).GetBlendShapesAttr().Get()) == order
    assert len(UsdSkel.BindingAPI(mesh).GetBlendShapeTargetsRel().GetTargets()) == len(order)


@pytest.mark.parametrize("head", [None, HEAD], ids=["built in", "given"])
def test_joints_of_a_file_without_a_mesh_are_those_of_a_head(head, tmp_path):
    stage = Usd.Stage.Open(str(saved(tmp_path, head=head, **CURVES)))
    (skeleton,) = [UsdSkel.Skeleton(p) for p in stage.Traverse() if p.IsA(UsdSkel.Skeleton)]
    names = [path.rpartition("/")[2] for path in skeleton.GetJointsAttr().Get()]
    bound = np.array(skeleton.GetBindTransformsAttr().Get())[:, 3, :3]
    joints = (head or load_head()).joints
    for name in ("neck", "head", "left_eye", "right_eye"):
        np.testing.assert_allclose(bound[names.index(name)], joints[name].center, atol=2e-6)


@settings(max_examples=30, deadline=None)
@example('"\\\n\t@<>{}\x01\x7f')
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_quoted(text):
    layer = Sdf.Layer.CreateAnonymous(".usda")
    layer.ImportFromString(f"#usda 1.0\n(\n    doc = {quoted(text)}\n)\n")
    assert layer.documentation == text


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=6), max_size=8, unique=True))
@example(["a b", "a_b", "9", "_9", "é", ""])
def test_identifiers_are_valid_and_unlike(names):
    found = identifiers(names)
    assert len(set(found)) == len(found) == len(names)
    assert all(Sdf.Path.IsValidIdentifier(name) for name in found)
    assert [identifier(name) for name in found] == found


def test_names_that_are_no_text_are_refused():
    rig = Rig("odd", "1", (Control("a\0b"),))
    with pytest.raises(ExportError, match="not text"):
        write_clip(Clip(rig, np.zeros((1, 1)), 30), io.BytesIO(), "usda", **CURVES)


# --------------------------------------------------------------------------- readers


def foreign(path, up="Y"):
    """A file as others write it: its own names, other rest turns, axes and codes per second."""
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, up)
    stage.SetTimeCodesPerSecond(1000)
    stage.SetFramesPerSecond(25)
    UsdSkel.Root.Define(stage, "/R")
    skeleton = UsdSkel.Skeleton.Define(stage, "/R/S")
    joints = ["hips", "hips/b_Head", "hips/b_Head/Eye_L"]
    skeleton.CreateJointsAttr(joints)
    rests = [Gf.Rotation((1, 0, 0), 40), Gf.Rotation((0, 0, 1), -70), Gf.Rotation((0, 1, 0), 25)]
    local = [Gf.Matrix4d().SetRotate(r) for r in rests]
    skeleton.CreateRestTransformsAttr(local)
    world = [local[0], local[1] * local[0], local[2] * local[1] * local[0]]
    skeleton.CreateBindTransformsAttr(world)
    animation = UsdSkel.Animation.Define(stage, "/R/S/Take")
    animation.CreateJointsAttr(joints)
    names = [name[0].upper() + name[1:] for name in Rig.load("arkit").names]
    animation.CreateBlendShapesAttr([*names, "wings"])
    animation.CreateTranslationsAttr([Gf.Vec3f(0)] * 3)
    animation.CreateScalesAttr([Gf.Vec3h(1)] * 3)
    turns, weights = animation.CreateRotationsAttr(), animation.CreateBlendShapeWeightsAttr()
    left = Gf.Rotation((0, 0, 1) if up == "Z" else (0, 1, 0), 20)
    for frame in range(5):
        turned = Gf.Matrix4d().SetRotate(left if frame == 2 else Gf.Rotation((0, 1, 0), 0))
        above = world[0]
        head = local[1] * above * turned * above.GetInverse()
        quats = [m.ExtractRotationQuat() for m in (local[0], head, local[2])]
        turns.Set(Vt.QuatfArray([Gf.Quatf(q) for q in quats]), 40 * frame + 2000)
        weights.Set([frame * i / 250 for i in range(53)], 40 * frame + 2000)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets(
        [animation.GetPath()]
    )
    stage.Save()
    return path


@pytest.mark.parametrize("up", ["Y", "Z"])
@pytest.mark.parametrize("extension", ["usda", "usdc", "usd"])
def test_files_of_others_are_read(up, extension, tmp_path):
    clip = read_clip(foreign(tmp_path / f"other.{extension}", up), "usda")
    assert (clip.rig.name, clip.fps, clip.start_sample) == ("arkit", 25, 32_000)
    np.testing.assert_allclose(clip.values, np.arange(5)[:, None] * np.arange(52) / 250, atol=1e-7)
    assert clip.meta["name"] == "Take"
    assert clip.meta["imported"]["ignored_targets"] == ["wings"]
    head = np.zeros((5, 3))
    head[2, 0] = np.radians(20)
    np.testing.assert_allclose(clip.pose.angles[:, 0], head, atol=1e-6)
    np.testing.assert_allclose(clip.pose.angles[:, 1:], 0, atol=1e-6)


def test_a_clip_of_an_open_file_needs_no_path(tmp_path):
    data = foreign(tmp_path / "other.usdc").read_bytes()
    assert len(read_clip(io.BytesIO(data), "usda")) == 5


def damaged(content, *, stage="", about=""):
    names = 'uniform token[] blendShapes = ["x"]'
    return f'#usda 1.0\n{stage}\ndef SkelAnimation "a" {about} {{\n{names}\n{content}\n}}'.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"#usda 1.0\n",
        b"#usda 1.0\ndef SkelAnimation",
        b"PXR-USDC\0\0\0",
        damaged("float[] blendShapeWeights.timeSamples = { 0: [1, 2] }"),
        damaged("float[] blendShapeWeights.timeSamples = { 0: [nan] }"),
        damaged("float[] blendShapeWeights.timeSamples = { 0: [0], 1e30: [0] }"),
        damaged("float[] blendShapeWeights = [0]", stage="(timeCodesPerSecond = 0)"),
        damaged("", about='(customData = { dictionary facesdk = { string fps = "x" } })'),
    ],
)
def test_damaged_files_are_errors_in_words(content, tmp_path):
    path = tmp_path / "bad.usda"
    path.write_bytes(content)
    for file in (path, io.BytesIO(content)):
        with pytest.raises(FileFormatError):
            read_clip(file, "usda")


def test_reading_asks_for_usd_core(monkeypatch, tmp_path):
    path = saved(tmp_path, bare(30))
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(MissingExtraError, match=r"facesdk-anim\[usd\]"):
        read_clip(path)
    saved(tmp_path, bare(30))


def test_binary_files_ask_for_usd_core(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(MissingExtraError, match=r"facesdk-anim\[usd\]"):
        write_clip(bare(30), tmp_path / "clip.usdc", head=HEAD)
    assert not list(tmp_path.iterdir())


def test_events_and_start_come_back(tmp_path):
    clip = probe("metahuman")
    back = read_clip(saved(tmp_path, clip))
    assert (back.rig, back.events, back.start_sample) == (clip.rig, clip.events, START)
    np.testing.assert_array_equal(back.values, clip.values)
    np.testing.assert_allclose(back.pose.angles, clip.pose.angles, atol=1e-6)
    assert back.fps == Fraction(30000, 1001)


# ------------------------------------------------------------------------ hostile files

PLAIN = """#usda 1.0
def SkelAnimation "A" {
    uniform token[] blendShapes = ["jawOpen"]
    float[] blendShapeWeights.timeSamples = { 0: [0.25], 1: [0.75] }
}
"""


def stages(folder, **texts):
    """Write text files; return the first."""
    paths = [folder / f"{name}.usda" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#usda 1.0\n{text}" if not text.startswith("#usda") else text)
    return paths[0]


REFERENCES = {
    "sublayer": '( subLayers = [@{}@] )\ndef "R" {{}}',
    "reference": 'def "R" ( prepend references = @{}@</A> ) {{}}',
    "payload": 'def "R" ( prepend payload = @{}@</A> ) {{}}',
    "within a variant": 'def "R" ( variants = {{ string v = "a" }}\n prepend variantSets = "v" )'
    ' {{\n variantSet "v" = {{\n "a" ( prepend references = @{}@</A> ) {{\n }}\n }}\n }}',
    "value clips": 'def SkelAnimation "A" ( clips = {{ dictionary default = {{\n asset[] assetPaths'
    ' = [@{}@]\n string primPath = "/A"\n double2[] active = [(0, 0)]\n }} }} )'
    ' {{ uniform token[] blendShapes = ["jawOpen"]\n }}',
}


@pytest.mark.parametrize("text", REFERENCES.values(), ids=REFERENCES)
def test_files_outside_the_folder_are_not_read(text, tmp_path):
    stages(tmp_path, outside=PLAIN)
    inside = stages(tmp_path / "sub", inside=PLAIN)
    path = stages(tmp_path / "sub", first=text.format("../outside.usda"))
    with pytest.raises(FileFormatError, match=r"refers to '../outside.usda', which is not in its"):
        read_clip(path)
    through = stages(tmp_path / "sub", second="( subLayers = [@./first.usda@] )")
    with pytest.raises(FileFormatError, match="which is not in its folder"):
        read_clip(through)
    path = stages(tmp_path / "sub", third=text.format(f"./{inside.name}"))
    assert read_clip(path).rig.name == "arkit"


@pytest.mark.parametrize(
    "written",
    ["{folder}/outside.usda", "./x/../../outside.usda", "file:///etc/a.usda", "./link.usda",
     "https://example.org/a.usda", '`"{folder}/outside.usda"`'],
)  # fmt: skip
def test_no_spelling_leads_outside(written, tmp_path):
    stages(tmp_path, outside=PLAIN)
    (tmp_path / "sub").mkdir()
    if sys.platform != "win32":
        (tmp_path / "sub" / "link.usda").symlink_to(tmp_path / "outside.usda")
    elif "link" in written:
        pytest.skip("links need rights on Windows")
    text = REFERENCES["reference"].format(written.format(folder=tmp_path.as_posix()))
    with pytest.raises(FileFormatError, match=r"is not in its folder|refers to an expression"):
        read_clip(stages(tmp_path / "sub", first=text))


def test_a_file_without_a_path_refers_to_nothing(tmp_path):
    stages(tmp_path, outside=PLAIN)
    text = REFERENCES["sublayer"].format(tmp_path / "outside.usda")
    with pytest.raises(FileFormatError, match="is not in its folder"):
        read_clip(io.BytesIO(f"#usda 1.0\n{text}".encode()), "usda")


def bomb(levels, width):
    below, text = "/A", PLAIN
    for level in range(levels):
        children = "".join(
            f'def "c{i}" ( prepend references = <{below}> ) {{}}\n' for i in range(width)
        )
        text += f'def "L{level}" {{\n{children}}}\n'
        below = f"/L{level}"
    return text


def test_references_that_multiply_are_counted_before_they_are_followed(tmp_path):
    with pytest.raises(FileFormatError, match=r"references multiply to [\d,]+ prims"):
        read_clip(stages(tmp_path, bomb=bomb(7, 8)))
    with pytest.raises(FileFormatError, match="expected up to 4096 animations"):
        read_clips(stages(tmp_path, wide=bomb(4, 9)))
    assert len(read_clips(stages(tmp_path, small=bomb(2, 3)))) == 1 + 3 + 9
    itself = f'{PLAIN}def "L" {{\n def "c" ( prepend references = </L> ) {{\n }}\n}}\n'
    assert len(read_clips(stages(tmp_path, itself=itself))) == 1


def test_a_stage_that_lasts_for_ages_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="stretch over"):
        read_clip(stages(tmp_path, a=PLAIN.replace("1: [0.75]", "8000000: [0.75]")))


def test_a_crash_of_usd_core_is_an_error_of_the_file(tmp_path, monkeypatch):
    path = stages(tmp_path, a=PLAIN)
    monkeypatch.setattr(
        "facesdk.exporters.usd.read.run_limited", lambda *_, **__: "crashed (signal 11)"
    )
    with pytest.raises(FileFormatError, match=r"a\.usda: usd-core crashed \(signal 11\) while"):
        read_clip(path)
