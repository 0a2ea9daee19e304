"""The sample of photos for what is too slow to compute on every image."""

from __future__ import annotations

import numpy as np

from analysis.datasets.image_set import ImageSet


def sample(images: ImageSet, *, photos: int, seed: int) -> np.ndarray:
    """Return the positions of the images of randomly drawn photos, int64, rising.

    ``photos`` of all evaluated photos are drawn, or all where there are fewer. They depend on the
    data and the seed alone, so that the runs of a study share them, and each fold has its part.
    An image whose photo is not known counts as one of its own.
    """
    evaluated = images.positions("test")
    photo = images.photo[evaluated]
    photo = np.where(photo >= 0, photo, -1 - np.arange(len(photo)))
    known = np.unique(photo)
    generator = np.random.default_rng(seed)
    drawn = generator.choice(known, size=min(photos, len(known)), replace=False)
    return evaluated[np.isin(photo, drawn)]
