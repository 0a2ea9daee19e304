"""The drawn digits: reproducible, of the promised form, and with masks that lie on the digit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from analysis.images import Images, streetdigits
from analysis.images.streetdigits import load

ROOT = Path(__file__).parents[2]
SQUARE = np.ones((1, 3, 3), bool)
# Holes in the digits 0 to 9, which no perspective changes.
HOLES = (1, 0, 0, 0, 1, 0, 1, 0, 2, 1)
# What is drawn first from seed 1012: labels, mean levels of the images, pixels in the masks.
LABELS = [1, 2, 1, 4, 0, 7, 8, 9]
MEANS = [155.7, 149.0, 127.5, 30.1, 30.9, 103.2, 98.2, 105.9]
AREAS = [212, 255, 176, 225, 213, 239, 371, 343]


@pytest.fixture(scope="module")
def drawn() -> Images:
    return load(train=2000, test=1, seed=3)


def contrast(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Distance of the mean colours on a mask and on a ring around it, (N,), in 8-bit levels.

    The pixels next to the mask belong to neither: blur mixes both colours there.
    """
    near = ndimage.binary_dilation(masks, SQUARE)
    ring = ndimage.binary_dilation(near, SQUARE, iterations=2) & ~near
    triples = zip(images.astype(float), masks, ring, strict=True)
    return np.array([np.linalg.norm(i[m].mean(axis=0) - i[r].mean(axis=0)) for i, m, r in triples])


def test_every_process_draws_the_same_bytes() -> None:
    code = (
        "from analysis.images.streetdigits import load\n"
        "print(load(train=20, test=20, seed=3).digest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    other = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == load(train=20, test=20, seed=3).digest()


def test_a_seed_draws_the_pictures_that_it_always_drew() -> None:
    images = load(train=8, test=1, seed=1012)
    assert images.labels[:8].tolist() == LABELS
    # Means, as other processors and library versions may round single pixels differently.
    assert images.pixels[:8].mean(axis=(1, 2, 3)) == pytest.approx(MEANS, abs=0.3)
    assert images.masks[:8].sum(axis=(1, 2)) == pytest.approx(AREAS, abs=4)


def test_the_splits_share_no_photo_and_the_first_images_depend_on_no_count(drawn: Images) -> None:
    images, other = load(train=30, test=20, seed=3), load(train=10, test=20, seed=3)
    assert images.split.tolist() == ["train"] * 30 + ["test"] * 20
    assert images.index.tolist() == [*range(30), *range(20)]
    for name in ("pixels", "labels", "group", "masks"):
        found = getattr(images, name)
        assert np.array_equal(found[:30], getattr(drawn, name)[:30])
        assert np.array_equal(found[30:], getattr(other, name)[10:])
    same = (images.pixels[:30, None] == images.pixels[None, 30:]).all(axis=(2, 3, 4))
    assert not same.any()


def test_digits_come_as_often_as_promised_in_photos_that_look_alike(drawn: Images) -> None:
    seen = np.bincount(drawn.labels, minlength=10) / len(drawn)
    assert seen.min() > 0.06 and seen.argmax() == 1
    group = drawn.group[:2000]
    assert group[0] == 0 and set(np.diff(group).tolist()) == {0, 1}
    lengths = np.bincount(group)
    assert lengths.max() <= 4 and 1.8 < lengths.mean() < 2.2
    together = np.diff(group) == 0
    colours = drawn.pixels[:2000].mean(axis=(1, 2))
    apart = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert np.median(apart[together]) < 0.25 * np.median(apart[~together])


def test_masks_are_in_the_middle_and_have_a_digit_s_area(drawn: Images) -> None:
    area = drawn.masks.mean(axis=(1, 2))
    assert area.min() > 0.03 and area.max() < 0.70
    centres = np.array([ndimage.center_of_mass(mask) for mask in drawn.masks])
    assert np.abs(centres - 15.5).max() < 9


def test_masks_have_as_many_holes_as_their_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streetdigits, "SIZE", 96)
    large = load(train=1, test=300, seed=3)
    right = []
    for mask, label in zip(large.masks, large.labels, strict=True):
        pieces, _ = ndimage.label(~np.pad(mask, 1))
        outside_and_holes = (np.bincount(pieces.ravel())[1:] > 8).sum()
        right.append(outside_and_holes - 1 == HOLES[label])
    # Not all: bars open holes, and small ones close under heavy strokes.
    assert np.mean(right) > 0.9


def test_masks_fit_better_than_masks_of_others_or_one_pixel_off(drawn: Images) -> None:
    images, masks = drawn.pixels[:400], drawn.masks[:400]
    true = contrast(images, masks)
    assert np.quantile(true, 0.05) > 8
    # A mask of a photo some numbers further on, which has nothing to do with this picture.
    assert np.median(true) > 2 * np.median(contrast(images, np.roll(masks, 7, axis=0)))
    for shift in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        off = contrast(images, np.roll(masks, shift, axis=(1, 2)))
        assert true.mean() > 1.03 * off.mean(), shift
