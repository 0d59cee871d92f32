"""Train an output layer on two actors' faces: `python examples/learn_layer.py [FOLDER]`.

Needs the train extra and half a minute, no data. The actors are synthetic: a synthetic voice reads
a few lines, and each actor has a rig table of their own. For real recordings, put takes from a
camera or a rig into the folder `actors` and run

    facesdk train --learn actors -o model
"""

import argparse
import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np

import facesdk
from facesdk.articulation import articulate
from facesdk.datasets.faces import AnnotationFolder, AnnotationWriter
from facesdk.datasets.speech.hibari import Hibari, Speaker
from facesdk.errors import install_hint
from facesdk.exporters import write_clip
from facesdk.model import RigTable

try:
    import torch

    from facesdk.train.heads import LearnConfig, learn
except ImportError as error:
    sys.exit(f"error: this example needs the 'train' extra ({error}): {install_hint('train')}")

HELLO = Path(__file__).with_name("hello.wav")
STYLES = {
    "ada": {"jawOpen": 1.6, "mouthStretchLeft": 2.0, "mouthStretchRight": 2.0},
    "ben": {"jawOpen": 0.5, "mouthClose": 0.5, "mouthFunnel": 3.0, "mouthPucker": 1.4},
}
"""Factors by which each actor differs from the built-in table."""

LINES = (
    "My papa may buy a blue boat, but mama wants more bread.",
    "She sells five new shoes to the old farmer down the road.",
    "Who moved the big window while we were having breakfast?",
    "Nobody ever told me that the valley would be so beautiful.",
    "Keep your feet on the ground, and your head above the water.",
    "Even a very small fire can warm up an empty room.",
)


def table(style: dict[str, float]) -> RigTable:
    """Return the ARKit table with some controls scaled."""
    file = resources.files("facesdk") / "data" / "tables" / "arkit.json"
    document = json.loads(file.read_text("utf-8"))
    for control, factor in style.items():
        row = document["controls"][control]
        document["controls"][control] = {term: factor * weight for term, weight in row.items()}
    return RigTable.from_json(document)


def record(folder: Path) -> AnnotationFolder:
    """Write and return the data set; the last line of each actor is held out for the score."""
    engine, rng = Hibari(), np.random.default_rng(0)
    writer = AnnotationWriter(folder, rig="arkit", name="actors", license="CC0-1.0")
    for actor, style in STYLES.items():
        face = table(style)
        for i, line in enumerate(LINES):
            samples, phones = engine.speak(engine.tokens(line), Speaker(rng), rng)
            units = articulate(phones, seconds=len(samples) / 16_000)
            clip = facesdk.Clip(face.rig, face(units.values), units.fps)
            split = "test" if i == len(LINES) - 1 else "train"
            writer.add(f"{actor}{i}", samples, clip, subject=actor, split=split)
    return AnnotationFolder(writer.finish())


def main(folder: Path, steps: int = 300) -> None:
    """Record, train, and bake the example line as each actor and speaker-independent."""
    actors = record(folder / "actors")
    config = LearnConfig(steps=steps, batch=6, crop=120)
    manifest = learn([actors], folder / "model", config=config, log=print)
    model = facesdk.load(manifest.parent)
    for speaker in (None, *STYLES):
        clip = facesdk.bake(HELLO, rig=f"actors:{speaker}" if speaker else "actors", model=model)
        target = folder / f"hello-{speaker or 'pivot'}.json"
        write_clip(clip, target, "json")
        widest = clip.curve("jawOpen").max()
        print(f"{target}: {len(clip)} frames, the jaw opens to {widest:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("learned"))
    torch.set_num_threads(1)  # the layers are small: threads would mostly wait for each other
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
