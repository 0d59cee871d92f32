"""Step buffer, stream, batcher, motion and performer: the parts a session is composed of."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facesdk
from facesdk.audio import read_audio
from facesdk.errors import ModelError, PerformanceError, RigError
from facesdk.model import RigTable, RowLayout, StepBuffer, UnitDecoder
from facesdk.motion import Motion, MotionPart
from facesdk.performance import Performance
from facesdk.retarget import RigMap
from facesdk.rig import Control, Rig

DATA = Path(__file__).parents[1] / "data"
RATE = 16_000
SPEECH = read_audio(DATA / "mama.flac")[: 3 * RATE]
STEP = 320
TURN = 0.4


@pytest.fixture(scope="module")
def model():
    return facesdk.load()


class TurnedHead(MotionPart):
    """The head turns to the character's left and stays there."""

    moves_pose = True

    def __call__(self, motion, first):
        pose = motion.pose.copy()
        frames = np.arange(first, first + len(pose))
        pose[:, 0, 0] += TURN * np.minimum(frames / 10, 1)
        return motion._replace(pose=pose)

    def reset(self):
        pass


class Late(MotionPart):
    """Holds frames back, as a part that looks ahead does, and changes nothing."""

    def __init__(self, delay):
        self.delay = delay
        self.reset()

    def reset(self):
        self._held = None

    def __call__(self, motion, first):
        if self._held is not None:
            motion = Motion(
                np.concatenate([self._held.units, motion.units]),
                None if motion.pose is None else np.concatenate([self._held.pose, motion.pose]),
            )
        cut = max(0, len(motion.units) - self.delay)
        pose = motion.pose
        self._held = Motion(motion.units[cut:], None if pose is None else pose[cut:])
        return Motion(motion.units[:cut], None if pose is None else pose[:cut])

    def flush(self):
        held, self._held = self._held, None
        return held


# ------------------------------------------------------------------ pose


def test_a_turned_head_appears_everywhere_at_once(model):
    """In Live Link's HeadYaw, in every frame's pose, in an FBX and in a GLB."""
    ufbx = pytest.importorskip("ufbx")
    assert ufbx
    clips = facesdk.bake_rigs(SPEECH, ["arkit", "livelink"], fps=30, motion=[TurnedHead()])
    arkit, livelink = clips["arkit"], clips["livelink"]
    assert arkit.pose.angles[-1, 0, 0] == pytest.approx(TURN)
    yaw = livelink.curve("HeadYaw")
    assert abs(yaw[-1]) > 0.1
    np.testing.assert_allclose(yaw / yaw[-1], arkit.pose.angles[:, 0, 0] / TURN, atol=1e-5)

    session = model.session(fps=30, look_ahead_ms=None, motion=[TurnedHead()])
    frames = [*session.push(SPEECH), *session.flush()]
    assert frames[-1].pose.shape == (4, 3)
    assert frames[-1].pose[0, 0] == pytest.approx(TURN)

    for name in ("fbx", "glb"):
        file = io.BytesIO()
        facesdk.write_clip(arkit, file, format=name)
        file.seek(0)
        back = facesdk.exporters.EXPORTERS[name].read(file, None)
        found = facesdk.source.collect(back).pose
        assert found.angles[-1, 0, 0] == pytest.approx(TURN, abs=1e-4)


def test_without_motion_of_joints_there_is_no_pose(model):
    assert facesdk.bake(SPEECH, fps=30, model=model).pose is None
    session = model.session()
    assert all(frame.pose is None for frame in [*session.push(SPEECH), *session.flush()])


@settings(max_examples=10, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(SPEECH)), max_size=6).map(sorted),
    delay=st.integers(0, 7),
    fps=st.sampled_from([24, 50, 60]),
)
def test_parts_that_hold_frames_back_change_no_frame(cuts, delay, fps):
    model = facesdk.load()
    plain = model.session(fps=fps, motion=[TurnedHead()])
    expected = [*plain.push(SPEECH), *plain.flush()]
    late = model.session(fps=fps, motion=[Late(delay), TurnedHead(), Late(1)])
    found = [f for part in np.split(SPEECH, cuts) for f in late.push(part)] + late.flush()
    assert late.latency == plain.latency + Fraction(delay + 1, 50)
    assert [f.index for f in found] == [f.index for f in expected]
    np.testing.assert_allclose([f.values for f in found], [f.values for f in expected], atol=1e-5)
    np.testing.assert_allclose([f.pose for f in found], [f.pose for f in expected], atol=1e-6)


# ------------------------------------------------------------------ batcher


class Speaker:
    """What a server keeps for one stream: a buffer, a place in the batcher, a performer."""

    def __init__(self, model, batcher, seed, look_ahead_ms):
        manifest = model.manifest
        delay = manifest.delay_steps(model.look_ahead(look_ahead_ms))
        self.batcher, self.delay = batcher, delay
        self.stream = batcher.join(look_ahead_ms=look_ahead_ms)
        self.buffer = StepBuffer(manifest.sample_rate, STEP, source_rate=RATE)
        self.performer = model.performer(["arkit"], look_ahead_ms=look_ahead_ms, seed=seed)
        self.waiting, self.frames = [], []
        self.none = np.empty((0, len(batcher.layout.rest)), np.float32)

    def push(self, samples):
        for chunk in self.buffer.push(samples):
            self.waiting += [part.copy() for part in np.split(chunk, len(chunk) // STEP)]

    def end(self):
        self.total = self.performer.frames_in(self.buffer.duration)
        steps = self.performer.units_for(self.total) + self.delay
        units = []
        for chunk in self.buffer.flush(steps):
            self.waiting += [part.copy() for part in np.split(chunk, len(chunk) // STEP)]
        while self.waiting:
            units.append(self.batcher.step({self.stream: self.waiting.pop(0)})[self.stream])
        self.batcher.leave(self.stream)
        (block,) = self.performer.flush(np.concatenate([self.none, *units]), self.total)
        self.frames += list(block.values)

    def take(self, units):
        (block,) = self.performer.push(units)
        self.frames += list(block.values)


def test_32_interleaved_streams_equal_32_sessions(model):
    """Streams join and leave at different times, with different look-aheads and cuts."""
    rng = np.random.default_rng(5)
    batcher = model.batcher(capacity=20)
    lines = [
        np.roll(SPEECH, int(rng.integers(len(SPEECH))))[: int(rng.integers(4000, 24_000))]
        for _ in range(32)
    ]
    look_aheads = [(0, 40, 100, 200)[i % 4] for i in range(32)]
    waiting, active, done = list(range(32)), {}, {}
    while waiting or active:
        while waiting and len(batcher) < 20 and rng.random() < 0.7:
            i = waiting.pop(0)
            active[i] = (Speaker(model, batcher, i, look_aheads[i]), lines[i])
        for i, (speaker, rest) in list(active.items()):
            cut = int(rng.integers(0, 1200))
            speaker.push(rest[:cut])
            active[i] = (speaker, rest[cut:])
        ready = {s.stream: s.waiting.pop(0) for s, _ in active.values() if s.waiting}
        for stream, units in batcher.step(ready).items():
            next(s for s, _ in active.values() if s.stream is stream).take(units)
        for i, (speaker, rest) in list(active.items()):
            if not len(rest) and len(speaker.waiting) < 2:
                while speaker.waiting:
                    step = {speaker.stream: speaker.waiting.pop(0)}
                    speaker.take(batcher.step(step)[speaker.stream])
                speaker.end()
                done[i] = np.array(speaker.frames)
                del active[i]
    assert len(batcher) == 0
    for i, line in enumerate(lines):
        session = model.session(look_ahead_ms=look_aheads[i], seed=i)
        expected = [f.values for f in [*session.push(line), *session.flush()]]
        np.testing.assert_allclose(done[i], expected, atol=1e-5)


def test_a_full_batcher_and_a_stream_that_left_are_refused(model):
    batcher = model.batcher(capacity=1)
    stream = batcher.join()
    with pytest.raises(ModelError, match="full with 1 streams"):
        batcher.join()
    batcher.leave(stream)
    with pytest.raises(ModelError, match="has left"):
        batcher.step({stream: np.zeros(STEP, np.float32)})
    with pytest.raises(ModelError, match="1 or more"):
        model.batcher(capacity=0)


def test_a_restarted_stream_begins_again(model):
    batcher = model.batcher(capacity=3)
    other, stream = batcher.join(), batcher.join(look_ahead_ms=0)
    steps = np.split(np.concatenate([np.zeros(STEP, np.float32), SPEECH[: 20 * STEP]]), 21)
    first = [batcher.step({stream: s, other: s})[stream] for s in steps]
    batcher.restart(stream)
    again = [batcher.step({stream: s})[stream] for s in steps]
    np.testing.assert_allclose(again, first, atol=1e-6)


def test_a_decoder_leaves_out_what_lies_before_the_first_frame(model):
    decoder = UnitDecoder(model.manifest, RowLayout(), 2)
    curves = np.random.default_rng(0).random((5, 5, 15), np.float32)
    assert [len(decoder([curves[i : i + 1]])) for i in range(5)] == [0, 0, 1, 1, 1]


# ------------------------------------------------------------------ rigs of one's own


OWN = Rig("mine", "1", (Control("mund_auf"), Control("lid_links"), Control("lid_rechts")))
OWN_TABLE = {
    "format": "facesdk.table",
    "version": 1,
    "rig": "mine.json",
    "controls": {"mund_auf": {"jaw": 0.8}, "lid_links": {"blink_left": 1}},
}


@pytest.fixture
def own_files(tmp_path):
    (tmp_path / "mine.json").write_text(OWN.to_text(), "utf-8")
    (tmp_path / "table.json").write_text(json.dumps(OWN_TABLE), "utf-8")
    return tmp_path


def test_a_table_of_ones_own_is_baked_by_path_and_as_an_object(own_files, model):
    by_path = facesdk.bake(SPEECH, rig=own_files / "table.json", model=model)
    table = RigTable.load(own_files / "table.json")
    as_object = facesdk.bake(SPEECH, rig=table, model=model)
    assert by_path.rig == OWN
    assert by_path == as_object
    units = facesdk.bake(SPEECH, rig="units", model=model)
    np.testing.assert_allclose(by_path.curve("mund_auf"), 0.8 * units.curve("jaw"), atol=1e-6)
    session = model.session(rig=str(own_files / "table.json"))
    assert session.rig == OWN
    assert len(session.push(SPEECH)) > 0


def test_a_changed_table_changes_the_line_without_training(own_files, model):
    document = {**OWN_TABLE, "controls": {"mund_auf": {"jaw": 0.4}}}
    (own_files / "half.json").write_text(json.dumps(document), "utf-8")
    whole = facesdk.bake(SPEECH, rig=own_files / "table.json", model=model)
    half = facesdk.bake(SPEECH, rig=own_files / "half.json", model=model)
    np.testing.assert_allclose(half.curve("mund_auf"), whole.curve("mund_auf") / 2, atol=1e-6)


def test_a_rig_with_some_of_arkits_controls_is_matched_by_name(tmp_path, model):
    few = Rig("npc", "1", (Control("jawOpen"), Control("mouthClose"), Control("hat")))
    (tmp_path / "npc.json").write_text(few.to_text(), "utf-8")
    clip = facesdk.bake(SPEECH, rig=tmp_path / "npc.json", model=model)
    arkit = facesdk.bake(SPEECH, rig="arkit", model=model)
    assert clip.rig == few
    np.testing.assert_allclose(clip.curve("jawOpen"), arkit.curve("jawOpen"), atol=1e-6)
    assert not clip.curve("hat").any()
    assert facesdk.bake(SPEECH, rig=few, model=model) == clip


def test_a_map_of_ones_own_is_baked(own_files, model):
    document = {
        "format": "facesdk.map", "version": 1, "source": "arkit", "target": "mine.json",
        "weights": {"jawOpen": {"mund_auf": 2.0}},
    }  # fmt: skip
    path = own_files / "arkit-to-mine.json"
    path.write_text(json.dumps(document), "utf-8")
    clip = facesdk.bake(SPEECH, rig=path, fps=50, model=model)
    arkit = facesdk.bake(SPEECH, rig="arkit", fps=50, model=model)
    expected = np.minimum(2 * arkit.curve("jawOpen"), 1)
    np.testing.assert_allclose(clip.curve("mund_auf"), expected, atol=1e-5)
    as_object = RigMap.from_json(document, folder=own_files)
    assert facesdk.bake(SPEECH, rig=as_object, fps=50, model=model) == clip


def test_built_in_rigs_are_taken_as_objects(model):
    assert facesdk.bake(SPEECH, rig=Rig.load("livelink"), model=model) == facesdk.bake(
        SPEECH, rig="livelink", model=model
    )


@pytest.mark.parametrize(
    ("rig", "message"),
    [
        (OWN, "shares no control"),
        (3, "got int"),
        (["arkit"], "got list"),
        ("missing.json", "does not exist"),
    ],
)
def test_what_is_no_rig_is_refused(rig, message, model):
    with pytest.raises(RigError, match=message):
        model.session(rig=rig)


def test_a_json_file_of_another_kind_is_refused(tmp_path, model):
    (tmp_path / "x.json").write_text('{"format": "facesdk.clip"}', "utf-8")
    with pytest.raises(RigError, match=r"got 'facesdk.clip'"):
        model.session(rig=tmp_path / "x.json")


# ------------------------------------------------------------------ options


def test_a_performance_goes_in_as_a_value_or_as_keywords(model):
    value = Performance(seed=4, tail=0.25)
    assert facesdk.bake(SPEECH, performance=value) == facesdk.bake(SPEECH, seed=4, tail=0.25)
    with pytest.raises(PerformanceError, match="both a performance and seed"):
        facesdk.bake(SPEECH, performance=value, seed=4)
    with pytest.raises(PerformanceError, match="unknown option 'blink'"):
        model.session(blink=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1}, {"seed": 1.5}, {"seed": "1"}, {"blinks": 1}, {"tail": -1}, {"tail": 61},
        {"tail": float("nan")}, {"settle": None},
    ],
)  # fmt: skip
def test_wrong_options_are_refused_with_their_name(wrong):
    (name,) = wrong
    with pytest.raises(PerformanceError, match=name):
        Performance(**wrong)
