"""Output files that appear whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from facesdk.files import remove_leftovers, whole_file


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


LONG = ["a" * 255, "é" * 127, "漢" * 85, "n" * 241 + ".json"]


@pytest.mark.parametrize("name", ["line.json", *LONG])
def test_a_file_appears_when_it_is_complete(tmp_path, name):
    with whole_file(tmp_path / name) as file:
        file.write(b"half")
        (part,) = names(tmp_path)
        assert part != name
        assert len(os.fsencode(part)) <= 255
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", ["line.json", *LONG])
def test_an_error_keeps_the_previous_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"as it was")
    with suppress(KeyboardInterrupt), whole_file(tmp_path / name) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"as it was"


@pytest.mark.parametrize("name", ["line.json", *LONG])
def test_leftovers_of_a_killed_process_are_found(tmp_path, name):
    other = tmp_path / ".another.json.0123abcd.part"
    other.write_bytes(b"of somebody else")
    with whole_file(tmp_path / name):
        (part,) = set(tmp_path.iterdir()) - {other}
        copy = Path(part).read_bytes()
    part.write_bytes(copy)
    remove_leftovers([tmp_path / name])
    assert set(tmp_path.iterdir()) == {tmp_path / name, other}


def test_a_copy_that_somebody_is_writing_is_no_leftover(tmp_path):
    target = tmp_path / "line.json"
    with whole_file(target) as one:
        one.write(b"one")
        with whole_file(target) as two:
            two.write(b"two")
            remove_leftovers([target])
            assert len(names(tmp_path)) == 2
        assert target.read_bytes() == b"two"
        remove_leftovers([target])
    assert target.read_bytes() == b"one"
    assert names(tmp_path) == ["line.json"]


def test_writers_and_cleaners_of_one_folder_do_not_disturb_each_other(tmp_path):
    target = tmp_path / "line.json"
    errors, stop = [], threading.Event()

    def clean():
        while not stop.is_set():
            remove_leftovers([target])

    def write(text):
        try:
            for _ in range(60):
                with whole_file(target) as file:
                    file.write(text)
        except OSError as error:
            errors.append(error)

    cleaner = threading.Thread(target=clean)
    writers = [threading.Thread(target=write, args=(b"%d" % i * 5000,)) for i in range(3)]
    cleaner.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    cleaner.join()
    assert not errors
    assert target.stat().st_size == 5000
    assert names(tmp_path) == ["line.json"]


WRITES = """
import sys, time
from facesdk.files import whole_file
with whole_file(sys.argv[1]) as file:
    file.write(b"half")
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_the_copy_of_a_killed_process_is_a_leftover(tmp_path):
    target = tmp_path / "line.json"
    command = [sys.executable, "-c", WRITES, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        remove_leftovers([target])
        assert len(names(tmp_path)) == 1
        process.send_signal(signal.SIGKILL)
    remove_leftovers([target])
    assert names(tmp_path) == []
