"""Street View House Numbers, cropped digits, through torchvision.

Netzer, Wang, Coates, Bissacco, Wu and Ng (2011), *Reading Digits in Natural Images with
Unsupervised Feature Learning*. For non-commercial use; the pixels are never redistributed here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torchvision.datasets import SVHN

from analysis.images.images import Images
from analysis.project.errors import UserError

CLASSES = tuple("0123456789")


def load(folder: Path, *, splits: tuple[str, ...] = ("train", "test")) -> Images:
    """Return whole official splits, downloading a file that is not in ``folder``.

    The official format-2 files do not say which photo a digit was cut from, so no group is known.
    Raises ``UserError`` for a file that is missing and cannot be downloaded, or that is not the
    official one by its MD5.
    """
    parts = {split: official(folder, split) for split in splits}
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True))
    counts = {split: len(part[1]) for split, part in parts.items()}
    return Images.of_splits(counts, pixels, labels, classes=CLASSES)


def official(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels uint8 (N, 32, 32, 3) and labels int64 (N,) of one official file."""
    url, name, md5 = SVHN.split_list[split]
    path = folder / name
    if not path.is_file():
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
    return np.ascontiguousarray(data.data.transpose(0, 2, 3, 1)), data.labels.astype(np.int64)
