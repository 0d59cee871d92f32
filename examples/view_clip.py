"""Play a .glb or .fbx file in the browser: `python examples/view_clip.py [FILE] [AUDIO]`.

Drawn by three.js; install it once with `npm ci --prefix tests/node`. Without a file the example
line is baked. The page is served on this machine only, until Ctrl-C.
"""

import argparse
import sys
import webbrowser
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import facesdk
from facesdk.exporters import write_clip

HERE = Path(__file__).resolve().parent
HELLO = HERE / "hello.wav"
THREE = HERE.parent / "tests" / "node" / "node_modules" / "three"


class Pages(SimpleHTTPRequestHandler):
    """A handler that serves the viewer, three.js and the files to view."""

    def __init__(self, *request, files: dict[str, Path]) -> None:  # type: ignore[no-untyped-def]
        self._files = files
        super().__init__(*request, directory=str(HERE / "viewer"))

    def translate_path(self, path: str) -> str:
        name = path.partition("?")[0].lstrip("/")
        if name in self._files:
            return str(self._files[name])
        if name.startswith("three/") and ".." not in name:
            return str(THREE / name.removeprefix("three/"))
        return super().translate_path(path)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Print nothing."""


def serve(files: dict[str, Path], port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the viewer and of files by name; port 0 is any free one."""
    if not THREE.exists():
        sys.exit("three.js is missing; fetch it with: npm ci --prefix tests/node")
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Pages, files=files))


def main(file: str = "", audio: str = "") -> None:
    """Serve a file and open it in the browser."""
    for path in filter(None, (file, audio)):
        if not Path(path).is_file():
            sys.exit(f"error: {path} does not exist")
    with TemporaryDirectory() as folder:
        shown = Path(file) if file else Path(folder) / "hello.glb"
        sound = Path(audio) if audio or file else HELLO
        if not file:
            write_clip(facesdk.bake(HELLO, fps=60), shown)
        files = {shown.name: shown} | ({sound.name: sound} if sound.name else {})
        with serve(files) as server, suppress(KeyboardInterrupt):
            words = f"?file={quote(shown.name)}"
            words += f"&audio={quote(sound.name)}" if sound.name else ""
            address = f"http://127.0.0.1:{server.server_address[1]}/{words}"
            print(f"{address}  (Ctrl-C ends)", flush=True)
            webbrowser.open(address)
            server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", nargs="?", default="")
    parser.add_argument("audio", nargs="?", default="")
    try:
        main(**vars(parser.parse_args()))
    except (facesdk.FaceSDKError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
