"""How far confidence can be trusted: temperature, reliability, and the worth of silence.

Guo et al. (2017), *On Calibration of Modern Neural Networks*, and for the curve of error against
the share of predictions kept, Geifman and El-Yaniv (2017), *Selective Classification for Deep
Neural Networks*.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

# A temperature outside this range says that the logits say nothing.
_RANGE = (0.05, 20.0)


def temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """Return the temperature that gives logits (N, K) the least cross-entropy to labels (N,).

    The logits are divided by it: above 1 it makes a network less sure. Without images it is 1.
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
    (N, K) come from networks that had not seen them, so that nothing is fitted on its own
    training images.
    """
    found = np.empty(len(label))
    for one in np.unique(fold):
        inside = fold == one
        found[inside] = temperature(logits[~inside], label[~inside])
    return found


def scaled_confidence(
    logits: np.ndarray, temperatures: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """Return the probability of the predicted classes (…) from logits (…, K), each scaled."""
    shares = softmax(logits / temperatures[..., None], axis=-1)
    return np.take_along_axis(shares, predicted[..., None].astype(int), axis=-1)[..., 0]


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


def error_when_keeping(confidence: np.ndarray, wrong: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the error among the most confident predictions, for each share of them kept."""
    order = np.argsort(-confidence, kind="stable")
    errors = np.cumsum(wrong[order])
    kept = np.maximum(np.round(shares * len(order)).astype(int), 1)
    return errors[kept - 1] / kept
