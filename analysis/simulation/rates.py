"""How often verdicts and intervals are wrong in made-up studies, and how often effects are found.

For each test and world three questions are asked of many data sets: how often a verdict would be
wrong if the threshold were exactly the true effect, which is where that happens most often; how
often the 95 % interval contains the true effect; and how often the claim, with its own threshold,
gets the right verdict.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from analysis.claims import registry
from analysis.claims.judge import ALPHA
from analysis.claims.judging import Rule, holm
from analysis.inference.effects import Measured
from analysis.inference.evidence import Evidence, NotTested
from analysis.results.records import Side
from analysis.simulation.worlds import (
    BY_CLASS,
    COLLAPSE,
    EASY,
    FLIPS,
    HARD,
    LARGEST,
    PAIRS,
    WORLDS,
    World,
    resampled,
)

LEVEL, RESAMPLES, BLOCK = 0.95, 400, 25
HIERARCHICAL = "hierarchical"
FAMILY = "all claims, by Holm's procedure"
COLUMNS = ["test", "configuration", "true_effect", "threshold", "data_sets", "estimate"]
COLUMNS += ["too_high", "too_low", "wrong", "wrong_low", "wrong_high"]
COLUMNS += ["coverage", "coverage_low", "coverage_high", "power"]


@dataclass(frozen=True)
class Tested:
    """A test with the parameters and the threshold of a claim of the first study."""

    test: str
    side: Side
    threshold: float
    parameters: dict[str, Any] = field(default_factory=dict)
    variant: str = ""

    @property
    def name(self) -> str:
        """Return the name of the test and of its variant."""
        return f"{self.test}, {self.variant}" if self.variant else self.test

    def effect(self, evidence: Evidence) -> Measured:
        """Return what the test finds. Raises ``NotTested``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return registry.TESTS[self.test].function(evidence, **self.parameters).effect


TESTED = (
    Tested("error range", "above", 0.02),
    Tested("error range", "above", 0.02, {"estimate": HIERARCHICAL}, HIERARCHICAL),
    Tested("error difference", "below", -0.01, {"classes": EASY}),
    Tested("error ratio", "above", 1.25, {"classes": HARD}),
    Tested("confusion structure", "above", 1.25, {"pairs": PAIRS}),
    Tested("persistence", "above", 0.7),
    Tested("confident errors", "above", 0.2, {"confidence": 0.9}),
    Tested("map contrast", "above", 0.2, {"classes": HARD, "others": EASY}),
    Tested("accuracy left", "below", 0.5, {"epsilon": COLLAPSE}),
    Tested("accuracy lost", "below", 0.02, {"epsilon": COLLAPSE}),
    Tested("distance from guessing", "below", 0.05, {"epsilon": LARGEST}),
    Tested("confidence under attack", "below", 0.7, {"epsilon": COLLAPSE}),
    Tested("connected flips", "above", 0.05, {"epsilon": FLIPS}),
    Tested("connected classes", "above", 0.5, {"epsilon": BY_CLASS}),
)
# Without variants, which have no verdict.
FAMILY_OF = tuple(each for each in TESTED if not each.variant)


@dataclass(frozen=True)
class Outcome:
    """One test on one data set.

    ``above_truth`` and ``below_truth`` are the p of an effect above and below the true one,
    ``holds`` and ``fails`` those of the claim with its own threshold.
    """

    truth: float
    value: float
    low: float
    high: float
    above_truth: float
    below_truth: float
    holds: float
    fails: float


def simulate(
    *,
    data_sets: int,
    processes: int = 1,
    worlds: Sequence[World] = WORLDS,
    resamples: int = RESAMPLES,
    say: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Return the rates of every test in every world, and those of all claims together.

    With one-sided levels of 5 %, ``too_high`` and ``too_low`` are the shares of data sets in which
    the effect seems to be above or below the true one, and ``wrong`` is the larger of the two.
    ``data_sets`` are those that could test a claim; ``power`` is missing where the true effect is
    at the claim's threshold. Shares have exact binomial 95 % intervals.
    """
    rows = []
    for world in worlds:
        start = monotonic()
        found = _outcomes(world, data_sets=data_sets, processes=processes, resamples=resamples)
        # Where few data sets can test a claim, their rates say little.
        enough = [each for each in TESTED if len(found[each.name]) >= max(data_sets / 10, 1)]
        rows += [_row(each, world, found[each.name]) for each in enough]
        if not world.only:
            rows.append(_family(world, found, data_sets=data_sets))
        say(f"{world.name}: {data_sets} data sets in {monotonic() - start:.0f} s")
    return pd.DataFrame(rows, columns=COLUMNS)


def _outcomes(
    world: World, *, data_sets: int, processes: int, resamples: int
) -> dict[str, dict[int, Outcome]]:
    """Return the outcomes by test and data set, none for a data set that cannot test it.

    The data sets of a block share groups and resamples, which take a third of the time.
    """
    blocks = [range(start, min(start + BLOCK, data_sets)) for start in range(0, data_sets, BLOCK)]
    one = partial(_block, world, resamples)
    found: dict[str, dict[int, Outcome]] = defaultdict(dict)
    for name, seed, outcome in chain.from_iterable(_each(one, blocks, processes)):
        found[name][seed] = outcome
    return found


def _each(
    one: Callable[[range], list[tuple[str, int, Outcome]]], blocks: list[range], processes: int
) -> Iterator[list[tuple[str, int, Outcome]]]:
    if processes == 1:
        yield from map(one, blocks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(one, blocks)


def _block(world: World, count: int, seeds: range) -> list[tuple[str, int, Outcome]]:
    found = []
    resamples = resampled(count, seed=seeds.start)
    mine = [each for each in TESTED if not world.only or each.test in world.only]
    for seed in seeds:
        evidence = world.evidence(resamples, seed=seed)
        for each in mine:
            truth = world.truth(each.test, evidence)
            # A model in which classes differ gives no interval that contains a range of zero.
            if np.isnan(truth) or (each.variant == HIERARCHICAL and truth == 0):
                continue
            try:
                effect = each.effect(evidence)
            except NotTested:
                continue
            found.append((each.name, seed, _outcome(effect, each, truth)))
    return found


def _outcome(effect: Measured, each: Tested, truth: float) -> Outcome:
    return Outcome(
        truth,
        effect.value,
        *effect.interval(LEVEL),
        effect.p_above(truth),
        effect.p_below(truth),
        *Rule(each.side, each.threshold).p_values(effect),
    )


def _row(each: Tested, world: World, outcomes: dict[int, Outcome]) -> tuple[Any, ...]:
    found = list(outcomes.values())
    too_high = _mean([one.above_truth <= ALPHA for one in found])
    too_low = _mean([one.below_truth <= ALPHA for one in found])
    covered = _mean([one.low <= one.truth <= one.high for one in found])
    # At its threshold a claim has no right verdict.
    power = np.nan
    if not np.isclose(world.truths[each.test], each.threshold, rtol=5e-3):
        power = _mean([_right(one, Rule(each.side, each.threshold)) for one in found])
    return (
        each.name,
        world.name,
        np.mean([one.truth for one in found]),
        each.threshold,
        len(found),
        np.mean([one.value for one in found]),
        *_wrong(too_high, too_low, len(found)),
        *_share(covered, len(found)),
        power,
    )


def _right(one: Outcome, rule: Rule) -> bool:
    """Return whether a single claim gets the right verdict."""
    mine, other = (one.holds, one.fails) if rule.met(one.truth) else (one.fails, one.holds)
    return mine <= ALPHA and mine < other


def _family(
    world: World, found: dict[str, dict[int, Outcome]], *, data_sets: int
) -> tuple[Any, ...]:
    """Return how often any claim is wrong if every threshold is exactly the true effect.

    Verdicts that err on the two sides are counted apart: with one effect at most one is wrong.
    """
    names = [each.name for each in FAMILY_OF]
    above, below = [], []
    for seed in range(data_sets):
        mine = {name: found[name][seed] for name in names if seed in found.get(name, {})}
        p = {name: min(one.above_truth, one.below_truth) for name, one in mine.items()}
        levels = holm(p, alpha=ALPHA)
        decided = [one for name, one in mine.items() if p[name] <= levels[name]]
        above.append(any(one.above_truth < one.below_truth for one in decided))
        below.append(any(one.below_truth < one.above_truth for one in decided))
    rates = _wrong(_mean(above), _mean(below), data_sets)
    blank = [np.nan] * 4
    return (FAMILY, world.name, np.nan, np.nan, data_sets, np.nan, *rates, *blank)


def _mean(values: list[bool]) -> float:
    return sum(values) / len(values)


def _wrong(too_high: float, too_low: float, count: int) -> tuple[float, ...]:
    return (too_high, too_low, *_share(max(too_high, too_low), count))


def _share(share: float, count: int) -> tuple[float, float, float]:
    """Return a share with its exact 95 % interval."""
    low, high = proportion_confint(round(share * count), count, method="beta")
    return share, float(low), float(high)
