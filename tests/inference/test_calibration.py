"""Calibration against scikit-learn, closed forms and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from analysis.inference import calibration


def drawn(images: int, *, sharper: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, 10), and labels drawn from the softmax of sharper ones."""
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(images, 10))
    shares = softmax(logits * sharper, axis=1).cumsum(axis=1)
    return logits, (generator.random((images, 1)) > shares).sum(axis=1)


@pytest.mark.parametrize("sharper", [0.4, 1.0, 2.5])
def test_the_temperature_is_the_one_that_the_labels_were_drawn_with(sharper: float) -> None:
    logits, label = drawn(20_000, sharper=sharper)
    assert calibration.temperature(logits, label) == pytest.approx(1 / sharper, rel=0.03)


def test_the_temperature_is_a_logistic_regressions() -> None:
    """With one slope: the chance that the higher of two logits is right, without intercept."""
    generator = np.random.default_rng(1)
    gap = generator.normal(size=400)
    label = (generator.random(400) < 1 / (1 + np.exp(-1.7 * gap))).astype(int)
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(gap[:, None], label)
    logits = np.stack([np.zeros(400), gap], axis=1)
    expected = 1 / slope.coef_[0, 0]
    assert calibration.temperature(logits, label) == pytest.approx(expected, rel=1e-4)


def test_the_temperature_follows_the_scale_of_the_logits_within_its_range() -> None:
    logits, label = drawn(300)
    one = calibration.temperature(logits, label)
    assert calibration.temperature(3 * logits + 7, label) == pytest.approx(3 * one, rel=1e-4)
    # Logits that are always right, or always wrong, and no image to fit on.
    assert calibration.temperature(logits, logits.argmax(axis=1)) < 0.051
    assert calibration.temperature(logits, logits.argmin(axis=1)) > 19.9
    assert calibration.temperature(logits[:0], label[:0]) == 1


def test_a_temperature_is_fitted_on_the_other_folds_alone() -> None:
    logits, label = drawn(300)
    fold = np.arange(300) % 3
    found = calibration.cross_fitted_temperatures(logits, label, fold)
    for one in range(3):
        expected = calibration.temperature(logits[fold != one], label[fold != one])
        assert (found[fold == one] == expected).all()
    absurd = np.where(fold == 1, logits.argmin(axis=1), label)
    after = calibration.cross_fitted_temperatures(logits, absurd, fold)
    assert np.array_equal(after == found, fold == 1)


@pytest.mark.parametrize("classes", [2, 3, 100])
def test_the_scaled_confidence_is_the_softmax_of_the_predicted_class(classes: int) -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(2, 5, classes))
    temperatures = generator.uniform(0.5, 2, (2, 5))
    predicted = generator.integers(0, classes, (2, 5))
    found = calibration.scaled_confidence(logits, temperatures, predicted)
    for place in np.ndindex(2, 5):
        odds = np.exp(logits[place] / temperatures[place])
        assert found[place] == pytest.approx(odds[predicted[place]] / odds.sum())


def test_the_calibration_error_is_a_loop_over_bins() -> None:
    generator = np.random.default_rng(4)
    confidence = generator.uniform(0.3, 1, 500)
    correct = generator.random(500) < confidence**2
    where = calibration.bins_of(confidence, bins=15)
    sums = [np.bincount(where, weights=w, minlength=15) for w in (None, confidence, correct)]
    expected = 0.0
    for one in range(15):
        inside = (confidence >= one / 15) & (confidence < (one + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    many = calibration.expected_calibration_error(*(np.stack([s, s]) for s in sums))
    assert many == pytest.approx([expected, expected])
    ends = np.array([0, 0.0999, 0.1, 0.55, 0.999, 1.0], np.float32)
    assert calibration.bins_of(ends, bins=10).tolist() == [0, 0, 1, 5, 9, 9]
