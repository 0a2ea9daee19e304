"""Tests about small perturbations, and about confidence under them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, Strict
from scipy.sparse import csr_array

from analysis.claims.errors import confidences, several_repeats
from analysis.claims.judging import Finding, reported
from analysis.claims.registry import test
from analysis.inference.calibration import scaled_confidence
from analysis.inference.certainty import auroc
from analysis.inference.effects import correlation
from analysis.inference.evidence import Attacked, Evidence, NotTested
from analysis.inference.masking import masked
from analysis.project.forms import Flag
from analysis.results.records import Reported
from analysis.results.schemas import FGSM, FGSM_NATIVE, PGD, RANDOM_SIGN
from analysis.study import Share

Attack = Literal["fgsm", "fgsm-native", "pgd", "random-sign"]
Bins = Annotated[int, Strict(), Field(ge=1, le=1000)]


@test(
    "accuracy left",
    sentence="Accuracy under {attack} at ε = {epsilon}, divided by the clean accuracy,",
    clause="accuracy collapses under small perturbations",
    sides=("below",),
    effect="ratio of attacked to clean accuracy",
    unit="ratio",
    reports=("accuracy under attack",),
)
def accuracy_left(evidence: Evidence, *, attack: Attack = "fgsm", epsilon: Share) -> Finding:
    """Return the accuracy under attack over the clean accuracy of the same images."""
    attacked = _accuracy(evidence, attack, epsilon)
    return Finding.of(
        attacked / _clean(evidence, attack, epsilon),
        _under_attacks(evidence, attack, attacked, epsilon),
        reason=_independent(evidence),
    )


@test(
    "distance from guessing",
    sentence="Accuracy under {attack} at ε = {epsilon}, minus that of guessing,",
    clause="accuracy under the largest perturbation is {better} than guessing",
    sides=("above", "below"),
    effect="accuracy minus guessing",
    unit="difference of shares",
    reports=("accuracy under attack",),
)
def distance_from_guessing(
    evidence: Evidence, *, attack: Attack = "fgsm", epsilon: Share
) -> Finding:
    """Return the accuracy under attack minus that of guessing."""
    attacked = _accuracy(evidence, attack, epsilon)
    return Finding.of(
        attacked - 1 / len(evidence.classes),
        _under_attacks(evidence, attack, attacked, epsilon),
        reason=_independent(evidence),
    )


@test(
    "accuracy lost",
    sentence="The accuracy lost to {attack} at ε = {epsilon}",
    clause="{attack} of the same size cost next to nothing",
    sides=("below",),
    effect="accuracy lost",
    unit="difference of shares",
    reports=("loss under FGSM",),
)
def accuracy_lost(evidence: Evidence, *, attack: Attack = "random-sign", epsilon: Share) -> Finding:
    """Return the accuracy that a perturbation costs."""
    lost = _clean(evidence, attack, epsilon) - evidence.accuracy(attack, epsilon)
    fgsm = evidence.accuracy() - _accuracy(evidence, FGSM, epsilon)
    return Finding.of(lost, (reported("loss under FGSM", fgsm),))


@test(
    "confidence under attack",
    sentence="At ε = {epsilon}, the AUROC of confidence{scaling} between right clean predictions "
    "and errors that {attack} made",
    clause="predictions change confidently under attack",
    sides=("below",),
    effect="AUROC of confidence",
    unit="AUROC",
    reports=(
        "median confidence when right",
        "median confidence of clean errors",
        "median confidence under attack",
        "AUROC against clean errors",
        "mean temperature",
    ),
)
def confidence_under_attack(
    evidence: Evidence, *, attack: Attack = "fgsm", epsilon: Share, scaled: Flag = False
) -> Finding:
    """Return how well confidence separates right clean predictions from errors that attacks make.

    Of the images that were attacked; errors that were made on clean images are a third group.
    """
    _unmasked(evidence)
    attacked = evidence.under(attack, epsilon)
    clean, under = confidences(evidence, scaled=scaled), _confidence(evidence, attacked, scaled)
    known = (attacked.predicted >= 0) & ~np.isnan(under)
    right, errors = known & ~evidence.wrong, known & evidence.wrong
    made = right & (attacked.predicted != evidence.label)
    if not (right.any(axis=1) & made.any(axis=1)).any():
        raise NotTested("no prediction changes under attack")
    numbers = [
        reported("median confidence when right", np.median(clean[right])),
        reported("median confidence under attack", np.median(under[made])),
    ]
    if (errors.any(axis=1) & made.any(axis=1)).any():
        numbers += [
            reported("median confidence of clean errors", np.median(clean[errors])),
            reported("AUROC against clean errors", auroc(evidence, under, made, clean, errors)),
        ]
    if scaled:
        numbers.append(reported("mean temperature", evidence.temperatures.mean()))
    return Finding.of(auroc(evidence, clean, right, under, made), tuple(numbers))


@test(
    "connected flips",
    sentence="Among images of one {noun} that a network gets right{fixing}, the share that "
    "{attack} at ε = {epsilon} flips of those that other repeats get wrong, minus that of the "
    "others,",
    clause="images that other networks get wrong are more fragile",
    sides=("above",),
    effect="difference in flips",
    unit="difference of shares",
    reports=("flipped if others err", "flipped if others are right"),
)
def connected_flips(
    evidence: Evidence,
    *,
    epsilon: Share,
    attack: Attack = "fgsm",
    margin: Literal["fixed", "free"] = "fixed",
    bins: Bins = 160,
) -> Finding:
    """Return how many more images that other repeats get wrong are flipped.

    Within classes and, as images that others get wrong are near the boundary of this network too,
    within ``bins`` equal parts of its own margin, the logit of its answer minus the next. With
    Mantel-Haenszel weights over both, mean over repeats. Such images lie in the first few of these
    parts: 40 are too few to hold the margin fixed there, as simulations show.
    """
    several_repeats(evidence, evidence.repeats)
    _unmasked(evidence)
    attacked = evidence.under(attack, epsilon).predicted
    found, shares = [], []
    for repeat in range(evidence.repeats):
        right = ~evidence.wrong[repeat] & (attacked[repeat] >= 0)
        hard = np.delete(evidence.wrong, repeat, axis=0).any(axis=0)
        if not right.any():
            continue
        strata = evidence.label
        if margin == "fixed":
            strata = strata * bins + _parts(_margins(evidence, repeat), right, bins)
        if not np.intersect1d(strata[right & hard], strata[right & ~hard]).size:
            continue
        flipped = right & (attacked[repeat] != evidence.label)
        chosen = [right & hard, right & ~hard, flipped & hard, flipped & ~hard]
        number, flips = _counts(evidence, strata, chosen)
        weight = number.prod(axis=1) / np.maximum(number.sum(axis=1), 1)
        rates = flips / np.maximum(number, 1)
        total = weight.sum(axis=1)
        found.append((weight * (rates[:, 0] - rates[:, 1])).sum(axis=1) / total)
        shares.append((weight[:, None] * rates).sum(axis=2) / total[:, None])
    if not found:
        raise NotTested(
            "no network gets an attacked image right that another gets wrong, with one of the same "
            "class and margin that all get right"
        )
    hard_share, easy_share = np.mean(shares, axis=0).T
    finding = Finding.of(
        np.mean(found, axis=0),
        (
            reported("flipped if others err", hard_share),
            reported("flipped if others are right", easy_share),
        ),
    )
    # Where nearly all flip, no image can be more fragile than another.
    like = "with equal margins " if margin == "fixed" else ""
    limited = f"{easy_share[0]:.1%} of the images {like}that the others get right flip anyway"
    return replace(finding, limit=float(1 - easy_share[0]), limited=limited)


@test(
    "connected classes",
    sentence="Over the {nouns}, the correlation of the error on clean images with the share of "
    "right predictions that {attack} at ε = {epsilon} flips, without the noise of the images,",
    clause="{nouns} that err more are more fragile",
    sides=("above",),
    effect="correlation of error and flips",
    unit="correlation",
)
def connected_classes(evidence: Evidence, *, epsilon: Share, attack: Attack = "fgsm") -> Finding:
    """Return the correlation over the classes of error and of flips among right predictions."""
    attacked = evidence.under(attack, epsilon).predicted
    if len(evidence.classes) < 3:
        raise NotTested("two classes have no order to correlate")
    _unmasked(evidence)
    right = ~evidence.wrong & (attacked >= 0)
    flipped = right & (attacked != evidence.label)
    number = evidence.by_class(right.mean(axis=0))
    flips = evidence.by_class(flipped.mean(axis=0)) / np.where(number > 0, number, np.nan)
    errors = evidence.class_errors
    known = ~np.isnan(errors[0]) & ~np.isnan(flips[0])
    return Finding.of_correlation(correlation(errors[:, known], flips[:, known]))


def _counts(
    evidence: Evidence, strata: np.ndarray, chosen: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many images of each stratum are in two groups and how many flip.

    Both (1 + B, 2, strata), of the strata that occur in both groups: the others have no weight.
    """
    both = np.intersect1d(strata[chosen[0]], strata[chosen[1]])
    column = np.searchsorted(both, strata).clip(max=len(both) - 1)
    known = both[column] == strata
    rows, places, ones = [], [], []
    for number, mask in enumerate(chosen):
        images = np.flatnonzero(mask & known)
        rows.append(images)
        places.append(number * len(both) + column[images])
        ones.append(np.ones(len(images)))
    values = csr_array(
        (np.concatenate(ones), (np.concatenate(rows), np.concatenate(places))),
        shape=(len(strata), len(chosen) * len(both)),
    )
    sums = evidence.resamples.sums(values).reshape(-1, 2, 2, len(both))
    return sums[:, 0], sums[:, 1]


def _margins(evidence: Evidence, repeat: int) -> np.ndarray:
    """Return the logit of each prediction minus the next largest, (N,)."""
    if evidence.logits is None:
        raise NotTested("the logits are not known")
    largest = np.partition(evidence.logits[repeat], -2, axis=1)[:, -2:]
    return largest[:, 1] - largest[:, 0]


def _parts(margin: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """Return the equal part of right predictions that each margin lies in, from 0."""
    cuts = np.quantile(margin[right], np.arange(1, bins) / bins)
    return np.searchsorted(cuts, margin, side="right")


def _confidence(evidence: Evidence, attacked: Attacked, scaled: bool) -> np.ndarray:
    """Return the confidence under attack, (R, N), NaN where it is not known."""
    if not scaled:
        if attacked.confidence is None:
            raise NotTested("the confidence under attack is not known")
        return attacked.confidence
    if attacked.logits is None:
        raise NotTested("the logits under attack are not known")
    return scaled_confidence(
        attacked.logits, evidence.temperatures, np.maximum(attacked.predicted, 0)
    )


def _accuracy(evidence: Evidence, attack: str, epsilon: float) -> np.ndarray:
    """Return the accuracy under an attack that follows gradients, (1 + B,)."""
    if attack != RANDOM_SIGN:
        _unmasked(evidence)
    return evidence.accuracy(attack, epsilon)


def _clean(evidence: Evidence, attack: str, epsilon: float) -> np.ndarray:
    """Return the clean accuracy of the predictions that were attacked, (1 + B,)."""
    if (attack, epsilon) in evidence.published:
        return evidence.accuracy()
    return evidence.mean(evidence.share_of_attacked(~evidence.wrong, attack, epsilon))


def _unmasked(evidence: Evidence) -> None:
    """Raise ``NotTested`` if gradients are masked: a network without them only looks robust."""
    if reason := masked(evidence):
        raise NotTested(f"its gradients are masked: {reason}")


def _under_attacks(
    evidence: Evidence, attack: str, attacked: np.ndarray, epsilon: float
) -> tuple[Reported, ...]:
    """Return the accuracy under the attack, and under others at the same ε if they were made."""
    others = [
        name
        for name in (FGSM, FGSM_NATIVE, PGD, RANDOM_SIGN)
        if name != attack and (name, epsilon) in evidence.attacked
    ]
    return tuple(
        reported("accuracy under attack", values, part=name)
        for name, values in [
            (attack, attacked),
            *((name, evidence.accuracy(name, epsilon)) for name in others),
        ]
    )


def _independent(evidence: Evidence) -> str:
    if not evidence.published:
        return ""
    return "accuracies rounded to three decimals, each resampled by itself"
