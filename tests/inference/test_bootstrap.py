"""Resamples of groups and networks against plain loops, and how often intervals are right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from analysis.inference import statistics
from analysis.inference.bootstrap import Crossed, Resamples
from analysis.inference.statistics import interval

GROUP = np.array([7, -3, 7, 100, 5, 5, 5, -40, 100, 12, 12, -40, 7, 3, 61, 61])
NAMES = sorted(set(GROUP))
COUNT = 30


@pytest.fixture(scope="module")
def resamples() -> Resamples:
    return Resamples(GROUP, COUNT, seed=4)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Values (N, 3), of which whole numbers are added without rounding; one column is rare."""
    values = np.random.default_rng(1).integers(0, 9, (len(GROUP), 3)).astype(float)
    values[:, 2] = GROUP == 12
    return values


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


def test_replicates_of_binned_scores_are_those_of_the_exact_auroc() -> None:
    """Of 6000 scores in a thousand bins, with ties: off by far less than the standard error."""
    generator = np.random.default_rng(5)
    scores = np.round(generator.normal(size=6000), 3)
    scores[::2] += 0.5
    images, many = np.arange(6000), Resamples(np.arange(6000) // 3, 100, seed=0)
    high, low = images[::2], images[1::2]
    found = many.auroc((scores[high], high), (scores[low], low))
    every = slice(0, 101)
    exact = statistics.auroc(
        scores[high], scores[low], many.of_images(high, every), many.of_images(low, every)
    )
    assert found[0] == pytest.approx(exact[0], abs=1e-12)
    assert np.abs(found - exact).max() < 0.05 * exact[1:].std()


def test_sparse_and_dense_sums_agree(resamples, values) -> None:
    wide = np.hstack([values, np.zeros((len(GROUP), 300)), values])
    for form in (wide, csr_array(wide), csr_array(values)):
        columns = slice(0, 3) if form.shape[1] == 3 else slice(303, 306)
        assert np.array_equal(resamples.sums(form)[:, columns], resamples.sums(values))
    for zero in (np.zeros((len(GROUP), 2)), csr_array((len(GROUP), 500))):
        assert not resamples.sums(zero).any()


def test_a_seed_decides_the_resamples_and_fewer_are_the_first_ones(resamples) -> None:
    assert np.array_equal(Resamples(GROUP, COUNT, seed=4).weights, resamples.weights)
    assert not np.array_equal(Resamples(GROUP, COUNT, seed=5).weights, resamples.weights)
    assert np.array_equal(resamples.first(7).weights, resamples.weights[:8])


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


REPEATS, FOLDS = 3, 2


def crossed(count: int) -> Crossed:
    """Return resamples of the predictions of six networks, each of one fold in one repeat."""
    fold = np.stack([(GROUP + repeat) % FOLDS for repeat in range(REPEATS)])
    network = fold + FOLDS * np.arange(REPEATS)[:, None]
    return Crossed.of_repeats(Resamples(GROUP, count, seed=4), network)


def test_a_prediction_counts_as_often_as_its_group_times_the_weight_of_its_network() -> None:
    found = crossed(COUNT)
    generator = np.random.default_rng(3)
    values = generator.normal(size=(REPEATS * len(GROUP), 2))
    groups = np.tile(np.searchsorted(NAMES, GROUP), REPEATS)
    weights = found.weights[:, groups] * found.of_networks[:, found.network]
    assert (weights[0] == 1).all()
    np.testing.assert_allclose(found.sums(values), weights @ values, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        found.sums(csr_array(values)), weights @ values, rtol=1e-4, atol=1e-4
    )
    some = np.array([40, 2, 19, 33])
    np.testing.assert_allclose(
        found.sums(values[some], some), weights[:, some] @ values[some], rtol=1e-4, atol=1e-4
    )
    part = found.of(np.arange(REPEATS * len(GROUP)) % 3 == 0)
    np.testing.assert_allclose(
        part.sums(values[::3]), weights[:, ::3] @ values[::3], rtol=1e-4, atol=1e-4
    )
    scores, high, low = values[:, 0], np.arange(0, 48, 3), np.arange(1, 48, 3)
    areas = found.auroc((scores[high], high), (scores[low], low))
    for row in (0, 1, COUNT):
        both = np.concatenate([high, low])
        expected = roc_auc_score(
            np.repeat([1, 0], 16), scores[both], sample_weight=weights[row, both]
        )
        assert areas[row] == pytest.approx(expected, abs=1e-5)


def test_the_variance_of_a_mean_has_parts_of_groups_networks_and_both() -> None:
    """Random effects of G groups and M networks: the variance is a²/G + b²/M + c²/(G M).

    The bootstrap's is larger by the variance that products of weights add to the last part, which
    is three times itself (Owen and Eckles 2012, theorem 3).
    """
    groups, networks, count = 400, 20, 2000
    of_group, of_network, own = 1.0, 0.2, 1.0
    found, truth = [], of_group**2 / groups + of_network**2 / networks
    for seed in range(12):
        generator = np.random.default_rng(seed)
        values = (
            of_group * generator.normal(size=groups)
            + of_network * generator.normal(size=(networks, 1))
            + own * generator.normal(size=(networks, groups))
        )
        network = np.repeat(np.arange(networks), groups).reshape(networks, groups)
        crossed = Crossed.of_repeats(Resamples(np.arange(groups), count, seed), network)
        found.append(crossed.mean(values.reshape(-1, 1))[1:].var())
    last = own**2 / groups / networks
    # The variance of 20 networks' effects is known to one part in 3 in each data set.
    assert np.mean(found) == pytest.approx(truth + 3 * last, rel=0.1)
