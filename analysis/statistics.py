"""Intervals from resampled photos."""

from __future__ import annotations

import numpy as np


def photo_counts(photos: int, *, resamples: int, seed: int) -> np.ndarray:
    """Return how often each photo is drawn in each resample, float32 (resamples, photos)."""
    generator = np.random.default_rng(seed)
    chances = np.full(photos, 1 / photos)
    return generator.multinomial(photos, chances, size=resamples).astype(np.float32)


def sums_by_photo(values: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Return the sum over the images of each photo of values (N, K), float32 (photos, K).

    ``photo`` (N,) holds any integers; photos are in rising order of them.
    """
    _, where = np.unique(photo, return_inverse=True)
    sums = np.zeros((where.max() + 1, values.shape[1]))
    np.add.at(sums, where, values)
    return sums.astype(np.float32)


def resampled_means(values: np.ndarray, photo: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean of each column in each resample of photos, (resamples, K).

    ``values`` is (N, K), NaN where an image has no value; ``counts`` is from ``photo_counts``. The
    photo is the unit because neighbouring digits of one photo share pixels.
    """
    there = ~np.isnan(values)
    totals = counts @ sums_by_photo(np.where(there, values, 0), photo)
    numbers = counts @ sums_by_photo(there, photo)
    # A resample without a single image of the group says nothing about it.
    return totals / np.where(numbers > 0, numbers, np.nan)


def interval(resampled: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the percentile interval of each column of (resamples, K)."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    return low, high
