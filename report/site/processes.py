"""Other programs: run with a limit of time, and ended with all that they started."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run(
    command: Sequence[str],
    *,
    timeout: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Return the exit status of a command and the lines that it printed, without its colours.

    ``timeout`` is in seconds. Raises ``OSError`` if it does not start, and
    ``subprocess.TimeoutExpired`` if it does not end; nothing of it is left running.
    """
    # Not a pipe, which whatever the command leaves running would keep open.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            status = process.wait(timeout)
        finally:
            _stop(process)
        log.seek(0)
        text = _COLOUR.sub("", log.read().decode(errors="replace"))
    lines = ("".join(filter(str.isprintable, line)).strip() for line in text.splitlines())
    return status, [line for line in lines if line]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it started: Jupyter's kernels have sessions of their own."""
    if process.poll() is not None:
        return
    root = psutil.Process(process.pid)
    family = [*root.children(recursive=True), root]
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.terminate()
    for one in psutil.wait_procs(family, timeout=5)[1]:
        one.kill()
    process.wait()
