"""Statistics against scipy, statsmodels and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from analysis.inference import statistics
from analysis.results import published

OFF_DIAGONAL = ~np.eye(10, dtype=bool)


def test_the_interval_is_between_quantiles() -> None:
    resampled = np.random.default_rng(0).permutation(np.arange(1001.0)).reshape(-1, 1)
    assert statistics.interval(resampled, 0.95) == (pytest.approx(25), pytest.approx(975))
    assert statistics.interval(resampled, 0.5) == (pytest.approx(250), pytest.approx(750))


def test_rank_correlation_is_spearmans_also_with_ties_and_for_all_pairs() -> None:
    generator = np.random.default_rng(3)
    first = generator.integers(0, 6, (4, 25, 10)).astype(float)
    second = generator.integers(0, 6, (4, 25, 10)) + first
    found = statistics.rank_correlation(first, second)
    for place in np.ndindex(4, 25):
        expected = spearmanr(first[place], second[place]).statistic
        assert found[place] == pytest.approx(expected, abs=1e-12)
    pairs = statistics.rank_correlation(first[0, :3, None], first[0, None, :3])
    assert np.allclose(pairs, spearmanr(first[0, :3], axis=1).statistic)
    assert np.isnan(statistics.rank_correlation(np.ones(10), np.arange(10.0)))


def tables_of_errors() -> dict[str, np.ndarray]:
    """Return published errors and made-up ones as (10, 10) counts with an empty diagonal."""
    generator = np.random.default_rng(5)
    margins = np.outer(np.geomspace(1, 30, 10), generator.uniform(0.2, 3, 10))
    empty = generator.poisson(4.0, (10, 10))
    empty[3] = 0
    tables = {
        "published": published.load("notebook").matrix,
        "few": generator.poisson(0.4, (10, 10)),
        "strong margins": generator.poisson(margins),
        "empty row": empty,
    }
    return {name: np.where(OFF_DIAGONAL, table, 0) for name, table in tables.items()}


def expected_counts(table: np.ndarray) -> np.ndarray:
    rows, columns = table.sum(axis=1).astype(float), table.sum(axis=0).astype(float)
    down, across = statistics.quasi_independence(rows, columns)
    return np.where(OFF_DIAGONAL, np.outer(down, across), 0)


@pytest.mark.parametrize("name", tables_of_errors())
def test_quasi_independence_is_a_poisson_model_without_the_diagonal(name: str) -> None:
    table = tables_of_errors()[name]
    rows, columns = np.nonzero(OFF_DIAGONAL & (table.sum(axis=1) > 0)[:, None])
    design = np.hstack([np.eye(10)[rows], np.eye(10)[columns]])
    # All but one of the classes that err, as the columns add up to the rows.
    design = design[:, design.any(axis=0)][:, 1:]
    model = sm.GLM(table[rows, columns], design, family=sm.families.Poisson())
    expected = np.zeros((10, 10))
    expected[rows, columns] = model.fit(tol=1e-12, maxiter=200).fittedvalues
    np.testing.assert_allclose(expected_counts(table), expected, rtol=1e-3, atol=1e-4)


def test_quasi_independence_keeps_the_margins_of_many_tables_at_once() -> None:
    tables = np.stack(list(tables_of_errors().values())).astype(float)
    down, across = statistics.quasi_independence(tables.sum(axis=2), tables.sum(axis=1))
    cells = np.where(OFF_DIAGONAL, down[:, :, None] * across[:, None], 0)
    for axis in (1, 2):
        np.testing.assert_allclose(cells.sum(axis=axis), tables.sum(axis=axis), rtol=1e-3)


@pytest.mark.parametrize("levels", [3, 1000])
def test_auroc_is_scikit_learns_with_weights_and_ties(levels: int) -> None:
    generator = np.random.default_rng(6)
    positive = generator.integers(0, levels, 80) / levels
    negative = generator.integers(0, levels, 50) / levels - 0.1
    negative[:10] = positive[:10]
    weights = [generator.multinomial(n, [1 / n] * n, size=12) for n in (80, 50)]
    found = statistics.auroc(positive, negative, *weights)
    truth, scores = np.repeat([1, 0], [80, 50]), np.concatenate([positive, negative])
    for replicate, drawn in enumerate(np.hstack(weights)):
        expected = roc_auc_score(truth, scores, sample_weight=drawn)
        assert found[replicate] == pytest.approx(expected, abs=1e-12)


def test_auroc_without_one_side_is_undefined() -> None:
    ones, low, high = np.ones((1, 2)), np.array([0.1, 0.2]), np.array([0.7, 0.8])
    assert [statistics.auroc(*pair, ones, ones)[0] for pair in ((high, low), (low, high))] == [1, 0]
    assert np.isnan(statistics.auroc(low, high, ones, 0 * ones))
    assert np.isnan(statistics.auroc(low, high[:0], ones, ones[:, :0]))
