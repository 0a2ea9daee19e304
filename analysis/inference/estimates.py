"""Estimates with intervals, from all complete repeats.

The quantity is the expected value for the recipe on such images: folds are pooled within a repeat,
repeats are averaged for each image, groups are resampled. The interval is conditional on the
networks; the standard deviation between repeats is reported with it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from analysis.inference import statistics
from analysis.inference.evidence import Evidence
from analysis.results.published import Published
from analysis.results.schemas import ALL, FGSM, NONE, PGD

_KEYS = ["quantity", "attack", "epsilon", "layer"]
_ORDER = ["source", *_KEYS, "class", "value", "low", "high", "between_repeats", "images", "repeats"]
Columns = dict[tuple[str, str, float, str], np.ndarray]


def estimates(evidence: Evidence, found: Published | None, *, level: float) -> pd.DataFrame:
    """Return the rows of ``estimates`` for a study and for published results, if there are any."""
    tables = []
    for key, values in _columns(evidence).items():
        rows = _rows(evidence, values, level=level).assign(**dict(zip(_KEYS, key, strict=True)))
        # A class without an image is a row that says so, for accuracy on clean images alone.
        clean = key[:2] == ("accuracy", NONE)
        tables.append(rows if clean else rows[rows["images"] > 0])
    # Class by class, and all images first.
    place = {name: number for number, name in enumerate((ALL, *evidence.classes))}
    table = pd.concat(tables).sort_values("class", key=lambda c: c.map(place), kind="stable")
    table = table.assign(source="study")
    if found is not None:
        table = pd.concat([table, _published(found, level)], ignore_index=True)
    return table[_ORDER].astype({"images": "int64", "repeats": "int64", "epsilon": "float64"})


def _columns(evidence: Evidence) -> Columns:
    """Return every quantity as values (R, N), NaN where an image has none."""
    columns: Columns = {("accuracy", NONE, 0.0, NONE): (~evidence.wrong).astype(float)}
    for (attack, epsilon), outcome in evidence.attacked.items():
        right = np.where(outcome.predicted < 0, np.nan, outcome.predicted == evidence.label)
        columns["accuracy", attack, epsilon, NONE] = right
    columns |= _on_the_sample(evidence, columns)
    for layer, measures in evidence.maps.items():
        for measure, values in measures.items():
            # Fragments are not defined on small maps: no value at all rather than missing ones.
            if not np.isnan(values).all():
                columns[measure, NONE, 0.0, layer] = values.astype(float)
    return columns


def _on_the_sample(evidence: Evidence, columns: Columns) -> Columns:
    """Return the accuracy under FGSM and PGD on those images that PGD was run on each time."""
    sizes = [epsilon for attack, epsilon in evidence.attacked if attack == PGD]
    found: Columns = {}
    for attack in (FGSM, PGD):
        for epsilon in [0.0, *sizes] if attack == FGSM else sizes:
            if sizes and (attack, epsilon) in evidence.attacked:
                right = columns["accuracy", attack, epsilon, NONE]
                sampled = ~np.isnan(columns["accuracy", PGD, sizes[0], NONE]).any(axis=0)
                key = ("accuracy on the sample", attack, epsilon, NONE)
                found[key] = np.where(sampled, right, np.nan)
    return found


def _averaged(values: np.ndarray) -> np.ndarray:
    """Return the mean over the repeats that have a value, (N,)."""
    known = ~np.isnan(values)
    number = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _rows(evidence: Evidence, by_repeat: np.ndarray, *, level: float) -> pd.DataFrame:
    """Return the estimates of a quantity (R, N) for all images and for each class."""
    values = _averaged(by_repeat)
    known = ~np.isnan(values)
    images, sums = (
        np.column_stack([evidence.resamples.sums(each[:, None]), evidence.by_class(each)])
        for each in (known.astype(float), np.where(known, values, 0))
    )
    low, high = statistics.interval(sums[1:] / np.where(images[1:] > 0, images[1:], np.nan), level)
    means = np.stack([_means(evidence, each) for each in by_repeat])
    return pd.DataFrame(
        {
            "class": [ALL, *evidence.classes],
            "value": _means(evidence, values),
            "low": low,
            "high": high,
            "between_repeats": pd.DataFrame(means).std(),
            "images": images[0],
            "repeats": (~np.isnan(means)).sum(axis=0),
        }
    )


def _means(evidence: Evidence, values: np.ndarray) -> np.ndarray:
    """Return the mean of values (N,) over all images and over each class, (1 + K,)."""
    known = ~np.isnan(values)
    label, found = evidence.label[known], values[known]
    total = np.insert(np.bincount(label, found, len(evidence.classes)), 0, found.sum())
    number = np.insert(np.bincount(label, minlength=len(evidence.classes)), 0, len(found))
    return total / np.where(number > 0, number, np.nan)


def _published(found: Published, level: float) -> pd.DataFrame:
    """Return the published accuracies, those of the matrix with Wilson's interval.

    One network, and no groups: images are taken as independent.
    """
    matrix = found.matrix
    right = {ALL: np.trace(matrix)} | dict(zip(found.classes, matrix.diagonal(), strict=True))
    total = {ALL: matrix.sum()} | dict(zip(found.classes, matrix.sum(axis=1), strict=True))
    rows = []
    for name, count in right.items():
        low, high = proportion_confint(count, total[name], alpha=1 - level, method="wilson")
        rows.append((NONE, 0.0, name, count / total[name], low, high, total[name]))
    for epsilon, accuracy in found.fgsm.items():
        rows.append((FGSM, epsilon, ALL, accuracy, np.nan, np.nan, matrix.sum()))
    names = ["attack", "epsilon", "class", "value", "low", "high", "images"]
    return pd.DataFrame(rows, columns=names).assign(
        source="published", quantity="accuracy", layer=NONE, between_repeats=np.nan, repeats=1
    )
