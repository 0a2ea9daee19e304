"""Intervals from resampled photos by how often they hold the truth, and statistics by libraries."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import binom, power_divergence, spearmanr
from sklearn.metrics import roc_auc_score

from analysis import published, statistics


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


# ------------------------------------------------------------------------------ rank correlation


def test_rank_correlation_is_spearmans_also_with_ties() -> None:
    generator = np.random.default_rng(3)
    first = generator.integers(0, 6, (4, 25, 10)).astype(float)
    second = generator.integers(0, 6, (4, 25, 10)) + first
    found = statistics.rank_correlation(first, second)
    assert found.shape == (4, 25)
    for place in np.ndindex(found.shape):
        expected = spearmanr(first[place], second[place]).statistic
        assert found[place] == pytest.approx(expected, abs=1e-12)


def test_rank_correlation_of_all_pairs_by_broadcasting() -> None:
    values = np.random.default_rng(4).normal(size=(3, 10))
    found = statistics.rank_correlation(values[:, None], values[None])
    assert np.allclose(found, spearmanr(values, axis=1).statistic)


def test_where_all_are_equal_there_is_no_rank_correlation() -> None:
    assert np.isnan(statistics.rank_correlation(np.ones(10), np.arange(10.0)))


# ------------------------------------------------------------------------------ independence

OFF_DIAGONAL = ~np.eye(10, dtype=bool)


def tables_of_errors() -> dict[str, np.ndarray]:
    """Return the original's errors, and made-up ones: few, with strong margins, with an empty row.

    Each is a (10, 10) table of counts with an empty diagonal.
    """
    generator = np.random.default_rng(5)
    margins = np.outer(np.geomspace(1, 30, 10), generator.uniform(0.2, 3, 10))
    empty = generator.poisson(4.0, (10, 10))
    empty[3] = 0
    tables = {
        "original": published.confusion_matrix(),
        "few": generator.poisson(0.4, (10, 10)),
        "strong margins": generator.poisson(margins),
        "empty row": empty,
    }
    return {name: np.where(OFF_DIAGONAL, table, 0) for name, table in tables.items()}


def expected_counts(table: np.ndarray) -> np.ndarray:
    down, across = statistics.quasi_independence(
        table.sum(axis=1).astype(float), table.sum(axis=0).astype(float)
    )
    return np.where(OFF_DIAGONAL, np.outer(down, across), 0)


@pytest.mark.parametrize("name", ["original", "few", "strong margins", "empty row"])
def test_quasi_independence_is_a_poisson_model_without_the_diagonal(name: str) -> None:
    table = tables_of_errors()[name]
    rows, columns = np.nonzero(OFF_DIAGONAL & (table.sum(axis=1) > 0)[:, None])
    design = np.hstack([np.eye(10)[rows], np.eye(10)[columns]])
    design = design[:, design.any(axis=0)]
    model = sm.GLM(table[rows, columns], design, family=sm.families.Poisson())
    expected = np.zeros((10, 10))
    expected[rows, columns] = model.fit(tol=1e-12, maxiter=200).fittedvalues
    np.testing.assert_allclose(expected_counts(table), expected, rtol=1e-3, atol=1e-4)


def test_quasi_independence_keeps_the_margins_of_many_tables_at_once() -> None:
    tables = np.stack(list(tables_of_errors().values())).astype(float)
    down, across = statistics.quasi_independence(tables.sum(axis=2), tables.sum(axis=1))
    assert down.shape == across.shape == (4, 10)
    for table, rows, columns in zip(tables, down, across, strict=True):
        cells = np.where(OFF_DIAGONAL, np.outer(rows, columns), 0)
        np.testing.assert_allclose(cells.sum(axis=1), table.sum(axis=1), rtol=1e-3)
        np.testing.assert_allclose(cells.sum(axis=0), table.sum(axis=0), rtol=1e-3)


def test_the_g_statistic_is_scipys() -> None:
    table = tables_of_errors()["original"]
    observed, expected = table[OFF_DIAGONAL], expected_counts(table)[OFF_DIAGONAL]
    expected *= observed.sum() / expected.sum()
    found = statistics.g_statistic(observed.astype(float), expected)
    assert found == pytest.approx(power_divergence(observed, expected, lambda_=0).statistic)
    both = statistics.g_statistic(np.stack([observed, expected]).astype(float), expected)
    assert both == pytest.approx([found, 0])


# ------------------------------------------------------------------------------ AUROC


@pytest.mark.parametrize("levels", [3, 1000])
def test_auroc_is_scikit_learns_with_weights_and_ties(levels: int) -> None:
    generator = np.random.default_rng(6)
    positive = generator.integers(0, levels, 80) / levels
    negative = generator.integers(0, levels, 50) / levels - 0.1
    negative[:10] = positive[:10]
    weights = [generator.multinomial(n, [1 / n] * n, size=12) for n in (80, 50)]
    found = statistics.auroc(positive, negative, *weights)
    truth, scores = np.repeat([1, 0], [80, 50]), np.concatenate([positive, negative])
    for replicate in range(12):
        drawn = np.concatenate([weights[0][replicate], weights[1][replicate]])
        expected = roc_auc_score(truth, scores, sample_weight=drawn)
        assert found[replicate] == pytest.approx(expected, abs=1e-12)


def test_auroc_at_its_ends_and_without_one_side() -> None:
    ones = np.ones((1, 3))
    low, high = np.array([0.1, 0.2, 0.3]), np.array([0.7, 0.8, 0.9])
    assert statistics.auroc(high, low, ones, ones) == [1.0]
    assert statistics.auroc(low, high, ones, ones) == [0.0]
    assert statistics.auroc(low, low, ones, ones) == [0.5]
    assert np.isnan(statistics.auroc(low, high, ones, 0 * ones))
    assert np.isnan(statistics.auroc(low, high[:0], ones, ones[:, :0]))


# ------------------------------------------------------------------------------ exchange


def test_photos_are_exchanged_whole_and_only_for_others_of_their_size() -> None:
    generator = np.random.default_rng(8)
    photo = np.repeat([30, 7, -2, 11, 5, 90, 4, 8], [1, 2, 3, 2, 1, 3, 2, 1])
    generator.shuffle(photo)
    size = {name: int((photo == name).sum()) for name in set(photo)}
    exchange = statistics.Exchange(photo)
    partners: dict[int, set[int]] = {name: set() for name in size}
    for _ in range(200):
        taken = exchange.draw(generator)
        # Every outcome is taken once.
        assert sorted(taken) == list(range(len(photo)))
        for name in size:
            (source,) = set(photo[taken[photo == name]])
            assert size[source] == size[name]
            partners[name].add(int(source))
            # In their order, so that the first digit of a number stays the first.
            assert (np.diff(taken[photo == name]) > 0).all()
    # Each with every other of its size, itself among them.
    for name, found in partners.items():
        assert found == {other for other in size if size[other] == size[name]}


def test_each_exchange_is_as_likely_as_any_other() -> None:
    generator = np.random.default_rng(9)
    exchange = statistics.Exchange(np.array([1, 2, 2, 3, 4, 4]))
    drawn = [tuple(exchange.draw(generator)) for _ in range(2000)]
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    # Two singles and two pairs: four exchanges.
    assert len(counts) == 4
    assert np.abs(counts - 500).max() < 4.5 * np.sqrt(2000 * 0.25 * 0.75)
