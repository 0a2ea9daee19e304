"""Attributes of the evaluated images as categories: those that were measured, and places in groups.

Numbers are cut at their terciles over the evaluated images.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.project.errors import UserError
from analysis.results.schemas import NONE, UNKNOWN

LOW, MIDDLE, HIGH = THIRDS = ("low", "middle", "high")
ALONE, FIRST, LAST = "alone", "first", "last"
PLACE, LENGTH = "place", "length"
_LONGEST = 4
# Slices are shown in this order, others by name and the unknown ones last.
_ORDER = (ALONE, FIRST, LOW, MIDDLE, LAST, HIGH)


Arrays = dict[str, np.ndarray]


def known(
    rows: pd.DataFrame | None, *, group: np.ndarray, index: np.ndarray, sequence: bool
) -> tuple[Arrays, Arrays]:
    """Return all attributes of images, as text (N,) by name, and the numbers behind them.

    ``rows`` is the table ``attributes``, if there is one. With ``sequence`` the images of a group
    are in reading order. Raises ``UserError`` for an attribute with a name that means another.
    """
    placed = places(group, index) if sequence else {}
    if rows is None:
        return placed, {}
    texts, numbers = measured(rows, index)
    for name in (NONE, *placed):
        if name in texts:
            raise UserError(f"An attribute of the images is called {name!r}: give it another name.")
    return {**placed, **texts}, numbers


def categories(number: np.ndarray) -> np.ndarray:
    """Return the third that each of some numbers (N,) lies in, text (N,)."""
    known = ~np.isnan(number)
    cuts = np.quantile(number[known], [1 / 3, 2 / 3]) if known.any() else [0, 0]
    third = np.array(THIRDS)[np.searchsorted(cuts, number, side="left").clip(max=2)]
    return np.where(known, third, UNKNOWN)


def measured(rows: pd.DataFrame, index: np.ndarray) -> tuple[Arrays, Arrays]:
    """Return the attributes of a table, as text (N,) by name, and the numbers behind them.

    ``index`` (N,) is the position of each evaluated image; an image may have several equal rows.
    """
    rows = rows.drop_duplicates(["index", "attribute"])
    texts: Arrays = {}
    numbers: Arrays = {}
    for name, each in rows.groupby("attribute", sort=False):
        whole = each.set_index("index").reindex(index)
        if each["number"].notna().any():
            numbers[str(name)] = whole["number"].to_numpy(dtype=float)
            texts[str(name)] = categories(numbers[str(name)])
        else:
            text = whole["category"].fillna("").to_numpy(dtype=str)
            texts[str(name)] = np.where(text == "", UNKNOWN, text)
    return texts, numbers


def places(group: np.ndarray, index: np.ndarray) -> Arrays:
    """Return where images (N,) come in their groups and how long these are, text (N,) by name.

    The images of a group are in reading order by ``index``.
    """
    before, after = adjacent(group, index)
    place = np.select(
        [(before < 0) & (after < 0), before < 0, after < 0], [ALONE, FIRST, LAST], MIDDLE
    )
    _, unit, sizes = np.unique(group, return_inverse=True, return_counts=True)
    lengths = np.array([*map(str, range(1, _LONGEST)), f"{_LONGEST}+"])
    return {PLACE: place, LENGTH: lengths[np.minimum(sizes, _LONGEST)[unit] - 1]}


def adjacent(group: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the images before and after each in its group, int (N,), -1 if none.

    The images of a group are in reading order by ``index``.
    """
    order = np.lexsort((index, group))
    same = group[order[1:]] == group[order[:-1]]
    before, after = np.full((2, len(group)), -1)
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after


def slices(values: np.ndarray) -> list[str]:
    """Return the categories that occur among values (N,), in the order in which they are shown."""

    def place(name: str) -> tuple[bool, int, str]:
        known = _ORDER.index(name) if name in _ORDER else len(_ORDER)
        return name == UNKNOWN, known, name

    return sorted(np.unique(values).tolist(), key=place)
