"""Worker processes: start them, hand out jobs, take results, end them.

Workers are spawned, never forked, so they behave the same on every system. A spawned worker imports
the main script again. A script must therefore start workers below `if __name__ == "__main__":`;
this module refuses to start them anywhere else.
"""

from __future__ import annotations

import ast
import json
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import spawn
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, BinaryIO, Generic, TypeVar

from .errors import WorkerError

Job = TypeVar("Job")
Result = TypeVar("Result")

Start = Callable[[], Callable[[Job], Iterable[Result]]]
"""Runs once per worker and returns the function that maps each job to its results."""

_log = logging.getLogger(__name__)

_GUARD = (
    'put the code that starts worker processes below `if __name__ == "__main__":`, or pass jobs=1'
)


# ---------------------------------------------------------------------------------- how many


def available_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def default_workers(most: int) -> int:
    """Return one worker per available core, up to `most`; 1 where workers cannot be started."""
    obstacle = _obstacle()
    if obstacle and _is_starting():
        raise WorkerError(obstacle)
    return 1 if obstacle else max(1, min(most, available_cores()))


_MOST_PER_CORE = 4


def useful_workers(wanted: int, most: int | None = None) -> int:
    """Return how many workers to start where a user asked for a number; logs a smaller one.

    More than four per core gain no time and take some 200 MB each. `most` is the number of jobs.
    """
    wanted = wanted if most is None else min(wanted, most)
    useful = min(wanted, _MOST_PER_CORE * available_cores())
    if useful < wanted:
        _log.warning("%d processes were requested; %d are started, four per core", wanted, useful)
    return useful


def check_workers_allowed() -> None:
    """Raise `WorkerError`, with what to do, if this process cannot start workers."""
    if obstacle := _obstacle():
        raise WorkerError(obstacle)


def _obstacle() -> str | None:
    """Return why this process cannot start workers; None if it can."""
    if _is_starting():
        return f"the main script was imported again by a worker process: {_GUARD}"
    if multiprocessing.current_process().daemon:
        return "a worker process cannot start workers of its own; pass jobs=1"
    if line := _unguarded_line():
        script = sys.modules["__main__"].__file__
        return f"{script}, line {line}, would run again in every worker process: {_GUARD}"
    return None


def _is_starting() -> bool:
    """Whether this process is a worker that still imports the main script."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def _unguarded_line() -> int | None:
    """Return the line that the main script is at, if it stands below no `if`."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if getattr(main, "__file__", None) is None or (spec and spec.name.endswith("__main__")):
        return None  # an interactive session and `python -m package` are not imported again
    script: FrameType | None = None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is vars(main) and frame.f_code.co_name == "<module>":
            script = frame
        frame = frame.f_back
    if script is None:
        return None
    line = script.f_lineno
    try:
        with tokenize.open(script.f_code.co_filename) as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return None
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    guarded = any(block.lineno <= line <= (block.end_lineno or 0) for block in blocks)
    return None if guarded else line


# ---------------------------------------------------------------------------------- the pool


class Worker(Generic[Job, Result]):
    """A process that works on one job after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        with _interrupts_blocked():
            self._process.start()
        theirs.close()  # so that the pipe ends with the process
        self.alive = True

    def send(self, job: Job) -> None:
        """Hand over a job. If the process died, `receive` reports it."""
        self.send_pickled(ForkingPickler.dumps(job))

    def send_pickled(self, data: bytes | memoryview) -> None:
        """Hand over an object that is already pickled."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send_bytes(data)

    def receive(self) -> Result:
        """Return the next result, or raise the error of the job, after which the worker ends.

        Raises `WorkerError` if the process died.
        """
        try:
            answer: Any = self.pipe.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None
        if isinstance(answer, _Failure):
            self.alive = False
            raise answer.error
        result: Result = answer
        return result

    def _death(self) -> WorkerError:
        self.alive = False
        self._process.join()
        code = self._process.exitcode
        if code is not None and code > 0:
            return WorkerError(
                f"a worker process ended with exit code {code} while it started; in a script, "
                f"{_GUARD}"
            )
        return WorkerError(
            f"a worker process ended with exit code {code}; is memory short? Fewer jobs need less"
        )

    def terminate(self) -> None:
        """End the process, whatever it is doing, without waiting for it."""
        self._process.terminate()
        self.pipe.close()

    def join(self) -> None:
        """Wait until the process has ended."""
        self._process.join()


class WorkerPool(Generic[Job, Result]):
    """Several workers that run the same function.

    Raises `WorkerError` in a script without a main guard, before anything is started.
    """

    def __init__(self, start: Start[Job, Result], count: int) -> None:
        """`start` runs in every worker; it must be picklable."""
        check_workers_allowed()
        self._start = ForkingPickler.dumps(start)
        self.workers: list[Worker[Job, Result]] = []
        try:
            for _ in range(count):
                self.workers.append(Worker())
            for worker in self.workers:
                worker.send_pickled(self._start)
        except BaseException:
            self.close()
            raise

    def replace(self, worker: Worker[Job, Result]) -> Worker[Job, Result]:
        """Start a new worker in the place of one that died."""
        worker.pipe.close()
        fresh: Worker[Job, Result] = Worker()
        self.workers[self.workers.index(worker)] = fresh
        fresh.send_pickled(self._start)
        return fresh

    def close(self) -> None:
        """End all workers at once, whatever they are doing."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.join()

    def __enter__(self) -> WorkerPool[Job, Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def wait_for_any(workers: Sequence[Worker[Job, Result]]) -> list[Worker[Job, Result]]:
    """Block until some workers have a result or have ended, and return these."""
    ready = set(wait([worker.pipe for worker in workers]))
    return [worker for worker in workers if worker.pipe in ready]


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT while a worker starts, so that only the parent handles Ctrl-C.

    The signal arrives when the block ends. Does nothing on Windows, which cannot block signals.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ------------------------------------------------------------------ one call in a limited process


@dataclass(frozen=True)
class Limits:
    """What a process may use that works on a file of a stranger."""

    seconds: float
    """Of processor time, and six times as many of real time: a busy machine takes longer."""
    memory: int
    """Bytes of address space. Not enforced on Windows."""
    output: int
    """Bytes that it may write."""


def run_limited(
    module: str,
    arguments: Sequence[str],
    output: BinaryIO,
    limits: Limits,
    *,
    without: Sequence[str] = (),
) -> str:
    """Run a module of facesdk as a program with limits, in a process of its own.

    Its standard output goes to a file; its messages are lost, and environment variables in
    `without` are unset. Returns an empty text if it ended well, else how it ended, such as
    "crashed (signal 11)". May be called from scripts without a main guard. Raises `WorkerError` in
    a frozen program.
    """
    if getattr(sys, "frozen", False):  # it would start the program itself
        raise WorkerError(
            "a program frozen into one executable has no Python for a child process; "
            "do this in a program of its own"
        )
    hidden = (*without, "PYTHONPATH", "PYTHONSTARTUP")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    settings = {
        "path": [str(Path(entry).absolute()) for entry in sys.path],
        "module": module,
        "limits": [limits.seconds, limits.memory, limits.output],
    }
    # -P: the current folder may be a stranger's, and Python must not import from it
    command = [spawn.get_executable(), "-P", "-c", _LIMITED, json.dumps(settings), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            code = process.wait(_PATIENCE * limits.seconds)
        except subprocess.TimeoutExpired:
            return f"took more than {_PATIENCE * limits.seconds:g} s"
        finally:
            process.kill()
    if code == _OUT_OF_MEMORY:
        return f"needed more than {limits.memory >> 20} MiB"
    if code == -getattr(signal, "SIGXCPU", 0):
        return f"took more than {limits.seconds:g} s"
    if code < 0:
        return f"crashed (signal {-code})"
    if code > 1 << 16:  # an exception of Windows, such as 0xC0000005
        return f"crashed (code 0x{code:X})"
    return f"ended with exit code {code}" if code else ""


_PATIENCE = 6
_OUT_OF_MEMORY = 77

_LIMITED = f"""
import sys, json
settings = json.loads(sys.argv[1])
sys.path[:] = settings["path"]
from facesdk.processes import limit
limit(*settings["limits"])
try:
    import importlib
    importlib.import_module(settings["module"]).main()
except MemoryError:
    sys.exit({_OUT_OF_MEMORY})
"""


def limit(seconds: float, memory: int, output: int) -> None:
    """Limit this process, as far as the system can; Ctrl-C is left to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        return
    import resource

    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_FSIZE, output),
        (resource.RLIMIT_AS, memory),
    ):
        with suppress(ValueError, OSError):  # macOS refuses some limits
            _, hard = resource.getrlimit(kind)
            allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (allowed, hard))


# -------------------------------------------------------------------------------- in the worker


class _Failure:
    """An error on its way to the parent."""

    def __init__(self, error: Exception) -> None:
        try:
            pickle.loads(pickle.dumps(error))
            self.error = error
        except Exception:
            self.error = WorkerError(f"{type(error).__name__}: {error}")


def _work(pipe: Connection[Any, Any]) -> None:
    """Answer what comes through the pipe until it ends, as it does when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    with suppress(EOFError, ConnectionError):
        start: Start[Any, Any] = pipe.recv()
        try:
            work = start()
            while True:
                for result in work(pipe.recv()):
                    pipe.send(result)
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            pipe.send(_Failure(error))
