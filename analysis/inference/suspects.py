"""Suspected wrong labels: errors that every network makes alike and with confidence.

After Northcutt, Jiang and Chuang (2021), *Confident Learning: Estimating Uncertainty in Dataset
Labels*, in its simplest form.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Evidence, NotTested
from analysis.results.schemas import CONFIDENT

# With fewer repeats, agreement between them means little.
REPEATS = 3


def suspects(evidence: Evidence) -> np.ndarray:
    """Return which images all repeats take, with confidence, for the same other class, (N,)."""
    if evidence.repeats < REPEATS or evidence.confidence is None:
        return np.zeros(len(evidence.label), dtype=bool)
    same = (evidence.predicted == evidence.predicted[0]).all(axis=0)
    sure = (evidence.confidence >= CONFIDENT).all(axis=0)
    return evidence.wrong.all(axis=0) & same & sure


def table(evidence: Evidence) -> pd.DataFrame:
    """Return the rows of ``suspects``."""
    if evidence.index is None or evidence.confidence is None:
        raise NotTested("the confidence of single predictions is not known")
    chosen, classes = suspects(evidence), np.array(evidence.classes, dtype=object)
    found = pd.DataFrame(
        {
            "index": evidence.index[chosen],
            "label": classes[evidence.label[chosen]],
            "predicted": classes[evidence.predicted[0][chosen]],
            "confidence": evidence.confidence[:, chosen].min(axis=0, initial=1),
        }
    )
    return found.astype({"label": "str", "predicted": "str", "confidence": "float32"})


def without(evidence: Evidence, images: np.ndarray) -> Evidence:
    """Return the evidence without some images, and without resamples."""
    kept = np.ones(len(evidence.label), dtype=bool)
    kept[images] = False
    group = evidence.group[kept]
    return Evidence(
        classes=evidence.classes,
        label=evidence.label[kept],
        predicted=evidence.predicted[:, kept],
        group=group,
        seed=evidence.seed,
        resamples=Resamples(group, 0, evidence.seed),
    )
