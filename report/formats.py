"""How numbers are written."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.verdicts import Beside

LEVELS = 255
NOT_MEASURED = "not measured"


def with_interval(one: Beside, form: str) -> str:
    """Return a value in a form such as ``.2f``, with its interval if it has one."""
    text = f"{one.value:{form}}"
    if one.low is not None and one.high is not None:
        text += f" ({one.low:{form}} to {one.high:{form}})"
    return text.replace("-", "−")


def range_of(numbers: Sequence[int]) -> str:
    """Return the range of whole numbers, or the one that they all are."""
    low, high = min(numbers), max(numbers)
    return thousands(low) if low == high else f"{thousands(low)} to {thousands(high)}"


def per_cent(share: float) -> str:
    """Return a share as per cent with one decimal."""
    return f"{100 * share:.1f}%"


def per_cent_interval(row: pd.Series) -> str:
    """Return the interval of a share, such as ``94.1 to 95.2 %``."""
    return f"{100 * row['low']:.1f} to {100 * row['high']:.1f}%"


def thousands(number: float) -> str:
    """Return a whole number with commas."""
    return f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, plural where it has to be."""
    return f"{thousands(number)} {noun}{'' if number == 1 else 's'}"


def levels(epsilon: float) -> str:
    """Return an ε in [0, 1] pixel units as 8-bit levels."""
    return f"{LEVELS * epsilon:.1f}"
