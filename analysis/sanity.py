"""What each saliency measure can tell, so that nobody leans on one that tells nothing.

Two questions. Does it tell a map that points at the digit from one that does not, where the
digit's pixels are known? And does it tell a trained network from one with randomised weights
(Adebayo et al. 2018, *Sanity Checks for Saliency Maps*)? The answer is an AUROC: 0.5 is guessing,
and lower values of every measure stand for a map that is more to the point.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis import statistics
from analysis.estimates import MEASURES
from analysis.evidence import Evidence
from analysis.verdicts import TELLING, Verdict

ON_THE_DIGIT = "on the digit"
TRAINED = "trained"
COLUMNS = ["question", "layer", "measure", "auroc", "low", "high", "yes", "no", "verdict"]


def table(evidence: Evidence, *, level: float, resamples: int) -> pd.DataFrame:
    """Return the rows of ``sanity``, one a question, layer and measure that there are maps for."""
    rows = []
    for question, layer, measure, values, yes, others, no in _questions(evidence):
        chosen, rejected = (there & ~np.isnan(v) for there, v in ((yes, values), (no, others)))
        if not (chosen.any(axis=1) & rejected.any(axis=1)).all():
            continue
        area = _auroc(evidence, -values, chosen, -others, rejected, resamples=resamples)
        low, high = (float(end) for end in statistics.interval(area[1:], level))
        counts = int(chosen.sum()), int(rejected.sum())
        rows.append((question, layer, measure, area[0], low, high, *counts, _verdict(low, high)))
    found = pd.DataFrame(rows, columns=COLUMNS)
    kinds = {"auroc": "float64", "low": "float64", "high": "float64", "yes": "int32", "no": "int32"}
    return found.astype({**dict.fromkeys(COLUMNS, "str"), **kinds})


_Question = tuple[str, str, str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _questions(evidence: Evidence) -> Iterator[_Question]:
    """Give each question with the values (R, N) and members (R, N) of its yes and its no."""
    for layer, measures in evidence.saliency.items():
        for measure in MEASURES:
            values = measures[measure]
            every = np.ones(values.shape, dtype=bool)
            if layer in evidence.pointed:
                pointed = evidence.pointed[layer]
                yield ON_THE_DIGIT, layer, measure, values, pointed == 1, values, pointed == 0
            if layer in evidence.randomised:
                others = evidence.randomised[layer][measure]
                yield TRAINED, layer, measure, values, every, others, every


def _auroc(
    evidence: Evidence,
    values: np.ndarray,
    yes: np.ndarray,
    others: np.ndarray,
    no: np.ndarray,
    *,
    resamples: int,
) -> np.ndarray:
    """Return the AUROC of values, mean over repeats, (1 + B,)."""
    return np.mean(
        [
            evidence.resamples.auroc(
                (values[repeat][yes[repeat]], np.flatnonzero(yes[repeat])),
                (others[repeat][no[repeat]], np.flatnonzero(no[repeat])),
                rows=1 + min(resamples, evidence.resamples.count),
            )
            for repeat in range(evidence.repeats)
        ],
        axis=0,
    )


def _verdict(low: float, high: float) -> Verdict:
    if low > TELLING:
        return "supported"
    return "refuted" if high < TELLING else "inconclusive"
