"""How confidence relates to being right: four tables, as given and with temperature scaling.

Rows of a repeat are pooled over its folds, repeats are averaged, photos are resampled.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import statistics
from analysis.calibration import bins_of, expected_calibration_error, scaled_confidence
from analysis.evidence import FGSM, Evidence
from analysis.published import MIDDLE
from analysis.study import CLASSES

BINS = 10
# Finer, as these are looked at rather than compared.
HISTOGRAM_BINS = 20
KEPT = np.linspace(0.02, 1, 50)
ALL = "all"
GROUPS = [ALL, *map(str, range(CLASSES))]
_ROWS = 256


def tables(evidence: Evidence, *, level: float, resamples: int) -> dict[str, pd.DataFrame]:
    """Return ``reliability``, ``calibration``, ``selective`` and ``confidences``.

    Curves of error against the share kept use the first ``resamples`` resamples alone.
    """
    scalings = {
        "as given": np.ones_like(evidence.temperatures),
        "scaled": evidence.temperatures,
    }
    found: dict[str, list[pd.DataFrame]] = {}
    for scaling, temperatures in scalings.items():
        confidence = scaled_confidence(evidence.logits, temperatures, evidence.predicted)
        sums = _binned(evidence, confidence)
        parts = {
            "reliability": _reliability(sums, level=level),
            "calibration": _calibration(sums, temperatures, level=level),
            "selective": _selective(evidence, confidence, level=level, resamples=resamples),
            "confidences": _confidences(evidence, confidence, temperatures),
        }
        for name, part in parts.items():
            part.insert(0, "scaling", scaling)
            found.setdefault(name, []).append(part)
    return {name: pd.concat(each, ignore_index=True) for name, each in found.items()}


def _binned(evidence: Evidence, confidence: np.ndarray) -> np.ndarray:
    """Return sums over each group and bin, (1 + B, R, 3, groups, bins).

    The three are how many predictions there are, their confidences, and how many are right.
    """
    groups = np.hstack([np.ones((len(evidence.label), 1)), evidence.one_hot])
    found = []
    for sure, wrong in zip(confidence, evidence.wrong, strict=True):
        inside = bins_of(sure, bins=BINS)[:, None] == np.arange(BINS)
        cells = (groups[:, :, None] * inside[:, None, :]).reshape(len(sure), -1)
        columns = np.hstack([cells, cells * sure[:, None], cells * ~wrong[:, None]])
        sums = evidence.resamples.sums(columns)
        found.append(sums.reshape(len(sums), 3, len(GROUPS), BINS))
    return np.stack(found, axis=1)


def _reliability(sums: np.ndarray, *, level: float) -> pd.DataFrame:
    """Return confidence and accuracy of each group and bin that holds a prediction."""
    number, confidence, right = sums.sum(axis=1).swapaxes(0, 1).astype(float)
    with np.errstate(invalid="ignore"):
        accuracy = right / number
        mean = confidence[0] / number[0]
    there = number[0] > 0
    low, high = statistics.interval(accuracy[1:][:, there], level)
    group, bin_ = np.nonzero(there)
    return pd.DataFrame(
        {
            "group": np.array(GROUPS, dtype=object)[group],
            "bin": bin_.astype(np.uint8),
            "confidence": mean[there],
            "accuracy": accuracy[0][there],
            "low": low,
            "high": high,
            "predictions": number[0][there].round().astype(np.int32),
        }
    ).astype({"group": "str"})


def _calibration(sums: np.ndarray, temperatures: np.ndarray, *, level: float) -> pd.DataFrame:
    """Return the expected calibration error of each group with images, mean over repeats.

    It is positive even where confidence is right, as every bin has its own noise, and resampling
    adds that noise once more: so the bias that the resamples show is taken off, and the interval is
    the basic bootstrap's, which turns theirs around.
    """
    # Groups and bins last, the three kinds of sum first.
    error = expected_calibration_error(*np.moveaxis(sums.astype(float), 2, 0)).mean(axis=1)
    there = np.flatnonzero(np.isfinite(error[0]))
    error = error[:, there]
    low, high = statistics.interval(error[1:], level)
    unbiased = 2 * error[0] - np.nanmean(error[1:], axis=0)
    return pd.DataFrame(
        {
            "group": [GROUPS[group] for group in there],
            "error": unbiased.clip(0, 1),
            "low": (2 * error[0] - high).clip(0, 1),
            "high": (2 * error[0] - low).clip(0, 1),
            "temperature": temperatures.mean(),
        }
    )


def _selective(
    evidence: Evidence, confidence: np.ndarray, *, level: float, resamples: int
) -> pd.DataFrame:
    """Return the error among the most confident predictions, by the share of them kept."""
    rows = 1 + min(resamples, evidence.resamples.count)
    curves = np.mean(
        [
            _curves(evidence, sure, wrong, rows=rows)
            for sure, wrong in zip(confidence, evidence.wrong, strict=True)
        ],
        axis=0,
    )
    low, high = statistics.interval(curves[1:], level)
    return pd.DataFrame({"kept": KEPT, "error": curves[0], "low": low, "high": high})


def _curves(
    evidence: Evidence, confidence: np.ndarray, wrong: np.ndarray, *, rows: int
) -> np.ndarray:
    """Return the error for each share kept, in the sample and its resamples, (rows, shares)."""
    order = np.argsort(-confidence, kind="stable")
    found = np.empty((rows, len(KEPT)))
    for start in range(0, rows, _ROWS):
        block = slice(start, min(start + _ROWS, rows))
        weights = evidence.resamples.of_images(order, block).astype(float)
        number = np.cumsum(weights, axis=1)
        errors = np.cumsum(weights * wrong[order], axis=1)
        for row, (count, failed) in enumerate(zip(number, errors, strict=True), start=start):
            last = np.searchsorted(count, KEPT * count[-1] - 1e-9).clip(max=len(count) - 1)
            found[row] = failed[last] / np.maximum(count[last], 1)
    return found


def _confidences(
    evidence: Evidence, confidence: np.ndarray, temperatures: np.ndarray
) -> pd.DataFrame:
    """Return how the confidence of right, wrong and attacked predictions is distributed."""
    kinds = {"right": confidence[~evidence.wrong], "wrong": confidence[evidence.wrong]}
    attacked = evidence.attacked.get((FGSM, MIDDLE))
    if attacked is not None and attacked.logits is not None:
        under = scaled_confidence(attacked.logits, temperatures, attacked.predicted)
        made = ~evidence.wrong & (attacked.predicted != evidence.label)
        kinds["wrong under attack"] = under[made]
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    parts = [
        pd.DataFrame(
            {
                "kind": kind,
                "low": edges[:-1],
                "high": edges[1:],
                "share": np.histogram(values, edges)[0] / max(len(values), 1),
                "predictions": np.int32(len(values)),
            }
        )
        for kind, values in kinds.items()
    ]
    return pd.concat(parts, ignore_index=True)
