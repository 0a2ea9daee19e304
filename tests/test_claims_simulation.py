"""Verdicts on made-up data: how often they are wrong where the truth is known.

A thousand data sets each, from a world in which every claim is just not true, and from one with
known effects. The bounds are those of the binomial distribution: a right method breaks one of them
once in a thousand.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.stats import binom, norm

from analysis.claims import errors
from analysis.claims.catalogue import CATALOGUE
from analysis.claims.errors import COMMONEST
from analysis.claims.judging import Finding, Rule, combined
from analysis.evidence import Evidence
from analysis.resampling import Resamples
from tests.simulated import CLASS_SIZES, World, evidence

REPLICATIONS = 1000
# Each tail holds 1 in 20, so that a thousand data sets say something about it.
LEVEL = 0.9
CONFIRMATORY = [claim for claim in CATALOGUE if claim.threshold is not None]
# These take longest: fewer splits and resamples than the others, whose quantiles are finer.
SPLIT = {"uneven", "structured", "persistent"}
RESAMPLES, FEWER, SPLITS = 400, 100, 10

# Each claim sits on its threshold, or there is no effect at all where classes are compared.
NOTHING = World()

_ERROR = np.array([0.12, 0.01, 0.12, 0.14, 0.14, 0.15, 0.16, 0.16, 0.55, 0.24])
# Half of each digit's errors go to one other digit: ten pairs that stand out.
_ANSWERS = (1 - np.eye(10)) / 16 + np.roll(np.eye(10), 3, axis=1) / 2
EFFECTS = World(
    error=_ERROR,
    answers=_ANSWERS,
    collapse=0.3,
    left=0.1,
    lost=0.05,
    diffuse=0.6,
    flips=(0.2, 0.5),
    sure=0.4,
    doubt=2.0,
)


def finding(name: str, data: Evidence) -> Finding:
    claim = next(claim for claim in CATALOGUE if claim.id == name)
    test: Callable[..., Finding] = claim.function
    if name not in SPLIT:
        return test(data)
    fewer = replace(data, resamples=Resamples(data.photo, FEWER, data.seed))
    return partial(test, splits=SPLITS)(fewer)


def verdicts(seed: int) -> dict[str, str]:
    """Return the verdict of every confirmatory claim where there is nothing to find."""
    data = evidence(NOTHING, photos=400, repeats=3, resamples=RESAMPLES, seed=seed)
    found = {}
    for claim in CONFIRMATORY:
        rule = Rule(claim.side, claim.threshold, LEVEL, simultaneous=LEVEL)
        result = finding(claim.id, data)
        parts = [rule.judge(name, values).verdict for name, values in result.parts.items()]
        found[claim.id] = combined(parts, met=result.met)
    return found


def intervals(seed: int) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the interval of every effect in the world of known effects."""
    data = evidence(EFFECTS, photos=1000, repeats=3, resamples=RESAMPLES, seed=seed)
    rule = Rule("above", 0.0, LEVEL, simultaneous=LEVEL)
    parts = {
        (name, part): rule.judge(part, values)
        for name in {name for name, _ in TRUTH} | {"structured"}
        for part, values in finding(name, data).parts.items()
    }
    return {key: (part.low, part.high) for key, part in parts.items()}


def many(function: Callable[[int], dict]) -> list[dict]:
    """Return what a function gives for each seed, on all cores."""
    context = multiprocessing.get_context("fork")
    with context.Pool(os.cpu_count()) as pool:
        return pool.map(function, range(REPLICATIONS), chunksize=10)


@pytest.fixture(scope="module")
def where_nothing_is() -> dict[str, Counter]:
    found = many(verdicts)
    return {claim.id: Counter(each[claim.id] for each in found) for claim in CONFIRMATORY}


@pytest.mark.parametrize("claim", CONFIRMATORY, ids=lambda claim: claim.id)
def test_what_is_not_so_is_seldom_supported(claim, where_nothing_is) -> None:
    assert where_nothing_is[claim.id]["supported"] <= binom.isf(0.001, REPLICATIONS, 0.05)


# On its threshold a claim is neither true nor false by a margin, so it is seldom refuted as well;
# those of several parts are refuted where any part is.
@pytest.mark.parametrize("name", ["accuracy", "collapse", "direction", "silent"])
def test_what_is_on_its_threshold_is_seldom_refuted(name, where_nothing_is) -> None:
    assert where_nothing_is[name]["refuted"] <= binom.isf(0.001, REPLICATIONS, 0.05)


def _error_of(*digits: int) -> float:
    return float(np.average(_ERROR[list(digits)], weights=CLASS_SIZES[list(digits)]))


def _share_of_commonest() -> float:
    """Return what ``structured`` measures, from the true table of errors."""
    table = (CLASS_SIZES * _ERROR)[:, None] * _ANSWERS / _ANSWERS.sum(axis=1, keepdims=True)
    counts = table[~np.eye(10, dtype=bool)]
    expected = errors._expected(counts)
    top = np.argsort(-counts)[:COMMONEST]
    return float((counts[top].sum() / counts.sum()) / (expected[top].sum() / expected.sum()))


_AROUND = {digit: _ERROR[digit] - _error_of(3, 4, 5, 6, 7, 8, 9) for digit in (0, 1, 2)}
_OVER = {digit: _ERROR[digit] / _error_of(0, 1, 2, 3, 4, 5, 6, 7) for digit in (8, 9)}
TRUTH = {
    ("accuracy", "accuracy"): 1 - _error_of(*range(10)),
    # The worst and the best stand so far out that they are always the ones chosen.
    ("uneven", "gap"): 0.54,
    **{("easy-digits", f"digit {digit}"): value for digit, value in _AROUND.items()},
    **{("hard-digits", f"digit {digit}"): value for digit, value in _OVER.items()},
    ("explanations", "spread"): 0.6,
    ("explanations-correct", "area"): 0.6,
    ("collapse", "ratio"): 0.3,
    ("chance", "distance"): 0.0,
    ("direction", "loss"): 0.05,
    ("confident", "as given"): float(norm.cdf(2 / np.sqrt(2))),
    ("connected", "difference"): 0.3,
    ("silent", "share"): 0.4,
}


@pytest.fixture(scope="module")
def where_effects_are() -> list[dict]:
    return many(intervals)


@pytest.mark.parametrize("key", TRUTH, ids=" ".join)
def test_intervals_hold_the_truth_as_often_as_they_say(key, where_effects_are) -> None:
    held = sum(low <= TRUTH[key] <= high for low, high in (each[key] for each in where_effects_are))
    assert held >= binom.ppf(0.001, REPLICATIONS, LEVEL), held / REPLICATIONS


def test_the_commonest_pairs_are_not_overstated(where_effects_are) -> None:
    # With few errors the chosen pairs are not all of the true ones, which can only lower the ratio.
    lows = [each["structured", "ratio"][0] for each in where_effects_are]
    assert np.mean(np.array(lows) > _share_of_commonest()) <= 0.05
