"""The claims about errors on clean images: how many, on which digits, and which for which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

import numpy as np

from analysis import statistics
from analysis.claims.judging import Finding, beside
from analysis.evidence import Evidence, NotTested
from analysis.label_noise import candidates, without
from analysis.published import EASY, HARD
from analysis.study import CLASSES
from analysis.verdicts import SURE, Beside

SPLITS = 200
COMMONEST = 10
# Off the diagonal, as (true, predicted).
_PAIRS = np.array(list(permutations(range(CLASSES), 2)))
# Random sets of errors that are left out in place of the candidates for a wrong label.
DRAWS = 20


def accuracy(evidence: Evidence) -> Finding:
    """Return the overall accuracy."""
    if not evidence.official:
        raise NotTested("the networks were not trained on the official training split")
    return Finding({"accuracy": evidence.accuracy()})


def uneven(evidence: Evidence, *, splits: int = SPLITS) -> Finding:
    """Return the gap between the classes that were worst and best on the other half.

    Choosing and measuring on the same images would find a gap in pure noise.
    """
    errors = class_errors(evidence)
    same = errors.max(axis=1) - errors.min(axis=1)
    return Finding(
        {"gap": _gap(evidence, splits=splits)},
        (
            beside("gap on the images it was chosen on", same),
            beside("permutation test of equal errors, p", heterogeneity(evidence)),
            *_bounds(evidence, lambda kept: {"gap": _gap(kept, splits=DRAWS)}),
        ),
    )


def _gap(evidence: Evidence, *, splits: int) -> np.ndarray:
    gaps = []
    for chosen, measured in _class_errors_in_halves(evidence, splits=splits):
        unknown = np.isnan(chosen)
        worst = np.where(unknown, -np.inf, chosen).argmax(axis=-1)[..., None]
        best = np.where(unknown, np.inf, chosen).argmin(axis=-1)[..., None]
        gap = np.take_along_axis(measured, worst, -1) - np.take_along_axis(measured, best, -1)
        gaps.append(np.where(unknown.all(axis=-1), np.nan, gap[..., 0]))
    return np.nanmean(np.concatenate(gaps), axis=0)


def easy_digits(evidence: Evidence) -> Finding:
    """Return the error of 0, 1 and 2, each minus that of the other seven digits."""
    return Finding(_easy(evidence), _bounds(evidence, _easy))


def hard_digits(evidence: Evidence) -> Finding:
    """Return the error of 8 and 9, each over that of the other eight digits."""
    return Finding(_hard(evidence), _bounds(evidence, _hard))


def structured(evidence: Evidence, *, splits: int = SPLITS) -> Finding:
    """Return how much more of the errors the commonest pairs hold than chance would give them.

    The pairs are chosen on one half and measured on the other. Chance is quasi-independence: what
    a digit is taken for does not depend on which digit it is, beyond how often each is mistaken
    and each is given as an answer.
    """
    true, given = _PAIRS.T
    values = ((evidence.label[:, None] == true) & (evidence.predicted[..., None] == given)).mean(
        axis=0
    )
    held, expected = [], []
    for chosen, measured in evidence.resamples.halves(values, splits=splits):
        top = np.argpartition(-chosen, COMMONEST, axis=-1)[..., :COMMONEST]
        total = measured.sum(axis=-1)
        held.append(np.take_along_axis(measured, top, -1).sum(axis=-1) / total)
        cells = _expected(measured)
        expected.append(np.take_along_axis(cells, top, -1).sum(axis=-1) / cells.sum(axis=-1))
    share, by_chance = (np.nanmean(np.concatenate(part), axis=0) for part in (held, expected))
    return Finding(
        {"ratio": share / by_chance},
        (
            beside("share of the errors in the ten pairs", share),
            beside("share by chance", by_chance),
            beside("test of quasi-independence, largest p of any repeat", _independence(evidence)),
        ),
    )


def persistent(evidence: Evidence, *, splits: int = SPLITS) -> Finding:
    """Return the rank correlation of the classes' errors between repeats, free of noise.

    Each repeat on one half of the photos is compared with another repeat on the other half, so
    that no image is behind both; the correlation of one repeat with itself over the halves says
    how much of what is missing from 1 is noise (Spearman 1904).
    """
    if evidence.repeats < 3:
        raise NotTested(f"needs three repeats, and there are {evidence.repeats}")
    across, within = [], []
    counted = evidence.resamples.halves(evidence.one_hot, splits=splits)
    columns = (evidence.wrong[:, :, None] * evidence.one_hot).transpose(1, 0, 2)
    failed = evidence.resamples.halves(columns.reshape(len(columns), -1), splits=splits)
    for (first, second), (number_first, number_second) in zip(failed, counted, strict=True):
        orders = _rates(first, number_first), _rates(second, number_second)
        pairs = statistics.rank_correlation(orders[0][:, :, :, None], orders[1][:, :, None])
        same = np.eye(evidence.repeats, dtype=bool)
        within.append(pairs[..., same].mean(axis=-1))
        across.append(pairs[..., ~same].mean(axis=-1))
    between, reliability = (np.nanmean(np.concatenate(part), axis=0) for part in (across, within))
    p = _persistence_by_chance(evidence, float(between[0]))
    return Finding(
        {"correlation": between / np.where(reliability > 0, reliability, np.nan)},
        (
            beside("correlation between repeats, uncorrected", between),
            beside("correlation of a repeat with itself", reliability),
            beside("uncorrected correlation under exchanged photos, p", p),
        ),
        met=p < 0.05,
    )


def silent(evidence: Evidence) -> Finding:
    """Return the share of the errors that were made with high confidence."""
    if evidence.confidence is None:
        raise NotTested("the confidence of single predictions is not known")
    sure = evidence.wrong & (evidence.confidence >= SURE)
    return Finding({"share": _share(evidence, sure, evidence.wrong)})


def class_errors(evidence: Evidence) -> np.ndarray:
    """Return the error of each class, (1 + B, 10)."""
    error = evidence.wrong.mean(axis=0)
    sums = evidence.resamples.sums(np.hstack([error[:, None] * evidence.one_hot, evidence.one_hot]))
    return sums[:, :CLASSES] / sums[:, CLASSES:]


def heterogeneity(evidence: Evidence) -> float:
    """Return how often exchanged errors differ as much between classes as the real ones, p.

    The statistic is the sum of squares between classes; there are as many exchanges as resamples.
    """
    error = evidence.wrong.mean(axis=0)
    number = np.maximum(evidence.one_hot.sum(axis=0), 1)
    exchange = statistics.Exchange(evidence.photo)
    generator = np.random.default_rng([evidence.seed, 4])

    def between(values: np.ndarray) -> float:
        return float(((values @ evidence.one_hot) ** 2 / number).sum())

    drawn = [between(error[exchange.draw(generator)]) for _ in range(evidence.resamples.count)]
    return _p(drawn, between(error))


def _easy(evidence: Evidence) -> dict[str, np.ndarray]:
    others = _error_of(evidence, set(range(CLASSES)) - set(EASY))
    return {f"digit {digit}": _error_of(evidence, {digit}) - others for digit in EASY}


def _hard(evidence: Evidence) -> dict[str, np.ndarray]:
    others = _error_of(evidence, set(range(CLASSES)) - set(HARD))
    return {f"digit {digit}": _error_of(evidence, {digit}) / others for digit in HARD}


def _bounds(
    evidence: Evidence, effects: Callable[[Evidence], dict[str, np.ndarray]]
) -> tuple[Beside, ...]:
    """Return the effects without candidates for a wrong label, and without as many other errors.

    Leaving errors out lowers the error by construction, so the first is a bound, and the second
    says how much of the change is the leaving out alone.
    """
    chosen = np.flatnonzero(candidates(evidence))
    if not len(chosen):
        return ()
    errors = np.flatnonzero(evidence.wrong.all(axis=0))
    generator = np.random.default_rng([evidence.seed, 7])
    drawn = [generator.choice(errors, len(chosen), replace=False) for _ in range(DRAWS)]
    by_chance = [effects(without(evidence, images)) for images in drawn]
    return tuple(
        beside(f"{part}, without {what}", value)
        for part, left in effects(without(evidence, chosen)).items()
        for what, value in (
            ("candidates for a wrong label", left[0]),
            ("as many errors at random", np.mean([each[part][0] for each in by_chance])),
        )
    )


def _error_of(evidence: Evidence, digits: set[int]) -> np.ndarray:
    """Return the error of some digits together, (1 + B,)."""
    members = np.isin(evidence.label, list(digits))
    return _share(
        evidence, evidence.wrong & members, np.broadcast_to(members, evidence.wrong.shape)
    )


def _share(evidence: Evidence, some: np.ndarray, all_: np.ndarray) -> np.ndarray:
    """Return the share of predictions (R, N) that some of all are, (1 + B,)."""
    columns = np.stack([some.mean(axis=0), all_.mean(axis=0)], axis=1)
    sums = evidence.resamples.sums(columns)
    return sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)


def _class_errors_in_halves(
    evidence: Evidence, *, splits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the error of each class in two halves, blocks of (splits, 1 + B, 10)."""
    error = evidence.wrong.mean(axis=0)
    failed = evidence.resamples.halves(error[:, None] * evidence.one_hot, splits=splits)
    counted = evidence.resamples.halves(evidence.one_hot, splits=splits)
    for wrong, number in zip(failed, counted, strict=True):
        yield tuple(
            part / np.where(of > 0, of, np.nan) for part, of in zip(wrong, number, strict=True)
        )


def _rates(sums: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return the class errors of each repeat, (splits, 1 + B, R, 10), from sums side by side."""
    sums = sums.reshape(*sums.shape[:2], -1, CLASSES)
    return sums / np.where(number > 0, number, np.nan)[:, :, None]


def _expected(counts: np.ndarray) -> np.ndarray:
    """Return the counts of the pairs (…, 90) that quasi-independence expects."""
    true, given = _PAIRS.T
    # The pairs stand row by row, nine a row.
    rows = counts.reshape(*counts.shape[:-1], CLASSES, CLASSES - 1).sum(axis=-1)
    columns = np.stack([counts[..., given == digit].sum(axis=-1) for digit in range(CLASSES)], -1)
    down, across = statistics.quasi_independence(rows, columns)
    return down[..., true] * across[..., given]


def _independence(evidence: Evidence) -> float:
    """Return the p of the G statistic by parametric bootstrap, errors taken as independent.

    Repeats see the same images, so each is tested by itself, and the largest p counts.
    """
    true, given = _PAIRS.T
    generator = np.random.default_rng([evidence.seed, 5])
    found = []
    for predicted in evidence.predicted:
        values = (evidence.label[:, None] == true) & (predicted[:, None] == given)
        counts = evidence.resamples.sums(values)[0].astype(float)
        if not counts.any():
            found.append(1.0)
            continue
        expected = _expected(counts)
        observed = statistics.g_statistic(counts, expected)
        drawn = generator.multinomial(
            int(counts.sum()), expected / expected.sum(), size=evidence.resamples.count
        ).astype(float)
        by_chance = statistics.g_statistic(drawn, _expected(drawn))
        found.append(_p(by_chance, observed))
    return max(found)


def _persistence_by_chance(evidence: Evidence, observed: float) -> float:
    """Return how often classes agree as much between repeats where photos are exchanged, p."""
    exchange = statistics.Exchange(evidence.photo)
    generator = np.random.default_rng([evidence.seed, 6])
    _, unit = np.unique(evidence.photo, return_inverse=True)
    same = np.eye(evidence.repeats, dtype=bool)
    drawn = []
    for _ in range(evidence.resamples.count):
        wrong = evidence.wrong[:, exchange.draw(generator)]
        inside = generator.permutation(unit.max() + 1)[unit] % 2 == 0
        halves = [
            (wrong[:, half] @ evidence.one_hot[half]) / evidence.one_hot[half].sum(axis=0)
            for half in (inside, ~inside)
        ]
        pairs = statistics.rank_correlation(halves[0][:, None], halves[1][None])
        drawn.append(pairs[~same].mean())
    return _p(drawn, observed)


def _p(drawn: Sequence[float] | np.ndarray, observed: float) -> float:
    """Return how often a statistic is as large by chance, the observed one counted among them.

    One that is not defined counts as large: nothing is significant for want of data.
    """
    return float((1 + np.sum(~(np.asarray(drawn) < observed))) / (1 + len(drawn)))
