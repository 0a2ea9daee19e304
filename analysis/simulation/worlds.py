"""Made-up studies whose true effects are known.

An image is an error in a repeat where a normal variable falls below a quantile of its class. Images
of a group share a part of it and repeats another, as much as in the first study: predictions of two
repeats agree on errors with φ = 0.72, the errors of images of one photo correlate by 0.21. So do
all other variables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from analysis.claims.confusions import commonest
from analysis.inference import statistics
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Attacked, Evidence
from analysis.results.schemas import FGSM, RANDOM_SIGN

# Images of each class, the distribution of images in a group, and repeats of the first study.
SIZES = np.array([684, 1968, 1590, 1104, 964, 909, 773, 767, 621, 620])
_LENGTHS, _OFTEN = (1, 2, 3, 4), (0.19, 0.64, 0.16, 0.01)
REPEATS, PAIRS = 3, 10
EASY, HARD = ("0", "1", "2"), ("8", "9")
# Shares of the variance that groups and images share over repeats.
_BY_GROUP, _BY_IMAGE = 0.42, 0.52
# Fragility of an image goes with its distance from an error.
_FRAGILE = 0.6
# The ε of the attacks, one for each test.
FLIPS, BY_CLASS, COLLAPSE, LARGEST = 0.005, 0.01, 0.015, 0.05
# A right answer that random signs cost comes with wrong ones that they correct.
_CORRECTED = 0.05


@dataclass(frozen=True)
class World:
    """The true effects: ``error`` (K,) of each class, and what each test measures.

    ``persistence`` and ``connected`` are correlations over the classes, ``structure`` the ratio of
    the commonest pairs, ``contrast`` a difference of maps in standard deviations, ``left`` a ratio,
    ``lost`` and ``distance`` differences of accuracies, ``auroc`` that of confidence under attack,
    ``flips`` the difference in flips with the margin fixed, ``sure`` the share of confident errors.
    ``only`` names the tests that the world is for, if not all.
    """

    name: str
    error: tuple[float, ...]
    persistence: float
    structure: float
    contrast: float
    left: float
    lost: float
    distance: float
    auroc: float
    flips: float
    connected: float
    sure: float
    only: tuple[str, ...] = ()

    @cached_property
    def truths(self) -> dict[str, float]:
        """Return the true effect by the name of the test, NaN where there is none."""
        easy, hard = np.isin(np.arange(10), [0, 1, 2]), np.isin(np.arange(10), [8, 9])
        even = np.ptp(self.error) == 0
        return {
            "error range": float(np.ptp(self.error)),
            "error difference": self._error_of(easy) - self._error_of(~easy),
            "error ratio": self._error_of(hard) / self._error_of(~hard),
            "confusion structure": self.structure,
            "persistence": np.nan if even else self.persistence,
            "confident errors": self.sure,
            "map contrast": self.contrast,
            "accuracy left": self.left,
            "accuracy lost": self.lost,
            "distance from guessing": self.distance,
            "confidence under attack": self.auroc,
            "connected flips": self.flips,
            "connected classes": np.nan if even else self.connected,
        }

    def truth(self, test: str, evidence: Evidence) -> float:
        """Return the true effect of a test; some depend on what the data single out."""
        if test != "confusion structure":
            return self.truths[test]
        chosen = tuple(commonest(evidence, pairs=PAIRS).reshape(-1, 2).T)
        return _ratio(self._errors(self.answers), chosen)

    def _error_of(self, members: np.ndarray) -> float:
        return float(np.average(np.array(self.error)[members], weights=SIZES[members]))

    @cached_property
    def by_repeat(self) -> np.ndarray:
        """Return the error of each class in each repeat, (R, K), with ``error`` as their mean.

        Deviations are orthogonal to the errors and add up to zero, so that the mean covariance of
        two repeats over the mean variance of one is exactly the correlation that is asked for.
        """
        errors = np.array(self.error)
        first, second = _orthogonal(errors)
        angles = 2 * np.pi * np.arange(REPEATS)[:, None] / REPEATS
        unit = np.cos(angles) * first + np.sin(angles) * second
        total = ((errors - errors.mean()) ** 2).sum()
        return errors + np.sqrt(total * (1 - self.persistence) / (self.persistence + 0.5)) * unit

    @cached_property
    def answers(self) -> np.ndarray:
        """Return the probability of each wrong answer, (K, K).

        Each class is mistaken more often for one other, and for the rest alike.
        """
        pair = np.roll(np.eye(10), 3, axis=1)

        def table(share: float) -> np.ndarray:
            return (1 - share) / 8 * (1 - np.eye(10) - pair) + share * pair

        if self.structure == 1:
            return table(1 / 9)

        def missing(share: float) -> float:
            errors = self._errors(table(share))
            top = np.unravel_index(np.argsort(-errors.ravel())[:PAIRS], errors.shape)
            return _ratio(errors, top) - self.structure

        return table(brentq(missing, 1 / 9, 0.99))

    def _errors(self, answers: np.ndarray) -> np.ndarray:
        return (SIZES * self.error)[:, None] * answers

    @cached_property
    def fragile(self) -> np.ndarray:
        """Return the quantile of each class and repeat below which a right answer flips, (R, K).

        Half of the right answers flip on average, and more or fewer of some classes.
        """
        errors = np.array(self.error)
        along = errors - errors.mean()
        along = along / max(np.linalg.norm(along), 1e-12)
        across = np.sqrt(1 - self.connected**2) * _orthogonal(errors)[0]
        rates = 0.5 + 0.3 * (self.connected * along + across)
        both = multivariate_normal(cov=[[1, _FRAGILE], [_FRAGILE, 1]])

        def missing(cut: float, error: float, rate: float) -> float:
            flipped = norm.cdf(cut) - both.cdf([norm.ppf(error), cut])
            return float(flipped / (1 - error) - rate)

        return np.array(
            [
                [
                    brentq(missing, -6, 6, args=pair, xtol=1e-4)
                    for pair in zip(row, rates, strict=True)
                ]
                for row in self.by_repeat
            ]
        )

    def evidence(self, resamples: Resamples, *, seed: int) -> Evidence:
        """Return a study drawn from this world, with the groups of ``resamples``."""
        generator = np.random.default_rng([seed, *self.name.encode()])
        label, group = generator.permutation(np.repeat(np.arange(10), SIZES)), resamples.group
        shared = _shared(generator, group)

        difficulty, cut = shared(), norm.ppf(self.by_repeat)[:, label]
        wrong = difficulty < cut
        margin = np.abs(difficulty - cut)
        chances = np.cumsum(self.answers, axis=1)[label]
        answer = (norm.cdf(shared())[..., None] > chances).sum(axis=-1)
        predicted = np.where(wrong, answer.clip(max=9), label)

        def under(lost: np.ndarray, score: np.ndarray | None = None) -> Attacked:
            moved = np.where(lost, (label + 1) % 10, predicted)
            return Attacked(moved, None if score is None else _confidence(score))

        def lost(share: float) -> np.ndarray:
            return ~wrong & (shared() < norm.ppf(share))

        accuracy = 1 - self._error_of(np.ones(10, dtype=bool))
        falls = lost((self.lost + (1 - accuracy) * _CORRECTED) / accuracy)
        corrected = wrong & (shared() < norm.ppf(_CORRECTED))
        signs = np.where(corrected, label, under(falls).predicted)
        others = np.stack([np.delete(wrong, r, axis=0).any(axis=0) for r in range(REPEATS)])
        # Images near the boundary flip, but not all: a larger ε leaves nothing to compare.
        chance = (1 - self.flips) * norm.cdf((0.25 - margin) / 0.2) + self.flips * others
        fragile = _FRAGILE * difficulty + np.sqrt(1 - _FRAGILE**2) * shared()
        doubt = norm.ppf(self.auroc) * np.sqrt(2)
        spread = shared() + self.contrast * (label >= 8)
        spread[generator.random(spread.shape) < 0.04] = np.nan
        scores = shared() + np.where(wrong, norm.ppf(self.sure), 1.5)
        return Evidence(
            classes=tuple("0123456789"),
            label=label,
            predicted=predicted,
            group=group,
            seed=seed,
            resamples=resamples,
            confidence=_confidence(scores),
            logits=(predicted[..., None] == np.arange(10)) * margin[..., None],
            attacked={
                (FGSM, FLIPS): under(~wrong & (generator.random(wrong.shape) < chance)),
                (FGSM, BY_CLASS): under(~wrong & (fragile < self.fragile[:, label])),
                (FGSM, COLLAPSE): under(lost(1 - self.left), shared() + 1.5 - doubt),
                (FGSM, LARGEST): under(lost(1 - (self.distance + 0.1) / accuracy)),
                (RANDOM_SIGN, COLLAPSE): Attacked(signs),
            },
            maps={"layer": {"spread": spread}},
        )


def resampled(count: int, *, seed: int) -> Resamples:
    """Return resamples of the groups of a made-up study, which many can share."""
    images = SIZES.sum()
    lengths = np.random.default_rng([seed, 2]).choice(_LENGTHS, images, p=_OFTEN)
    return Resamples(np.repeat(np.arange(images), lengths)[:images], count, seed)


def _ratio(errors: np.ndarray, chosen: tuple[np.ndarray, ...]) -> float:
    """Return the share of errors (K, K) in chosen cells over that under quasi-independence."""
    down, across = statistics.quasi_independence(
        errors.sum(axis=1), errors.sum(axis=0), iterations=100
    )
    expected = np.outer(down, across) * (1 - np.eye(len(errors)))
    return float(errors[chosen].sum() / errors.sum() / (expected[chosen].sum() / expected.sum()))


def _shared(generator: np.random.Generator, group: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that draws standard normal variables (R, N)."""

    def draw() -> np.ndarray:
        parts = (
            (_BY_GROUP, generator.standard_normal(group[-1] + 1)[group]),
            (_BY_IMAGE, generator.standard_normal(len(group))),
            (1 - _BY_GROUP - _BY_IMAGE, generator.standard_normal((REPEATS, len(group)))),
        )
        return sum((np.sqrt(share) * values for share, values in parts), np.zeros(1))

    return draw


def _confidence(score: np.ndarray) -> np.ndarray:
    """Return a confidence that rises with the score, and is 0.9 at 0."""
    return 1 / (1 + np.exp(-score) / 9)


def _orthogonal(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors (K,) orthogonal to values, to 1 and to each other."""
    start = np.random.default_rng(2).standard_normal((len(values), 2))
    centred = values - values.mean()
    known = [np.ones(len(values)), *([centred] if centred.any() else [])]
    basis = np.linalg.qr(np.column_stack([*known, start]))[0]
    return basis[:, -2], basis[:, -1]


def _linear(low: float, high: float) -> tuple[float, ...]:
    return tuple(np.linspace(low, high, 10)[[4, 1, 0, 5, 2, 6, 7, 3, 9, 8]])


# Errors in three steps with a range of 2 points, easy classes 1 point below the others, and hard
# ones a quarter above: all at the thresholds of the claims.
_STEPS = (0.06123, 0.06848, 0.08123)

ERRORS = ("error range", "error difference", "error ratio", "confusion structure")
OTHERS = ("map contrast", "accuracy lost", "distance from guessing", "connected flips")
CORRELATIONS = ("persistence", "connected classes")
WORLDS = (
    World(
        "no effect", (0.065,) * 10, *(1, 1, 0, 0.3, 0, 0, 0.5, 0, 0, 0.1), only=(*ERRORS, *OTHERS)
    ),
    World(
        "at the thresholds",
        (*(_STEPS[0],) * 3, *(_STEPS[1],) * 5, *(_STEPS[2],) * 2),
        *(0.7, 1.25, 0.2, 0.5, 0.02, 0.05, 0.7, 0.05, 0.5, 0.2),
    ),
    World(
        "2 points, linear",
        _linear(0.055, 0.075),
        *(1, 1.8, 0.1, 0.4, 0.01, 0.02, 0.6, 0.02, 0.9, 0.15),
        only=ERRORS,
    ),
    World(
        "2 points, one outlier",
        (*(0.06,) * 8, 0.08, 0.06),
        *(0.4, 1.5, 0.3, 0.6, 0.03, 0.08, 0.8, 0.1, 0.2, 0.25),
        only=ERRORS,
    ),
    World(
        "4 points, linear",
        _linear(0.045, 0.085),
        *(0.7, 2, 0.4, 0.11, 0.005, -0.05, 0.84, 0.01, 0.5, 0.144),
    ),
    World(
        "6.6 points, as in the first study",
        (0.0624, 0.044, 0.0317, 0.0583, 0.0456, 0.0695, 0.068, 0.0677, 0.0977, 0.0813),
        *(0.98, 2.4, 0.41, 0.11, 0.0005, -0.083, 0.13, 0, 0.8, 0.144),
    ),
    World(
        "8 points, correlations at their thresholds",
        _linear(0.07, 0.15),
        *(0.7, 1.25, 0.2, 0.5, 0.02, 0.05, 0.7, 0.05, 0.5, 0.2),
        only=CORRELATIONS,
    ),
    World(
        "8 points, weaker correlations",
        _linear(0.07, 0.15),
        *(0.4, 1.25, 0.2, 0.5, 0.02, 0.05, 0.7, 0.05, 0.2, 0.2),
        only=CORRELATIONS,
    ),
)
