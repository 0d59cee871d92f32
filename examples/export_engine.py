"""Export a face for a game engine and run it: `python examples/export_engine.py [FOLDER]`.

`Face` is the code that a game needs. It uses only the two exported files: it reads the manifest,
feeds 20 ms of audio per step, keeps the states, and skips the frames before the first sample.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

from facesdk.cli import main as facesdk

HELLO = Path(__file__).with_name("hello.wav")


class Face:
    """One speaker on an exported graph."""

    def __init__(self, manifest: Path) -> None:
        """`manifest` is the exported JSON file."""
        self.facts = json.loads(manifest.read_text("utf-8"))
        self.graph = onnxruntime.InferenceSession(str(manifest.with_name(self.facts["file"])))
        self.states = {
            tensor["name"]: np.zeros([1, *tensor["shape"][1:]], np.float32)
            for tensor in self.facts["inputs"]
            if "next" in tensor
        }
        self.next = {t["next"]: t["name"] for t in self.facts["inputs"] if "next" in t}
        self.delay = self.early = self.facts["delay_steps"][0]

    def controls(self, rig: str) -> list[str]:
        """Return the control names of an exported rig."""
        return next(o["controls"] for o in self.facts["outputs"] if o["name"] == rig)

    def step(self, sound: np.ndarray) -> dict[str, np.ndarray] | None:
        """Return all outputs for one step of audio by name; None during the look-ahead."""
        results = self.graph.run(None, {"audio": sound[None], **self.states})
        named = {o["name"]: r for o, r in zip(self.facts["outputs"], results, strict=True)}
        self.states = {state: named.pop(name) for name, state in self.next.items()}
        self.early -= 1
        return None if self.early >= 0 else {name: r[0, 0] for name, r in named.items()}

    def speak(self, sound: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """Yield one frame per whole 20 ms of audio, the first at its first sample."""
        size = self.facts["step_samples"]
        steps = len(sound) // size
        silence, later = np.zeros(size, np.float32), np.zeros(self.delay * size, np.float32)
        padded = np.concatenate([silence, sound[: steps * size], later])  # starts with silence
        for part in padded.reshape(-1, size)[: steps + self.delay]:
            if (frame := self.step(part)) is not None:
                yield frame


def main(folder: Path = Path()) -> None:
    """Write the graph, run it on a line, and draw the jaw opening."""
    command = ["export-onnx", "-o", str(folder / "face.onnx"), "--rig", "arkit", "--rig", "vrm"]
    if code := facesdk(command):
        sys.exit(code)
    face = Face(folder / "face.json")
    sound, _ = soundfile.read(HELLO, dtype="float32")  # 16 kHz, the manifest's sample rate
    jaw = face.controls("arkit").index("jawOpen")
    for number, frame in enumerate(face.speak(sound)):
        if number % 5 == 0:
            print(f"{number / 50:5.2f} s  {'#' * round(150 * frame['arkit'][jaw])}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    try:
        main(**vars(parser.parse_args()))
    except OSError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
