"""Labelled images that know which split and which photo they come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageSet:
    """Images of one data set, all its splits one after the other.

    ``images`` is uint8 (N, height, width, 3); ``labels`` uint8 (N,), the digit; ``split`` str (N,);
    ``index`` int32 (N,), the position in the official file of its split, from 0; ``photo`` int32
    (N,), the photo within its split that the digit was cut from, -1 where that is not known;
    ``masks`` bool (N, height, width), the pixels of the digit, where the data set knows them.
    """

    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    index: np.ndarray
    photo: np.ndarray
    masks: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.images)
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError("images must be uint8 of shape (N, height, width, 3)")
        columns = (self.labels, self.split, self.index, self.photo)
        if any(column.shape != (count,) for column in columns):
            raise ValueError("labels, split, index and photo must each have one value an image")

    def __len__(self) -> int:
        return len(self.images)

    def digest(self) -> str:
        """Return the SHA-256 of pixels, labels, splits, positions and photos."""
        sha = hashlib.sha256(np.ascontiguousarray(self.images))
        for column, kind in (
            (self.labels, np.uint8),
            (self.index, np.int32),
            (self.photo, np.int32),
        ):
            sha.update(np.ascontiguousarray(column, dtype=kind))
        sha.update("\n".join(self.split.tolist()).encode())
        return sha.hexdigest()

    def positions(self, split: str) -> np.ndarray:
        """Return where the images of a split stand, int64."""
        return np.flatnonzero(self.split == split)
