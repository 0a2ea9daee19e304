"""Calibration: temperature and reliability.

Guo et al. (2017), *On Calibration of Modern Neural Networks*.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

# A temperature outside this range means that the logits carry no information.
_RANGE = (0.05, 20.0)


def temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """Return the temperature that gives logits (N, K) the least cross-entropy to labels (N,).

    The logits are divided by it: above 1 it lowers confidence. Without images it is 1.
    """
    if len(label) == 0:
        return 1.0
    rows = np.arange(len(label))

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, label].mean()

    found = minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded")
    return float(np.exp(found.x))


def cross_fitted_temperatures(
    logits: np.ndarray, label: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """Return a temperature for each image, (N,), fitted on the images of all other folds.

    Those images are in the training folds of the network that predicts this one, and their logits
    (N, K) come from networks that had not seen them, so nothing is fitted on its own training
    images.
    """
    found = np.empty(len(label))
    for one in np.unique(fold):
        inside = fold == one
        found[inside] = temperature(logits[~inside], label[~inside])
    return found


def scaled_confidence(
    logits: np.ndarray, temperatures: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """Return the probability of the predicted classes (R, N) from scaled logits (R, N, K)."""
    found = np.empty(predicted.shape)
    # One repeat at a time, as many classes take much memory.
    for repeat, (rows, scale) in enumerate(zip(logits, temperatures, strict=True)):
        shares = softmax(rows / scale[:, None], axis=-1)
        found[repeat] = shares[np.arange(len(rows)), predicted[repeat]]
    return found


def expected_calibration_error(
    number: np.ndarray, confidence: np.ndarray, correct: np.ndarray
) -> np.ndarray:
    """Return the mean gap between confidence and accuracy over bins, weighted by their images.

    All are sums over the images of each bin, (…, bins): how many, of their confidences, and how
    many are right.
    """
    total = number.sum(axis=-1)
    return np.abs(confidence - correct).sum(axis=-1) / np.where(total > 0, total, np.nan)


def bins_of(confidence: np.ndarray, *, bins: int) -> np.ndarray:
    """Return the bin of equal width that each confidence lies in, from 0."""
    return np.minimum((confidence * bins).astype(int), bins - 1)
