"""Errors that every network makes alike and with confidence, whose labels may be wrong.

After Northcutt, Jiang and Chuang (2021), *Confident Learning: Estimating Uncertainty in Dataset
Labels*, in its simplest form. A candidate is only that: nobody has looked at the pictures here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.evidence import Evidence
from analysis.resampling import Resamples
from analysis.verdicts import SURE

# With fewer repeats their agreement says little.
REPEATS = 3


def candidates(evidence: Evidence) -> np.ndarray:
    """Return which images all repeats take for the same other digit, and surely, bool (N,)."""
    if evidence.repeats < REPEATS or evidence.confidence is None:
        return np.zeros(len(evidence.label), dtype=bool)
    same = (evidence.predicted == evidence.predicted[0]).all(axis=0)
    sure = (evidence.confidence >= SURE).all(axis=0)
    return evidence.wrong.all(axis=0) & same & sure


def table(evidence: Evidence) -> pd.DataFrame:
    """Return the rows of ``suspects``: the candidates, and what they are taken for."""
    chosen = candidates(evidence)
    return pd.DataFrame(
        {
            "index": evidence.index[chosen].astype(np.int32),
            "label": evidence.label[chosen].astype(np.uint8),
            "predicted": evidence.predicted[0][chosen].astype(np.uint8),
            "confidence": evidence.confidence[:, chosen].min(axis=0, initial=1).astype(np.float32),
        }
    )


def without(evidence: Evidence, images: np.ndarray) -> Evidence:
    """Return the evidence without some images, and without resamples."""
    kept = np.ones(len(evidence.label), dtype=bool)
    kept[images] = False
    photo = evidence.photo[kept]
    return Evidence(
        label=evidence.label[kept],
        predicted=evidence.predicted[:, kept],
        photo=photo,
        seed=evidence.seed,
        resamples=Resamples(photo, 0, evidence.seed),
    )
