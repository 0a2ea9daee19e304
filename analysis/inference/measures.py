"""What each map measure distinguishes.

Two questions. Does it distinguish a map that points at the object from one that does not, if the
object's mask is known? And a trained network from one with random weights (Adebayo et al. 2018,
*Sanity Checks for Saliency Maps*)? The answer is an AUROC: 0.5 is guessing, and lower values of
every measure are expected for the first of the two.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.inference import statistics
from analysis.inference.evidence import Evidence
from analysis.results.records import Verdict
from analysis.results.schemas import MEASURES, PASSES

ON_THE_OBJECT, TRAINED = "on the object", "trained"
COLUMNS = ["question", "layer", "measure", "auroc", "low", "high", "yes", "no", "verdict"]


def table(evidence: Evidence, *, level: float, resamples: int) -> pd.DataFrame:
    """Return the rows of ``map_measures``, one for each question, layer and measure with maps."""
    rows = []
    for question, layer, measure, values, yes, others, no in _questions(evidence):
        chosen, rejected = (which & ~np.isnan(v) for which, v in ((yes, values), (no, others)))
        if not (chosen.any(axis=1) & rejected.any(axis=1)).all():
            continue
        area = _auroc(evidence, -values, chosen, -others, rejected, resamples=resamples)
        low, high = (float(end) for end in statistics.interval(area[1:], level))
        counts = int(chosen.sum()), int(rejected.sum())
        rows.append((question, layer, measure, area[0], low, high, *counts, _verdict(low, high)))
    found = pd.DataFrame(rows, columns=COLUMNS)
    kinds = {"auroc": "float64", "low": "float64", "high": "float64", "yes": "int64", "no": "int64"}
    return found.astype({**dict.fromkeys(COLUMNS, "str"), **kinds})


_Question = tuple[str, str, str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _questions(evidence: Evidence) -> Iterator[_Question]:
    """Yield each question with the values and masks, (R, N), of its positive and negative class."""
    for layer, measures in evidence.maps.items():
        for measure in MEASURES:
            values = measures[measure]
            every = np.ones(values.shape, dtype=bool)
            if layer in evidence.pointed:
                pointed = evidence.pointed[layer]
                yield ON_THE_OBJECT, layer, measure, values, pointed == 1, values, pointed == 0
            if layer in evidence.random_maps:
                others = evidence.random_maps[layer][measure]
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
    if low > PASSES:
        return "supported"
    return "refuted" if high < PASSES else "inconclusive"
