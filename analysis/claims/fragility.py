"""The claims about small perturbations, and about confidence under them."""

from __future__ import annotations

import numpy as np

from analysis.calibration import scaled_confidence
from analysis.claims.judging import Finding, beside
from analysis.evidence import FGSM, FGSM_NATIVE, RANDOM_SIGN, Evidence, NotTested
from analysis.published import LARGEST, MIDDLE
from analysis.study import CLASSES
from analysis.verdicts import Beside

CHANCE = 1 / CLASSES


def collapse(evidence: Evidence) -> Finding:
    """Return the accuracy under FGSM at the original's middle ε over the clean accuracy."""
    attacked = evidence.accuracy(FGSM, MIDDLE)
    return Finding(
        {"ratio": attacked / evidence.accuracy()},
        (beside("accuracy under attack", attacked), *_controls(evidence, MIDDLE)),
        reason=_independent(evidence),
    )


def chance(evidence: Evidence) -> Finding:
    """Return how far the accuracy under FGSM at the original's largest ε is from guessing."""
    attacked = evidence.accuracy(FGSM, LARGEST)
    # Fewer right than guessing would have: the attack leads to the wrong answer.
    below = "far below guessing" if attacked[0] < CHANCE / 2 else ""
    return Finding(
        {"distance": attacked - CHANCE},
        (beside("accuracy under attack", attacked), *_controls(evidence, LARGEST)),
        reason="; ".join(filter(None, [below, _independent(evidence)])),
    )


def direction(evidence: Evidence) -> Finding:
    """Return the accuracy that random signs of the middle size cost."""
    lost = evidence.accuracy() - evidence.accuracy(RANDOM_SIGN, MIDDLE)
    fgsm = evidence.accuracy() - evidence.accuracy(FGSM, MIDDLE)
    return Finding({"loss": lost}, (beside("loss under FGSM of the same size", fgsm),))


def confident(evidence: Evidence) -> Finding:
    """Return how well confidence tells right clean predictions from errors that FGSM makes."""
    attacked = evidence.under(FGSM, MIDDLE)
    if evidence.logits is None or attacked.logits is None:
        raise NotTested("the logits under attack are not known")
    right = ~evidence.wrong
    made = right & (attacked.predicted != evidence.label)
    parts, medians = {}, []
    plain = np.ones_like(evidence.temperatures)
    for name, temperatures in (("as given", plain), ("scaled", evidence.temperatures)):
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
            beside(f"median confidence of right predictions, {name}", np.median(clean[right])),
            beside(f"median confidence of errors under attack, {name}", np.median(under[made])),
        ]
    temperature = beside("mean temperature", evidence.temperatures.mean())
    return Finding(parts, (*medians, temperature))


def connected(evidence: Evidence) -> Finding:
    """Return how much oftener images that other repeats get wrong are flipped, within classes.

    Among images that this repeat gets right, under FGSM at the smallest ε; weighted over the
    classes as Mantel and Haenszel do, mean over repeats.
    """
    if evidence.repeats < 2:
        raise NotTested(f"needs two repeats, and there is {evidence.repeats}")
    epsilons = [epsilon for attack, epsilon in evidence.attacked if attack == FGSM and epsilon > 0]
    if not epsilons:
        raise NotTested("FGSM was not measured")
    attacked = evidence.under(FGSM, min(epsilons)).predicted
    found, shares = [], []
    for repeat in range(evidence.repeats):
        right = ~evidence.wrong[repeat]
        hard = np.delete(evidence.wrong, repeat, axis=0).any(axis=0)
        flipped = right & (attacked[repeat] != evidence.label)
        groups = (right & hard, right & ~hard)
        chosen = [*groups, *(flipped & group for group in groups)]
        columns = np.hstack([evidence.one_hot * each[:, None] for each in chosen])
        sums = evidence.resamples.sums(columns).reshape(-1, 2, 2, CLASSES)
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
            beside("flipped, of those that other repeats get wrong", hard_share),
            beside("flipped, of those that other repeats get right", easy_share),
        ),
    )


def aggregate(evidence: Evidence) -> Finding:
    """Raise ``NotTested``: the claim is described, run by run, and has no threshold."""
    raise NotTested("a description over runs, without a threshold")


def imperceptible(evidence: Evidence) -> Finding:
    """Raise ``NotTested``: nobody has looked."""
    raise NotTested("there were no observers; sizes and similarities are shown instead")


def _controls(evidence: Evidence, epsilon: float) -> tuple[Beside, ...]:
    """Return the accuracies of the other attacks at an ε, those that were made."""
    names = {FGSM_NATIVE: "FGSM on native pixels", RANDOM_SIGN: "random signs"}
    return tuple(
        beside(f"accuracy under {name}", evidence.accuracy(attack, epsilon))
        for attack, name in names.items()
        if (attack, epsilon) in evidence.attacked
    )


def _independent(evidence: Evidence) -> str:
    if not evidence.published:
        return ""
    return "accuracies rounded to three decimals, each resampled by itself"
