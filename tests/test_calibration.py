"""Calibration: against scikit-learn, closed forms and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from analysis import calibration


def drawn(images: int, *, seed: int = 0, sharper: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, 10), and labels as likely as logits that are so much sharper say."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(images, 10))
    shares = softmax(logits * sharper, axis=1).cumsum(axis=1)
    return logits, (generator.random((images, 1)) > shares).sum(axis=1)


# ------------------------------------------------------------------------------ temperature


@pytest.mark.parametrize("sharper", [0.4, 1.0, 2.5])
def test_the_temperature_is_the_one_that_the_labels_were_drawn_with(sharper: float) -> None:
    logits, label = drawn(20_000, sharper=sharper)
    assert calibration.temperature(logits, label) == pytest.approx(1 / sharper, rel=0.03)


def test_the_temperature_is_a_logistic_regressions() -> None:
    """Of one slope alone: the chance that the higher of two logits is right, without intercept."""
    generator = np.random.default_rng(1)
    gap = generator.normal(size=400)
    label = (generator.random(400) < 1 / (1 + np.exp(-1.7 * gap))).astype(int)
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(gap[:, None], label)
    logits = np.stack([np.zeros(400), gap], axis=1)
    expected = 1 / slope.coef_[0, 0]
    assert calibration.temperature(logits, label) == pytest.approx(expected, rel=1e-4)


def test_at_the_temperature_the_cross_entropy_is_level() -> None:
    # Its derivative: the mean logit under the scaled softmax equals that of the labels.
    logits, label = drawn(300, sharper=0.6)
    found = calibration.temperature(logits, label)
    mean = (softmax(logits / found, axis=1) * logits).sum(axis=1).mean()
    assert mean == pytest.approx(logits[np.arange(300), label].mean(), abs=1e-4)
    losses = [
        log_loss(label, softmax(logits / t, axis=1), labels=range(10))
        for t in (0.97 * found, found, 1.03 * found)
    ]
    assert losses[1] < min(losses[0], losses[2])


def test_scaled_logits_have_a_scaled_temperature() -> None:
    logits, label = drawn(300)
    one = calibration.temperature(logits, label)
    assert calibration.temperature(3 * logits, label) == pytest.approx(3 * one, rel=1e-4)
    assert calibration.temperature(logits + 7, label) == pytest.approx(one, rel=1e-4)


def test_logits_that_are_always_right_or_say_nothing_end_at_the_ends_of_the_range() -> None:
    logits, _ = drawn(100)
    assert calibration.temperature(logits, logits.argmax(axis=1)) < 0.051
    assert calibration.temperature(logits, logits.argmin(axis=1)) > 19.9


# ------------------------------------------------------------------------------ cross-fitting


def test_a_temperature_is_fitted_on_the_other_folds_alone() -> None:
    logits, label = drawn(300)
    fold = np.random.default_rng(2).integers(0, 3, 300)
    found = calibration.cross_fitted_temperatures(logits, label, fold)
    for one in range(3):
        expected = calibration.temperature(logits[fold != one], label[fold != one])
        assert (found[fold == one] == expected).all()
    assert len(set(found)) == 3


def test_absurd_labels_of_a_fold_do_not_move_its_own_temperature() -> None:
    logits, label = drawn(300)
    fold = np.arange(300) % 3
    absurd = np.where(fold == 1, logits.argmin(axis=1), label)
    before = calibration.cross_fitted_temperatures(logits, label, fold)
    after = calibration.cross_fitted_temperatures(logits, absurd, fold)
    assert (after[fold == 1] == before[fold == 1]).all()
    assert (after[fold != 1] > 1.5 * before[fold != 1]).all()


# ------------------------------------------------------------------------------ confidence


def test_the_scaled_confidence_is_the_share_of_the_predicted_class() -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(2, 5, 10))
    temperatures = generator.uniform(0.5, 2, (2, 5))
    predicted = generator.integers(0, 10, (2, 5)).astype(np.uint8)
    found = calibration.scaled_confidence(logits, temperatures, predicted)
    assert found.shape == (2, 5)
    for place in np.ndindex(2, 5):
        odds = np.exp(logits[place] / temperatures[place])
        assert found[place] == pytest.approx(odds[predicted[place]] / odds.sum())


def test_bins_are_of_equal_width_and_hold_both_ends() -> None:
    confidence = np.array([0, 0.0999, 0.1, 0.55, 0.999, 1.0], np.float32)
    assert calibration.bins_of(confidence, bins=10).tolist() == [0, 0, 1, 5, 9, 9]


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
            gap = abs(confidence[inside].mean() - correct[inside].mean())
            expected += inside.mean() * gap
    assert calibration.expected_calibration_error(*sums) == pytest.approx(expected)
    many = calibration.expected_calibration_error(*(np.stack([s, s]) for s in sums))
    assert many == pytest.approx([expected, expected])


def test_the_calibration_error_of_one_sure_and_half_right_bin() -> None:
    # Ten predictions at 0.95, five of them right, and ten at 0.25, of which as many as they say.
    number, confidence = np.array([10, 10.0]), np.array([9.5, 2.5])
    found = calibration.expected_calibration_error(number, confidence, np.array([5, 2.5]))
    assert found == pytest.approx(0.45 / 2)


# ------------------------------------------------------------------------------ keeping


def test_the_error_when_keeping_a_share_is_a_loop() -> None:
    generator = np.random.default_rng(5)
    confidence, wrong = generator.permutation(200) / 200, generator.random(200) < 0.3
    shares = np.array([0.001, 0.1, 0.333, 0.5, 1.0])
    found = calibration.error_when_keeping(confidence, wrong, shares)
    by_confidence = sorted(zip(confidence, wrong, strict=True), reverse=True)
    for share, error in zip(shares, found, strict=True):
        kept = by_confidence[: max(round(share * 200), 1)]
        assert error == pytest.approx(np.mean([failed for _, failed in kept]))
    assert found[-1] == pytest.approx(wrong.mean())


def test_with_perfect_confidence_errors_are_the_last_to_be_kept() -> None:
    wrong = np.repeat([False, True], [80, 20])
    found = calibration.error_when_keeping(1.0 - wrong, wrong, np.array([0.5, 0.8, 0.9, 1.0]))
    assert found == pytest.approx([0, 0, 1 / 9, 0.2])
