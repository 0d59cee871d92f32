"""Watch a line: `python examples/watch_line.py [AUDIO] [FOLDER]`.

A picture of the loudest moment from three sides, and where ffmpeg is at hand a film with sound,
of another person than the built-in head's default.
"""

import sys
from pathlib import Path

import facesdk
from facesdk.errors import MissingExtraError
from facesdk.mesh import load_head
from facesdk.render import Look, Shot, images, lighting, write_png, write_video

HELLO = Path(__file__).with_name("hello.wav")


def main(audio: Path = HELLO, folder: Path = Path()) -> None:
    """Write `<stem>.png` and `<stem>.mp4` into a folder."""
    clip = facesdk.bake(audio, fps=30)
    widest = int(clip.curve("jawOpen").argmax())

    still = Shot(Look(lighting=lighting("soft")), views=("front", "three-quarter", "side"))
    (picture,) = images(clip.slice(widest, widest + 1), load_head(detail="high"), still, jobs=1)
    png = folder / f"{audio.stem}.png"
    with png.open("wb") as file:
        write_png(picture, file)
    print(f"{png}: {clip.curve('jawOpen')[widest]:.2f} of the jaw at {widest / clip.fps} s")

    film = folder / f"{audio.stem}.mp4"
    actor = load_head(identity={"age": 60, "sex": "male"})
    try:
        with film.open("wb") as file:
            write_video(clip, file, actor, Shot(Look(size=(384, 384))), audio=audio)
    except MissingExtraError as error:
        film.unlink()
        print(error)
    else:
        print(f"{film}: {float(clip.duration):.1f} s")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
