"""Errors by attribute, and differences between classes with an attribute held fixed.

Images of two classes differ in more than their class. Mantel and Haenszel (1959), *Statistical
Aspects of the Analysis of Data from Retrospective Studies of Disease*, compare them within each
slice of an attribute and average over the slices, with weights n₁n₀/(n₁ + n₀).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.inference import attributes, statistics
from analysis.inference.evidence import Evidence
from analysis.project.errors import UserError, nearest
from analysis.results.schemas import NONE, UNKNOWN

_SLICES = {"attribute": "str", "slice": "str", "images": "int64", "from": "float64"}
_SLICES |= dict.fromkeys(("to", "error", "low", "high"), "float64")
_ADJUSTED = {"class": "str", "attribute": "str"}
_ADJUSTED |= dict.fromkeys(("difference", "low", "high"), "float64")


def tables(evidence: Evidence, *, level: float) -> dict[str, pd.DataFrame]:
    """Return the tables ``slices`` and ``adjusted``, which are empty without attributes."""
    return {
        "slices": _slices(evidence, level=level),
        "adjusted": _adjusted(evidence, level=level),
    }


def fixed_difference(
    evidence: Evidence, members: np.ndarray, others: np.ndarray, *, attribute: str
) -> np.ndarray:
    """Return the error of some images minus that of others, an attribute held fixed, (1 + B,).

    Both are bool (N,). With the attribute "none" it is the plain difference; it is NaN where no
    slice has images of both. Raises ``UserError`` for an attribute that the images do not have.
    """
    inside = _inside(evidence, attribute)
    return _difference(*_counts(evidence, members, inside), *_counts(evidence, others, inside))


def fixed_ratio(
    evidence: Evidence, members: np.ndarray, others: np.ndarray, *, attribute: str
) -> np.ndarray:
    """Return the error of some images over that of others, an attribute held fixed, (1 + B,).

    As ``fixed_difference``; it is NaN where the others have no error in a slice with images of
    both.
    """
    inside = _inside(evidence, attribute)
    wrong, images = _counts(evidence, members, inside)
    other_wrong, other_images = _counts(evidence, others, inside)
    total = _positive(images + other_images)
    above = np.nansum(wrong * other_images / total, axis=1)
    return above / _positive(np.nansum(other_wrong * images / total, axis=1))


def _difference(
    wrong: np.ndarray, images: np.ndarray, other_wrong: np.ndarray, other_images: np.ndarray
) -> np.ndarray:
    total = _positive(images + other_images)
    within = (wrong * other_images - other_wrong * images) / total
    weight = images * other_images / total
    return np.nansum(within, axis=1) / _positive(np.nansum(weight, axis=1))


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)


def _counts(
    evidence: Evidence, chosen: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return errors, mean over repeats, and images of each slice, both (1 + B, slices)."""
    images = np.flatnonzero(chosen)
    within = inside[images].astype(float)
    wrong = evidence.wrong[:, images].mean(axis=0)[:, None] * within
    sums = evidence.resamples.sums(np.hstack([wrong, within]), images).astype(float)
    return sums[:, : inside.shape[1]], sums[:, inside.shape[1] :]


def _inside(evidence: Evidence, attribute: str) -> np.ndarray:
    """Return which slice of an attribute each image is in, bool (N, slices)."""
    values = _values(evidence, attribute)
    return values[:, None] == np.array(attributes.slices(values))


def _values(evidence: Evidence, attribute: str) -> np.ndarray:
    """Return the categories of an attribute, (N,)."""
    if attribute == NONE:
        return np.full(len(evidence.label), NONE)
    if attribute not in evidence.attributes:
        likely = nearest(attribute, evidence.attributes)
        raise UserError(f"there is no attribute {attribute!r}; the nearest is {likely!r}.")
    return evidence.attributes[attribute]


def _slices(evidence: Evidence, *, level: float) -> pd.DataFrame:
    rows = []
    wrong = evidence.wrong.mean(axis=0)
    for attribute, values in evidence.attributes.items():
        numbers = evidence.numbers.get(attribute)
        for name in attributes.slices(values):
            images = np.flatnonzero(values == name)
            ends = [np.nan, np.nan]
            if numbers is not None and name != UNKNOWN:
                ends = [numbers[images].min(), numbers[images].max()]
            error = evidence.resamples.mean(wrong[images, None], images)[:, 0]
            interval = statistics.interval(error[1:], level)
            rows.append((attribute, name, len(images), *ends, error[0], *interval))
    return pd.DataFrame(rows, columns=list(_SLICES)).astype(_SLICES)


def _adjusted(evidence: Evidence, *, level: float) -> pd.DataFrame:
    rows = []
    every = np.ones(len(evidence.label), dtype=bool)
    for attribute in [NONE, *evidence.attributes] if evidence.attributes else []:
        inside = _inside(evidence, attribute)
        all_wrong, all_images = _counts(evidence, every, inside)
        for number, name in enumerate(evidence.classes):
            members = evidence.label == number
            if not members.any():
                continue
            wrong, images = _counts(evidence, members, inside)
            found = _difference(wrong, images, all_wrong - wrong, all_images - images)
            # Without two images to compare there is no difference, in a resample or in all.
            if np.isfinite(found[0]):
                ends = statistics.interval(found[1:], level)
                rows.append((name, attribute, found[0], *ends))
    return pd.DataFrame(rows, columns=list(_ADJUSTED)).astype(_ADJUSTED)
