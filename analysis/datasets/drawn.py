"""``streetdigits`` as an image set: this project's own drawn digits, with their true masks."""

from __future__ import annotations

import numpy as np

from analysis.datasets import streetdigits
from analysis.datasets.image_set import ImageSet


def load(*, train: int, test: int, seed: int) -> ImageSet:
    """Return ``train`` and ``test`` drawn images; the two splits share no photo."""
    # Streams of their own, so that the test images do not change with the number of training ones.
    parts = {
        "train": streetdigits.draw(train, seed=2 * seed),
        "test": streetdigits.draw(test, seed=2 * seed + 1),
    }
    drawings = list(parts.values())
    counts = [len(drawing.labels) for drawing in drawings]
    return ImageSet(
        images=np.concatenate([drawing.images for drawing in drawings]),
        labels=np.concatenate([drawing.labels for drawing in drawings]),
        split=np.repeat(np.array(list(parts)), counts),
        index=np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
        photo=np.concatenate([drawing.photo for drawing in drawings]).astype(np.int32),
        masks=np.concatenate([drawing.masks for drawing in drawings]),
    )
