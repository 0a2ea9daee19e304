"""Intervals from resampled photos: against plain loops, and by how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from analysis import statistics


@pytest.fixture(scope="module")
def clustered() -> tuple[np.ndarray, np.ndarray]:
    """Values (N, 3) with holes, of photos of 1 to 4 images in no order and with any numbers."""
    generator = np.random.default_rng(0)
    photo = np.repeat([7, -3, 100, 5, 12, -40], [1, 4, 2, 3, 1, 2])
    generator.shuffle(photo)
    values = generator.normal(size=(len(photo), 3))
    values[generator.random(values.shape) < 0.2] = np.nan
    return values, photo


# ------------------------------------------------------------------------------ counts


def test_each_resample_draws_as_many_photos_as_there_are() -> None:
    counts = statistics.photo_counts(50, resamples=300, seed=1)
    assert counts.shape == (300, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert (counts == counts.round()).all()
    assert counts.min() == 0


def test_each_photo_is_drawn_alike_and_as_often_as_chance_has_it() -> None:
    counts = statistics.photo_counts(40, resamples=4000, seed=2)
    # Binomial(40, 1/40): mean 1, variance 1 - 1/40; four standard errors.
    assert np.abs(counts.mean(axis=0) - 1).max() < 4.5 / np.sqrt(4000)
    assert counts.var() == pytest.approx(1 - 1 / 40, rel=0.02)
    assert (counts == 0).mean() == pytest.approx(binom.pmf(0, 40, 1 / 40), abs=0.01)


def test_a_seed_decides_the_counts() -> None:
    first = statistics.photo_counts(9, resamples=5, seed=3)
    assert np.array_equal(first, statistics.photo_counts(9, resamples=5, seed=3))
    assert not np.array_equal(first, statistics.photo_counts(9, resamples=5, seed=4))


# ------------------------------------------------------------------------------ means


def test_sums_by_photo_equal_a_loop() -> None:
    photo = np.array([4, -1, 4, 0, -1, 4])
    values = np.arange(12.0).reshape(6, 2)
    expected = [values[photo == one].sum(axis=0) for one in (-1, 0, 4)]
    assert np.array_equal(statistics.sums_by_photo(values, photo), np.array(expected))


def test_resampled_means_equal_a_loop(clustered) -> None:
    values, photo = clustered
    counts = statistics.photo_counts(6, resamples=40, seed=5)
    found = statistics.resampled_means(values, photo, counts)
    for resample, drawn in enumerate(counts):
        pool: list[list[float]] = [[], [], []]
        for one, times in zip(sorted(set(photo)), drawn, strict=True):
            for _ in range(int(times)):
                for row in values[photo == one]:
                    for column in range(3):
                        if not np.isnan(row[column]):
                            pool[column].append(row[column])
        expected = [np.mean(part) if part else np.nan for part in pool]
        assert np.allclose(found[resample], expected, atol=1e-5, equal_nan=True)


def test_drawing_every_photo_once_gives_the_plain_mean(clustered) -> None:
    values, photo = clustered
    found = statistics.resampled_means(values, photo, np.ones((1, 6), np.float32))
    assert np.allclose(found[0], np.nanmean(values, axis=0), atol=1e-6)


def test_a_resample_without_any_value_is_missing_and_does_not_count() -> None:
    values = np.array([[1.0], [np.nan], [np.nan]])
    photo = np.arange(3)
    counts = np.array([[0, 2, 1], [1, 1, 1], [3, 0, 0]], np.float32)
    found = statistics.resampled_means(values, photo, counts)
    assert np.isnan(found[0, 0])
    assert found[1:, 0].tolist() == [1, 1]
    low, high = statistics.interval(found, 0.95)
    assert (low[0], high[0]) == (1, 1)


# ------------------------------------------------------------------------------ intervals


def test_the_interval_is_between_quantiles() -> None:
    resampled = np.random.default_rng(0).permutation(np.arange(1001.0)).reshape(-1, 1)
    assert statistics.interval(resampled, 0.95) == (pytest.approx(25), pytest.approx(975))
    assert statistics.interval(resampled, 0.5) == (pytest.approx(250), pytest.approx(750))


def test_intervals_of_photos_hold_the_truth_as_often_as_they_say() -> None:
    """2000 replications of clustered data, whose true mean is 0.

    Images of a photo share most of their value. Resampling images instead of photos takes them
    for independent, and is wrong far more often: so this test can fail.
    """
    generator = np.random.default_rng(7)
    photos, replications, level = 150, 2000, 0.95
    photo = np.repeat(np.arange(photos), generator.integers(1, 6, photos))
    shared = generator.normal(size=(photos, replications))
    values = shared[photo] + 0.5 * generator.normal(size=(len(photo), replications))

    def coverage(unit: np.ndarray) -> float:
        counts = statistics.photo_counts(unit.max() + 1, resamples=600, seed=1)
        means = statistics.resampled_means(values, unit, counts)
        low, high = statistics.interval(means, level)
        return np.mean((low <= 0) & (high >= 0))

    # With so many photos the percentile interval holds the truth a little less often than it says.
    lowest, highest = binom.ppf([0.0005, 0.9995], replications, [level - 0.012, level])
    assert lowest <= coverage(photo) * replications <= highest
    assert coverage(np.arange(len(photo))) < 0.87
