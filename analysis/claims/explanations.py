"""The test about Grad-CAM maps of two groups of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array, hstack

from analysis.claims.errors import Names
from analysis.claims.judging import Finding, reported
from analysis.claims.registry import test
from analysis.inference.evidence import Evidence, NotTested
from analysis.results.records import Reported
from analysis.results.schemas import RANDOM, TRAINED

Measure = Literal["spread", "area", "offset", "fragments"]


@test(
    "map contrast",
    sentence="The difference in {measures} between the maps of {classes} and those of {others}, in "
    "each measure{among},",
    clause="{classes} have {more} diffuse maps than {others}{among}",
    sides=("above", "below"),
    effect="difference in diffuseness",
    unit="standard deviations",
    reports=("contrast", "contrast within classes"),
)
def map_contrast(
    evidence: Evidence,
    *,
    classes: Names,
    others: Names,
    measures: Annotated[tuple[Measure, ...], Field(min_length=1)] = ("spread", "area"),
    correct: bool = False,
) -> Finding:
    """Return how much larger some measures are for the maps of one group of classes than another.

    On the first layer; with ``correct``, of correct predictions alone.
    """
    groups = evidence.members(classes), evidence.members(others)
    if not evidence.maps:
        raise NotTested("no maps were measured")
    first, maps = next(iter(evidence.maps.items()))
    if correct:
        kept = {name: np.where(evidence.wrong, np.nan, maps[name]) for name in measures}
        return Finding({name: contrast(evidence, kept[name], groups) for name in measures})
    described = [
        reported("contrast", contrast(evidence, values, groups), part=name, layer=layer, weights=w)
        for w, layers in ((TRAINED, evidence.maps), (RANDOM, evidence.random_maps))
        for layer, found in layers.items()
        for name, values in found.items()
        if (name not in measures or layer != first if w == TRAINED else name in measures)
        and not np.isnan(values).all()
    ]
    described += _within_classes(evidence, maps, measures)
    return Finding(
        {name: contrast(evidence, maps[name], groups) for name in measures}, tuple(described)
    )


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


def _within_classes(
    evidence: Evidence, maps: dict[str, np.ndarray], measures: Sequence[str]
) -> list[Reported]:
    """Return the contrast within classes between images that other repeats get wrong and right.

    It holds the shape of the class fixed: some are thin and some are round, however hard they are.
    """
    if evidence.repeats < 2:
        return []
    return [
        reported("contrast within classes", _stratified(evidence, maps[name]), part=name)
        for name in maps
        if name in measures
    ]


def _stratified(evidence: Evidence, values: np.ndarray) -> np.ndarray:
    """Return the difference over the classes with Mantel-Haenszel weights, (1 + B,).

    In standard deviations within a class and group, mean over repeats.
    """
    found = []
    for repeat, value in enumerate(values):
        hard = np.delete(evidence.wrong, repeat, axis=0).any(axis=0)
        known = ~np.isnan(value)
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
