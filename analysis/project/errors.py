"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What is wrong, where, and what to do next, in one or two lines.

    The command line prints the message without a traceback and exits with status 1.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like ``name``, whatever the distance."""
    known = sorted(known)
    if not known:
        return ""
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
