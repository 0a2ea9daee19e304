"""How well each class is found and distinguished from the others: precision, recall, F1 and AUROC.

The AUROC is that of the probability of a class on its images against all others. Runs are pooled
within a repeat; precision, recall and F1 are those of the predictions of all repeats together, the
AUROC is the mean over repeats.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import logsumexp

from analysis.inference import statistics
from analysis.inference.calibration import blocks
from analysis.inference.evidence import Evidence, NotTested, one_hot
from analysis.results.schemas import ALL

MEASURES = ("precision", "recall", "F1", "AUROC")
# Logits whose exponentials sum to one, up to this logarithm, are those of probabilities. They are
# taken as they were given, so that equal ones stay equal.
_NORMALISED = 1.1e-3
# Classes whose placements are computed at one time.
_BLOCK = 100
_KINDS = {"class": "str", "measure": "str"} | dict.fromkeys(("value", "low", "high"), "float64")


def table(evidence: Evidence, *, level: float) -> pd.DataFrame:
    """Return the rows of ``classes``: every measure of each class, and its mean over the classes.

    What is not defined is missing: the recall of a class without an image, the precision of one
    that is never predicted.
    """
    found = dict(zip(MEASURES[:3], _shares(evidence), strict=True))
    found["AUROC"] = auroc(evidence)
    parts = []
    for measure, values in found.items():
        known = ~np.isnan(values)
        number = known.sum(axis=1)
        mean = np.where(known, values, 0).sum(axis=1) / np.where(number > 0, number, np.nan)
        whole = np.column_stack([mean, values])
        low, high = statistics.interval(whole[1:], level)
        names = {"class": [ALL, *evidence.classes], "measure": measure}
        parts.append(pd.DataFrame({**names, "value": whole[0], "low": low, "high": high}))
    return pd.concat(parts, ignore_index=True).astype(_KINDS)


def _shares(evidence: Evidence) -> Iterator[np.ndarray]:
    """Yield precision, recall and F1 of each class, (1 + B, K)."""
    images = evidence.by_class(np.ones(len(evidence.label))).astype(float)
    right = evidence.by_class((~evidence.wrong).mean(axis=0)).astype(float)
    every = [one_hot(predicted, len(evidence.classes)) for predicted in evidence.predicted]
    given = evidence.resamples.sums(csr_array(sum(every) / evidence.repeats)).astype(float)
    for part, whole in ((right, given), (right, images), (2 * right, given + images)):
        yield part / np.where(whole > 0, whole, np.nan)


def auroc(evidence: Evidence) -> np.ndarray:
    """Return the AUROC of each class against all others, (1 + B, K).

    The estimate is exact. Its replicates are those of the first order: the weighted means of the
    placements of both kinds of images (DeLong, DeLong and Clarke-Pearson 1988, *Comparing the Areas
    under Two or More Correlated Receiver Operating Characteristic Curves*). They differ from exact
    ones by as much as the product of the errors of both means, and of a thousand classes they take
    a hundredth of the time.
    """
    if evidence.logits is None:
        raise NotTested("the logits are not known")
    classes = len(evidence.classes)
    sums = [_totals(logits) for logits in evidence.logits]
    own = np.zeros(len(evidence.label))
    parts = []
    for start in range(0, classes, _BLOCK):
        chosen = slice(start, min(start + _BLOCK, classes))
        others = np.zeros((len(evidence.label), chosen.stop - start))
        for logits, total in zip(evidence.logits, sums, strict=True):
            scores = logits[:, chosen] - total[:, None]
            for column, score in enumerate(scores.T):
                inside = evidence.label == start + column
                above, below = placements(score[inside], score[~inside])
                own[inside] += above / evidence.repeats
                others[~inside, column] += below / evidence.repeats
        parts.append(evidence.resamples.sums(others))
    every = evidence.resamples.sums(np.ones((len(own), 1))).astype(float)
    images = evidence.by_class(np.ones(len(own))).astype(float)
    rest = every - images
    above = evidence.by_class(own) / np.where(images > 0, images, np.nan)
    below = np.column_stack(parts) / np.where(rest > 0, rest, np.nan)
    # Both are the same on the sample itself.
    return np.clip(above + below - below[0], 0, 1)


def _totals(logits: np.ndarray) -> np.ndarray:
    """Return what logits (N, K) are larger by than logarithms of probabilities, (N,)."""
    parts = [logsumexp(logits[rows].astype(float), axis=1) for rows in blocks(logits)]
    total = np.concatenate(parts)
    return np.where(np.abs(total) < _NORMALISED, 0, total)


def placements(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of negatives below each positive, and of positives above each negative.

    Scores are (P,) and (M,); ties count half. Both have the AUROC as their mean.
    """
    if not len(positive) or not len(negative):
        return np.full(len(positive), np.nan), np.full(len(negative), np.nan)
    order = np.argsort(positive)
    ranked = positive[order]
    lower, upper = (np.searchsorted(ranked, negative, side=side) for side in ("left", "right"))
    counts = [np.bincount(each, minlength=len(positive) + 1) for each in (lower, upper)]
    passed = np.cumsum(counts, axis=1).sum(axis=0)
    below = np.empty(len(positive))
    below[order] = passed[:-1] / (2 * len(negative))
    return below, 1 - (lower + upper) / (2 * len(positive))
