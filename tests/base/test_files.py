"""Output files that appear whole or not at all."""

from __future__ import annotations

import os
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
