"""One rendering of a project at a time: Quarto puts files of every profile next to its pages.

``python -m report`` holds a lock. For a plain ``quarto render`` this file is run as a process that
holds it until that Quarto has ended, however it ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

LOCK, _HOLDER = ".rendering.lock", ".rendering.pid"
# Set for what a rendering starts, which has its turn.
VARIABLE = "RENDERED_BY_REPORT"
_HELD, _BUSY = "held", "busy"


@contextmanager
def taken(folder: Path, *, timeout: float) -> Iterator[None]:
    """Wait for the turn. Raises ``Timeout`` if it does not come in so many seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    with suppress(Timeout):
        lock.acquire(timeout=0)
    if not lock.is_locked:
        print("Waiting for another rendering of this project to end.", file=sys.stderr)
        lock.acquire(timeout=timeout)
    try:
        yield
    finally:
        lock.release()


def take(folder: Path, *, process: int) -> bool:
    """Take the turn until a process has ended, and return whether it was free."""
    folder.mkdir(parents=True, exist_ok=True)
    keeper = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(process)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    assert keeper.stdout is not None
    with keeper.stdout as answer:
        return answer.readline().strip() == _HELD


def _keep(folder: Path, process: int) -> None:
    lock, holder = FileLock(folder / LOCK), folder / _HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        # A preview of Quarto's renders again and again, in one turn.
        own = holder.is_file() and holder.read_text(encoding="ascii") == str(process)
        print(_HELD if own else _BUSY, flush=True)
        return
    holder.write_text(str(process), encoding="ascii")
    print(_HELD, flush=True)
    sys.stdout.close()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(process).wait()
    holder.unlink(missing_ok=True)
    lock.release()


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
