"""What each map measure distinguishes.

Three questions. Does it distinguish a map of one object from the same map with a second object
added? A map from the same map widened? And the maps of a trained network from those of the same
network with random weights (Adebayo et al. 2018, *Sanity Checks for Saliency Maps*)? The answer is
an AUROC: 0.5 is guessing. Where a measure is low for maps of one object, narrow ones, or those of
the trained network, it is above 0.5; for the last, neither direction is expected.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.inference import statistics
from analysis.inference.evidence import Evidence, Maps
from analysis.results.schemas import DOUBLED, LEARNED, MEASURES, NARROW, ONE, WIDENED

COLUMNS = ["question", "layer", "measure", "auroc", "low", "high", "yes", "no"]


def tables(evidence: Evidence, *, level: float, resamples: int) -> dict[str, pd.DataFrame]:
    """Return the table ``map_measures``, or none without maps."""
    if not evidence.maps:
        return {}
    return {"map_measures": table(evidence, level=level, resamples=resamples)}


def table(evidence: Evidence, *, level: float, resamples: int) -> pd.DataFrame:
    """Return the rows of ``map_measures``, one for each question, layer and measure with maps."""
    rows = []
    for question, layer, measure, values, others in _questions(evidence):
        yes, no = ~np.isnan(values), ~np.isnan(others)
        # All maps of a repeat are zero, or the measure is not defined on maps of this size.
        if not (yes.any(axis=1) & no.any(axis=1)).all():
            continue
        area = _auroc(evidence, -values, yes, -others, no, resamples=resamples)
        low, high = (float(end) for end in statistics.interval(area[1:], level))
        counts = int(yes.sum()), int(no.sum())
        rows.append((question, layer, measure, area[0], low, high, *counts))
    found = pd.DataFrame(rows, columns=COLUMNS)
    kinds = {"auroc": "float64", "low": "float64", "high": "float64", "yes": "int64", "no": "int64"}
    return found.astype({**dict.fromkeys(COLUMNS, "str"), **kinds})


def _questions(evidence: Evidence) -> Iterator[tuple[str, str, str, np.ndarray, np.ndarray]]:
    """Yield each question with a measure of the maps to say yes to, and of the others, (R, N)."""
    sources: tuple[tuple[str, Maps], ...] = (
        (ONE, evidence.altered.get(DOUBLED, {})),
        (NARROW, evidence.altered.get(WIDENED, {})),
        (LEARNED, evidence.random_maps),
    )
    for question, others in sources:
        for layer in others:
            for measure in MEASURES:
                values, other = evidence.maps[layer][measure], others[layer][measure]
                if question != LEARNED:
                    # Altered maps are those of a sample, compared with its own maps alone.
                    values = np.where(np.isnan(other), np.nan, values)
                yield question, layer, measure, values, other


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
