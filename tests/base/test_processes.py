"""Worker processes: errors come back, deaths are reported, scripts without a guard are told why."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from worker_jobs import refuses, squares

from facesdk.errors import FaceSDKError, MeshError, WorkerError
from facesdk.processes import (
    Limits,
    WorkerPool,
    available_cores,
    default_workers,
    run_limited,
    useful_workers,
    wait_for_any,
)

ROOT = Path(__file__).resolve().parents[2]


def test_results_come_in_order_and_from_the_worker_that_got_the_job():
    with WorkerPool(partial(squares, 1), 2) as pool:
        pool.workers[0].send(range(3))
        pool.workers[1].send(range(5, 6))
        assert [pool.workers[0].receive() for _ in range(3)] == [1, 2, 5]
        assert wait_for_any(pool.workers) == [pool.workers[1]]
        assert pool.workers[1].receive() == 26


def test_errors_of_a_job_come_back_as_they_were():
    with WorkerPool(partial(squares, 0), 2) as pool:
        pool.workers[0].send(range(13, 14))
        pool.workers[1].send(range(99, 100))
        with pytest.raises(MeshError, match="13 is not allowed"):
            pool.workers[0].receive()
        with pytest.raises(WorkerError, match="UnpicklableError"):
            pool.workers[1].receive()
    with WorkerPool(refuses, 1) as pool, pytest.raises(MeshError, match="no start today"):
        pool.workers[0].receive()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_dead_worker_is_reported_and_can_be_replaced():
    with WorkerPool(partial(squares, 0), 1) as pool:
        (worker,) = pool.workers
        worker.send(range(66, 67))
        with pytest.raises(WorkerError, match=r"exit code -9.*memory"):
            worker.receive()
        assert not worker.alive
        fresh = pool.replace(worker)
        fresh.send(range(2, 3))
        assert fresh.receive() == 4
        assert pool.workers == [fresh]


def test_closing_a_pool_ends_workers_that_are_busy():
    began = time.monotonic()
    with WorkerPool(partial(squares, 0), 2) as pool:
        pool.workers[0].send(range(10**9))
        processes = [worker._process for worker in pool.workers]
    assert all(process.exitcode is not None for process in processes)
    assert time.monotonic() - began < 20


def test_the_error_is_one_of_the_project_and_can_be_pickled():
    error = pickle.loads(pickle.dumps(WorkerError("x")))
    assert isinstance(error, FaceSDKError | RuntimeError)
    assert str(error) == "x"


def test_workers_are_chosen_by_the_cores():
    assert default_workers(1) == 1
    assert default_workers(10_000) == available_cores() >= 1


# ------------------------------------------------------------------- scripts of strangers

CALL = """
from functools import partial
from facesdk.processes import WorkerPool, default_workers
print("default", default_workers(4), flush=True)
with WorkerPool(partial(print, "x"), 2) as pool:
    print("started")
"""


def script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    path = folder / "mine.py"
    path.write_text(text, "utf-8")
    return subprocess.run(
        [sys.executable, str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        "def main():" + CALL.replace("\n", "\n    ") + "\nmain()\n",
        "for _ in range(1):" + CALL.replace("\n", "\n    "),
    ],
)
def test_a_script_without_a_guard_is_refused_before_anything_starts(tmp_path, text):
    done = script(tmp_path, text)
    assert done.returncode == 1
    assert done.stdout == "default 1\n"
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("facesdk.errors.WorkerError: ")
    assert "mine.py, line" in last
    assert 'put the code that starts worker processes below `if __name__ == "__main__":`' in last
    assert "jobs=1" in last


def test_a_script_with_a_guard_starts_workers(tmp_path):
    text = 'if __name__ == "__main__":' + CALL.replace("\n", "\n    ")
    done = script(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("started\n")


def test_a_guard_that_does_not_guard_is_reported_by_the_worker(tmp_path):
    """Only the worker can find out: the parent gets a clear error and does not hang."""
    text = "if True:" + CALL.replace("\n", "\n    ").replace(
        'print("started")', "pool.workers[0].receive()"
    )
    done = script(tmp_path, text)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "a worker process ended with exit code 1 while it started" in last
    assert '`if __name__ == "__main__":`' in last


def test_standard_input_and_interactive_code_need_no_guard():
    done = subprocess.run(
        [sys.executable, "-"],
        input=CALL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------- a limited process


def limited(what, file, *, seconds=120.0, memory=4 << 30, output=1 << 24, **options):
    return run_limited("limited_jobs", [what], file, Limits(seconds, memory, output), **options)


def test_a_limited_process_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("ODD", "set")
    with (tmp_path / "a").open("w+b") as file:
        assert limited("answer", file) == ""
        assert file.seek(0) == 0
        assert file.read() == b"set"
    with (tmp_path / "b").open("w+b") as file:
        assert limited("answer", file, without=["ODD"]) == ""
        file.seek(0)
        assert file.read() == b"unset"


@pytest.mark.parametrize(
    ("what", "end"),
    [
        ("crash", "crashed (signal 6)"),
        ("exit", "ended with exit code 5"),
        ("sleep", "took more than 6 s"),
        ("spin", "took more than"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="names POSIX signals")
def test_the_end_of_a_limited_process_is_told(what, end, tmp_path):
    with (tmp_path / "out").open("wb") as file:
        seconds = 1.0 if what in ("sleep", "spin") else 120.0
        assert limited(what, file, seconds=seconds).startswith(end)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_memory_and_output_are_limited(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        assert limited("memory", file) == "needed more than 4096 MiB"
    with (tmp_path / "b").open("wb") as file:
        assert limited("output", file, output=1 << 20) != ""
    assert (tmp_path / "b").stat().st_size <= 1 << 20


def test_nothing_is_imported_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    (tmp_path / "limited_jobs.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "out").open("wb") as file:
        assert limited("answer", file) == ""


def test_more_processes_than_cores_can_use_are_not_started(caplog):
    assert useful_workers(1) == 1
    assert useful_workers(1000) == 4 * available_cores()
    assert "1000 processes were requested" in caplog.text
    assert useful_workers(1000, 2) == 2
