"""Images that are found again across a split: copies are, images that merely look alike are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from analysis.images import Images
from analysis.images.duplicates import duplicates

RNG = np.random.default_rng(0)


def scenes(count: int, *, size: int = 64, channels: int = 3) -> np.ndarray:
    """Return smooth random pictures, which share nothing."""
    noise = RNG.normal(size=(count, size, size, channels))
    smooth = gaussian_filter(noise, (0, size / 16, size / 16, 0))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def halves(train: np.ndarray, test: np.ndarray) -> Images:
    counts = {"train": len(train), "test": len(test)}
    labels = np.zeros(len(train) + len(test), np.int64)
    return Images.of_splits(counts, np.concatenate([train, test]), labels, classes=("a", "b"))


def across(images: Images) -> list[tuple]:
    found = duplicates(images, images.positions("train"), images.positions("test"))
    return list(found.itertuples(index=False, name=None))


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def smaller(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((40, 40)).resize((64, 64)))


def test_exact_and_near_copies_are_named_once() -> None:
    train = scenes(30)
    copies = [train[3], jpeg(train[5], 60), smaller(train[7]), (train[9] * 0.85).astype(np.uint8)]
    noisy = np.clip(train[11] + RNG.normal(0, 5, train[11].shape), 0, 255).astype(np.uint8)
    test = np.concatenate([scenes(20), np.stack([*copies, noisy])])
    # Two equal training images: the first is named.
    images = halves(np.concatenate([train, train[3:4]]), test)
    kinds = ["exact", "near", "near", "near", "near"]
    assert across(images) == [
        (20 + number, "train", 3 + 2 * number, kind) for number, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(channels: int) -> None:
    train = scenes(8, channels=channels)
    near = np.clip(train[2].astype(int) + 3, 0, 255).astype(np.uint8)
    images = halves(train, np.stack([train[6], near]))
    assert across(images) == [(0, "train", 6, "exact"), (1, "train", 2, "near")]


def test_images_that_look_alike_are_no_duplicates(digits: Images) -> None:
    # Ones and zeros of many hands.
    assert across(digits) == []
    # Dark things in the middle of a white ground, and grounds of many shades with noise.
    white = np.full((40, 64, 64, 3), 255, np.uint8)
    white[:, 20:44, 20:44] = np.where(scenes(40, size=24, channels=1) > 128, 255, 30)
    plain = RNG.integers(0, 256, (40, 1, 1, 3)) + RNG.normal(0, 1, (40, 64, 64, 3))
    plain = np.clip(plain, 0, 255).astype(np.uint8)
    for group in (white, plain):
        assert across(halves(group[:20], group[20:])) == []
    assert [row[3] for row in across(halves(white[:20], white[19:]))] == ["exact"]


def test_positions_may_overlap() -> None:
    pixels = scenes(6)
    pixels[4] = pixels[1]
    images = halves(pixels[:3], pixels[3:])
    every = np.arange(6)
    found = duplicates(images, every, every)
    assert found.to_numpy().tolist() == [[1, "test", 1, "exact"], [1, "train", 1, "exact"]]
    assert duplicates(images, every[:0], every).empty
    assert list(duplicates(images, every, every[:0]).columns) == list(found.columns)
