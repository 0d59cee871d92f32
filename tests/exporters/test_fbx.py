"""FBX files beyond their curves: mesh, skin, time, audio, and what comes back."""

from __future__ import annotations

import gc
import io
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import ufbx
from hypothesis import given, settings
from hypothesis import strategies as st
from node_tools import ask
from probe import MARKED, channels, frame_times, probe, tiny_head
from readers import compare, expected
from readers.fbx import Scene, read_ufbx

from facesdk import Clip, Control, Pose, Rig
from facesdk.errors import ExportError, FaceSDKError, FileFormatError, MissingExtraError
from facesdk.exporters import read_clip, read_clips, write_clip, write_clips
from facesdk.exporters.fbx import nodes
from facesdk.exporters.fbx.read import read_stacks
from facesdk.exporters.fbx.rotation_keys import rotation_frames
from facesdk.exporters.fbx.times import TICKS, frame_ticks
from facesdk.exporters.scene.materials import linear
from facesdk.mesh import Material, Part, load_head
from facesdk.mesh.rotation import matrices, quaternion_angles, quaternions, slerp
from facesdk.mesh.surface import normals

CENTIMETRES = 100
CURVES_ONLY = {"mesh": False}


def gazing_head():
    """The tiny head, whose eyes turn when it looks."""
    turns = {"eyeLookUpLeft": (0.0, -0.3), "eyeLookOutLeft": (0.4, 0.0), "eyeLookInRight": (0.4, 0)}
    head = tiny_head()
    deltas = head.deltas.copy()
    for name in turns:
        deltas[head.index(name), 8:] = 0.003  # what the joints do in its stead
    return replace(head, gaze=turns, deltas=deltas)


def saved(folder: Path, clip: Clip | None = None, **options) -> Path:
    path = folder / "clip.fbx"
    write_clip(probe() if clip is None else clip, path, **({"head": tiny_head()} | options))
    return path


def saved_curves(folder: Path, clip: Clip, **options) -> Path:
    return saved(folder, clip, head=None, settings=CURVES_ONLY, **options)


def bare(fps: Fraction | str, frames: int = 40, start: int = 0) -> Clip:
    """A clip of one control."""
    values = np.linspace(0, 1, frames, dtype=np.float32)[:, None]
    return Clip(Rig("one", "1", (Control("jawOpen"),)), values, fps, start_sample=start)


# -------------------------------------------------------------------------- the mesh


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return Scene(saved(tmp_path_factory.mktemp("fbx")))


@pytest.fixture(scope="module")
def mesh(scene):
    (mesh,) = scene.listed(scene.scene.meshes)
    return mesh


def points(scene: Scene, several) -> np.ndarray:
    return np.array([several[i] for i in range(len(several))])


def corners(scene: Scene, attribute) -> np.ndarray:
    """Values of a vertex attribute at every corner of every triangle."""
    scene.keep(attribute)
    values = points(scene, scene.keep(attribute.values))
    indices = points(scene, scene.keep(attribute.indices))
    return values[indices]


def test_the_mesh_is_upright_and_nobody_mirrored_it(scene, mesh):
    head = tiny_head()
    found = points(scene, scene.keep(mesh.vertices))
    np.testing.assert_allclose(found, head.neutral * CENTIMETRES, atol=1e-5)
    assert (found[MARKED] > 0).all()  # to the character's left, high, forward
    axes = scene.scene.settings.axes
    assert (axes.right, axes.up, axes.front) == (
        ufbx.CoordinateAxis.POSITIVE_X,
        ufbx.CoordinateAxis.POSITIVE_Y,
        ufbx.CoordinateAxis.POSITIVE_Z,
    )
    assert scene.scene.settings.unit_meters == 0.01


def test_triangles_face_outwards_and_so_do_normals(scene, mesh):
    head = tiny_head()
    indices = points(scene, scene.keep(mesh.vertex_indices)).reshape(-1, 3)
    np.testing.assert_array_equal(indices, head.triangles)
    a, b, c = np.moveaxis(head.neutral[indices[:12]], 1, 0)
    assert (np.cross(b - a, c - a) * (a + b + c)).sum(1).min() > 0
    found = corners(scene, mesh.vertex_normal).reshape(-1, 3, 3)
    wanted = normals(head.neutral, head.triangles)[head.triangles]
    np.testing.assert_allclose(found, wanted, atol=6e-6)  # five decimals


def test_texture_coordinates_and_materials_lie_where_they_belong(scene, mesh):
    head = tiny_head()
    np.testing.assert_allclose(
        corners(scene, mesh.vertex_uv), head.uvs[head.triangles.reshape(-1)], atol=1e-6
    )
    names = [m.name for m in scene.listed(mesh.materials)]
    owners = [names[i] for i in points(scene, scene.keep(mesh.face_material))]
    assert owners == ["skin"] * 12 + ["eye"] * 8
    wanted = linear(np.array([(0.8, 0.6, 0.5), (0.9,) * 3]))
    np.testing.assert_allclose(diffuse(scene, mesh), wanted, atol=1e-6)


def diffuse(scene: Scene, mesh) -> np.ndarray:
    """Colours of a mesh's materials, in linear light."""
    props = [scene.keep(material.props) for material in scene.listed(mesh.materials)]
    return np.array([scene.keep(p.find_prop("DiffuseColor")).value_vec4[:3] for p in props])


def shown(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Material of every triangle, its colour and the factor of every corner."""
    scene = Scene(path)
    (mesh,) = scene.listed(scene.scene.meshes)
    owner = points(scene, scene.keep(mesh.face_material))
    names = [m.name for m in scene.listed(mesh.materials)]
    factors = corners(scene, mesh.vertex_color)[:, :3].reshape(-1, 3, 3)
    return [names[i] for i in owner], diffuse(scene, mesh)[owner], factors


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.9), st.integers(1, 4))
def test_colours_of_vertices_are_shares_of_their_materials(seed, low, kinds):
    """Those brighter than the mean of their material are as bright as it, no other is changed."""
    rng = np.random.default_rng(seed)
    palette = rng.uniform(low, 0.95, (kinds, 3))
    colors = palette[rng.integers(0, kinds, 16)].astype(np.float32)
    path = Path(tempfile.mkdtemp()) / "clip.fbx"
    write_clip(bare(30), path, head=replace(tiny_head(), colors=colors))
    names, base, factors = shown(path)
    wanted = linear(colors[tiny_head().triangles].astype(float))
    found = factors * base[:, None]
    assert (found <= wanted + 1e-6).all()
    darker = factors < 1 - 1e-6
    np.testing.assert_allclose(found[darker], wanted[darker], atol=1e-6)
    assert factors.max() <= 1
    assert {"skin", "eye"} <= set(names)
    assert len(set(names)) <= 2 * kinds


def test_colours_that_are_alike_need_no_further_material(tmp_path):
    rng = np.random.default_rng(1)
    colors = (0.6 + rng.uniform(-0.01, 0.01, (16, 3))).astype(np.float32)
    names, _, _ = shown(saved(tmp_path, head=replace(tiny_head(), colors=colors)))
    assert names == ["skin"] * 12 + ["eye"] * 8


def test_the_built_in_head_has_a_face_without_colours_of_vertices(tmp_path):
    path = saved(tmp_path, bare(30, frames=2), head=None)
    names, base, factors = shown(path)
    head = load_head()
    assert {"skin", "lips", "scalp", "eye", "iris", "pupil", "enamel", "hair"} <= set(names)
    color = {n: base[names.index(n)] for n in names}
    assert color["pupil"].max() < 0.01
    assert color["iris"].max() < 0.3 * color["eye"].min()
    assert color["scalp"].max() < 0.5 * color["skin"].max()
    assert color["lips"][1] < 0.85 * color["skin"][1]
    apart = np.abs(base - linear(head.colors.astype(float))[head.triangles].mean(1))
    assert np.mean(apart.max(1) > 0.2) < 0.035
    assert np.median(factors) > 0.8


def test_smoothness_is_what_readers_take_it_for(tmp_path):
    """ufbx, Blender and Unity: one minus the root of the shininess over ten."""
    looks = {"chalk": 1.0, "skin": 0.52, "eye": 0.12, "mirror": 0.0}
    head = tiny_head()
    slices = (slice(0, 4), slice(4, 12), slice(12, 16), slice(16, 20))
    parts = tuple(
        Part(name, where, Material(name, roughness=rough))
        for (name, rough), where in zip(looks.items(), slices, strict=True)
    )
    scene = Scene(saved(tmp_path, head=replace(head, parts=parts)))
    for material in scene.listed(scene.scene.materials):
        props = scene.keep(material.props)
        for name in ("Shininess", "ShininessExponent"):
            found = 1 - np.sqrt(scene.keep(props.find_prop(name)).value_vec4[0]) / 10
            assert found == pytest.approx(looks[material.name], abs=1e-6)
        assert scene.keep(scene.keep(material.pbr).roughness).value_vec4[0] == pytest.approx(
            looks[material.name], abs=1e-6
        )


def test_every_shape_moves_what_it_moves_and_turns_its_normals(scene):
    head = tiny_head()
    rest = normals(head.neutral, head.triangles)
    shapes = {s.name: s for s in scene.listed(scene.scene.blend_shapes)}
    assert set(shapes) == set(head.names)
    for name, shape in shapes.items():
        rows = points(scene, scene.keep(shape.offset_vertices))
        moved, turned = np.zeros((2, 16, 3))
        moved[rows] = points(scene, scene.keep(shape.position_offsets))
        turned[rows] = points(scene, scene.keep(shape.normal_offsets))
        delta = head.delta(name)
        np.testing.assert_allclose(moved, delta * CENTIMETRES, atol=1e-5)
        wanted = normals(head.neutral + delta, head.triangles) - rest
        np.testing.assert_allclose(turned, wanted, atol=2e-4)


@pytest.mark.parametrize("head", [tiny_head(), gazing_head()], ids=["shapes", "gaze"])
@pytest.mark.parametrize("unit", ["cm", "m"])
def test_a_played_file_shows_the_same_face(head, unit, tmp_path):
    """Shapes, skin, joints and eyes together, as three.js draws them and `Head.vertices` says."""
    clip = probe()
    path = saved(tmp_path, head=head, settings={"unit": unit})
    scale = CENTIMETRES if unit == "cm" else 1
    for frame in (0, 33, 71):
        time = float(frame_times(clip)[frame])
        found = np.array(ask("vertices", path, mesh="face", time=time)).reshape(-1, 3)
        wanted = head.vertices(head.weights(clip)[frame], clip.pose.angles[frame])
        np.testing.assert_allclose(
            found, wanted[head.triangles.reshape(-1)] * scale, atol=2e-5 * scale
        )


def test_masks_are_the_weights_of_the_joints(tmp_path):
    head = tiny_head()
    low = (head.neutral[:, 1] < 0).astype(np.float32)
    head = replace(head, masks=dict(head.masks) | {"head": 1 - 0.75 * low, "neck": np.ones(16)})
    scene = Scene(saved(tmp_path, head=head))
    clusters = {}
    for cluster in scene.listed(scene.scene.skin_clusters):
        weights = np.zeros(16)
        rows = points(scene, scene.keep(cluster.vertices))
        weights[rows] = points(scene, scene.keep(cluster.weights))
        clusters[scene.keep(cluster.bone_node).name] = weights
    np.testing.assert_allclose(sum(clusters.values()), 1, atol=1e-6)
    eyes = np.arange(16) >= 8
    np.testing.assert_allclose(clusters["neck"], 0.75 * low * ~eyes, atol=1e-6)
    assert "root" not in clusters


def test_joints_hang_on_each_other(scene):
    nodes = {n.name: n for n in scene.listed(scene.scene.nodes) if scene.keep(n.bone)}
    places = {n: np.array(node.node_to_world.c3) for n, node in nodes.items()}
    for name, joint in tiny_head().joints.items():
        np.testing.assert_allclose(places[name], np.array(joint.center) * CENTIMETRES, atol=1e-4)
    parents = {n: scene.keep(node.parent).name for n, node in nodes.items()}
    assert parents["left_eye"] == parents["right_eye"] == "head"
    assert (parents["head"], parents["neck"]) == ("neck", "root")


# ------------------------------------------------------------------------ properties


def test_without_a_mesh_controls_are_properties_that_a_user_made(tmp_path):
    clip = probe("metahuman")
    scene = Scene(saved_curves(tmp_path, clip))
    root = next(n for n in scene.listed(scene.scene.nodes) if n.name == "root")
    props = scene.keep(root.props)
    for control in clip.rig.names:
        flags = scene.keep(props.find_prop(control)).flags
        assert flags & ufbx.PropFlags.ANIMATABLE
        assert flags & ufbx.PropFlags.USER_DEFINED


@pytest.mark.parametrize("rig", ["arkit", "livelink", "metahuman"])
def test_without_a_head_a_triangle_has_a_shape_of_every_control(rig, tmp_path):
    """Blender, Godot and converters animate shapes of meshes and no property of a joint."""
    clip = probe(rig)
    path = saved_curves(tmp_path, clip)
    scene = Scene(path)
    (mesh,) = scene.listed(scene.scene.meshes)
    assert len(points(scene, scene.keep(mesh.vertices))) == 3
    assert [s.name for s in scene.listed(scene.scene.blend_shapes)] == list(clip.rig.names)
    stack = scene.stack()
    anim = scene.keep(stack.anim)
    weights, values = {}, {}
    for element, prop, value in scene.animated(stack):
        times = scene.times(scene.curves(value)[0])
        if prop == "DeformPercent":
            weights[element.name] = [element.evaluate_blend_weight(anim, t) for t in times]
        elif prop != "Lcl Rotation":
            values[prop] = [value.evaluate_real(t) for t in times]
    for i, name in enumerate(clip.rig.names):
        np.testing.assert_allclose(weights[name], clip.values[:, i], atol=1e-6)
        np.testing.assert_allclose(values[name], clip.values[:, i], atol=1e-6)
    back = read_clip(path)
    np.testing.assert_allclose(back.values, clip.values, atol=1e-6)


def places(path: Path) -> dict[str, np.ndarray]:
    """Where the joints of a file are, in meters."""
    scene = Scene(path)
    nodes = {n.name: n for n in scene.listed(scene.scene.nodes) if scene.keep(n.bone)}
    return {n: np.array(node.node_to_world.c3) / CENTIMETRES for n, node in nodes.items()}


def test_joints_of_a_file_without_a_head_are_those_of_the_built_in_head(tmp_path):
    found = places(saved_curves(tmp_path, bare(30)))
    for name in ("neck", "head", "left_eye", "right_eye"):
        np.testing.assert_allclose(
            found[name], load_head().joints[name].center, atol=2e-6, err_msg=name
        )


def test_a_head_without_its_mesh_has_its_joints_in_the_file(tmp_path):
    found = places(saved(tmp_path, bare(30), settings=CURVES_ONLY))
    for name in ("neck", "head", "left_eye", "right_eye"):
        np.testing.assert_allclose(found[name], tiny_head().joints[name].center, atol=1e-6)


def test_no_model_inherits_its_scale_in_a_way_of_its_own(tmp_path):
    """Autodesk's SDK takes a model without the property for one that does, and warns."""
    scene = Scene(saved(tmp_path))
    models = [n for n in scene.listed(scene.scene.nodes) if n.name]
    assert {"face", "root", "head"} <= {n.name for n in models}
    assert all(scene.keep(n.props).find_int("InheritType", 0) == 1 for n in models)


def test_controls_without_a_shape_stand_beside_the_shapes(tmp_path):
    rig = Rig("mixed", "1", (Control("jawOpen"), Control("earWiggle", minimum=-2)))
    values = np.array([[0, -2], [0.5, 1], [1, 0.25]], np.float32)
    path = saved(tmp_path, Clip(rig, values, 30))
    found = read_ufbx(path)
    assert set(found) == {"jawOpen", "earWiggle"}
    np.testing.assert_allclose(found["earWiggle"].values, values[:, 1], atol=1e-6)
    assert read_clip(path, rig=rig) == Clip(rig, values, 30)


def test_a_rig_that_moves_no_head_keeps_its_curves(tmp_path):
    rig = Rig("own", "1", (Control("tail"),))
    path = saved(tmp_path, Clip(rig, np.array([[0.25], [0.5]]), 30))
    assert set(read_ufbx(path)) == {"tail"}


# ----------------------------------------------------------------------------- time

RATES = [24, 25, 30, 48, 50, 60, 72, 90, 96, 100, 120, 15, "24000/1001", "30000/1001",
         "60000/1001", "120000/1001", "47.952"]  # fmt: skip


@pytest.mark.parametrize("fps", RATES)
def test_any_frame_rate_comes_back_exact(fps, tmp_path):
    clip = bare(fps)
    path = saved_curves(tmp_path, clip)
    scene = Scene(path)
    assert abs(scene.scene.settings.frames_per_second - float(clip.fps)) < 2e-3
    times = read_ufbx(path)["jawOpen"].times
    np.testing.assert_allclose(times * TICKS, np.rint(times * TICKS), atol=0.05)
    np.testing.assert_allclose(times, frame_times(clip), rtol=0, atol=1 / TICKS)
    back = read_clip(path)
    assert back.fps == clip.fps
    np.testing.assert_allclose(back.values, clip.values, atol=1e-6)


@settings(max_examples=50)
@given(
    st.fractions(Fraction(1, 10), 1000, max_denominator=1001),
    st.integers(-(10**9), 10**9),
    st.integers(0, 60),
)
def test_ticks_are_the_nearest_to_the_time_of_a_frame(fps, start, frames):
    clip = bare(fps, 1, start)
    for i, tick in enumerate(frame_ticks(clip, frames).tolist()):
        exact = (Fraction(start, 16_000) + i / clip.fps) * TICKS  # NTSC rates snap
        assert abs(tick - exact) <= Fraction(1, 2)


def test_a_clip_too_far_off_is_refused(tmp_path):
    with pytest.raises(ExportError, match="times as far from zero"):
        saved_curves(tmp_path, bare(60), start=1e9)


def test_clips_before_zero_come_back(tmp_path):
    back = read_clip(saved_curves(tmp_path, bare(60), offset=-0.25))
    assert back.start_sample == -4000


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.3))
def test_a_thinned_joint_is_right_for_both_kinds_of_readers(seed, tolerance):
    rng = np.random.default_rng(seed)
    angles = np.cumsum(rng.normal(0, 0.05, (80, 3)), 0).clip(-1.2, 1.2).astype(np.float32)
    keys = rotation_frames(angles, tolerance)
    frames = np.arange(80)
    straight = np.stack([np.interp(frames, keys, angles[keys, i]) for i in range(3)], 1)
    at = np.clip(np.searchsorted(keys, frames, "right") - 1, 0, len(keys) - 2)
    share = ((frames - keys[at]) / (keys[at + 1] - keys[at]))[:, None]
    turns = quaternions(angles)
    around = quaternion_angles(slerp(turns[keys[at]], turns[keys[at + 1]], share))
    assert np.abs(straight - angles).max() <= tolerance + 1e-6
    assert np.abs(around - angles).max() <= tolerance + 1e-6


# ----------------------------------------------------------------- takes, audio, versions


def test_takes_lie_side_by_side_and_come_back_by_name(tmp_path):
    clips = {"anger": probe(), "joy": probe().slice(10, 50).mirror()}
    path = tmp_path / "both.fbx"
    write_clips(clips, path, head=tiny_head())
    stacks = Scene(path)
    spans = [(s.name, s.time_begin, s.time_end) for s in stacks.listed(stacks.scene.anim_stacks)]
    for (name, begin, end), clip in zip(spans, clips.values(), strict=True):
        times = frame_times(clip)
        np.testing.assert_allclose((begin, end), (times[0], times[-1]), atol=1e-9)
        assert name in clips
    for number, clip in enumerate(clips.values()):
        cell = compare(read_ufbx(path, number), expected(clip))
        assert not cell.missing
        assert cell.value < 1e-6
        three = ask("curves", path, clip=number)["jawOpen"]
        np.testing.assert_allclose(three["values"], clip.curve("jawOpen"), atol=1e-6)
    back = read_clips(path)
    assert [clip.meta["name"] for clip in back] == ["anger", "joy"]
    np.testing.assert_allclose(back[1].values, clips["joy"].values, atol=1e-6)
    np.testing.assert_allclose(back[1].pose.angles, clips["joy"].pose.angles, atol=1e-6)


def test_takes_of_other_frame_rates_are_refused(tmp_path):
    with pytest.raises(ExportError, match=r"one frame rate, the clips have 30, 60"):
        write_clips([bare(30), bare(60)], tmp_path / "x.fbx", settings=CURVES_ONLY)
    assert not list(tmp_path.iterdir())


def test_the_recording_is_referred_to_where_the_clip_begins(tmp_path):
    path = saved(tmp_path, audio="audio/line 1.wav", offset=2)
    scene = Scene(path)
    (clip,) = scene.listed(scene.scene.audio_clips)
    assert clip.name == "line 1.wav"
    assert clip.relative_filename == "audio/line 1.wav"
    (layer,) = scene.listed(scene.scene.audio_layers)
    assert [c.name for c in scene.listed(layer.clips)] == ["line 1.wav"]
    assert scene.keep(clip.props).find_int("Offset", 0) == 2 * TICKS
    ask("curves", path)  # three.js is not put off


@pytest.mark.parametrize("version", [7400, 7500])
def test_both_versions_hold_the_same(version, tmp_path):
    path = saved(tmp_path, settings={"version": version})
    assert Scene(path).scene.metadata.version == version
    assert compare(read_ufbx(path), expected(probe())).value < 1e-6
    data = path.read_bytes()
    assert int.from_bytes(data[23:27], "little") == version
    assert (len(data) - 140) % 16 == 0  # the footer after its padding


def test_version_7400_ends_at_four_gigabytes(tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "_NARROW_END", 50_000)
    with pytest.raises(ExportError, match="write version 7500"):
        saved(tmp_path)
    assert not list(tmp_path.iterdir())
    assert saved(tmp_path, settings={"version": 7500}).exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settings": {"version": 6100}}, "must be one of 7400, 7500"),
        ({"settings": {"unit": "inch"}}, "must be one of cm, m"),
    ],
)
def test_requests_that_make_no_sense_are_refused(options, words, tmp_path):
    with pytest.raises(ExportError, match=words):
        write_clip(probe(), tmp_path / "x.fbx", **options)


def test_names_with_zero_characters_are_refused(tmp_path):
    clip = Clip(Rig("odd", "1", (Control("a\0b"),)), np.zeros((2, 1)), 30)
    with pytest.raises(ExportError, match="zero character"):
        saved(tmp_path, clip)


# -------------------------------------------------------------------------- reading


@pytest.mark.parametrize("rig", ["arkit", "metahuman", "vrm"])
@pytest.mark.parametrize("with_head", [True, False])
def test_clips_come_back(rig, with_head, tmp_path):
    clip = probe(rig)
    path = saved(tmp_path, clip) if with_head else saved_curves(tmp_path, clip)
    back = read_clip(path)
    assert (back.rig.name, back.fps, back.start_sample) == (rig, clip.fps, clip.start_sample)
    for name, values in channels(clip).items():
        np.testing.assert_allclose(channels(back)[name], values, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("frames", [1, 2])
def test_clips_of_hardly_any_frames_come_back(frames, tmp_path):
    clip = probe(frames=frames)
    back = read_clip(saved(tmp_path, clip, tolerance=0.01))
    assert len(back) == frames
    np.testing.assert_allclose(back.values, clip.values, atol=1e-6)


def test_shapes_called_after_their_deformer_are_known(tmp_path):
    head = tiny_head()
    names = tuple(f"blendShape1.{name}" for name in head.names)
    rig = Rig("maya", "1", tuple(map(Control, names)))
    clip = Clip(rig, probe().values, 30)
    back = read_clip(saved(tmp_path, clip, head=replace(head, names=names)))
    assert back.rig.name == "arkit"
    np.testing.assert_allclose(back.values, clip.values, atol=1e-6)


def test_joints_are_read_about_the_axes_of_the_scene(tmp_path):
    """Skeletons of other makers have joints that are turned at rest."""
    clip = probe()
    path = saved(tmp_path, clip)
    rest = b"Lcl Rotation" + b"S\x00\x00\x00\x00" + b"S\x01\x00\x00\x00A"
    data = path.read_bytes()
    at = data.index(rest) + len(rest)  # the first one is the root's
    turned = b"".join(b"D" + np.float64(v).tobytes() for v in (20.0, -35.0, 50.0))
    path.write_bytes(data[:at] + turned + data[at + len(turned) :])
    world = Scene(path)
    root = next(n for n in world.listed(world.scene.nodes) if n.name == "root")
    axes = np.array(root.node_to_world[:3]).T
    assert axes[0, 0] < 0.9
    turns = axes @ matrices(clip.pose.angles[:, 1]) @ axes.T
    back = read_clip(path).pose.angles[:, 1]
    np.testing.assert_allclose(matrices(back), turns, atol=1e-5)


def test_files_without_takes_or_curves_are_refused(tmp_path):
    path = saved_curves(tmp_path, bare(30, frames=0))
    with pytest.raises(FileFormatError, match="moves no blend shape and no user property"):
        read_clip(path)


@cache
def small_file() -> bytes:
    file = io.BytesIO()
    write_clip(bare(30, 4), file, "fbx", settings=CURVES_ONLY)
    return file.getvalue()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_in_words(data):
    damaged = bytearray(small_file())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    with suppress(FaceSDKError):
        read_clips(io.BytesIO(bytes(damaged[: cut or None])), "fbx")


def test_reading_names_the_extra_that_it_needs(tmp_path, monkeypatch):
    path = saved_curves(tmp_path, bare(30))
    monkeypatch.setitem(sys.modules, "ufbx", None)
    with pytest.raises(MissingExtraError, match=r"facesdk-anim\[fbx-read\]"):
        read_clip(path)


def test_pose_alone_is_left_at_rest_where_nothing_turns(tmp_path):
    clip = Clip(bare(30).rig, bare(30).values, 30, pose=Pose.rest(40))
    assert not read_clip(saved_curves(tmp_path, clip)).pose.angles.any()
    assert read_clip(saved_curves(tmp_path, bare(30))).pose is None


def test_the_garbage_collector_does_not_see_elements_of_a_scene():
    """ufbx 0.0.5 shows it elements that nobody owns, which ends in a crash somewhere else."""
    file = io.BytesIO()
    write_clips({"a": probe(frames=3), "b": probe(frames=3)}, file, "fbx", head=tiny_head())
    file.seek(0)
    stacks = read_stacks(file)
    scene = stacks[0]._scene
    elements = scene.listed(scene.elements)
    assert len(elements) > 10
    assert not any(map(gc.is_tracked, [scene._scene, *elements]))
    gc.collect()
    for stack in stacks:
        assert sum(len(block.values) for block in stack.blocks()) == 3
