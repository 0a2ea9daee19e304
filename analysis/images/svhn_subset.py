"""11,189 official SVHN images, by official index, with the photos that they were cut from.

They come from ``svhn_subset.npz`` or are picked out of the official .mat files. Both ways end in
the same bytes, checked against one SHA-256. The photos are those of the official format-1
annotations, kept next to this module as the number of digits of each photo.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.images import svhn
from analysis.images.images import Images
from analysis.project.errors import UserError

FILE = "svhn_subset.npz"
# Images of each official split, from the first one on.
COUNTS = {"train": 1083, "extra": 106, "test": 10_000}
IMAGES_SHA256 = "cfefe9f812a3794c729580d434b8dc0b81185301fbfe88715c816d492cc5d32d"
LABELS_SHA256 = "55f24bf9c5e0d7f689aa6e0082032235e6bec2e0fc7ac9474d3b2282c5c83554"
_PHOTOS = Path(__file__).with_name("svhn_subset_photos.csv")


def load(folder: Path) -> Images:
    """Return the images from ``svhn_subset.npz`` in ``folder``, else from the .mat files there.

    Raises ``UserError`` if neither is there, or if the bytes are not the expected ones.
    """
    archive = folder / FILE
    if archive.is_file():
        pixels, labels, source = *_from_archive(archive), str(archive)
    else:
        pixels, labels, source = *_from_official(folder), f"the .mat files in {folder}"
    for name, array, expected in (
        ("images", pixels, IMAGES_SHA256),
        ("labels", labels, LABELS_SHA256),
    ):
        if hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() != expected:
            raise UserError(
                f"{source}: the {name} are altered (their SHA-256 is not {expected[:12]}…).\n"
                "Replace the file by an untouched copy."
            )
    return Images.of_splits(
        COUNTS, pixels, labels.astype(np.int64), classes=svhn.CLASSES, group=photos()
    )


def photos() -> np.ndarray:
    """Return the number of each image's photo within its split, int64 (11189,)."""
    table = pd.read_csv(_PHOTOS)
    return np.repeat(table["photo"].to_numpy(np.int64), table["digits"].to_numpy())


def _from_archive(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(archive, allow_pickle=False) as arrays:
            return arrays["images"], arrays["labels"]
    except Exception:
        # Each kind of damage raises an error of its own, from zipfile, zlib or NumPy's parser.
        raise UserError(
            f"{archive} is truncated or not the expected archive.\n"
            "Replace it by an untouched copy, or delete it to use the official .mat files."
        ) from None


def _from_official(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    parts = [svhn.official(folder, split) for split in COUNTS]
    pixels, labels = (
        np.concatenate([part[:count] for part, count in zip(each, COUNTS.values(), strict=True)])
        for each in zip(*parts, strict=True)
    )
    return pixels, labels.astype(np.uint8)
