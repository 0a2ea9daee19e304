"""Tests about errors on clean images: how many, in which classes, and which for which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array, hstack

from analysis.claims.judging import Finding, reported
from analysis.claims.registry import test
from analysis.inference import statistics
from analysis.inference.evidence import Evidence, NotTested
from analysis.inference.suspects import suspects, without
from analysis.results.records import Reported
from analysis.study import Count, Line, Share

Names = Annotated[tuple[Line, ...], Field(min_length=1)]
# Random sets of errors that are left out in place of the suspects.
DRAWS = 20


@test(
    "accuracy",
    sentence="The accuracy{trained}",
    clause="overall accuracy is high",
    sides=("above",),
    effect="accuracy",
    unit="share",
)
def accuracy(evidence: Evidence, *, source: Line | None = None) -> Finding:
    """Return the overall accuracy; with ``source``, of networks trained on its training images."""
    if source is not None and evidence.source != source:
        raise NotTested(f"the networks were not trained on the training split of {source}")
    return Finding({"accuracy": evidence.accuracy()})


@test(
    "error gap",
    sentence="The gap in error between the worst and the best {noun}, chosen on one half of the "
    "groups of images and measured on the other, in the mean over {splits} splits,",
    clause="errors are uneven over the {nouns}",
    sides=("above",),
    effect="gap in error",
    unit="difference of shares",
    reports=(
        "gap on the same images",
        "p of equal errors",
        "without suspects",
        "without random errors",
    ),
)
def error_gap(evidence: Evidence, *, splits: Count = 200) -> Finding:
    """Return the gap between the classes that were worst and best on the other half.

    Choosing and measuring on the same images would find a gap in pure noise.
    """
    errors = class_errors(evidence)
    same = np.nanmax(errors, axis=1) - np.nanmin(errors, axis=1)
    return Finding(
        {"gap": _gap(evidence, splits=splits)},
        (
            reported("gap on the same images", same),
            reported("p of equal errors", heterogeneity(evidence)),
            *_bounds(evidence, lambda kept: {"gap": _gap(kept, splits=DRAWS)}),
        ),
    )


def _gap(evidence: Evidence, *, splits: int) -> np.ndarray:
    gaps = []
    for chosen, measured in _class_errors_in_halves(evidence, splits=splits):
        unknown = np.isnan(chosen)
        worst = np.where(unknown, -np.inf, chosen).argmax(axis=-1)[..., None]
        best = np.where(unknown, np.inf, chosen).argmin(axis=-1)[..., None]
        gap = np.take_along_axis(measured, worst, -1) - np.take_along_axis(measured, best, -1)
        gaps.append(np.where(unknown.all(axis=-1), np.nan, gap[..., 0]))
    return np.nanmean(np.concatenate(gaps), axis=0)


@test(
    "error difference",
    sentence="The error of {each}, minus that of all other {nouns} together,",
    clause="{each} errs {more} than the others",
    sides=("above", "below"),
    effect="error minus that of the others",
    unit="difference of shares",
    reports=("without suspects", "without random errors"),
)
def error_difference(evidence: Evidence, *, classes: Names) -> Finding:
    """Return the error of each class, minus that of the classes that are not named together."""
    return _against_others(evidence, classes, np.subtract)


@test(
    "error ratio",
    sentence="The error of {each}, divided by that of all other {nouns} together,",
    clause="{each} errs {more} than the others",
    sides=("above", "below"),
    effect="error over that of the others",
    unit="ratio",
    reports=("without suspects", "without random errors"),
)
def error_ratio(evidence: Evidence, *, classes: Names) -> Finding:
    """Return the error of each class, over that of the classes that are not named together."""
    return _against_others(evidence, classes, np.divide)


@test(
    "persistence",
    sentence="The rank correlation of the {nouns}' errors between one repeat on half of the groups "
    "of images and another repeat on the other half, corrected for attenuation, in the mean over "
    "{splits} splits, which must also exceed what exchanged groups give (p < {alpha}),",
    clause="the pattern of errors persists across trainings",
    sides=("above",),
    effect="corrected rank correlation",
    unit="correlation",
    reports=(
        "correlation between repeats",
        "correlation of a repeat with itself",
        "p of exchanged groups",
    ),
)
def persistence(evidence: Evidence, *, splits: Count = 200, alpha: Share = 0.05) -> Finding:
    """Return the rank correlation of the classes' errors between repeats, corrected for noise.

    Each repeat on one half of the groups is compared with another repeat on the other half, so that
    no image is in both; the correlation of one repeat with itself over the halves shows how much of
    what is missing from 1 is noise (Spearman 1904).
    """
    if len(evidence.classes) < 3:
        raise NotTested("two classes have no order to correlate")
    if evidence.repeats < 3:
        raise NotTested(f"needs three repeats, not {evidence.repeats}")
    across, within = [], []
    columns = hstack([evidence.one_hot.multiply(wrong[:, None]) for wrong in evidence.wrong])
    both = csr_array(hstack([columns, evidence.one_hot]))
    same = np.eye(evidence.repeats, dtype=bool)
    for halves in evidence.resamples.halves(both, splits=splits):
        orders = [_class_rates(half, evidence) for half in halves]
        pairs = statistics.rank_correlation(orders[0][:, :, :, None], orders[1][:, :, None])
        within.append(pairs[..., same].mean(axis=-1))
        across.append(pairs[..., ~same].mean(axis=-1))
    between, reliability = (np.nanmean(np.concatenate(part), axis=0) for part in (across, within))
    p = _persistence_by_chance(evidence, float(between[0]))
    return Finding(
        {"correlation": between / np.where(reliability > 0, reliability, np.nan)},
        (
            reported("correlation between repeats", between),
            reported("correlation of a repeat with itself", reliability),
            reported("p of exchanged groups", p),
        ),
        met=p < alpha,
    )


@test(
    "confident errors",
    sentence="The share of the errors on clean images made with a confidence of {confidence} or "
    "more",
    clause="many errors on clean images are confident ones",
    sides=("above",),
    effect="share of confident errors",
    unit="share",
)
def confident_errors(evidence: Evidence, *, confidence: Share = 0.9) -> Finding:
    """Return the share of the errors that were made with high confidence."""
    if evidence.confidence is None:
        raise NotTested("the confidence of single predictions is not known")
    sure = evidence.wrong & (evidence.confidence >= confidence)
    return Finding({"share": _share(evidence, sure, evidence.wrong)})


@test(
    "none",
    sentence="Not tested: {reason}",
    clause="",
    sides=(),
    effect="",
    unit="share",
)
def none(evidence: Evidence, *, reason: Line) -> Finding:
    """Raise ``NotTested``: the claim has no threshold."""
    raise NotTested(reason)


def class_errors(evidence: Evidence) -> np.ndarray:
    """Return the error of each class, NaN without an image, (1 + B, K)."""
    number = evidence.by_class(np.ones(len(evidence.label)))
    return evidence.by_class(evidence.wrong.mean(axis=0)) / np.where(number > 0, number, np.nan)


def heterogeneity(evidence: Evidence) -> float:
    """Return the p of the hypothesis of equal errors, by exchanging errors between groups.

    The statistic is the sum of squares between classes; there are as many exchanges as resamples.
    """
    error = evidence.wrong.mean(axis=0)
    classes = len(evidence.classes)
    number = np.maximum(np.bincount(evidence.label, minlength=classes), 1)
    exchange = statistics.Exchange(evidence.group)
    generator = np.random.default_rng([evidence.seed, 4])

    def between(values: np.ndarray) -> float:
        sums = np.bincount(evidence.label, weights=values, minlength=classes)
        return float((sums**2 / number).sum())

    drawn = [between(error[exchange.draw(generator)]) for _ in range(evidence.resamples.count)]
    return p_value(drawn, between(error))


def _against_others(evidence: Evidence, classes: Names, compare: np.ufunc) -> Finding:
    """Return the error of each class, compared with that of the classes that are not named."""

    def effects(found: Evidence) -> dict[str, np.ndarray]:
        others = _error_of(found, _rest(found, classes))
        return {name: compare(_error_of(found, [name]), others) for name in classes}

    return Finding(effects(evidence), _bounds(evidence, effects))


def _rest(evidence: Evidence, classes: Sequence[str]) -> list[str]:
    evidence.members(classes)
    return [name for name in evidence.classes if name not in classes]


def _bounds(
    evidence: Evidence, effects: Callable[[Evidence], dict[str, np.ndarray]]
) -> tuple[Reported, ...]:
    """Return the effects without suspected wrong labels, and without as many other errors.

    Leaving errors out lowers the error by construction, so the first is a bound, and the second
    shows how much of the change is the leaving out alone.
    """
    chosen = np.flatnonzero(suspects(evidence))
    if not len(chosen):
        return ()
    errors = np.flatnonzero(evidence.wrong.all(axis=0))
    generator = np.random.default_rng([evidence.seed, 7])
    drawn = [generator.choice(errors, len(chosen), replace=False) for _ in range(DRAWS)]
    by_chance = [effects(without(evidence, images)) for images in drawn]
    found = []
    for part, left in effects(without(evidence, chosen)).items():
        mean = np.mean([each[part][0] for each in by_chance])
        found.append(reported("without suspects", left[0], part=part))
        found.append(reported("without random errors", mean, part=part))
    return tuple(found)


def _error_of(evidence: Evidence, classes: Sequence[str]) -> np.ndarray:
    """Return the error of some classes together, (1 + B,)."""
    members = evidence.members(classes)
    return _share(
        evidence, evidence.wrong & members, np.broadcast_to(members, evidence.wrong.shape)
    )


def _share(evidence: Evidence, some: np.ndarray, all_: np.ndarray) -> np.ndarray:
    """Return the share of predictions (R, N) that some of all are, (1 + B,)."""
    columns = np.stack([some.mean(axis=0), all_.mean(axis=0)], axis=1)
    sums = evidence.resamples.sums(columns)
    return sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)


def _class_errors_in_halves(
    evidence: Evidence, *, splits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the error of each class in two halves, blocks of (splits, 1 + B, K)."""
    error, classes = evidence.wrong.mean(axis=0), len(evidence.classes)
    both = csr_array(hstack([evidence.one_hot.multiply(error[:, None]), evidence.one_hot]))
    for halves in evidence.resamples.halves(both, splits=splits):
        first, second = (
            half[..., :classes] / np.where(half[..., classes:] > 0, half[..., classes:], np.nan)
            for half in halves
        )
        yield first, second


def _class_rates(sums: np.ndarray, evidence: Evidence) -> np.ndarray:
    """Return the class errors of each repeat, (splits, 1 + B, R, K)."""
    classes = len(evidence.classes)
    wrong, number = sums[..., :-classes], sums[..., -classes:]
    wrong = wrong.reshape(*sums.shape[:2], -1, classes)
    return wrong / np.where(number > 0, number, np.nan)[:, :, None]


def _persistence_by_chance(evidence: Evidence, observed: float) -> float:
    """Return how often classes agree as much between repeats if groups are exchanged, p."""
    exchange = statistics.Exchange(evidence.group)
    generator = np.random.default_rng([evidence.seed, 6])
    _, unit = np.unique(evidence.group, return_inverse=True)
    same = np.eye(evidence.repeats, dtype=bool)
    drawn = []
    for _ in range(evidence.resamples.count):
        wrong = evidence.wrong[:, exchange.draw(generator)]
        inside = generator.permutation(unit.max() + 1)[unit] % 2 == 0
        halves = [
            (wrong[:, half] @ evidence.one_hot[half]) / evidence.one_hot[half].sum(axis=0)
            for half in (inside, ~inside)
        ]
        pairs = statistics.rank_correlation(halves[0][:, None], halves[1][None])
        drawn.append(pairs[~same].mean())
    return p_value(drawn, observed)


def p_value(drawn: Sequence[float] | np.ndarray, observed: float) -> float:
    """Return how often a statistic is as large by chance, the observed one counted among them.

    One that is undefined counts as large: nothing is significant for want of data.
    """
    return float((1 + np.sum(~(np.asarray(drawn) < observed))) / (1 + len(drawn)))
