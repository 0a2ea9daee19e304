"""Ctrl-C, and the polite kill of a batch system, from the first moment of a program on."""

from __future__ import annotations

import os
import signal
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


def _on_each(handler: signal._HANDLER) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell has Ctrl-C ignored by what it starts in the background.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)
