"""How numbers, lists and verdicts are written; what is undefined is a dash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import pandas as pd

from analysis.results.records import Unit, Verdict
from analysis.results.schemas import FGSM, FGSM_NATIVE, LEVELS, PGD, RANDOM_SIGN

NOT_MEASURED = "not measured"
UNDEFINED = "–"
ATTACK_NAMES = {
    FGSM: "FGSM",
    FGSM_NATIVE: "FGSM on native pixels",
    PGD: "PGD",
    RANDOM_SIGN: "random signs of the same size",
}
_Numbers = TypeVar("_Numbers", float, pd.Series)
_ALL_BUT_SURE = 0.9995
# An AUROC at which confidence distinguishes nothing.
EVEN = 0.5
_FORMS = {"ratio": ".2f", "correlation": ".2f", "standard deviations": ".2f", "AUROC": ".3f"}
# Shapes that say the same without colour.
SHAPES: dict[Verdict, str] = {
    "holds": "●",
    "does not hold": "✕",
    "undecided": "◐",
    "not tested": "○",
}


def listed(parts: Sequence[str]) -> str:
    """Return parts as a list in words."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def thousands(number: float) -> str:
    """Return a whole number with commas."""
    return f"{number:,.0f}"


def counted(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun, in the plural if there are several."""
    return f"{thousands(number)} {noun if number == 1 else nouns or noun + 's'}"


def range_of(numbers: Sequence[int]) -> str:
    """Return the range of whole numbers, or the one that they all are."""
    low, high = min(numbers), max(numbers)
    return thousands(low) if low == high else f"{thousands(low)} to {thousands(high)}"


def fixed(value: float, form: str) -> str:
    """Return a value in a form such as ``.2f``, with a minus sign and none before zero."""
    if math.isnan(value):
        return UNDEFINED
    return f"{value:z{form}}".replace("-", "−")


def between(value: float, low: float | None, high: float | None, form: str) -> str:
    """Return a value with its interval in parentheses, if it has one; ``form`` as for number."""
    if low is None or high is None or any(map(math.isnan, (value, low, high))):
        return number(value, form)
    return f"{number(value, form)} ({number(low, form)} to {number(high, form)})"


def per_cent(share: float) -> str:
    """Return a share as per cent with one decimal."""
    return UNDEFINED if math.isnan(share) else f"{100 * share:.1f}%"


def confidence(value: float) -> str:
    """Return a confidence as per cent, with a second decimal where one would round it to 100."""
    return f"{100 * value:.2f}%" if value >= _ALL_BUT_SURE else per_cent(value)


def share_interval(row: pd.Series) -> str:
    """Return the interval of a share, such as ``94.1 to 95.2%``."""
    return f"{fixed(100 * row['low'], '.1f')} to {per_cent(row['high'])}"


def share_with_interval(row: pd.Series, name: str = "value") -> str:
    """Return a share with its interval, if it has one."""
    text = per_cent(row[name])
    return text if math.isnan(row["low"]) else f"{text} ({share_interval(row)})"


def in_levels(epsilon: _Numbers) -> _Numbers:
    """Return an ε in [0, 1] pixel units, or a column of them, in 8-bit levels.

    It is rounded, so that texts and axes make the same of a half.
    """
    return round(LEVELS * epsilon, 4)


def levels(epsilon: float) -> str:
    """Return an ε in [0, 1] pixel units as 8-bit levels, in words."""
    return f"{in_levels(epsilon):.1f}"


def number(value: float, form: str) -> str:
    """Return a value in the form of its unit, or in a form such as ``.2f``.

    Differences of shares are in percentage points.
    """
    if form in ("share", "difference of shares"):
        sign = "%" if form == "share" and not math.isnan(value) else ""
        return fixed(100 * value, ".1f") + sign
    return fixed(value, _FORMS.get(form, form))


def unit_name(unit: Unit) -> str:
    """Return the unit as it follows a number, with a space before it."""
    named = {"difference of shares": "percentage points"}
    return f" {named.get(unit, unit)}" if unit.endswith(("shares", "deviations")) else ""


def mark(verdict: Verdict) -> str:
    """Return a verdict as a shape and a word."""
    return f"{SHAPES[verdict]} {verdict}"
