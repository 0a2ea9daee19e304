"""The sample of photos: whole, shared by all runs, and one part of it in each fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import probes
from analysis.datasets import ImageSet
from analysis.model import Classifier
from analysis.sampling import sample
from analysis.split import divide
from tests.conftest import small_study


def test_whole_photos_are_drawn_and_as_many_as_asked_for(digits: ImageSet) -> None:
    chosen = sample(digits, photos=20, seed=0)
    photos = np.unique(digits.photo[chosen])
    assert len(photos) == 20
    evaluated = digits.positions("test")
    expected = evaluated[np.isin(digits.photo[evaluated], photos)]
    np.testing.assert_array_equal(chosen, expected)


def test_the_seed_decides(digits: ImageSet) -> None:
    first, again, other = (sample(digits, photos=20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_every_photo_has_the_same_chance(digits: ImageSet) -> None:
    drawn = np.concatenate([sample(digits, photos=13, seed=seed) for seed in range(400)])
    counts = np.bincount(digits.photo[drawn], minlength=65) / 2
    # 13 of 65 photos, 400 times: 80 each, with a standard deviation of 8.
    assert abs(counts - 80).max() < 5 * 8


@pytest.mark.parametrize("photos", [65, 66, 10_000])
def test_of_fewer_photos_all_are_drawn(digits: ImageSet, photos: int) -> None:
    chosen = sample(digits, photos=photos, seed=0)
    np.testing.assert_array_equal(chosen, digits.positions("test"))


def test_images_whose_photo_is_not_known_are_drawn_one_by_one(digits: ImageSet) -> None:
    unknown = replace(digits, photo=np.full_like(digits.photo, -1))
    chosen = sample(unknown, photos=20, seed=0)
    assert len(chosen) == 20 and set(chosen) <= set(digits.positions("test"))


def test_folds_divide_the_sample_and_repeats_share_it(
    digits: ImageSet, learned: Classifier
) -> None:
    study = small_study(
        split={"kind": "photo-folds", "folds": 3, "repeats": 2}, controls={"photos": 20}
    )
    parts: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for run in study.runs:
        _, evaluated = divide(study, run, digits)
        subject = probes.Subject(study, run, learned, digits, evaluated)
        assert set(subject.sample) <= set(evaluated)
        parts[run.repeat].append(subject.sample)
    for found in parts.values():
        whole = np.sort(np.concatenate(found))
        np.testing.assert_array_equal(whole, sample(digits, photos=20, seed=study.seed))
    assert [len(part) for part in parts[0]] != [len(part) for part in parts[1]] or not all(
        map(np.array_equal, parts[0], parts[1])
    )
