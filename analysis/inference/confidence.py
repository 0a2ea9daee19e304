"""How confidence relates to being right: four tables, as given and with temperature scaling.

Rows of a repeat are pooled over its folds, repeats are averaged, groups are resampled.
The curve of error against the share of predictions kept follows Geifman and El-Yaniv (2017),
*Selective Classification for Deep Neural Networks*.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.inference import statistics
from analysis.inference.calibration import (
    bins_of,
    expected_calibration_error,
    scaled_confidence,
)
from analysis.inference.evidence import Evidence, NotTested
from analysis.results.schemas import ALL, AS_GIVEN, FGSM, SCALED

BINS = 10
# Finer, as these are looked at rather than compared.
HISTOGRAM_BINS = 20
KEPT = np.linspace(0.02, 1, 50)
_ROWS = 256
_BINNED = ("class", "bin", "confidence", "accuracy", "low", "high", "predictions")


def tables(
    evidence: Evidence, *, level: float, resamples: int, epsilon: float | None
) -> dict[str, pd.DataFrame]:
    """Return ``reliability``, ``calibration``, ``selective`` and ``confidences``.

    Curves of error against the share kept use the first ``resamples`` resamples alone;
    ``epsilon`` is that of the FGSM whose errors are shown, if any.
    """
    scalings = {AS_GIVEN: np.ones_like(evidence.temperatures), SCALED: evidence.temperatures}
    if evidence.logits is None:
        raise NotTested("the logits are not known")
    found: dict[str, list[pd.DataFrame]] = {}
    for scaling, temperatures in scalings.items():
        confidence = scaled_confidence(evidence.logits, temperatures, evidence.predicted)
        parts = _by_class(evidence, confidence, level=level)
        parts["calibration"]["temperature"] = temperatures.mean()
        parts["selective"] = _selective(evidence, confidence, level=level, resamples=resamples)
        parts["confidences"] = _confidences(evidence, confidence, temperatures, epsilon)
        for name, part in parts.items():
            part.insert(0, "scaling", scaling)
            found.setdefault(name, []).append(part)
    return {name: pd.concat(each, ignore_index=True) for name, each in found.items()}


def _by_class(
    evidence: Evidence, confidence: np.ndarray, *, level: float
) -> dict[str, pd.DataFrame]:
    """Return reliability and calibration of all images and of each class, one class at a time."""
    groups = [(ALL, np.arange(len(evidence.label)))] + [
        (name, np.flatnonzero(evidence.label == number))
        for number, name in enumerate(evidence.classes)
    ]
    reliability, calibration = [], []
    for name, images in groups:
        if len(images):
            sums = binned(evidence, confidence, images)
            reliability.append(_reliability(sums, name, level=level))
            calibration += _calibration(sums, name, level=level)
    names = ["class", "error", "low", "high"]
    columns = {name: np.concatenate([each[name] for each in reliability]) for name in _BINNED}
    return {
        "reliability": pd.DataFrame(columns).astype({"class": "str"}),
        "calibration": pd.DataFrame(calibration, columns=names),
    }


def binned(evidence: Evidence, confidence: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return sums over the bins of some images, (1 + B, R, 3, bins).

    The three are how many predictions there are, their confidences, and how many are right.
    """
    found = []
    for sure, wrong in zip(confidence[:, images], evidence.wrong[:, images], strict=True):
        inside = (bins_of(sure, bins=BINS)[:, None] == np.arange(BINS)).astype(float)
        columns = np.hstack([inside, inside * sure[:, None], inside * ~wrong[:, None]])
        sums = evidence.resamples.sums(columns, images)
        found.append(sums.reshape(len(sums), 3, BINS))
    return np.stack(found, axis=1)


def _reliability(sums: np.ndarray, name: str, *, level: float) -> dict[str, np.ndarray]:
    """Return confidence and accuracy of each bin that contains a prediction, by column."""
    number, confidence, right = sums.sum(axis=1).swapaxes(0, 1).astype(float)
    filled = np.flatnonzero(number[0])
    with np.errstate(invalid="ignore"):
        accuracy = (right / number)[:, filled]
    low, high = statistics.interval(accuracy[1:], level)
    values = (
        np.full(len(filled), name, dtype=object),
        filled,
        (confidence[0][filled] / number[0][filled]).clip(0, 1),
        accuracy[0],
        low,
        high,
        number[0][filled].round().astype(np.int64),
    )
    return dict(zip(_BINNED, values, strict=True))


def _calibration(
    sums: np.ndarray, name: str, *, level: float
) -> list[tuple[str, float, float, float]]:
    """Return the expected calibration error, mean over repeats.

    It is positive even where confidence is right, as every bin has its own noise, and resampling
    adds that noise once more. So the bias that the resamples show is subtracted, and the interval
    is the basic bootstrap's, which reflects theirs.
    """
    error = expected_calibration_error(*np.moveaxis(sums.astype(float), 2, 0)).mean(axis=1)
    low, high = statistics.interval(error[1:, None], level)
    unbiased = 2 * error[0] - np.nanmean(error[1:])
    value, below, above = (
        float(np.clip(end, 0, 1))
        for end in (unbiased, 2 * error[0] - high[0], 2 * error[0] - low[0])
    )
    return [(name, value, below, above)]


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
    failed = np.flatnonzero(wrong[order])
    found = np.empty((rows, len(KEPT)))
    for start in range(0, rows, _ROWS):
        block = slice(start, min(start + _ROWS, rows))
        # Weights are whole numbers, which single precision adds without an error.
        weights = evidence.resamples.of_images(order, block)
        number = np.cumsum(weights, axis=1)
        errors = np.cumsum(weights[:, failed], axis=1)
        for row, (count, failures) in enumerate(zip(number, errors, strict=True), start=start):
            last = np.searchsorted(count, KEPT * float(count[-1]) - 1e-9).clip(max=len(count) - 1)
            before = np.searchsorted(failed, last, side="right")
            found[row] = np.append(0, failures)[before] / np.maximum(count[last], 1)
    return found


def _confidences(
    evidence: Evidence, confidence: np.ndarray, temperatures: np.ndarray, epsilon: float | None
) -> pd.DataFrame:
    """Return the distribution of the confidence of right, wrong and attacked predictions."""
    kinds = {"right": confidence[~evidence.wrong], "wrong": confidence[evidence.wrong]}
    attacked = None if epsilon is None else evidence.attacked.get((FGSM, epsilon))
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
                "predictions": len(values),
            }
        )
        for kind, values in kinds.items()
    ]
    return pd.concat(parts, ignore_index=True)
