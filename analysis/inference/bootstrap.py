"""Resamples of groups of images, and splits of them into halves.

A statistic is a function of weighted sums over groups. Computed with all weights 1 it is the
estimate; computed with how often each group was drawn it is one bootstrap replicate. So every array
here has the estimate in its first row and the replicates below. The group is the unit because its
images share pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from analysis.inference import statistics

# Dense or sparse; scipy has no types.
Values = Any
# Splits computed at one time: enough columns to keep a matrix product busy, few enough to fit.
_BLOCK = 20
# Resamples computed at one time where every image has a weight.
_ROWS = 256
# Beyond this many columns most are zero for most groups, and sparse products are faster.
_DENSE = 200


@dataclass(frozen=True)
class Resamples:
    """A sample of groups and ``count`` bootstrap resamples; ``group`` (N,) holds any integers."""

    group: np.ndarray
    count: int
    seed: int

    @cached_property
    def _unit(self) -> np.ndarray:
        return np.unique(self.group, return_inverse=True)[1]

    @cached_property
    def weights(self) -> np.ndarray:
        """Return how often each group counts, float32 (1 + B, groups)."""
        groups = int(self._unit.max()) + 1
        generator = np.random.default_rng(self.seed)
        chances = np.full(groups, 1 / groups)
        # Group by group in memory, as sums are often over the groups of one class alone.
        weights = np.ones((groups, 1 + self.count), dtype=np.float32).T
        for start in range(1, 1 + self.count, _ROWS):
            rows = weights[start : start + _ROWS]
            rows[:] = generator.multinomial(groups, chances, size=len(rows))
        return weights

    def of_images(self, images: np.ndarray, rows: slice) -> np.ndarray:
        """Return how often some images count, (rows, images)."""
        return self.weights[rows][:, self._unit[images]]

    def sums(self, values: Values, images: np.ndarray | None = None) -> np.ndarray:
        """Return weighted sums of values (N, K), float32 (1 + B, K).

        With ``images`` (N,) the values belong to those images alone.
        """
        unit = self._unit if images is None else self._unit[images]
        groups, where = np.unique(unit, return_inverse=True)
        by_group = _by_group(values, where, len(groups))
        whole = len(groups) == self.weights.shape[1]
        weights = self.weights if whole else self.weights[:, groups]
        return _product(weights, by_group)

    def mean(self, values: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Return the mean of each column of values (N, K), NaN where missing, (1 + B, K).

        A resample without a single value is NaN.
        """
        known = ~np.isnan(values)
        totals = self.sums(np.where(known, values, 0), images)
        numbers = self.sums(known.astype(float), images)
        return totals / np.where(numbers > 0, numbers, np.nan)

    def auroc(
        self,
        positive: tuple[np.ndarray, np.ndarray],
        negative: tuple[np.ndarray, np.ndarray],
        *,
        rows: int | None = None,
    ) -> np.ndarray:
        """Return the AUROC of the scores of some images against those of others.

        Both are scores (M,) and their images (M,); float64 (rows,), all 1 + B if left out.
        """
        rows = rows or len(self.weights)
        blocks = (slice(start, min(start + _ROWS, rows)) for start in range(0, rows, _ROWS))
        (scores, images), (others, other_images) = positive, negative
        return np.concatenate(
            [
                statistics.auroc(
                    scores,
                    others,
                    self.of_images(images, block),
                    self.of_images(other_images, block),
                )
                for block in blocks
            ]
        )

    def halves(self, values: Values, *, splits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the sums of values (N, K) over two random halves, blocks of (splits, 1 + B, K).

        Every call with as many splits and columns divides the same way, whatever the values. A
        group and its copies in a resample are in one half, so that nothing is on both sides.
        """
        groups = self.weights.shape[1]
        by_group = _by_group(values, self._unit, groups)
        # Errors are rare: most groups add nothing, and a product without them is much smaller.
        counted = np.flatnonzero(abs(by_group).sum(axis=1))
        by_group, weights = by_group[counted], self.weights[:, counted]
        total = _product(weights, by_group)
        generator = np.random.default_rng([self.seed, 1])
        block = 1 if issparse(by_group) else _BLOCK
        for start in range(0, splits, block):
            size = min(block, splits - start)
            inside = _random_halves(groups, size, generator=generator)[:, counted]
            if issparse(by_group):
                first = _product(weights, csr_array(by_group.multiply(inside[0][:, None])))[None]
            else:
                # All splits of a block in one product, their columns next to each other.
                columns = inside.T[:, :, None] * by_group[:, None, :]
                first = weights @ columns.reshape(len(counted), size * by_group.shape[1])
                first = first.reshape(len(weights), size, by_group.shape[1]).swapaxes(0, 1)
            yield first, total - first


def _by_group(values: Values, unit: np.ndarray, groups: int) -> Values:
    """Return sums over the images of each group, float32 (groups, K), sparse if K is large."""
    members = csr_array(
        (np.ones(len(unit)), (unit, np.arange(len(unit)))), shape=(groups, len(unit))
    )
    found = (members @ values).astype(np.float32)
    wide = found.shape[1] > _DENSE
    if issparse(found) and not wide:
        return found.toarray()
    return csr_array(found) if wide and not issparse(found) else found


def _product(weights: np.ndarray, by_group: Values) -> np.ndarray:
    if issparse(by_group):
        return np.ascontiguousarray((by_group.T.tocsr() @ weights.T).T)
    return weights @ by_group


def _random_halves(groups: int, splits: int, *, generator: np.random.Generator) -> np.ndarray:
    """Return which groups are in the first half of each split, float32 (splits, groups)."""
    ranks = generator.permuted(np.tile(np.arange(groups), (splits, 1)), axis=1)
    return (ranks < groups // 2).astype(np.float32)
