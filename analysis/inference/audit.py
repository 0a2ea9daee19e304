"""What readers saw on images that they were shown without label and prediction."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from analysis.inference import suspects
from analysis.inference.evidence import Evidence
from analysis.inference.variants import of_images
from analysis.results.readings import UNREADABLE, UNSEEN
from analysis.results.schemas import AGREED, CONTROL, NONE

_AUDIT = dict.fromkeys(("label", "predicted", "rule", "readings", "agreed"), "str")
_AGREEMENT = {"readers": "str", "kind": "str", "images": "int64"}
_AGREEMENT |= {"share": "float64", "kappa": "float64"}
# Readers disagree on what they see, or none was shown the image.
_NOTHING = -3


def tables(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Return the tables ``audit`` and ``agreement``, which are empty without readings.

    Without images there is nothing to read, and no table.
    """
    if evidence.alone:
        return {}
    return {"audit": _audit(evidence), "agreement": _agreement(evidence)}


def audited(evidence: Evidence) -> Evidence:
    """Return the evidence with the labels that all readers saw.

    Images that all call unreadable are left out; what they do not agree on stays as it is. A single
    reader counts as all.
    """
    seen = _seen(evidence)
    label = np.where(seen >= 0, seen, evidence.label)
    if np.array_equal(label, evidence.label) and not (seen == UNREADABLE).any():
        return evidence
    return of_images(replace(evidence, label=label), seen != UNREADABLE)


def _seen(evidence: Evidence) -> np.ndarray:
    """Return the class that all readers saw, ``UNREADABLE`` or ``_NOTHING``, int (N,)."""
    if not evidence.readings:
        return np.full(len(evidence.label), _NOTHING)
    readings = np.stack(list(evidence.readings.values()))
    same = (readings == readings[0]).all(axis=0) & (readings[0] != UNSEEN)
    return np.where(same, readings[0], _NOTHING)


def _audit(evidence: Evidence) -> pd.DataFrame:
    if not evidence.readings or evidence.index is None:
        return pd.DataFrame(columns=["index", *_AUDIT]).astype({"index": "int64", **_AUDIT})
    readings = np.stack(list(evidence.readings.values()))
    shown = np.flatnonzero((readings != UNSEEN).all(axis=0))
    seen, label = _seen(evidence)[shown], evidence.label[shown]
    predicted = suspects.most_predicted(evidence, shown)
    rule = suspects.names(suspects.by_rule(evidence))[shown]
    # The last name is that of UNREADABLE, which is -1.
    names = np.array([*evidence.classes, "unreadable"], dtype=object)
    own, network, other, unreadable, none = AGREED
    found = pd.DataFrame(
        {
            "index": evidence.index[shown],
            "label": names[label],
            "predicted": names[predicted],
            "rule": np.where(rule == NONE, CONTROL, rule),
            "readings": ["|".join(names[column]) for column in readings[:, shown].T],
            "agreed": np.select(
                [seen == _NOTHING, seen == UNREADABLE, seen == label, seen == predicted],
                [none, unreadable, own, network],
                other,
            ),
        }
    )
    return found.astype(_AUDIT)


def _agreement(evidence: Evidence) -> pd.DataFrame:
    suspected = suspects.suspects(evidence)
    rows = []
    for first, second in combinations(evidence.readings, 2):
        pair = np.stack([evidence.readings[first], evidence.readings[second]])
        both = (pair != UNSEEN).all(axis=0)
        for kind, chosen in (("all", both), ("suspects", both & suspected)):
            one, other = pair[:, chosen]
            if not len(one):
                continue
            with warnings.catch_warnings():
                # Kappa is not defined where both saw one class alone.
                warnings.simplefilter("ignore")
                kappa = cohen_kappa_score(one, other)
            rows.append((f"{first} and {second}", kind, len(one), (one == other).mean(), kappa))
    return pd.DataFrame(rows, columns=list(_AGREEMENT)).astype(_AGREEMENT)
