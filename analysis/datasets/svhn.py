"""Street View House Numbers, cropped digits, through torchvision.

Netzer, Wang, Coates, Bissacco, Wu and Ng (2011), *Reading Digits in Natural Images with
Unsupervised Feature Learning*. For non-commercial use; the pixels are never redistributed here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torchvision.datasets import SVHN

from analysis.datasets.image_set import ImageSet
from analysis.errors import UserError


def load(folder: Path, *, splits: tuple[str, ...] = ("train", "test")) -> ImageSet:
    """Return whole official splits, downloading a file that is not in ``folder``.

    The official format-2 files do not say which photo a digit was cut from, so ``photo`` is -1.
    Raises ``UserError`` where a file is missing and cannot be downloaded, or is not the official
    one by its MD5.
    """
    parts = [official(folder, split) for split in splits]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    counts = [len(part[0]) for part in parts]
    return ImageSet(
        images=images,
        labels=labels,
        split=np.repeat(np.array(splits), counts),
        index=np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
        photo=np.full(sum(counts), -1, dtype=np.int32),
    )


def official(folder: Path, split: str, *, download: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (N, 32, 32, 3) and labels uint8 (N,) of one official file."""
    url, name, md5 = SVHN.split_list[split]
    path = folder / name
    if not path.is_file() and download:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            SVHN(str(folder), split=split, download=True)
        except (OSError, RuntimeError):
            if path.is_file():
                path.unlink()
    if not path.is_file():
        raise UserError(
            f"{name} is not in {folder} and could not be downloaded.\n"
            f"Put {url} there, or name its folder with --data or FAILURE_MODES_DATA."
        )
    try:
        data = SVHN(str(folder), split=split)
    except (RuntimeError, ValueError, OSError):
        raise UserError(
            f"{path} is truncated or altered: its MD5 is not {md5}.\nDelete it and put {url} there."
        ) from None
    return np.ascontiguousarray(data.data.transpose(0, 2, 3, 1)), data.labels.astype(np.uint8)
