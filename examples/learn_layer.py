"""Learns the faces of two actors from recordings: `python examples/learn_layer.py [FOLDER]`.

Needs the train extra, no data and half a minute. The actors are made up: a synthetic voice speaks
a few lines, and each actor moves by a rig table of their own. With real recordings the folder
`actors` comes from a camera or a rig, and the rest stays the same, or is

    facesdk train --learn actors -o model
"""

import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np

import facesdk
from facesdk.articulation import articulate
from facesdk.datasets.faces import AnnotationFolder, AnnotationWriter
from facesdk.datasets.speech.hibari import Hibari, Speaker
from facesdk.exporters import write_clip
from facesdk.model.rig_table import RigTable
from facesdk.train.heads import LearnConfig, learn

HELLO = Path(__file__).with_name("hello.wav")
STYLES = {
    "ada": {"jawOpen": 1.6, "mouthStretchLeft": 2.0, "mouthStretchRight": 2.0},
    "ben": {"jawOpen": 0.5, "mouthClose": 0.5, "mouthFunnel": 3.0, "mouthPucker": 1.4},
}
"""What each actor does more, or less, than the table that comes with facesdk."""

LINES = (
    "My papa may buy a blue boat, but mama wants more bread.",
    "She sells five new shoes to the old farmer down the road.",
    "Who moved the big window while we were having breakfast?",
    "Nobody ever told me that the valley would be so beautiful.",
    "Keep your feet on the ground, and your head above the water.",
    "Even a very small fire can warm up an empty room.",
)


def table(style: dict[str, float]) -> RigTable:
    """The ARKit table with some controls scaled."""
    file = resources.files("facesdk") / "data" / "tables" / "arkit.json"
    document = json.loads(file.read_text("utf-8"))
    for control, factor in style.items():
        row = document["controls"][control]
        document["controls"][control] = {term: factor * weight for term, weight in row.items()}
    return RigTable.from_json(document)


def record(folder: Path) -> AnnotationFolder:
    """The data set: every actor speaks all lines but one, which is kept for the score."""
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
    """Record, learn, and bake the example line as each actor and as nobody in particular."""
    actors = record(folder / "actors")
    config = LearnConfig(steps=steps, batch=6, crop=120)
    manifest = learn([actors], folder / "model", config=config, log=print)
    model = facesdk.load(manifest.parent)
    for speaker in (None, *STYLES):
        clip = facesdk.bake(HELLO, rig=f"actors:{speaker}" if speaker else "actors", model=model)
        target = folder / f"hello-{speaker or 'anybody'}.json"
        write_clip(clip, target, "json")
        widest = clip.curve("jawOpen").max()
        print(f"{target}: {len(clip)} frames, the jaw opens to {widest:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("learned"))
