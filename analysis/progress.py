"""How far a long job is and how long it will take, from the work that each step costs."""

from __future__ import annotations

import time
from collections.abc import Callable


class Progress:
    """Says a line as each step ends. ``costs`` is the work of each step, in any unit."""

    def __init__(
        self,
        costs: dict[str, float],
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._costs = dict(costs)
        self._total = sum(costs.values())
        self._say = say
        self._clock = clock
        self._begin = clock()
        self._finished = 0.0

    def done(self, step: str, *, note: str = "") -> None:
        """Say that a step is done; a step that was not planned costs nothing."""
        self._finished += self._costs.pop(step, 0.0)
        share = self._finished / self._total if self._total else 1.0
        line = f"{step:<18} {note:<12} {share:4.0%} done"
        if 0 < share < 1:
            left = (self._clock() - self._begin) * (1 - share) / share
            line += f", {duration(left)} left"
        self._say(line)


def duration(seconds: float) -> str:
    """Return a duration as one would say it: ``80 s``, ``75 min`` or ``1 h 35 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
