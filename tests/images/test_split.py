"""Folds and the sample: whole groups, every evaluated image once, the same every time."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from analysis.images import Images, divide, sample
from analysis.images.split import merged
from analysis.project.errors import UserError
from analysis.study import Run, Study
from tests.conftest import small_study
from tests.images.conftest import study_of

FOLDS = 5


@pytest.fixture(scope="module")
def images() -> Images:
    """Groups of 1 to 4 images, whose numbers begin anew in each split."""
    generator = np.random.default_rng(0)
    counts = {"train": 70, "extra": 10, "test": 400}
    group = [np.repeat(np.arange(n), generator.integers(1, 5, n))[:n] for n in counts.values()]
    return Images.of_splits(
        counts,
        np.zeros((480, 2, 3, 3), np.uint8),
        generator.integers(0, 4, 480),
        classes=("a", "b", "c", "d"),
        group=np.concatenate(group),
    )


def study(folds: int = FOLDS, **changes: object) -> Study:
    images = {"source": "svhn-subset", "folds": folds}
    return small_study(**{"images": images, "repeats": 3, "seed": 4, **changes})


def test_folds_hold_whole_groups_and_evaluate_every_test_image_once(images: Images) -> None:
    for repeat in range(3):
        runs = [run for run in study().runs if run.repeat == repeat]
        parts = [divide(study(), run, images) for run in runs]
        every = np.sort(np.concatenate([evaluated for _, evaluated in parts]))
        assert np.array_equal(every, images.positions("test"))
        sizes = [len(evaluated) for _, evaluated in parts]
        assert max(sizes) - min(sizes) <= 0.1 * 400
        for fitted, evaluated in parts:
            sides = [
                set(zip(images.split[p], images.group[p], strict=True)) for p in (fitted, evaluated)
            ]
            assert not sides[0] & sides[1]
            assert len(fitted) + len(evaluated) == len(images)
            assert (np.diff(fitted) > 0).all() and (np.diff(evaluated) > 0).all()


def test_repeats_and_seeds_draw_their_own_folds(images: Images) -> None:
    first, second = (set(divide(study(), Run(n, 0, seed=0), images)[1]) for n in range(2))
    # Drawn independently, two folds of a fifth each share about a fifth of their images.
    assert len(first & second) < 0.5 * len(first)
    other = study(seed=9)
    assert set(divide(other, other.runs[0], images)[1]) != first
    assert set(divide(study(), study().runs[0], images)[1]) == first


def test_one_fold_is_the_official_split(images: Images) -> None:
    fitted, evaluated = divide(study(folds=1), study(folds=1).runs[1], images)
    assert np.array_equal(fitted, images.positions("train"))
    assert np.array_equal(evaluated, images.positions("test"))


def test_without_groups_folds_have_the_classes_in_equal_shares(images: Images) -> None:
    unknown = replace(images, group=np.full_like(images.group, -1))
    expected = np.bincount(images.labels[images.positions("test")]) / FOLDS
    parts = [divide(study(), run, unknown)[1] for run in study().runs[:FOLDS]]
    assert np.array_equal(np.sort(np.concatenate(parts)), images.positions("test"))
    for part in parts:
        assert abs(np.bincount(images.labels[part]) - expected).max() < 1


def test_a_class_with_fewer_images_than_folds_is_in_some_of_them(images: Images) -> None:
    labels = np.zeros(480, np.int64)
    labels[:200], labels[200], labels[300:303] = 1, 2, 3
    rare = replace(images, group=np.full_like(images.group, -1), labels=labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = [divide(study(), run, rare)[1] for run in study().runs[:FOLDS]]
    counts = np.array([np.bincount(labels[part], minlength=4) for part in parts])
    assert sorted(counts[:, 2]) == [0, 0, 0, 0, 1] and sorted(counts[:, 3]) == [0, 0, 1, 1, 1]


def test_the_study_names_the_splits(images: Images) -> None:
    named = study(images={"source": "svhn-subset", "train": "test", "evaluate": "extra"})
    fitted, evaluated = divide(named, named.runs[0], images)
    assert np.array_equal(fitted, images.positions("test"))
    assert np.array_equal(evaluated, images.positions("extra"))
    assert set(sample(images, groups=99, seed=0, split="extra")) == set(evaluated)
    for split, known in (("train", "no image is left"), ("tset", "'train', 'extra', 'test'")):
        wrong = study(images={"source": "svhn-subset", "evaluate": split})
        with pytest.raises(UserError, match=f"images.evaluate: .*{known}"):
            divide(wrong, wrong.runs[0], images)


def test_without_training_no_training_images_are_needed(images: Images) -> None:
    for train in ("train", "none", "extra"):
        alone = study_of(untrained=True, source="svhn-subset", train=train, evaluate="extra")
        fitted, evaluated = divide(alone, alone.runs[0], images)
        assert len(evaluated) == 10 and len(fitted) == (70 if train == "train" else 0)


@pytest.mark.parametrize("anew", [False, True])
def test_splits_are_put_together(images: Images, anew: bool) -> None:
    together = merged(images, anew=anew)
    assert set(together.split) == {"all"} and together.index.tolist() == list(range(480))
    pairs = set(zip(images.split.tolist(), images.group.tolist(), strict=True))
    known = len(pairs) if anew else len(np.unique(images.group))
    assert len(np.unique(together.group)) == known
    unknown = merged(replace(images, group=np.full_like(images.group, -1)), anew=anew)
    assert (unknown.group == -1).all()


def test_more_folds_than_groups_are_refused(images: Images) -> None:
    with pytest.raises(UserError, match=r"images\.folds: the 400 .* into 900 folds"):
        divide(study(folds=900), study(folds=900).runs[0], images)


def test_the_sample_has_whole_groups_with_equal_chances(digits: Images) -> None:
    chosen, evaluated = sample(digits, groups=20, seed=0), digits.positions("test")
    groups = np.unique(digits.group[chosen])
    assert len(groups) == 20
    assert np.array_equal(chosen, evaluated[np.isin(digits.group[evaluated], groups)])
    assert np.array_equal(chosen, sample(digits, groups=20, seed=0))
    assert np.array_equal(sample(digits, groups=66, seed=0), evaluated)
    drawn = np.concatenate([sample(digits, groups=13, seed=seed) for seed in range(400)])
    counts = np.bincount(digits.group[drawn], minlength=65) / 2
    # 13 of 65 groups, 400 times: 80 each, with a standard deviation of 8.
    assert abs(counts - 80).max() < 5 * 8
    unknown = replace(digits, group=np.full_like(digits.group, -1))
    assert len(sample(unknown, groups=20, seed=0)) == 20
