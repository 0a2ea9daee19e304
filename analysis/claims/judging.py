"""From bootstrap replicates of an effect to a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from analysis.inference import statistics
from analysis.inference.evidence import NotTested
from analysis.results.records import Kind, Part, Reported, Side, Verdict

# Power at the detectable effect.
POWER = 0.8
# If fewer than this share of resamples are undefined, dropping them cannot move the ends of the
# interval noticeably.
_UNDEFINED = 0.001


@dataclass(frozen=True)
class Finding:
    """The result of a test: the effect of each part with its replicates, (1 + B,).

    ``reason`` names assumptions; ``reported`` numbers decide nothing. ``met`` is False if a further
    condition for "supported" is not fulfilled.
    """

    parts: dict[str, np.ndarray]
    reported: tuple[Reported, ...] = ()
    met: bool = True
    reason: str = ""

    def defined(self) -> Finding:
        """Return the same finding. Raises ``NotTested`` if a part has no effect to judge.

        A class without an image or an error leaves nothing to divide by: in the data, or in so many
        resamples that an interval would leave out what matters.
        """
        for name, values in self.parts.items():
            missing = ~np.isfinite(values)
            if missing[0]:
                raise NotTested(f"too few images: {name} is not defined")
            if missing.mean() > _UNDEFINED:
                count = int(missing.sum())
                raise NotTested(
                    f"too few images: {name} is not defined in {count} of {len(values) - 1} "
                    "resamples"
                )
        return self


@dataclass(frozen=True)
class Rule:
    """Where an effect has to lie, and at what confidence."""

    side: Side
    threshold: float
    level: float
    simultaneous: float = field(kw_only=True)

    def judge(self, name: str, values: np.ndarray) -> Part:
        """Return the part with its verdict; ``values`` (1 + B,) has the estimate first."""
        low, high = (float(end) for end in statistics.interval(values[1:], self.level))
        wide = statistics.interval(values[1:], self.simultaneous)
        below, above = (float(end) for end in wide)
        error = float(np.std(values[1:][np.isfinite(values[1:])], ddof=1))
        verdict = self._verdict(below, above)
        return Part(
            name=name,
            verdict=verdict,
            effect=float(values[0]),
            low=low,
            high=high,
            simultaneous_low=below,
            simultaneous_high=above,
            standard_error=error,
            turns_at=self._turns_at(verdict, below, above),
            detectable=self._detectable(error),
        )

    def _verdict(self, low: float, high: float) -> Verdict:
        if self.side == "within":
            inside = -self.threshold < low and high < self.threshold
            outside = low > self.threshold or high < -self.threshold
        elif self.side == "above":
            inside, outside = low > self.threshold, high < self.threshold
        else:
            inside, outside = high < self.threshold, low > self.threshold
        return "supported" if inside else "refuted" if outside else "inconclusive"

    def _turns_at(self, verdict: Verdict, low: float, high: float) -> tuple[float, ...]:
        if self.side == "within":
            # The margins that hold the whole interval, and that it lies wholly outside of.
            holds, misses = max(abs(low), abs(high)), max(low, -high)
            ends = {"supported": (holds,), "refuted": (misses,)}
            both = (misses, holds) if misses > 0 else (holds,)
        else:
            ends = {"supported": (low,), "refuted": (high,)}
            if self.side == "below":
                ends = {"supported": (high,), "refuted": (low,)}
            both = (low, high)
        return ends.get(verdict, both)

    def _detectable(self, error: float) -> float | None:
        tail = (1 - self.simultaneous) / 2
        reach = error * (norm.isf(tail) + norm.isf(1 - POWER))
        if self.side == "above":
            return self.threshold + reach
        if self.side == "below":
            return self.threshold - reach
        return self._detectable_within(error, tail)

    def _detectable_within(self, error: float, tail: float) -> float | None:
        margin = self.threshold - error * norm.isf(tail)

        def missing(effect: float) -> float:
            """Return how much power is missing: neither end may reach beyond its threshold."""
            both = norm.cdf((margin - effect) / error) - norm.cdf((-margin - effect) / error)
            return POWER - both

        if error == 0:
            return self.threshold
        return brentq(missing, 0, self.threshold) if missing(0) < 0 else None


def combined(verdicts: Sequence[Verdict], *, met: bool = True) -> Verdict:
    """Return the verdict of a claim of several parts.

    Supported if all are and the further condition is met, refuted if any is.
    """
    if "refuted" in verdicts:
        return "refuted"
    if met and all(verdict == "supported" for verdict in verdicts):
        return "supported"
    return "inconclusive"


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
