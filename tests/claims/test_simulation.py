"""How often verdicts and intervals are wrong where the truth is known.

The bounds are those of the binomial distribution: a right method breaks one of them once in a
thousand. The long form is the committed table, ``python -m analysis simulate``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from analysis import claims, study
from analysis.__main__ import main
from analysis.claims.judge import ALPHA
from analysis.project import paths
from analysis.simulation import rates
from analysis.simulation.rates import FAMILY, HIERARCHICAL, LEVEL, TESTED, Outcome
from analysis.simulation.worlds import CORRELATIONS, WORLDS, resampled

SHORT, LONG = 20, 1000
CHECKED = tuple(
    world for world in WORLDS if world.name.startswith(("at the", "6.6 points", "8 points, weaker"))
)
# A percentile interval from a few hundred groups that err contains the truth a little less often.
SLACK = 0.015


@pytest.fixture(scope="module")
def short() -> pd.DataFrame:
    cores = os.cpu_count() or 1
    return rates.simulate(data_sets=SHORT, processes=cores, worlds=CHECKED, resamples=200)


def check(table: pd.DataFrame) -> None:
    """Check every rate of a table."""
    # A variant, without a verdict: a normal model draws a class that stands out towards the rest.
    modelled = table["test"].str.endswith(HIERARCHICAL)
    assert (table[modelled]["coverage"] > 0.85).all()
    for row in table[~modelled].itertuples():
        place = f"{row.test}, {row.configuration}"
        most = binom.isf(0.001, row.data_sets, ALPHA + SLACK)
        assert max(row.too_high, row.too_low) * row.data_sets <= most + 0.5, place
        if row.test != FAMILY:
            least = binom.ppf(0.001, row.data_sets, LEVEL - SLACK)
            assert row.coverage * row.data_sets >= least - 0.5, place


def test_verdicts_and_intervals_are_as_seldom_wrong_as_they_say(short: pd.DataFrame) -> None:
    check(short)
    assert (short["test"] == FAMILY).sum() == 2
    names = {each.name for each in TESTED}
    in_study = short[short["configuration"].str.startswith("6.6 points")]
    assert set(in_study["test"]) == names | {FAMILY}


def test_estimates_are_about_the_truth(short: pd.DataFrame) -> None:
    """But for ranges, which noise makes larger; correlations over ten classes are rough.

    They are limited to 1, which lowers their mean where noise leaves little variance.
    """
    noisy = short["test"].isin(CORRELATIONS) & ~short["configuration"].str.startswith("6.6 points")
    for row in short[~short["test"].str.contains("range|all claims") & ~noisy].itertuples():
        rough = 0.06 if row.test in CORRELATIONS else 0.02
        assert row.estimate == pytest.approx(row.true_effect, rel=0.06, abs=rough), row.test


def test_clear_effects_are_found(short: pd.DataFrame) -> None:
    power = short[short["configuration"].str.startswith("6.6 points")].set_index("test")["power"]
    for name in ("accuracy left", "confidence under attack", "map contrast"):
        assert power[name] == 1
    for name in ("error range", "error difference", "error ratio", "connected flips"):
        assert power[name] > 0.5


def test_the_committed_table_keeps_its_rates_and_is_complete() -> None:
    if not paths.simulation().is_file():
        pytest.skip("there is no table of the long form")
    table = pd.read_csv(paths.simulation())
    assert list(table.columns) == rates.COLUMNS
    check(table[table["data_sets"] >= 200])
    for world in WORLDS:
        mine = table[table["configuration"] == world.name]
        assert set(mine["test"]) >= {
            each.name
            for each in TESTED
            if each.test in (world.only or ("error range", "map contrast", "accuracy left"))
            and not (each.variant and np.ptp(world.error) == 0)
        }
        assert mine["data_sets"].max() == LONG


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_a_world_is_what_it_says(world: rates.World) -> None:
    errors = world.by_repeat
    np.testing.assert_allclose(errors.mean(axis=0), world.error)
    assert errors.min() > 0.01 and np.allclose(world.answers.sum(axis=1), 1)
    table = np.cov(errors)
    if np.ptp(world.error) > 0:
        shared = table[np.triu_indices(3, 1)].mean()
        assert shared / np.diag(table).mean() == pytest.approx(world.persistence)
    # Ten data sets together, whose classes err as often as they should.
    found = np.zeros(10)
    resamples = resampled(0, seed=0)
    for seed in range(10):
        data = world.evidence(resamples, seed=seed)
        found += [data.wrong[:, data.label == k].mean() / 10 for k in range(10)]
    assert found == pytest.approx(np.array(world.error), abs=0.013)
    lengths = np.unique(resamples.group, return_counts=True)[1]
    assert lengths.max() == 4 and lengths.mean() == pytest.approx(2, abs=0.05)


def test_errors_go_together_as_in_the_first_study() -> None:
    """Over images φ of two repeats is 0.72, and within photos the mean error correlates by 0.21."""
    between, within, resamples = [], [], resampled(0, seed=0)
    first = np.flatnonzero(np.diff(resamples.group) == 0)
    for seed in range(8):
        data = WORLDS[-3].evidence(resamples, seed=seed)
        between.append(np.corrcoef(data.wrong)[np.triu_indices(3, 1)].mean())
        mean = data.wrong.mean(axis=0) - data.wrong.mean()
        within.append((mean[first] * mean[first + 1]).mean() / (mean**2).mean())
    assert np.mean(between) == pytest.approx(0.72, abs=0.02)
    assert np.mean(within) == pytest.approx(0.21, abs=0.03)


def test_the_tests_are_those_of_the_claims_with_their_thresholds() -> None:
    found = {
        (claim.test.name, claim.side, claim.threshold)
        for claim in claims.of(study.load("svhn")).claims
        # People's answers have an exact interval, which needs no simulation.
        if claim.threshold is not None and claim.test.name != "accuracy" and not claim.test.asks
    }
    assert {(each.test, each.side, each.threshold) for each in TESTED} == found


def outcome(above: float, below: float, *, low: float = 0, holds: float = 1) -> Outcome:
    return Outcome(0.066, 0.07, low, 0.1, above, below, holds, 1 - holds)


def test_rates_are_shares_of_data_sets() -> None:
    outcomes = [
        outcome(0.05, 0.95, holds=0.01),
        outcome(0.2, 0.8, holds=0.06),
        outcome(0.99, 0.01, low=0.08, holds=0.05),
        outcome(0.5, 0.5, holds=0.99),
    ]
    row = dict(
        zip(
            rates.COLUMNS, rates._row(TESTED[0], WORLDS[-3], dict(enumerate(outcomes))), strict=True
        )
    )
    assert (row["too_high"], row["too_low"], row["wrong"]) == (0.25, 0.25, 0.25)
    assert (row["coverage"], row["power"], row["data_sets"]) == (0.75, 0.5, 4)
    assert row["true_effect"] == pytest.approx(0.066) and row["estimate"] == pytest.approx(0.07)
    # Clopper and Pearson for one of four.
    assert (row["wrong_low"], row["wrong_high"]) == pytest.approx((0.0063, 0.8059), abs=1e-4)


def test_a_family_is_wrong_where_any_of_its_claims_is() -> None:
    first, second = (each.name for each in rates.FAMILY_OF[:2])
    found = {
        # The first of two claims needs 0.025, the second of two then 0.05.
        first: {0: outcome(0.03, 0.97), 1: outcome(0.02, 0.98), 2: outcome(0.5, 0.5)},
        second: {0: outcome(0.5, 0.5), 1: outcome(0.96, 0.04), 2: outcome(0.03, 0.97)},
    }
    row = dict(zip(rates.COLUMNS, rates._family(WORLDS[-3], found, data_sets=3), strict=True))
    assert (row["too_high"], row["too_low"]) == pytest.approx((1 / 3, 1 / 3))
    assert np.isnan(row["coverage"])


def test_the_command_writes_the_table(tmp_path: Path) -> None:
    path = tmp_path / "new" / "simulation.csv"
    assert main(["simulate", "--data-sets", "1", "--out", str(path)]) == 0
    table = pd.read_csv(path)
    assert list(table.columns) == rates.COLUMNS
    assert set(table["configuration"]) == {world.name for world in WORLDS}
