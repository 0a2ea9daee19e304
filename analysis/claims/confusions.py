"""The test about confusions: whether errors concentrate on few pairs of classes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
from scipy.sparse import csr_array, hstack

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
    "on one half of the images and measured on the other, divided by the share that "
    "quasi-independence predicts,",
    clause="confusions follow a structure",
    sides=("above",),
    effect="ratio of errors to those expected",
    unit="ratio",
    reports=("share in the pairs", "share in the pairs by chance"),
)
def confusion_structure(evidence: Evidence, *, pairs: Count = 10) -> Finding:
    """Return how many more errors the commonest pairs contain than expected by chance.

    Chance is quasi-independence: what an error is read as depends only on how often each class is
    mistaken, and how often each is given as an answer. Pairs chosen on each half of the groups are
    measured on the other, and the two are averaged. The choice is held fixed in the resamples,
    so that they vary about the estimate: a choice made again in each would be a worse one. As each
    half chooses what is measured on the other, their errors go together. Resamples cannot show by
    how much; at most their mean varies like one of them, which is √2 as much as if they did not.
    """
    if not evidence.wrong.any():
        raise NotTested("there are no errors")
    every = len(evidence.classes) * (len(evidence.classes) - 1)
    if every == 2:
        raise NotTested("two classes have one confusion each")
    if 2 * pairs > every:
        # They would contain most errors whatever the structure, and seem to refute it.
        raise NotTested(f"{pairs} pairs are more than half of the {every} that there are")
    table = _Pairs(evidence)
    held, expected = [], []
    for top, measured in _chosen(evidence, table, pairs):
        sums = evidence.resamples.of(measured).sums(table.values[measured])
        share, total = table.expected(sums, np.broadcast_to(top, (len(sums), len(top))))
        held.append(sums[:, top].sum(axis=1) / table.errors(sums))
        expected.append(share / total)
    share, by_chance = np.mean(held, axis=0), np.mean(expected, axis=0)
    ratio = share / by_chance
    return Finding.of(
        ratio[0] + np.sqrt(2) * (ratio - ratio[0]),
        (
            reported("share in the pairs", share),
            reported("share in the pairs by chance", by_chance),
        ),
    )


def commonest(evidence: Evidence, *, pairs: int) -> np.ndarray:
    """Return the pairs that are commonest on each half of the groups.

    Class and answer, int (2, pairs, 2).
    """
    table = _Pairs(evidence)
    found = [
        np.stack([table.true[top], table.given[top]], 1)
        for top, _ in _chosen(evidence, table, pairs)
    ]
    return np.stack(found)


def _chosen(
    evidence: Evidence, table: _Pairs, pairs: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the commonest pairs on a half of the groups, and the images of the other, bool (N,)."""
    units, where = np.unique(evidence.group, return_inverse=True)
    order = np.random.default_rng([evidence.seed, 1]).permutation(len(units))
    inside = (order % 2 == 0)[where]
    for chosen in (inside, ~inside):
        counts = np.asarray(table.values[chosen].sum(axis=0)).ravel()[: table.count]
        # Of many classes no more pairs may occur.
        yield np.argsort(-counts, kind="stable")[:pairs], ~chosen


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
