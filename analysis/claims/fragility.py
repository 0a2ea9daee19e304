"""Tests about small perturbations, and about confidence under them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.sparse import csr_array, hstack

from analysis.claims.judging import Finding, reported
from analysis.claims.registry import test
from analysis.inference.calibration import scaled_confidence
from analysis.inference.evidence import Evidence, NotTested
from analysis.results.records import Reported
from analysis.results.schemas import AS_GIVEN, FGSM, FGSM_NATIVE, RANDOM_SIGN, SCALED
from analysis.study import Share

Attack = Literal["fgsm", "fgsm-native", "pgd", "random-sign"]


@test(
    "accuracy left",
    sentence="Accuracy under {attack} at ε = {epsilon}, divided by the clean accuracy,",
    clause="accuracy collapses under small perturbations",
    sides=("below",),
    effect="attacked over clean accuracy",
    unit="ratio",
    reports=("accuracy under attack",),
)
def accuracy_left(evidence: Evidence, *, attack: Attack = "fgsm", epsilon: Share) -> Finding:
    """Return the accuracy under attack over the clean accuracy."""
    attacked = evidence.accuracy(attack, epsilon)
    return Finding(
        {"ratio": attacked / evidence.accuracy()},
        _under_attacks(evidence, attack, attacked, epsilon),
        reason=_independent(evidence),
    )


@test(
    "distance from guessing",
    sentence="Accuracy under {attack} at ε = {epsilon}, minus that of guessing,",
    clause="accuracy under the largest perturbation is about that of guessing",
    sides=("within",),
    effect="distance from guessing",
    unit="difference of shares",
    reports=("accuracy under attack",),
)
def distance_from_guessing(
    evidence: Evidence, *, attack: Attack = "fgsm", epsilon: Share
) -> Finding:
    """Return the accuracy under attack minus that of guessing."""
    attacked = evidence.accuracy(attack, epsilon)
    chance = 1 / len(evidence.classes)
    # Fewer right than by guessing: the attack leads to the wrong answer.
    below = "far below guessing" if attacked[0] < chance / 2 else ""
    return Finding(
        {"distance": attacked - chance},
        _under_attacks(evidence, attack, attacked, epsilon),
        reason="; ".join(filter(None, [below, _independent(evidence)])),
    )


@test(
    "accuracy lost",
    sentence="The accuracy lost to {attack} at ε = {epsilon}",
    clause="random signs of the same size cost next to nothing",
    sides=("below",),
    effect="accuracy lost",
    unit="difference of shares",
    reports=("loss under FGSM",),
)
def accuracy_lost(evidence: Evidence, *, attack: Attack = "random-sign", epsilon: Share) -> Finding:
    """Return the accuracy that a perturbation costs."""
    lost = evidence.accuracy() - evidence.accuracy(attack, epsilon)
    fgsm = evidence.accuracy() - evidence.accuracy(FGSM, epsilon)
    return Finding({"loss": lost}, (reported("loss under FGSM", fgsm),))


@test(
    "confidence under attack",
    sentence="At ε = {epsilon}, the AUROC of confidence between right clean predictions and errors "
    "that FGSM made, as given and with temperature scaling,",
    clause="predictions change confidently under attack",
    sides=("below",),
    effect="AUROC of confidence",
    unit="AUROC",
    reports=(
        "median confidence when right",
        "median confidence under attack",
        "mean temperature",
    ),
)
def confidence_under_attack(evidence: Evidence, *, epsilon: Share) -> Finding:
    """Return how well confidence separates right clean predictions from errors that FGSM makes."""
    attacked = evidence.under(FGSM, epsilon)
    if evidence.logits is None or attacked.logits is None:
        raise NotTested("the logits under attack are not known")
    right = ~evidence.wrong
    made = right & (attacked.predicted != evidence.label)
    if not (right.any(axis=1) & made.any(axis=1)).all():
        raise NotTested("no prediction changes under attack")
    parts, medians = {}, []
    plain = np.ones_like(evidence.temperatures)
    for name, temperatures in ((AS_GIVEN, plain), (SCALED, evidence.temperatures)):
        clean = scaled_confidence(evidence.logits, temperatures, evidence.predicted)
        under = scaled_confidence(attacked.logits, temperatures, attacked.predicted)
        parts[name] = np.mean(
            [
                evidence.resamples.auroc(
                    (clean[repeat][right[repeat]], np.flatnonzero(right[repeat])),
                    (under[repeat][made[repeat]], np.flatnonzero(made[repeat])),
                )
                for repeat in range(evidence.repeats)
            ],
            axis=0,
        )
        medians += [
            reported("median confidence when right", np.median(clean[right]), part=name),
            reported("median confidence under attack", np.median(under[made]), part=name),
        ]
    temperature = reported("mean temperature", evidence.temperatures.mean())
    return Finding(parts, (*medians, temperature))


@test(
    "connected flips",
    sentence="Among images of one {noun} that a network gets right, the share that FGSM at the "
    "smallest ε flips of those that other repeats get wrong, minus that of the others,",
    clause="the two failure modes are connected, image by image",
    sides=("above",),
    effect="difference in flips",
    unit="difference of shares",
    reports=("flipped if others err", "flipped if others are right"),
)
def connected_flips(evidence: Evidence) -> Finding:
    """Return how many more images that other repeats get wrong are flipped, within classes.

    Among images that this repeat gets right, under FGSM at the smallest ε; with Mantel-Haenszel
    weights over the classes, mean over repeats.
    """
    if evidence.repeats < 2:
        raise NotTested(f"needs two repeats, not {evidence.repeats}")
    epsilons = [epsilon for attack, epsilon in evidence.attacked if attack == FGSM and epsilon > 0]
    if not epsilons:
        raise NotTested("FGSM was not measured")
    attacked = evidence.under(FGSM, min(epsilons)).predicted
    found, shares = [], []
    for repeat in range(evidence.repeats):
        right = ~evidence.wrong[repeat]
        hard = np.delete(evidence.wrong, repeat, axis=0).any(axis=0)
        flipped = right & (attacked[repeat] != evidence.label)
        chosen = [right & hard, right & ~hard, flipped & hard, flipped & ~hard]
        columns = csr_array(hstack([evidence.one_hot.multiply(each[:, None]) for each in chosen]))
        sums = evidence.resamples.sums(columns).reshape(-1, 2, 2, len(evidence.classes))
        number, flips = sums[:, 0], sums[:, 1]
        weight = number.prod(axis=1) / np.maximum(number.sum(axis=1), 1)
        rates = flips / np.maximum(number, 1)
        total = weight.sum(axis=1)
        found.append((weight * (rates[:, 0] - rates[:, 1])).sum(axis=1) / total)
        shares.append((weight[:, None] * rates).sum(axis=2) / total[:, None])
    hard_share, easy_share = np.mean(shares, axis=0).T
    return Finding(
        {"difference": np.mean(found, axis=0)},
        (
            reported("flipped if others err", hard_share),
            reported("flipped if others are right", easy_share),
        ),
    )


def _under_attacks(
    evidence: Evidence, attack: str, attacked: np.ndarray, epsilon: float
) -> tuple[Reported, ...]:
    """Return the accuracy under the attack, and under others at the same ε if they were made."""
    others = [name for name in (FGSM_NATIVE, RANDOM_SIGN) if (name, epsilon) in evidence.attacked]
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
