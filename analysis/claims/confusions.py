"""The test about confusions: whether errors concentrate on few pairs of classes."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from scipy.sparse import csr_array, hstack

from analysis.claims.errors import p_value
from analysis.claims.judging import Finding, reported
from analysis.claims.registry import test
from analysis.inference import statistics
from analysis.inference.evidence import Evidence, NotTested
from analysis.study import Count

# Of more pairs of classes than this, only the commonest are looked at.
PAIRS = 1000


@test(
    "confusion structure",
    sentence="The share of the errors that the {pairs} commonest pairs of {nouns} contain, chosen "
    "on one half of the groups of images and measured on the other, divided by the share that "
    "quasi-independence predicts, in the mean over {splits} splits,",
    clause="confusions follow a structure",
    sides=("above",),
    effect="share of errors over that expected",
    unit="ratio",
    reports=("share in the pairs", "share in the pairs by chance", "p of quasi-independence"),
)
def confusion_structure(evidence: Evidence, *, pairs: Count = 10, splits: Count = 200) -> Finding:
    """Return how many more errors the commonest pairs contain than expected by chance.

    Chance is quasi-independence: what an error is read as depends only on how often each class is
    mistaken, and how often each is given as an answer.
    """
    every = len(evidence.classes) * (len(evidence.classes) - 1)
    if every == 2:
        raise NotTested("two classes have one confusion each")
    if 2 * pairs > every:
        # They would contain most errors whatever the structure, and seem to refute it.
        raise NotTested(f"{pairs} pairs are more than half of the {every} that there are")
    table = _Pairs(evidence)
    held, expected = [], []
    for chosen, measured in evidence.resamples.halves(table.values, splits=splits):
        cells = chosen[..., : table.count]
        # Of many classes no more pairs may occur, and argpartition needs one more.
        most = min(pairs, cells.shape[-1] - 1)
        top = np.argpartition(-cells, most, axis=-1)[..., :most]
        observed = measured[..., : table.count]
        share, total = table.expected(measured, top)
        held.append(np.take_along_axis(observed, top, -1).sum(axis=-1) / table.errors(measured))
        expected.append(share / total)
    share, by_chance = (np.nanmean(np.concatenate(part), axis=0) for part in (held, expected))
    numbers = [
        reported("share in the pairs", share),
        reported("share in the pairs by chance", by_chance),
    ]
    if table.whole:
        numbers.append(reported("p of quasi-independence", _independence(evidence, table)))
    return Finding({"ratio": share / by_chance}, tuple(numbers))


class _Pairs:
    """Pairs of a class and another that it is read as, and the errors of each class.

    ``values`` (N, pairs + 2K) counts for each image the pairs, and then, unless every pair is
    looked at, its class and the class that it is read as. Whole numbers, so that ties between pairs
    do not depend on the order of sums.
    """

    def __init__(self, evidence: Evidence) -> None:
        classes = len(evidence.classes)
        self.classes = classes
        self.whole = classes * (classes - 1) <= PAIRS
        codes = evidence.label * classes + evidence.predicted
        wrong = codes[evidence.wrong]
        if self.whole:
            chosen = np.array([a * classes + b for a, b in permutations(range(classes), 2)])
        else:
            found, number = np.unique(wrong, return_counts=True)
            chosen = np.sort(found[np.argsort(-number, kind="stable")[:PAIRS]])
        self.count = len(chosen)
        self.true, self.given = np.divmod(chosen, classes)
        parts = [_indicators(codes, evidence.wrong, chosen)]
        if not self.whole:
            true = np.broadcast_to(evidence.label, codes.shape)
            parts += [_rates(each, evidence.wrong, classes) for each in (true, evidence.predicted)]
        self.values = csr_array(hstack(parts))

    def margins(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the errors of each class and those read as each class, both (…, K)."""
        if not self.whole:
            rest = sums[..., self.count :]
            return rest[..., : self.classes], rest[..., self.classes :]
        # The pairs come row by row, K − 1 in each.
        rows = sums.reshape(*sums.shape[:-1], self.classes, self.classes - 1).sum(axis=-1)
        columns = [sums[..., self.given == k].sum(axis=-1) for k in range(self.classes)]
        return rows, np.stack(columns, -1)

    def errors(self, sums: np.ndarray) -> np.ndarray:
        """Return the number of errors, (…)."""
        return self.margins(sums)[0].sum(axis=-1)

    def expected(self, sums: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the errors that quasi-independence expects in some pairs, and in all, (…)."""
        down, across = statistics.quasi_independence(*self.margins(sums))
        chosen = np.take_along_axis(down, self.true[top], -1)
        chosen = (chosen * np.take_along_axis(across, self.given[top], -1)).sum(axis=-1)
        return chosen, down.sum(-1) * across.sum(-1) - (down * across).sum(-1)

    def cells(self, sums: np.ndarray) -> np.ndarray:
        """Return what quasi-independence expects in each pair, (…, pairs)."""
        down, across = statistics.quasi_independence(*self.margins(sums))
        return down[..., self.true] * across[..., self.given]


def _indicators(codes: np.ndarray, wrong: np.ndarray, chosen: np.ndarray) -> csr_array:
    """Return in how many repeats an image is each of the chosen pairs, (N, pairs)."""
    repeat, image = np.nonzero(wrong)
    where = np.searchsorted(chosen, codes[repeat, image]).clip(max=len(chosen) - 1)
    found = chosen[where] == codes[repeat, image]
    shape = (codes.shape[1], len(chosen))
    return csr_array((np.ones(found.sum()), (image[found], where[found])), shape=shape)


def _rates(classes: np.ndarray, wrong: np.ndarray, count: int) -> csr_array:
    """Return in how many repeats an image is an error of each class, (N, K)."""
    repeat, image = np.nonzero(wrong)
    shape = (wrong.shape[1], count)
    return csr_array((np.ones(len(image)), (image, classes[repeat, image])), shape=shape)


def _independence(evidence: Evidence, table: _Pairs) -> float:
    """Return the p of the G statistic by parametric bootstrap, errors taken as independent.

    Repeats see the same images, so each is tested by itself, and the largest p counts.
    """
    generator = np.random.default_rng([evidence.seed, 5])
    found = []
    for predicted in evidence.predicted:
        codes = (evidence.label * table.classes + predicted)[predicted != evidence.label]
        every = np.bincount(codes, minlength=table.classes**2)
        counts = every[table.true * table.classes + table.given].astype(float)
        if not counts.any():
            found.append(1.0)
            continue
        expected = table.cells(counts)
        observed = statistics.g_statistic(counts, expected)
        drawn = generator.multinomial(
            int(counts.sum()), expected / expected.sum(), size=evidence.resamples.count
        ).astype(float)
        by_chance = statistics.g_statistic(drawn, table.cells(drawn))
        found.append(p_value(by_chance, float(observed)))
    return max(found)
