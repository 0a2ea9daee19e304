"""Resamples of groups and their halves against plain loops, and how often intervals are right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from analysis.inference.bootstrap import Resamples
from analysis.inference.statistics import interval

GROUP = np.array([7, -3, 7, 100, 5, 5, 5, -40, 100, 12, 12, -40, 7, 3, 61, 61])
NAMES = sorted(set(GROUP))
COUNT, SPLITS = 30, 47


@pytest.fixture(scope="module")
def resamples() -> Resamples:
    return Resamples(GROUP, COUNT, seed=4)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Values (N, 3), of which whole numbers are added without rounding; one column is rare."""
    values = np.random.default_rng(1).integers(0, 9, (len(GROUP), 3)).astype(float)
    values[:, 2] = GROUP == 12
    return values


def joined(resamples: Resamples, values: np.ndarray | csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums over both halves, each (splits, 1 + B, K)."""
    first, second = zip(*resamples.halves(values, splits=SPLITS), strict=True)
    return np.concatenate(first), np.concatenate(second)


def test_each_resample_draws_as_many_groups_as_there_are_each_with_the_same_chance() -> None:
    weights = Resamples(np.arange(40), 4000, seed=2).weights
    assert (weights[0] == 1).all() and (weights.sum(axis=1) == 40).all()
    # Binomial(40, 1/40): mean 1, variance 1 - 1/40; four and a half standard errors.
    assert np.abs(weights[1:].mean(axis=0) - 1).max() < 4.5 / np.sqrt(4000)
    assert weights[1:].var() == pytest.approx(1 - 1 / 40, rel=0.02)
    assert (weights[1:] == 0).mean() == pytest.approx(binom.pmf(0, 40, 1 / 40), abs=0.01)


def test_sums_and_means_are_those_of_groups_drawn_one_by_one(resamples, values) -> None:
    holes = np.where(np.random.default_rng(2).random(values.shape) < 0.3, np.nan, values)
    some = np.array([3, 0, 8, 5])
    sums, means = resamples.sums(values), resamples.mean(holes)
    of_some = resamples.sums(values[some], some)
    for replicate, times in enumerate(resamples.weights):
        drawn = [
            image
            for name, n in zip(NAMES, times, strict=True)
            for image in np.tile(np.flatnonzero(name == GROUP), int(n))
        ]
        assert np.array_equal(sums[replicate], values[drawn].sum(axis=0))
        among = [image for image in drawn if image in some]
        assert np.array_equal(of_some[replicate], values[among].sum(axis=0))
        for column in range(3):
            pool = holes[drawn, column]
            expected = np.mean(pool[~np.isnan(pool)]) if (~np.isnan(pool)).any() else np.nan
            assert means[replicate, column] == pytest.approx(expected, nan_ok=True)


def test_an_image_counts_as_often_as_its_group(resamples) -> None:
    images = np.array([3, 0, 8, 5])
    found = resamples.of_images(images, slice(2, 9))
    assert np.array_equal(found, resamples.weights[2:9][:, np.searchsorted(NAMES, GROUP[images])])


def test_the_auroc_in_blocks_is_scikit_learns() -> None:
    many = Resamples(np.arange(60) // 2, 300, seed=0)
    scores = np.random.default_rng(0).normal(size=60)
    high, low = np.arange(0, 60, 3), np.setdiff1d(np.arange(60), np.arange(0, 60, 3))
    found = many.auroc((scores[high], high), (scores[low], low))
    assert found.shape == (301,)
    for row in (0, 1, 255, 256, 300):
        weights = many.weights[row][np.arange(60) // 2]
        truth = np.isin(np.arange(60), high)
        assert found[row] == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights))
    assert np.array_equal(many.auroc((scores[high], high), (scores[low], low), rows=7), found[:7])


def test_halves_are_a_loop_over_groups(resamples, values) -> None:
    inside = joined(Resamples(GROUP, 0, seed=4), (GROUP[:, None] == NAMES).astype(float))[0] > 0
    first, second = joined(resamples, values)
    assert first.shape == second.shape == (SPLITS, 1 + COUNT, 3)
    for split in range(SPLITS):
        # Half of the groups, the smaller part first.
        assert inside[split].sum() == len(NAMES) // 2
        chosen = {name for name, one in zip(NAMES, inside[split, 0], strict=True) if one}
        members = np.isin(GROUP, list(chosen))
        for replicate, times in enumerate(resamples.weights):
            counted = times[np.searchsorted(NAMES, GROUP)][:, None] * values
            assert np.array_equal(first[split, replicate], counted[members].sum(axis=0))
            assert np.array_equal(second[split, replicate], counted[~members].sum(axis=0))


def test_halves_differ_from_split_to_split_and_favour_no_group() -> None:
    many = Resamples(np.arange(10), 0, seed=0)
    first = np.concatenate([first for first, _ in many.halves(np.eye(10), splits=2000)])[:, 0]
    # Each group in half of the splits, and any two together in 4 of 9: four standard errors.
    assert np.abs(first.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(2000)
    together = (first[:, 0] == first[:, 1]).mean()
    assert together == pytest.approx(4 / 9, abs=4 * 0.5 / np.sqrt(2000))


def test_sparse_and_dense_sums_agree_and_divide_the_same_way(resamples, values) -> None:
    wide = np.hstack([values, np.zeros((len(GROUP), 300)), values])
    for form in (wide, csr_array(wide), csr_array(values)):
        columns = slice(0, 3) if form.shape[1] == 3 else slice(303, 306)
        assert np.array_equal(resamples.sums(form)[:, columns], resamples.sums(values))
        for part, expected in zip(joined(resamples, form), joined(resamples, values), strict=True):
            assert np.array_equal(part[..., columns], expected)
    # The rare column alone leaves out most groups, and values that are all zero leave out all.
    assert np.array_equal(
        joined(resamples, values[:, 2:])[1], joined(resamples, values)[1][..., 2:]
    )
    for zero in (np.zeros((len(GROUP), 2)), csr_array((len(GROUP), 500))):
        assert not any(part.any() for part in joined(resamples, zero))


def test_a_seed_decides_resamples_and_halves(resamples, values) -> None:
    other = Resamples(GROUP, COUNT, seed=5)
    assert np.array_equal(Resamples(GROUP, COUNT, seed=4).weights, resamples.weights)
    assert not np.array_equal(other.weights, resamples.weights)
    assert not np.array_equal(joined(other, values)[0][:, 0], joined(resamples, values)[0][:, 0])


def test_a_resample_without_any_value_is_missing_and_does_not_count() -> None:
    few = Resamples(np.arange(3), 400, seed=0)
    means = few.mean(np.array([[1.0], [np.nan], [np.nan]]))
    assert np.array_equal(np.isnan(means[:, 0]), few.weights[:, 0] == 0)
    low, high = interval(means[1:], 0.95)
    assert (low[0], high[0]) == (1, 1)


def test_intervals_of_groups_contain_the_truth_as_often_as_they_say() -> None:
    """2000 data sets whose true mean is 0, in which images of a group share most of their value.

    Resampling images instead of groups takes them for independent, and is wrong far more often: so
    this test can fail.
    """
    generator = np.random.default_rng(7)
    groups, replications, level = 150, 2000, 0.95
    group = np.repeat(np.arange(groups), generator.integers(1, 6, groups))
    shared = generator.normal(size=(groups, replications))
    values = shared[group] + 0.5 * generator.normal(size=(len(group), replications))

    def coverage(unit: np.ndarray) -> float:
        low, high = interval(Resamples(unit, 600, seed=1).mean(values)[1:], level)
        return np.mean((low <= 0) & (high >= 0))

    # With so many groups the percentile interval contains the truth a little less often.
    lowest, highest = binom.ppf([0.0005, 0.9995], replications, [level - 0.012, level])
    assert lowest <= coverage(group) * replications <= highest
    assert coverage(np.arange(len(group))) < 0.87
