"""Folds: every evaluated image once, no photo on both sides, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.datasets import ImageSet
from analysis.errors import UserError
from analysis.split import divide
from analysis.study import Run
from tests.conftest import small_study

FOLDS = 5


@pytest.fixture(scope="module")
def images() -> ImageSet:
    """Photos of 1 to 4 digits. Photo numbers begin anew in each split, as the official ones do."""
    generator = np.random.default_rng(0)
    counts = {"train": 70, "extra": 10, "test": 400}
    photo = [np.repeat(np.arange(n), generator.integers(1, 5, n))[:n] for n in counts.values()]
    total = sum(counts.values())
    return ImageSet(
        images=np.zeros((total, 2, 2, 3), np.uint8),
        labels=generator.integers(0, 10, total).astype(np.uint8),
        split=np.repeat(list(counts), list(counts.values())),
        index=np.concatenate([np.arange(n) for n in counts.values()]).astype(np.int32),
        photo=np.concatenate(photo).astype(np.int32),
    )


@pytest.fixture(scope="module")
def study():
    return small_study(split={"kind": "photo-folds", "folds": FOLDS, "repeats": 3}, seed=4)


def test_the_folds_of_a_repeat_evaluate_every_test_image_once(study, images) -> None:
    for repeat in range(3):
        parts = [divide(study, run, images)[1] for run in study.runs if run.repeat == repeat]
        assert np.array_equal(np.sort(np.concatenate(parts)), images.positions("test"))
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 0.1 * 400, "folds of about the same size"


@pytest.mark.parametrize("fold", range(FOLDS))
def test_no_photo_is_on_both_sides(study, images, fold: int) -> None:
    fitted, evaluated = divide(study, study.runs[fold], images)
    photos = {
        side: set(zip(images.split[p], images.photo[p], strict=True))
        for side, p in (("fitted", fitted), ("evaluated", evaluated))
    }
    assert not photos["fitted"] & photos["evaluated"]
    # All images are on one side or the other, so the numbers above are not empty by mistake.
    assert len(fitted) + len(evaluated) == len(images)
    assert photos["evaluated"]


def test_train_and_extra_are_always_trained_on(study, images) -> None:
    others = set(np.flatnonzero(images.split != "test"))
    for run in study.runs:
        fitted, evaluated = divide(study, run, images)
        assert others <= set(fitted)
        assert set(images.split[evaluated]) == {"test"}


def test_each_repeat_draws_its_own_folds(study, images) -> None:
    evaluated = [set(divide(study, Run(repeat, 0, seed=0), images)[1]) for repeat in range(3)]
    assert evaluated[0] != evaluated[1] != evaluated[2] != evaluated[0]
    # Drawn independently, two folds of a fifth each share about a fifth of their images.
    assert len(evaluated[0] & evaluated[1]) < 0.5 * len(evaluated[0])


def test_the_same_study_gives_the_same_folds_in_rising_order(study, images) -> None:
    for run in study.runs[:3]:
        first, again = divide(study, run, images), divide(study, run, images)
        for one, other in zip(first, again, strict=True):
            assert np.array_equal(one, other)
            assert (np.diff(one) > 0).all()


def test_another_seed_draws_other_folds(study, images) -> None:
    other = study.model_copy(update={"seed": 5})
    assert not np.array_equal(
        divide(study, study.runs[0], images)[1], divide(other, other.runs[0], images)[1]
    )


def test_a_fixed_split_is_the_official_one(images) -> None:
    study = small_study(split={"kind": "fixed", "repeats": 2})
    for run in study.runs:
        fitted, evaluated = divide(study, run, images)
        assert np.array_equal(fitted, images.positions("train"))
        assert np.array_equal(evaluated, images.positions("test"))


def test_folds_need_photos(study, images) -> None:
    unknown = ImageSet(
        images.images, images.labels, images.split, images.index, np.full_like(images.photo, -1)
    )
    with pytest.raises(UserError, match="does not say which photo"):
        divide(study, study.runs[0], unknown)
