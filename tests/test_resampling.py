"""Resamples of photos and their halves: against plain loops, and what must never be in both."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import statistics
from analysis.resampling import Resamples

PHOTO = np.array([7, -3, 7, 100, 5, 5, 5, -40, 100, 12, 12, -40, 7, 3, 61, 61])
COUNT, SPLITS = 30, 47


@pytest.fixture(scope="module")
def resamples() -> Resamples:
    return Resamples(PHOTO, COUNT, seed=4)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Values (N, 3), of which whole numbers are added without rounding; one column is rare."""
    values = np.random.default_rng(1).integers(0, 9, (len(PHOTO), 3)).astype(float)
    values[:, 2] = PHOTO == 12
    return values


def joined(resamples: Resamples, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums over both halves, each (splits, 1 + B, K)."""
    first, second = zip(*resamples.halves(values, splits=SPLITS), strict=True)
    return np.concatenate(first), np.concatenate(second)


# ------------------------------------------------------------------------------ sums


def test_the_first_row_is_the_sample_itself(resamples: Resamples, values: np.ndarray) -> None:
    assert (resamples.weights[0] == 1).all()
    assert np.array_equal(resamples.sums(values)[0], values.sum(axis=0))


def test_sums_are_those_of_photos_that_were_drawn_one_by_one(
    resamples: Resamples, values: np.ndarray
) -> None:
    names = sorted(set(PHOTO))
    drawn = statistics.photo_counts(len(names), resamples=COUNT, seed=4)
    found = resamples.sums(values)
    for replicate, times in enumerate(drawn, start=1):
        names_drawn = np.repeat(names, times.astype(int))
        assert len(names_drawn) == len(names)
        expected = sum(values[name == PHOTO].sum(axis=0) for name in names_drawn)
        assert np.array_equal(found[replicate], expected)


def test_an_image_counts_as_often_as_its_photo(resamples: Resamples) -> None:
    images = np.array([3, 0, 8, 5])
    found = resamples.of_images(images, slice(2, 9))
    names = sorted(set(PHOTO))
    expected = [
        [row[names.index(PHOTO[image])] for image in images] for row in resamples.weights[2:9]
    ]
    assert np.array_equal(found, expected)
    # Two images of one photo count alike.
    assert np.array_equal(found[:, 1], resamples.of_images(np.array([2]), slice(2, 9))[:, 0])


def test_without_resamples_there_is_the_estimate_alone(values: np.ndarray) -> None:
    alone = Resamples(PHOTO, 0, seed=4)
    assert np.array_equal(alone.sums(values), [values.sum(axis=0)])
    first, second = joined(alone, values)
    assert first.shape == second.shape == (SPLITS, 1, 3)


def test_a_seed_decides_resamples_and_halves(resamples: Resamples, values: np.ndarray) -> None:
    same, other = Resamples(PHOTO, COUNT, seed=4), Resamples(PHOTO, COUNT, seed=5)
    assert np.array_equal(same.weights, resamples.weights)
    assert np.array_equal(joined(same, values)[0], joined(resamples, values)[0])
    assert not np.array_equal(other.weights, resamples.weights)
    assert not np.array_equal(joined(other, values)[0][:, 0], joined(resamples, values)[0][:, 0])


# ------------------------------------------------------------------------------ halves


def test_halves_add_up_to_the_sums(resamples: Resamples, values: np.ndarray) -> None:
    first, second = joined(resamples, values)
    assert first.shape == second.shape == (SPLITS, 1 + COUNT, 3)
    whole = np.broadcast_to(resamples.sums(values), first.shape)
    assert np.array_equal(first + second, whole)


def test_no_photo_is_in_both_halves(resamples: Resamples) -> None:
    names = sorted(set(PHOTO))
    images = (PHOTO[:, None] == names).astype(float)
    first, second = joined(resamples, images)
    # A photo's images, and all of their copies in a resample, are on one side or the other.
    assert ((first == 0) | (second == 0)).all()
    inside = first[:, 0] > 0
    # Half of the photos, the smaller one first, as there are eight.
    assert (inside.sum(axis=1) == len(names) // 2).all()
    # A resample is divided as the sample is.
    assert ((first > 0) <= inside[:, None]).all() and ((second > 0) <= ~inside[:, None]).all()


def test_halves_differ_from_split_to_split_and_favour_no_photo() -> None:
    many = Resamples(np.arange(10), 0, seed=0)
    first = np.concatenate([first for first, _ in many.halves(np.eye(10), splits=2000)])[:, 0]
    share = first.mean(axis=0)
    # Each photo in half of the splits: binomial, four standard errors.
    assert np.abs(share - 0.5).max() < 4 * 0.5 / np.sqrt(2000)
    # Any two are together in 4 of 9 of them.
    together = (first[:, 0] == first[:, 1]).mean()
    assert together == pytest.approx(4 / 9, abs=4 * 0.5 / np.sqrt(2000))


def test_every_call_divides_the_same_way_whatever_the_values(
    resamples: Resamples, values: np.ndarray
) -> None:
    whole, rare = joined(resamples, values), joined(resamples, values[:, 2:])
    for part, alone in zip(whole, rare, strict=True):
        # The rare column by itself leaves out most photos, and is divided as before.
        assert np.array_equal(part[..., 2:], alone)


def test_values_that_are_all_zero_have_halves_of_zero(resamples: Resamples) -> None:
    first, second = joined(resamples, np.zeros((len(PHOTO), 2)))
    assert not first.any() and not second.any() and first.shape == (SPLITS, 1 + COUNT, 2)
