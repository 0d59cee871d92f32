"""Render a line: `python examples/watch_line.py [AUDIO] [FOLDER]`.

Writes an image of the widest mouth from three sides. With ffmpeg, also writes a video with sound
that shows the built-in head as a different person.
"""

import argparse
import sys
from pathlib import Path

import facesdk
from facesdk.errors import MissingExtraError
from facesdk.mesh import load_head
from facesdk.render import Look, Shot, images, lighting, write_png, write_video

HELLO = Path(__file__).with_name("hello.wav")


def main(audio: Path = HELLO, folder: Path = Path()) -> None:
    """Write `<stem>.png` and `<stem>.mp4` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = facesdk.bake(audio, fps=30)
    widest = int(clip.curve("jawOpen").argmax())

    still = Shot(Look(lighting=lighting("soft")), views=("front", "three-quarter", "side"))
    (image,) = images(clip.slice(widest, widest + 1), load_head(detail="high"), still, jobs=1)
    png = folder / f"{audio.stem}.png"
    with png.open("wb") as file:
        write_png(image, file)
    print(f"{png}: jawOpen {clip.curve('jawOpen')[widest]:.2f} at {float(widest / clip.fps):.2f} s")

    video = folder / f"{audio.stem}.mp4"
    actor = load_head(identity={"age": 60, "sex": "male"})
    try:
        with video.open("wb") as file:
            write_video(clip, file, actor, Shot(Look(size=(384, 384))), audio=audio)
    except MissingExtraError as error:
        video.unlink()
        print(error)
    else:
        print(f"{video}: {float(clip.duration):.1f} s")


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
