"""Ctrl-C, a terminal that is closed, and the polite kill of a batch system, from the start on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = 130


def expected() -> None:
    """Until ``begin`` is called, end with one line instead of a traceback of what was imported."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, b"Stopped; nothing was done yet.\n")
        os._exit(STATUS)

    _on_each(end)


def begin() -> None:
    """Raise ``KeyboardInterrupt`` from now on."""
    _on_each(signal.default_int_handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` only at the end of what must not be left half done."""
    waiting: list[int] = []
    earlier = {number: signal.getsignal(number) for number in _numbers()}
    _on_each(lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in earlier.items():
            # None is that of a program which Python is a part of.
            if handler is not None:
                signal.signal(number, handler)
    if waiting:
        raise KeyboardInterrupt


def _on_each(handler: signal._HANDLER) -> None:
    for number in _numbers():
        # A shell has Ctrl-C ignored by what it starts in the background, and nohup the hang-up.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _numbers() -> list[signal.Signals]:
    # Windows has no terminal that hangs up.
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
