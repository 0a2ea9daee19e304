"""Resamples of groups of images, and of networks.

A statistic is a function of weighted sums over groups. Computed with all weights 1 it is the
estimate; computed with how often each group was drawn it is one bootstrap replicate. So every array
here has the estimate in its first row and the replicates below. The group is the unit because its
images share pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from analysis.inference import statistics

# Dense or sparse; scipy has no types.
Values = Any
# Resamples computed at one time where every image has a weight.
_ROWS = 256
# Bins of the scores behind replicates of an AUROC.
_CUTS = 1000
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

        Both are scores (M,) and their images (M,); float64 (rows,), all 1 + B if left out. The
        estimate is exact. Its replicates are those of scores cut into a thousand bins, moved by
        what the cut does to the estimate: the same to four digits in a twentieth of the time.
        """
        (scores, images), (others, other_images) = positive, negative
        sample = slice(0, 1)
        exact = statistics.auroc(
            scores,
            others,
            self.of_images(images, sample),
            self.of_images(other_images, sample),
        )
        cuts = np.unique(np.concatenate([scores, others]))
        if len(cuts) > _CUTS:
            cuts = cuts[np.linspace(0, len(cuts) - 1, _CUTS).astype(int)]
        above, below = (
            self.sums(_indicator(np.searchsorted(cuts, values, side="right"), len(cuts) + 1), where)
            for values, where in ((scores, images), (others, other_images))
        )
        passed = np.cumsum(below, axis=1, dtype=float) - below / 2
        total = above.sum(axis=1, dtype=float) * below.sum(axis=1, dtype=float)
        found = (above * passed).sum(axis=1) / np.where(total > 0, total, np.nan)
        return (found + (exact - found[0]))[:rows]

    def first(self, count: int) -> Resamples:
        """Return the sample and its first resamples alone."""
        if count >= self.count:
            return self
        found = replace(self, count=count)
        # Set in advance, so that nothing is drawn twice.
        found.__dict__.update(_unit=self._unit, weights=self.weights[: 1 + count])
        return found

    def of(self, images: np.ndarray) -> Resamples:
        """Return the same resamples for some images alone, bool (N,) or their positions."""
        found = replace(self, group=self.group[images])
        found.__dict__.update(_unit=self._unit[images], weights=self.weights)
        return found


@dataclass(frozen=True)
class Crossed(Resamples):
    """Resamples of groups and of networks; rows are predictions, ``network`` (N,) says by which.

    A prediction counts as often as its group was drawn times the weight of its network, which is
    exponential, so that no network is lost (Owen and Eckles 2012, *Bootstrapping Data Arrays of
    Arbitrary Order*; Rubin 1981, *The Bayesian Bootstrap*).
    """

    network: np.ndarray

    @classmethod
    def of_repeats(cls, resamples: Resamples, network: np.ndarray) -> Crossed:
        """Return resamples of the predictions of N images by R repeats, one after the other.

        ``network`` (R, N) holds any integers.
        """
        repeats = len(network)
        group = np.tile(resamples.group, repeats)
        found = cls(
            group,
            resamples.count,
            resamples.seed,
            np.unique(network, return_inverse=True)[1].ravel(),
        )
        found.__dict__.update(_unit=np.tile(resamples._unit, repeats), weights=resamples.weights)
        return found

    @cached_property
    def of_networks(self) -> np.ndarray:
        """Return the weight of each network, float32 (1 + B, networks)."""
        networks = int(self.network.max()) + 1
        weights = np.random.default_rng([self.seed, 9]).exponential(size=(1 + self.count, networks))
        weights[0] = 1
        return weights.astype(np.float32)

    def of(self, images: np.ndarray) -> Crossed:
        """Return the same resamples for some predictions alone."""
        found = replace(self, group=self.group[images], network=self.network[images])
        found.__dict__.update(
            _unit=self._unit[images], weights=self.weights, of_networks=self.of_networks
        )
        return found

    def of_images(self, images: np.ndarray, rows: slice) -> np.ndarray:
        """Return how much some predictions count, (rows, predictions)."""
        return super().of_images(images, rows) * self.of_networks[rows][:, self.network[images]]

    def sums(self, values: Values, images: np.ndarray | None = None) -> np.ndarray:
        """Return weighted sums of values (N, K), float32 (1 + B, K)."""
        chosen = np.arange(len(self.network)) if images is None else images
        values = csr_array(values) if issparse(values) else values
        total = np.zeros((len(self.weights), values.shape[1]), dtype=np.float32)
        for number in np.unique(self.network[chosen]):
            mine = np.flatnonzero(self.network[chosen] == number)
            part = super().sums(values[mine], chosen[mine])
            total += self.of_networks[:, [number]] * part
        return total


def _indicator(columns: np.ndarray, number: int) -> csr_array:
    """Return one 1 a row, (N, number)."""
    rows = np.arange(len(columns))
    return csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(columns), number))


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
