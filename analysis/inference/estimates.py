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
    columns = _columns(evidence)
    names = pd.DataFrame(list(columns), columns=_KEYS)
    values = np.stack([_averaged(column) for column in columns.values()], axis=1)
    by_repeat = np.stack(list(columns.values()), axis=2)
    every = np.arange(len(evidence.label))
    groups = [(ALL, every)] + [
        (name, np.flatnonzero(evidence.label == number))
        for number, name in enumerate(evidence.classes)
    ]
    tables = []
    for name, images in groups:
        rows = _rows(evidence, values[images], by_repeat[:, images], images, level=level)
        # A class without an image is a row that says so, for accuracy on clean images alone.
        clean = (names["quantity"] == "accuracy") & (names["attack"] == NONE)
        kept = (rows["images"] > 0) | clean
        tables.append(names.assign(**{"class": name}).join(rows)[kept])
    table = pd.concat(tables, ignore_index=True).assign(source="study")
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


def _rows(
    evidence: Evidence,
    values: np.ndarray,
    by_repeat: np.ndarray,
    images: np.ndarray,
    *,
    level: float,
) -> pd.DataFrame:
    """Return estimates of columns (M, C) on some images, by repeat (R, M, C)."""
    number = (~np.isnan(values)).sum(axis=0)
    blank = np.full(values.shape[1], np.nan)
    low, high, value, between = blank.copy(), blank.copy(), blank.copy(), blank.copy()
    repeats = np.zeros(values.shape[1], dtype=int)
    known = np.flatnonzero(number)
    if len(known):
        resampled = evidence.resamples.mean(values[:, known], images)[1:]
        low[known], high[known] = statistics.interval(resampled, level)
        value[known] = np.nanmean(values[:, known], axis=0)
        seen = ~np.isnan(by_repeat[:, :, known])
        total = np.where(seen, by_repeat[:, :, known], 0).sum(axis=1)
        means = total / np.where(seen.any(axis=1), seen.sum(axis=1), np.nan)
        repeats[known] = (~np.isnan(means)).sum(axis=0)
        between[known] = pd.DataFrame(means).std()
    return pd.DataFrame(
        {
            "value": value,
            "low": low,
            "high": high,
            "between_repeats": between,
            "images": number,
            "repeats": repeats,
        }
    )


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
