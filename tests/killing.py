"""Being killed at a chosen moment, which is what a full stop of the machine looks like."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def counter(steps: int) -> Callable[[Callable], Callable]:
    """Return what makes functions count as steps; the process is killed before one too many."""
    left = [steps]

    def counted(step: Callable) -> Callable:
        def with_count(*arguments: object, **options: object) -> object:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return step(*arguments, **options)

        return with_count

    return counted
