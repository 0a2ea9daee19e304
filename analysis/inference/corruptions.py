"""Accuracy and confidence on corrupted images, with FGSM on the same images.

Runs are pooled within a repeat, repeats are averaged for each image, groups are resampled.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.inference import statistics
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Attacked, Evidence, Tables
from analysis.results.schemas import CORRUPTIONS, FGSM

Outcomes = dict[tuple[str, float], Attacked]
_COLUMNS = {"corruption": "str"} | dict.fromkeys(
    ("strength", "value", "low", "high", "confidence", "low_confidence", "high_confidence"),
    "float64",
)
_COLUMNS |= {"images": "int64"}
# Resamples computed at one time where every prediction has a weight.
_ROWS = 256


def tables(
    stored: Tables, evidence: Evidence, *, level: float, resamples: int
) -> dict[str, pd.DataFrame]:
    """Return the table ``corruption_errors``, or none if no image was corrupted.

    Medians use the first ``resamples`` resamples alone.
    """
    found = outcomes(stored)
    if not found:
        return {}
    every = np.logical_and.reduce([(each.predicted >= 0).all(axis=0) for each in found.values()])
    sample = np.flatnonzero(every)
    clean = Attacked(evidence.predicted, evidence.confidence)
    under = {
        epsilon: each
        for (attack, epsilon), each in sorted(evidence.attacked.items())
        if attack == FGSM and epsilon > 0
    }
    rows = []
    for name in (*CORRUPTIONS, FGSM):
        own = {strength: each for (one, strength), each in found.items() if one == name}
        series = under if name == FGSM else own
        # At strength 0 the images are as they are.
        for strength, outcome in {0.0: clean, **series}.items() if series else ():
            row = _row(evidence, outcome, sample, level=level, resamples=resamples)
            rows.append((name, strength, *row, len(sample)))
    return {"corruption_errors": pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)}


def outcomes(stored: Tables) -> Outcomes:
    """Return what was predicted for corrupted images, by corruption and strength.

    The weakest of a corruption comes first. It is empty if no image was corrupted.
    """
    if not stored.measured("corruptions"):
        return {}
    rows = stored.frame("corruptions").groupby(["corruption", "strength"], sort=False)
    return {
        (str(name), float(strength)): Attacked(
            stored.wide(each, "predicted", missing=-1), stored.wide(each, "confidence")
        )
        for (name, strength), each in rows
    }


def _row(
    evidence: Evidence, outcome: Attacked, sample: np.ndarray, *, level: float, resamples: int
) -> tuple[float, ...]:
    """Return accuracy and median confidence on a sample of images, with their intervals."""
    assert outcome.confidence is not None, "every prediction of a network has a confidence"
    right = (outcome.predicted == evidence.label).mean(axis=0)[sample, None]
    accuracy = evidence.resamples.mean(right, sample)[:, 0]
    first = evidence.resamples.first(resamples)
    row: list[float] = []
    for found in (accuracy, medians(first, outcome.confidence[:, sample], sample)):
        ends = statistics.interval(found[1:, None], level)
        row += [float(found[0]), *(float(end[0]) for end in ends)]
    return tuple(row)


def medians(resamples: Resamples, values: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the median of the values (R, M) of some images, of all repeats together, (1 + B,)."""
    order = np.argsort(values, axis=None)
    ranked, whose = values.ravel()[order], np.tile(images, len(values))[order]
    found = np.empty(1 + resamples.count)
    for start in range(0, len(found), _ROWS):
        rows = slice(start, min(start + _ROWS, len(found)))
        passed = np.cumsum(resamples.of_images(whose, rows), axis=1, dtype=float)
        half = passed[:, -1:] / 2
        # An even number of values has two in the middle.
        lower, upper = (passed < half).sum(axis=1), (passed <= half).sum(axis=1)
        middle = ranked[lower] + ranked[upper.clip(max=len(ranked) - 1)]
        # A resample without any of the images has no median.
        found[rows] = np.where(half[:, 0] > 0, middle / 2, np.nan)
    return found
