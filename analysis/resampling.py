"""Resamples of photos, and splits of them into halves.

A statistic is a function of weighted sums over photos. Computed once with all weights 1 it is the
estimate, computed with how often each photo was drawn it is one bootstrap replicate; so every array
here has the estimate in its first row and the replicates beneath. The photo is the unit because
its digits share pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis import statistics

# Splits computed at one time: enough columns to keep a matrix product busy, few enough to fit.
_BLOCK = 20
# Resamples computed at one time where every image has a weight.
_ROWS = 256


@dataclass(frozen=True)
class Resamples:
    """A sample of photos and B bootstrap resamples of it; ``photo`` (N,) holds any integers."""

    photo: np.ndarray
    count: int
    seed: int

    @cached_property
    def _unit(self) -> np.ndarray:
        return np.unique(self.photo, return_inverse=True)[1]

    @cached_property
    def weights(self) -> np.ndarray:
        """Return how often each photo counts, float32 (1 + B, photos)."""
        photos = int(self._unit.max()) + 1
        weights = np.ones((1 + self.count, photos), dtype=np.float32)
        if self.count:
            weights[1:] = statistics.photo_counts(photos, resamples=self.count, seed=self.seed)
        return weights

    def of_images(self, images: np.ndarray, rows: slice) -> np.ndarray:
        """Return how often some images count, those of their photos, (rows, images)."""
        return self.weights[rows][:, self._unit[images]]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return weighted sums over all images of values (N, K), float32 (1 + B, K)."""
        return self.weights @ statistics.sums_by_photo(values, self._unit)

    def auroc(
        self,
        positive: tuple[np.ndarray, np.ndarray],
        negative: tuple[np.ndarray, np.ndarray],
        *,
        rows: int | None = None,
    ) -> np.ndarray:
        """Return the AUROC of scores that some images have against those that others have.

        Both are scores (M,) and the images (M,) that they are of; float64 (rows,), all 1 + B where
        ``rows`` is left out.
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

    def halves(self, values: np.ndarray, *, splits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the sums of values (N, K) over two random halves, blocks of (splits, 1 + B, K).

        Every call divides the same way, whatever the values. A photo and its copies in a resample
        are in one half, so that nothing is seen on both sides.
        """
        by_photo = statistics.sums_by_photo(values, self._unit)
        # Errors are rare: most photos add nothing, and a product without them is much smaller.
        there = np.flatnonzero(by_photo.any(axis=1))
        photos, by_photo, weights = len(by_photo), by_photo[there], self.weights[:, there]
        total = weights @ by_photo
        generator = np.random.default_rng([self.seed, 1])
        for start in range(0, splits, _BLOCK):
            size = min(_BLOCK, splits - start)
            inside = _random_halves(photos, size, generator=generator)[:, there]
            # All splits of a block in one product, their columns side by side.
            columns = inside.T[:, :, None] * by_photo[:, None, :]
            first = weights @ columns.reshape(len(there), size * by_photo.shape[1])
            first = first.reshape(len(weights), size, by_photo.shape[1]).swapaxes(0, 1)
            yield first, total - first


def _random_halves(photos: int, splits: int, *, generator: np.random.Generator) -> np.ndarray:
    """Return which photos are in the first half of each split, float32 (splits, photos)."""
    ranks = generator.permuted(np.tile(np.arange(photos), (splits, 1)), axis=1)
    return (ranks < photos // 2).astype(np.float32)
