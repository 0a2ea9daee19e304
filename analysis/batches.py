"""Evaluated images in batches on the device, so that no probe holds a data set in floats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.datasets import ImageSet
from analysis.model import to_pixels

# 64 images at 128x128 and what a ResNet keeps of them for a gradient fit well below 1 GB.
SIZE = 64


@dataclass(frozen=True)
class Batch:
    """Images of one batch: pixels (N, 3, height, width) in [0, 1], labels (N,) int64.

    ``masks`` are bool (N, height, width), the digits' own pixels, where the data set knows them.
    """

    pixels: Tensor
    labels: Tensor
    split: np.ndarray
    index: np.ndarray
    photo: np.ndarray
    masks: np.ndarray | None = None


def batches(
    images: ImageSet, positions: np.ndarray, *, device: torch.device, size: int = SIZE
) -> Iterator[Batch]:
    """Give the images at ``positions`` in order, ``size`` at a time."""
    for start in range(0, len(positions), size):
        chosen = positions[start : start + size]
        pixels = torch.from_numpy(images.images[chosen]).permute(0, 3, 1, 2).to(device)
        yield Batch(
            pixels=to_pixels(pixels).contiguous(memory_format=torch.channels_last),
            labels=torch.from_numpy(images.labels[chosen]).long().to(device),
            split=images.split[chosen],
            index=images.index[chosen],
            photo=images.photo[chosen],
            masks=None if images.masks is None else images.masks[chosen],
        )
