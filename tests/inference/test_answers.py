"""Intervals of the share of pairs that readers get right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from analysis.inference.answers import Proportion, guesses, proportion


@pytest.mark.parametrize("right", [0, 1, 6, 11, 12])
def test_one_reader_has_the_exact_binomial_interval_and_p(right: int) -> None:
    answers = np.array([[1.0] * right + [0.0] * (12 - right) + [np.nan] * 5])
    found, about = proportion(answers)
    assert about == "one reader, images as a sample" and found.value == right / 12
    expected = binomtest(right, 12).proportion_ci(0.95, method="exact")
    assert found.interval(0.95) == pytest.approx((expected.low, expected.high), abs=1e-9)
    for threshold in (0.5, 0.6):
        greater = binomtest(right, 12, threshold, alternative="greater").pvalue
        less = binomtest(right, 12, threshold, alternative="less").pvalue
        assert found.p_above(threshold) == pytest.approx(greater)
        assert found.p_below(threshold) == pytest.approx(less)
    low, high = found.bounds(0.01)
    if right > 0:
        assert found.p_above(low) == pytest.approx(0.01)
    if right < 12:
        assert found.p_below(high) == pytest.approx(0.01)


def test_every_score_has_the_exact_interval() -> None:
    for row in guesses(4, level=0.9).itertuples():
        expected = binomtest(row.right, row.pairs).proportion_ci(0.9, method="exact")
        assert (row.low, row.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_readers_who_answer_alike_count_as_one() -> None:
    one = np.repeat([1.0, 0.0], [8, 4])
    found, about = proportion(np.tile(one, (3, 1)))
    assert about == "these 3 readers, images as a sample"
    assert found.value == pytest.approx(8 / 12)
    # No more than the images alone say, nor much less.
    assert 9 < found.asked <= 12
    low, high = proportion(one[None])[0].interval(0.95)
    few = found.interval(0.95)
    assert few[0] <= low + 1e-9 and few[1] >= high - 1e-9


def test_answers_that_are_all_right_say_no_more_than_their_images_or_readers() -> None:
    assert proportion(np.ones((3, 12)))[0] == Proportion(12, 12)
    found, about = proportion(np.ones((6, 12)))
    assert found == Proportion(6, 6) and about == "6 readers, readers and images as samples"


@pytest.mark.parametrize(
    "readers, of_reader, of_image", [(1, 0, 0), (3, 0, 0.8), (8, 0.7, 0), (8, 0.5, 0.5), (8, 0, 0)]
)
def test_intervals_contain_the_truth(readers: int, of_reader: float, of_image: float) -> None:
    """Probits of readers and of images vary; a few readers are taken as they are."""
    draw = np.random.default_rng(readers)
    missed = 0
    for _ in range(400):
        own, image = draw.normal(size=(readers, 1)), draw.normal(size=(1, 12))
        score = 0.3 + of_reader * own + of_image * image + draw.normal(size=(readers, 12))
        low, high = proportion((score > 0).astype(float))[0].interval(0.95)
        spread = np.sqrt(1 + of_reader**2 + of_image**2)
        truth = norm.cdf(0.3 / spread)
        missed += not low <= truth <= high
    assert missed / 400 < 0.075
