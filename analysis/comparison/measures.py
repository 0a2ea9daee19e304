"""Every measure that two studies have in common, with intervals; on the same images, paired."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from analysis.comparison.gate import FEWEST, groups_of_classes
from analysis.comparison.pairs import Pair
from analysis.comparison.records import (
    Interval,
    Measure,
    Name,
)
from analysis.comparison.worst import WorstDifference, least_error, least_paired_error
from analysis.inference import statistics
from analysis.inference.calibration import expected_calibration_error
from analysis.inference.confidence import binned
from analysis.inference.evidence import Attacked, Evidence
from analysis.results.schemas import FGSM, PGD

LEVEL = 0.95


def measures(pair: Pair) -> Iterator[Measure]:
    """Yield every measure that both studies have, those of single classes last."""
    a, b = both = pair.a.evidence, pair.b.evidence
    yield from _of_shares(pair, "accuracy", [(~each.wrong).mean(axis=0) for each in both])
    yield from _worst(pair)
    if a.confidence is not None and b.confidence is not None:
        errors = [calibration_errors(each) for each in both]
        images = [len(each.label) for each in both]
        yield _measure(pair, "calibration error", errors, images, interval=_reflected)
    for attack in (FGSM, PGD):
        for epsilon in sorted(size for name, size in a.attacked if name == attack and size > 0):
            outcomes = [each.attacked.get((attack, epsilon)) for each in both]
            yield from _under(
                pair, "accuracy under attack", outcomes, part=attack, strength=epsilon
            )
    for name, strength in pair.a.corrupted:
        outcomes = [each.corrupted.get((name, strength)) for each in (pair.a, pair.b)]
        yield from _under(
            pair, "accuracy on corrupted images", outcomes, part=name, strength=strength
        )
    numbers = [np.bincount(each.label, minlength=len(a.classes)) for each in both]
    for place in np.flatnonzero(np.minimum(*numbers)):
        errors = [each.class_errors[:, place] for each in both]
        images = [int(each[place]) for each in numbers]
        yield _measure(pair, "error of a class", errors, images, part=a.classes[place])


def calibration_errors(evidence: Evidence) -> np.ndarray:
    """Return the expected calibration error as given, mean over repeats, (1 + B,)."""
    assert evidence.confidence is not None, "asked for only if confidence is known"
    sums = binned(evidence, evidence.confidence, np.arange(len(evidence.label))).astype(float)
    return expected_calibration_error(*np.moveaxis(sums, 2, 0)).mean(axis=1)


def _measure(
    pair: Pair,
    name: Name,
    found: Sequence[np.ndarray],
    images: Sequence[int],
    *,
    part: str = "",
    strength: float | None = None,
    interval: Callable[[np.ndarray], Interval] | None = None,
) -> Measure:
    """Return a measure from the estimates and replicates of A and of B, (1 + B,)."""
    interval = interval or _percentile
    alone = [_within(interval(each), 0) for each in found]
    return Measure(
        measure=name,
        part=part,
        strength=strength,
        images=images[0],
        images_b=images[1],
        a=alone[0],
        b=alone[1],
        difference=_within(interval(found[1] - found[0]), -1) if pair.paired else None,
    )


def _percentile(values: np.ndarray) -> Interval:
    low, high = statistics.interval(values[1:, None], LEVEL)
    return Interval(value=float(values[0]), low=float(low[0]), high=float(high[0]))


def _reflected(values: np.ndarray) -> Interval:
    """Return the basic bootstrap's interval, of an error that resampling makes larger once more."""
    found = _percentile(values)
    value = 2 * found.value - float(np.nanmean(values[1:]))
    return Interval(value=value, low=2 * found.value - found.high, high=2 * found.value - found.low)


def _within(found: Interval, lowest: float) -> Interval:
    """Return an interval of a share, or of a difference, within its limits."""
    value, low, high = np.clip([found.value, found.low, found.high], lowest, 1)
    return Interval(value=value, low=low, high=high)


def _of_shares(
    pair: Pair,
    name: Name,
    values: Sequence[np.ndarray],
    *,
    part: str = "",
    strength: float | None = None,
) -> Iterator[Measure]:
    """Yield the mean of what images have in A and in B, (N,); pairs need images with both."""
    if pair.paired:
        missing = np.isnan(values[0]) | np.isnan(values[1])
        values = [np.where(missing, np.nan, each) for each in values]
    images = [int((~np.isnan(each)).sum()) for each in values]
    if all(images):
        evidences = pair.a.evidence, pair.b.evidence
        found = [each.mean(one) for each, one in zip(evidences, values, strict=True)]
        yield _measure(pair, name, found, images, part=part, strength=strength)


def _under(
    pair: Pair, name: Name, outcomes: Sequence[Attacked | None], *, part: str, strength: float
) -> Iterator[Measure]:
    """Yield the accuracy on attacked or corrupted images, if both studies have it."""
    a, b = outcomes
    if a is not None and b is not None:
        values = [_right(pair.a.evidence, a), _right(pair.b.evidence, b)]
        yield from _of_shares(pair, name, values, part=part, strength=strength)


def _right(evidence: Evidence, outcome: Attacked) -> np.ndarray:
    """Return the share of repeats that are right, of those that have an image, or NaN, (N,)."""
    known = outcome.predicted >= 0
    number = known.sum(axis=0)
    right = (outcome.predicted == evidence.label).sum(axis=0)
    return right / np.where(number > 0, number, np.nan)


def _worst(pair: Pair) -> Iterator[Measure]:
    """Yield the error of the worst class, of those with enough groups in both studies."""
    both = pair.a.evidence, pair.b.evidence
    groups = [groups_of_classes(each) for each in both]
    known = np.flatnonzero(np.minimum(*groups) >= FEWEST)
    if not len(known):
        return
    images = [np.bincount(each.label, minlength=len(each.classes))[known] for each in both]
    errors = [each.class_errors[:, known] for each in both]
    least = [least_error(one[0], number) for one, number in zip(errors, images, strict=True)]
    alone = [
        _within(_bounded(one, np.zeros((len(one), 1)), floor[:, None]), 0)
        for one, floor in zip(errors, least, strict=True)
    ]
    difference = None
    if pair.paired:
        change = both[1].wrong.mean(axis=0) - both[0].wrong.mean(axis=0)
        more, fewer = (
            both[0].by_class(np.maximum(each, 0))[0, known] for each in (change, -change)
        )
        together = np.hypot.outer(least[1], least[0])
        np.fill_diagonal(together, least_paired_error(more, fewer, images[0]))
        difference = _within(_bounded(errors[1], errors[0], together), -1)
    yield Measure(
        measure="error of the worst class",
        images=int(images[0].sum()),
        images_b=int(images[1].sum()),
        a=alone[0],
        b=alone[1],
        difference=difference,
    )


def _bounded(b: np.ndarray, a: np.ndarray, least: np.ndarray) -> Interval:
    known = np.isfinite(b).all(axis=1) & np.isfinite(a).all(axis=1)
    found = WorstDifference(b[known], a[known], least)
    low, high = found.interval(LEVEL)
    return Interval(value=found.value, low=low, high=high)
