"""Labelled images of any size, and batches of them on a device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from analysis.results.columns import LARGEST

# 64 images at 128×128, and what a ResNet keeps of them for a gradient, fit well below 1 GB.
BATCH = 64
FEWEST_CLASSES, MOST_CLASSES = 2, 1000
# The split of images that are not divided, or whose splits have been put together.
ALL_SPLITS = "all"


@dataclass(frozen=True)
class Images:
    """Images of one source, all its splits one after the other.

    ``pixels`` is uint8 (N, height, width, channels), and may be a memory map; ``labels`` int64
    (N,), positions in ``classes``; ``split`` str (N,); ``index`` int64 (N,), the position in the
    split, from 0; ``group`` int64 (N,), equal for images of one split that share pixels, -1 where
    that is not known; ``masks`` bool (N, height, width), the pixels of the object, where they are
    known.

    What follows is no part of the digest: ``attributes``, float64 (N,) with NaN or str (N,) with ""
    where they are not known; ``files``, where images were read from; and ``notes``, sentences on
    what was passed over.

    Raises ``ValueError`` for arrays of another form.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    split: np.ndarray
    index: np.ndarray
    group: np.ndarray
    masks: np.ndarray | None = None
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    files: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) != 4 or min(shape[1:]) < 1 or self.pixels.dtype != np.uint8:
            raise ValueError("pixels must be uint8 of shape (N, height, width, channels)")
        for name in ("labels", "split", "index", "group"):
            column = getattr(self, name)
            if column.shape != (len(self),):
                raise ValueError(f"{name} must have one value for each image")
            if name != "split" and column.dtype != np.int64:
                raise ValueError(f"{name} must be int64, not {column.dtype}")
        if self.split.dtype.kind != "U":
            raise ValueError("split must be text")
        count = len(self.classes)
        if not FEWEST_CLASSES <= count <= MOST_CLASSES or len(set(self.classes)) != count:
            raise ValueError(f"classes must be {FEWEST_CLASSES} to {MOST_CLASSES} distinct names")
        if ((self.labels < 0) | (self.labels >= count)).any():
            raise ValueError(f"labels must be 0 to {count - 1}, the positions of the classes")
        masks = self.masks
        if masks is not None and (masks.dtype != bool or masks.shape != self.pixels.shape[:3]):
            raise ValueError("masks must be bool of shape (N, height, width)")
        if (self.group < -1).any() or (self.index < 0).any():
            raise ValueError("group must be -1, if it is not known, or more, and index 0 or more")
        for name, column in self.attributes.items():
            text = column.dtype.kind == "U"
            if column.shape != (len(self),) or not (text or column.dtype == np.float64):
                raise ValueError(f"the attribute {name} must be float64 or text, one per image")
            if not text and (np.abs(column) > LARGEST).any():
                raise ValueError(f"the attribute {name} must be at most {LARGEST:g}")
        if self.files is not None and len(self.files) != len(self):
            raise ValueError("files must have one path for each image")

    @classmethod
    def of_splits(
        cls,
        counts: dict[str, int],
        pixels: np.ndarray,
        labels: np.ndarray,
        *,
        classes: tuple[str, ...],
        group: np.ndarray | None = None,
        masks: np.ndarray | None = None,
        attributes: dict[str, np.ndarray] | None = None,
        files: tuple[str, ...] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Images:
        """Return images of splits that have ``counts`` images, one split after the other."""
        return cls(
            pixels=pixels,
            labels=labels,
            classes=classes,
            split=np.repeat(list(counts), list(counts.values())),
            index=np.concatenate([np.arange(count) for count in counts.values()]),
            group=np.full(len(labels), -1) if group is None else group,
            masks=masks,
            attributes=attributes or {},
            files=files,
            notes=notes,
        )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def channels(self) -> int:
        """Return the number of channels."""
        return self.pixels.shape[3]

    def digest(self) -> str:
        """Return the SHA-256 of what decides results: pixels, labels, classes, splits, groups."""
        return self._sha256

    # Computed once: it reads every pixel, and what is frozen does not change.
    @cached_property
    def _sha256(self) -> str:
        sha = hashlib.sha256(repr((self.pixels.shape, self.classes)).encode())
        for array in (self.pixels, self.labels, self.index, self.group):
            sha.update(np.ascontiguousarray(array).data)
        sha.update("\n".join(self.split.tolist()).encode())
        if self.masks is not None:
            sha.update(np.ascontiguousarray(self.masks).data)
        return sha.hexdigest()

    def positions(self, split: str) -> np.ndarray:
        """Return the positions of the images of a split, int64, rising."""
        return np.flatnonzero(self.split == split)

    def units(self, positions: np.ndarray) -> np.ndarray:
        """Return the group of each image at ``positions`` of one split, int64.

        An image whose group is not known is a group of its own.
        """
        group = self.group[positions]
        return np.where(group >= 0, group, -1 - positions)


@dataclass(frozen=True)
class Batch:
    """Images on a device.

    ``pixels`` is float (N, channels, height, width) in [0, 1] and ``labels`` int64 (N,); ``index``
    and ``group`` are int64 arrays (N,); ``masks``, if known, is bool (N, height, width) on the CPU.
    """

    pixels: Tensor
    labels: Tensor
    index: np.ndarray
    group: np.ndarray
    masks: Tensor | None = None


def batches(
    images: Images, positions: np.ndarray, *, device: torch.device, size: int = BATCH
) -> Iterator[Batch]:
    """Give the images at ``positions`` in order, ``size`` at a time."""
    for start in range(0, len(positions), size):
        chosen = positions[start : start + size]
        pixels = torch.from_numpy(images.pixels[chosen]).permute(0, 3, 1, 2).to(device)
        yield Batch(
            pixels=to_floats(pixels).contiguous(memory_format=torch.channels_last),
            labels=torch.from_numpy(images.labels[chosen]).to(device),
            index=images.index[chosen],
            group=images.group[chosen],
            masks=None if images.masks is None else torch.from_numpy(images.masks[chosen]),
        )


def to_floats(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as float32 in [0, 1]."""
    return pixels.to(torch.float32) / 255
