"""Suspected wrong labels, by three rules.

Errors that every network makes alike and with confidence, after Northcutt, Jiang and Chuang (2021),
*Confident Learning: Estimating Uncertainty in Dataset Labels*, in its simplest form. Where there is
one network, their own rule: it is surer of the other class than it is, on average, of the images
with that label. And, where the images of a group have an order, groups whose labels were given in
the wrong one: what is predicted is a permutation of the labels, other than the labels themselves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.inference.calibration import scaled_confidence
from analysis.inference.evidence import Evidence, NotTested
from analysis.results.schemas import (
    BOTH_RULES,
    BY_CONFIDENCE,
    BY_ONE_NETWORK,
    BY_PERMUTATION,
    CONFIDENT,
    NONE,
)

# With fewer repeats, agreement between them means little.
REPEATS = 3
# A permutation is far less likely to come about by chance.
PERMUTED_REPEATS = 2


def suspects(evidence: Evidence) -> np.ndarray:
    """Return which images any rule suspects, bool (N,)."""
    return np.any(list(by_rule(evidence).values()), axis=0)


def agreed(evidence: Evidence) -> np.ndarray:
    """Return which images several networks suspect, bool (N,).

    What one network suspects are its own confident errors: without them it would have none.
    """
    return _confident(evidence) | _permuted(evidence)


def by_rule(evidence: Evidence) -> dict[str, np.ndarray]:
    """Return which images each rule suspects, bool (N,)."""
    return {
        BY_CONFIDENCE: _confident(evidence),
        BY_PERMUTATION: _permuted(evidence),
        BY_ONE_NETWORK: _by_one_network(evidence),
    }


def _confident(evidence: Evidence) -> np.ndarray:
    """Return which images all repeats take, with confidence, for the same other class, (N,)."""
    if evidence.repeats < REPEATS or evidence.confidence is None:
        return np.zeros(len(evidence.label), dtype=bool)
    same = (evidence.predicted == evidence.predicted[0]).all(axis=0)
    sure = (evidence.confidence >= CONFIDENT).all(axis=0)
    return evidence.wrong.all(axis=0) & same & sure


def _by_one_network(evidence: Evidence) -> np.ndarray:
    """Return which errors are surer than the mean probability of that class on its images, (N,)."""
    none = np.zeros(len(evidence.label), dtype=bool)
    if evidence.repeats > 1 or evidence.confidence is None or evidence.logits is None:
        return none
    given = scaled_confidence(evidence.logits, np.ones((1, len(none))), evidence.label[None])[0]
    images = np.bincount(evidence.label, minlength=len(evidence.classes))
    mean = np.bincount(evidence.label, given, len(evidence.classes)) / np.maximum(images, 1)
    # Of a class without an image nothing is known.
    threshold = np.where(images > 0, mean, np.inf)[evidence.predicted[0]]
    return evidence.wrong[0] & (evidence.confidence[0] >= threshold)


def _permuted(evidence: Evidence) -> np.ndarray:
    """Return which images change places in groups that enough repeats read in another order, (N,).

    An image is suspected if two of those repeats take it for another class.
    """
    if not evidence.sequence:
        return np.zeros(len(evidence.label), dtype=bool)
    # Sorted by group and class, labels and predictions of a permuted group are equal.
    group = np.unique(evidence.group, return_inverse=True)[1]
    by_label = np.lexsort((evidence.label, group))
    moved = np.zeros(evidence.predicted.shape, dtype=bool)
    for repeat, predicted in enumerate(evidence.predicted):
        by_prediction = np.lexsort((predicted, group))
        differs = evidence.label[by_label] != predicted[by_prediction]
        others = np.bincount(group[by_label], weights=differs) > 0
        moved[repeat] = evidence.wrong[repeat] & ~others[group]
    return moved.sum(axis=0) >= PERMUTED_REPEATS


def most_predicted(evidence: Evidence, images: np.ndarray) -> np.ndarray:
    """Return the class of some images that most repeats predict, the first of several such."""
    votes = np.zeros((len(images), len(evidence.classes)), dtype=np.int64)
    for predicted in evidence.predicted[:, images]:
        votes[np.arange(len(votes)), predicted] += 1
    return votes.argmax(axis=1)


def table(evidence: Evidence) -> pd.DataFrame:
    """Return the rows of ``suspects``."""
    if evidence.index is None or evidence.confidence is None:
        raise NotTested("the confidence of single predictions is not known")
    rules, classes = by_rule(evidence), np.array(evidence.classes, dtype=object)
    chosen = np.flatnonzero(np.any(list(rules.values()), axis=0))
    found = pd.DataFrame(
        {
            "index": evidence.index[chosen],
            "label": classes[evidence.label[chosen]],
            "predicted": classes[most_predicted(evidence, chosen)],
            "confidence": evidence.confidence[:, chosen].min(axis=0, initial=1),
            "rule": names(rules)[chosen],
        }
    )
    texts = dict.fromkeys(("label", "predicted", "rule"), "str")
    return found.astype({**texts, "confidence": "float32"})


def names(rules: dict[str, np.ndarray]) -> np.ndarray:
    """Return the rule that suspects each image, both or none, text (N,)."""
    confident, permuted, one = (
        rules[name] for name in (BY_CONFIDENCE, BY_PERMUTATION, BY_ONE_NETWORK)
    )
    return np.select(
        [confident & permuted, confident, permuted, one],
        [BOTH_RULES, BY_CONFIDENCE, BY_PERMUTATION, BY_ONE_NETWORK],
        NONE,
    )
