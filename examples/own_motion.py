"""Nod on stressed syllables: `python examples/own_motion.py [AUDIO] [FOLDER]`.

A motion part receives the speech units and the pose of head, neck and eyes, and returns both. Here
the units `accent` and `loudness` pitch the head down. The result is written for Live Link (column
`HeadPitch`) and as a glTF head whose head joint turns.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np

import facesdk

HELLO = Path(__file__).with_name("hello.wav")
UNITS = facesdk.Rig.load("units")
HEAD, PITCH = 0, 1
"""Positions in a pose (T, 4, 3): joint head; angle pitch, positive looks down."""


class AccentNod(facesdk.MotionPart):
    """A head that nods by `degrees` where a loud syllable is stressed."""

    moves_pose = True

    def __init__(self, degrees: float = 6.0, *, seconds: float = 0.12, fps: float = 50) -> None:
        """`seconds` is the time constant of the nod, `fps` the rate of the units."""
        self._angle = math.radians(degrees)
        self._rate = 1 - math.exp(-1 / (seconds * fps))
        self.reset()

    def reset(self) -> None:
        """Start again from a head at rest."""
        self._stages = [0.0, 0.0]

    def __call__(self, motion: facesdk.Motion, first: int) -> facesdk.Motion:  # noqa: ARG002
        """Return the motion with the nod added; two low-pass stages keep the head from jerking."""
        stress = motion.units[:, UNITS.index("accent")] * motion.units[:, UNITS.index("loudness")]
        pitch = np.empty(len(stress), np.float32)
        fast, slow = self._stages
        for i, value in enumerate(stress):
            fast += self._rate * (self._angle * float(value) - fast)
            slow += self._rate * (fast - slow)
            pitch[i] = slow
        self._stages = [fast, slow]
        assert motion.pose is not None  # because of moves_pose
        pose = motion.pose.copy()
        pose[:, HEAD, PITCH] += pitch
        return motion._replace(pose=pose)


def main(audio: Path = HELLO, folder: Path = Path()) -> None:
    """Write `<stem>.csv` and `<stem>.glb` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = facesdk.load()
    for rig, format_, extension in (("livelink", "livelink-csv", ".csv"), ("arkit", "glb", ".glb")):
        clip = facesdk.bake(audio, rig=rig, fps=60, seed=1, model=model, motion=[AccentNod()])
        target = folder / (audio.stem + extension)
        facesdk.write_clip(clip, target, format_)
        assert clip.pose is not None
        nod = math.degrees(clip.pose.angles[:, HEAD, PITCH].max())
        print(f"{target}: {len(clip)} frames on {rig}, the head nods by up to {nod:.1f} degrees")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("audio", nargs="?", type=Path, default=HELLO)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
