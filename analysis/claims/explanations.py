"""The claims about Grad-CAM maps of easy and of hard digits."""

from __future__ import annotations

import numpy as np

from analysis.claims.judging import Finding, beside
from analysis.evidence import Evidence, NotTested
from analysis.published import EASY, HARD
from analysis.study import CLASSES
from analysis.verdicts import Beside

JUDGED = ("spread", "area")


def explanations(evidence: Evidence) -> Finding:
    """Return how much more diffuse the maps of {8, 9} are than those of {0, 1, 2}."""
    saliency = _saliency(evidence)
    first = next(iter(saliency))
    described = [
        beside(f"{name}, {layer}", contrast(evidence, values))
        for layer, measures in saliency.items()
        for name, values in measures.items()
        if not (layer == first and name in JUDGED) and not np.isnan(values).all()
    ]
    described += [
        beside(f"{name}, {layer}, randomised weights", contrast(evidence, values))
        for layer, measures in evidence.randomised.items()
        for name, values in measures.items()
        if name in JUDGED and not np.isnan(values).all()
    ]
    described += _within_classes(evidence, saliency[first])
    parts = {name: contrast(evidence, saliency[first][name]) for name in JUDGED}
    return Finding(parts, tuple(described))


def explanations_correct(evidence: Evidence) -> Finding:
    """Return the same among the maps of correct predictions."""
    saliency = _saliency(evidence)
    first = next(iter(saliency.values()))
    return Finding(
        {name: contrast(evidence, np.where(evidence.wrong, np.nan, first[name])) for name in JUDGED}
    )


def contrast(evidence: Evidence, values: np.ndarray) -> np.ndarray:
    """Return the mean over {8, 9} minus that over {0, 1, 2} of values (R, N), (1 + B,).

    In standard deviations of single maps within the two groups. Each image has the mean over the
    repeats in which it has a value; an image without any is left out.
    """
    hard, easy = (np.isin(evidence.label, digits) for digits in (HARD, EASY))
    moments = [_moments(evidence, values, group) for group in (hard, easy)]
    (mean_hard, rest_hard, number_hard), (mean_easy, rest_easy, number_easy) = moments
    deviation = np.sqrt((rest_hard + rest_easy) / (number_hard + number_easy))
    return (mean_hard - mean_easy) / np.where(deviation > 0, deviation, np.nan)


def _saliency(evidence: Evidence) -> dict[str, dict[str, np.ndarray]]:
    if not evidence.saliency:
        raise NotTested("there are no maps of single images")
    return evidence.saliency


def _moments(
    evidence: Evidence, values: np.ndarray, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean over images of a group, and the squares about it and number over maps."""
    there = ~np.isnan(values) & group
    filled = np.where(there, _centred(values), 0.0)
    maps = there.sum(axis=0)
    mean = filled.sum(axis=0) / np.maximum(maps, 1)
    columns = [mean, maps > 0, filled.sum(axis=0), (filled**2).sum(axis=0), maps]
    total, images, sums, squares, number = evidence.resamples.sums(
        np.stack(columns, axis=1).astype(float)
    ).T
    return total / images, squares - sums**2 / number, number


def _centred(values: np.ndarray) -> np.ndarray:
    """Return values about their mean, which no contrast changes with.

    Their squares are added in single precision, and of large ones little would be left.
    """
    return values - np.nanmean(values, dtype=float)


def _within_classes(evidence: Evidence, measures: dict[str, np.ndarray]) -> list[Beside]:
    """Return the contrast within classes between images that other repeats get wrong and right.

    It holds the shape of the digit fixed: a 1 is thin and an 8 is round, whatever their difficulty.
    """
    if evidence.repeats < 2:
        return []
    return [
        beside(f"{name}, hard minus easy images of one class", _stratified(evidence, values))
        for name, values in measures.items()
        if name in JUDGED
    ]


def _stratified(evidence: Evidence, values: np.ndarray) -> np.ndarray:
    """Return the difference over the classes, weighted as Mantel and Haenszel do, (1 + B,).

    In standard deviations within a class and group, mean over repeats.
    """
    found = []
    for repeat, value in enumerate(values):
        hard = np.delete(evidence.wrong, repeat, axis=0).any(axis=0)
        there = ~np.isnan(value)
        filled = np.where(there, _centred(value), 0.0)
        strata = np.hstack([evidence.one_hot * (there & group)[:, None] for group in (hard, ~hard)])
        columns = np.hstack([strata, strata * filled[:, None], strata * filled[:, None] ** 2])
        number, total, squares = (
            part.reshape(-1, 2, CLASSES)
            for part in np.split(evidence.resamples.sums(columns), 3, axis=1)
        )
        mean = total / np.maximum(number, 1)
        weight = number.prod(axis=1) / np.maximum(number.sum(axis=1), 1)
        difference = (weight * (mean[:, 0] - mean[:, 1])).sum(axis=1) / weight.sum(axis=1)
        rest = (squares - number * mean**2).sum(axis=(1, 2)) / number.sum(axis=(1, 2))
        found.append(difference / np.sqrt(rest))
    return np.mean(found, axis=0)
