"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


class UserError(Exception):
    """What is wrong, where, and what to do next, in one or two lines.

    The command line prints the message without a traceback and exits with status 1.
    """


def printable(text: str) -> str:
    """Return a text without what a terminal obeys instead of showing it, but for new lines."""
    # What stands for a byte that is no letter is printed as its number.
    return "".join(
        letter
        for letter in text
        if letter == "\n"
        or unicodedata.category(letter)[0] != "C"
        or "\udc80" <= letter <= "\udcff"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like ``name``, whatever the distance."""
    known = sorted(known)
    if not known:
        return ""
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
