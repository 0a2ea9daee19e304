"""From an effect to a verdict, and from the claims of a study to levels that share one error rate.

A claim that expects its effect above a threshold holds if the effect is above it, and does not hold
if it is not. At most one of the two is wrong, so one tail of each claim can be a wrong verdict, and
levels are one-sided. Holm's procedure (1979, *A Simple Sequentially Rejective Multiple Test
Procedure*) shares the error rate among the claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from analysis.inference import statistics
from analysis.inference.effects import Measured, Replicates
from analysis.inference.evidence import NotTested
from analysis.results.records import Effect, Kind, Reported, Side, Verdict

# Power at the detectable effect.
POWER = 0.8
# If fewer than this share of resamples are undefined, dropping them cannot move the ends of the
# interval noticeably.
_UNDEFINED = 0.001


@dataclass(frozen=True)
class Finding:
    """The result of a test; ``reason`` names assumptions, ``reported`` numbers decide nothing.

    No effect above ``limit`` is possible on these data, for the reason ``limited``.
    """

    effect: Measured
    reported: tuple[Reported, ...] = ()
    reason: str = ""
    limit: float = np.inf
    limited: str = ""

    @classmethod
    def of(
        cls, values: np.ndarray, reported: tuple[Reported, ...] = (), *, reason: str = ""
    ) -> Finding:
        """Return the finding of an estimate and its replicates, (1 + B,).

        Raises ``NotTested`` if they are not defined: a class without an image or an error leaves
        nothing to divide by, in the data, or in so many resamples that an interval would leave out
        what matters.
        """
        missing = ~np.isfinite(values)
        if missing[0]:
            raise NotTested("too few images: the effect is not defined")
        if missing.mean() > _UNDEFINED:
            raise NotTested(
                f"too few images: the effect is not defined in {int(missing.sum()):,} of "
                f"{len(values) - 1:,} resamples"
            )
        return cls(Replicates(float(values[0]), values[1:][~missing[1:]]), reported, reason)

    @classmethod
    def of_correlation(cls, values: np.ndarray) -> Finding:
        """Return the finding of a correlation and its replicates, (1 + B,).

        Replicates may be undefined, where noise leaves no variance: then it may be anything. Raises
        ``NotTested`` if the estimate is.
        """
        missing = ~np.isfinite(values)
        if missing[0]:
            raise NotTested("too few images: noise leaves no variance to correlate")
        known = values[1:][~missing[1:]]
        return cls(Replicates(float(values[0]), known, int(missing.sum()), limits=(-1, 1)))


@dataclass(frozen=True)
class Rule:
    """Where a claim expects its effect."""

    side: Side
    threshold: float

    def p_values(self, effect: Measured) -> tuple[float, float]:
        """Return the p that the claim does not hold, and the p that it holds."""
        if self.side == "within":
            inside = max(effect.p_above(-self.threshold), effect.p_below(self.threshold))
            outside = min(effect.p_above(self.threshold), effect.p_below(-self.threshold))
            return inside, outside
        above, below = effect.p_above(self.threshold), effect.p_below(self.threshold)
        return (above, below) if self.side == "above" else (below, above)

    def met(self, value: float) -> bool:
        """Return whether a value lies where the claim expects it."""
        if self.side == "within":
            return abs(value) < self.threshold
        return value > self.threshold if self.side == "above" else value < self.threshold

    def judge(self, effect: Measured, *, level: float, alpha: float) -> tuple[Verdict, Effect]:
        """Return the verdict with one-sided level ``alpha``, and the effect.

        Its ordinary interval has the confidence ``level``.
        """
        holds, fails = self.p_values(effect)
        low, high = effect.interval(level)
        bounds = effect.bounds(alpha)
        verdict: Verdict = "undecided"
        if min(holds, fails) <= alpha:
            verdict = "holds" if holds < fails else "does not hold"
        return verdict, Effect(
            value=effect.value,
            low=low,
            high=high,
            adjusted_low=bounds[0],
            adjusted_high=bounds[1],
            level=alpha,
            p=min(holds, fails),
            standard_error=effect.error,
            detectable=self._detectable(effect.error, alpha),
        )

    def _detectable(self, error: float, alpha: float) -> float | None:
        reach = error * (norm.isf(alpha) + norm.isf(1 - POWER))
        if self.side != "within":
            return self.threshold + (reach if self.side == "above" else -reach)
        margin = self.threshold - error * norm.isf(alpha)

        def missing(effect: float) -> float:
            """Return how much power is missing: neither end may reach beyond its threshold."""
            both = norm.cdf((margin - effect) / error) - norm.cdf((-margin - effect) / error)
            return POWER - both

        if error == 0:
            return self.threshold
        return float(brentq(missing, 0, self.threshold)) if missing(0) < 0 else None


def holm(p: Mapping[str, float], *, alpha: float) -> dict[str, float]:
    """Return the level of each claim; those with p at most their level are decided.

    The smallest p is held against alpha over the number of claims, the next against alpha over one
    less, until one is not below; the rest share its level.
    """
    levels: dict[str, float] = {}
    stopped = False
    level = alpha / max(len(p), 1)
    for number, name in enumerate(sorted(p, key=lambda name: p[name])):
        if not stopped:
            level = alpha / (len(p) - number)
            stopped = p[name] > level
        levels[name] = level
    return levels


def reported(
    kind: Kind,
    values: np.ndarray | float,
    *,
    part: str = "",
    layer: str = "",
    weights: str = "",
    level: float = 0.95,
) -> Reported:
    """Return a number to report, with its interval if there are replicates, (1 + B,).

    What is undefined on the data is NaN.
    """
    values = np.atleast_1d(np.asarray(values, dtype=float))
    found = Reported(kind=kind, value=float(values[0]), part=part, layer=layer, weights=weights)
    if len(values) == 1 or np.isnan(values[1:]).all():
        return found
    low, high = statistics.interval(values[1:], level)
    return found.model_copy(update={"low": float(low), "high": float(high)})
