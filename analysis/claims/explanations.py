"""The test about Grad-CAM maps of two groups of classes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.sparse import csr_array, hstack
from scipy.stats import rankdata

from analysis.claims.errors import Names
from analysis.claims.judging import Finding, reported
from analysis.claims.registry import test
from analysis.inference.evidence import ALONE, Evidence, NotTested
from analysis.project.forms import Flag
from analysis.results.records import Reported
from analysis.results.schemas import RANDOM, TRAINED
from analysis.study import Line

Measure = Literal["spread", "area", "offset", "fragments"]


@test(
    "map contrast",
    sentence="The difference in {measure} between the maps of {group} and those of {rest}{among},",
    clause="{group} {has} {more} diffuse Grad-CAM maps than {rest}{among}",
    sides=("above", "below"),
    effect="difference in {measure}",
    unit="standard deviations",
    reports=("contrast", "contrast within classes", "rank correlation with confidence"),
)
def map_contrast(
    evidence: Evidence,
    *,
    classes: Names,
    others: Names | None = None,
    measure: Measure = "spread",
    layer: Line | None = None,
    correct: Flag = False,
) -> Finding:
    """Return how much larger a measure is for the maps of some classes than for those of others.

    On the study's first layer, unless another is named; with ``correct``, of correct predictions
    alone.
    """
    members = evidence.members(classes)
    groups = members, ~members if others is None else evidence.members(others)
    if not evidence.maps:
        raise NotTested(ALONE if evidence.alone else "no maps were measured")
    layer = layer or next(iter(evidence.maps))
    if layer not in evidence.maps:
        raise NotTested(f"no maps of {layer} were measured")
    values = evidence.maps[layer][measure]
    if np.isnan(values).all():
        raise NotTested(f"{measure} is not defined on the maps of {layer}")
    if correct:
        values = np.where(evidence.wrong, np.nan, values)
    return Finding.of(
        contrast(evidence, values, groups), _reported(evidence, layer, measure, values, groups)
    )


def _reported(
    evidence: Evidence,
    layer: str,
    measure: str,
    values: np.ndarray,
    groups: tuple[np.ndarray, np.ndarray],
) -> tuple[Reported, ...]:
    """Return the contrast with random weights, and what a measure goes with inside a class."""
    found = [
        reported(
            "contrast",
            contrast(evidence, maps[layer][measure], groups),
            part=measure,
            layer=layer,
            weights=weights,
        )
        for weights, maps in ((TRAINED, evidence.maps), (RANDOM, evidence.random_maps))
        if layer in maps and not np.isnan(maps[layer][measure]).all()
    ]
    if evidence.repeats > 1:
        found.append(
            reported("contrast within classes", _stratified(evidence, values), part=measure)
        )
    if evidence.confidence is not None:
        found.append(
            reported(
                "rank correlation with confidence",
                _with_confidence(evidence, values),
                part=measure,
            )
        )
    return tuple(found)


def contrast(
    evidence: Evidence, values: np.ndarray, groups: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the mean over one group of images minus that over another, of values (R, N), (1 + B,).

    In standard deviations of single maps within the two groups. Each image has the mean over the
    repeats in which it has a value; an image without any is left out.
    """
    moments = [_moments(evidence, values, group) for group in groups]
    (mean, rest, number), (other_mean, other_rest, other_number) = moments
    deviation = np.sqrt((rest + other_rest) / (number + other_number))
    return (mean - other_mean) / np.where(deviation > 0, deviation, np.nan)


def _moments(
    evidence: Evidence, values: np.ndarray, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean over images of a group, and the squares about it and number over maps."""
    known = ~np.isnan(values) & group
    filled = np.where(known, _centred(values), 0.0)
    maps = known.sum(axis=0)
    mean = filled.sum(axis=0) / np.maximum(maps, 1)
    columns = [mean, maps > 0, filled.sum(axis=0), (filled**2).sum(axis=0), maps]
    total, images, sums, squares, number = evidence.resamples.sums(
        np.stack(columns, axis=1).astype(float)
    ).T
    return total / images, squares - sums**2 / number, number


def _centred(values: np.ndarray) -> np.ndarray:
    """Return values minus their mean, which changes no contrast.

    Their squares are added in single precision, which would lose much of large ones.
    """
    return values - np.nanmean(values, dtype=float)


def _stratified(evidence: Evidence, values: np.ndarray) -> np.ndarray:
    """Return the contrast between images that other repeats get wrong and right, (1 + B,).

    Within classes, with Mantel-Haenszel weights, in standard deviations within a class and group,
    mean over the repeats with maps. It holds the shape of the class fixed: some are thin and some
    are round, however hard they are.
    """
    found = []
    for repeat, value in enumerate(values):
        known = ~np.isnan(value)
        if not known.any():
            continue
        hard = np.delete(evidence.wrong, repeat, axis=0).any(axis=0)
        filled = np.where(known, _centred(value), 0.0)
        parts = [
            evidence.one_hot.multiply(((known & group) * power)[:, None])
            for power in (np.ones_like(filled), filled, filled**2)
            for group in (hard, ~hard)
        ]
        sums = evidence.resamples.sums(csr_array(hstack(parts)))
        number, total, squares = (
            part.reshape(-1, 2, len(evidence.classes)) for part in np.split(sums, 3, axis=1)
        )
        mean = total / np.maximum(number, 1)
        weight = number.prod(axis=1) / np.maximum(number.sum(axis=1), 1)
        difference = (weight * (mean[:, 0] - mean[:, 1])).sum(axis=1) / weight.sum(axis=1)
        rest = (squares - number * mean**2).sum(axis=(1, 2)) / number.sum(axis=(1, 2))
        found.append(difference / np.sqrt(rest))
    return np.mean(found, axis=0)


def _with_confidence(evidence: Evidence, values: np.ndarray) -> np.ndarray:
    """Return the rank correlation of a measure with confidence within a class, (1 + B,).

    Spearman's, pooled over the classes, mean over the repeats with maps. Ranks are those of the
    sample, within each class and centred.
    """
    found = []
    for repeat, value in enumerate(values):
        known = ~np.isnan(value)
        if not known.any() or evidence.confidence is None:
            continue
        ranks = np.zeros((2, len(value)))
        for number in np.unique(evidence.label[known]):
            mine = np.flatnonzero(known & (evidence.label == number))
            for row, each in zip(ranks, (value, evidence.confidence[repeat]), strict=True):
                row[mine] = (rankdata(each[mine]) - (len(mine) + 1) / 2) / len(mine)
        first, second = ranks
        columns = np.stack([first * second, first**2, second**2], axis=1)
        both, one, other = evidence.resamples.sums(columns).T
        found.append(both / np.sqrt(one * other))
    return np.mean(found, axis=0)
