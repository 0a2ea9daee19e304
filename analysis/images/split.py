"""Which images a run is trained on, which it is evaluated on, and which are sampled."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedKFold

from analysis.images.classes import listed
from analysis.images.images import ALL_SPLITS, Images
from analysis.project.errors import UserError
from analysis.study import Run, Study


def divide(study: Study, run: Run, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of the training and of the evaluated images of a run, both int64, rising.

    Images of one group share pixels, so a fold holds whole groups, and classes in equal shares
    where no group is known. Each repeat draws its own folds. Without folds, a study that trains no
    network has no training images if its training split is missing. Raises ``UserError`` for images
    that cannot be divided so.
    """
    check(study)
    check_names(study, images.split.tolist())
    test = images.positions(study.images.evaluate)
    if study.images.folds == 1:
        same = study.images.train == study.images.evaluate
        return (test[:0] if same else images.positions(study.images.train)), test
    known = (images.group[test] >= 0).any()
    folds = (GroupKFold if known else StratifiedKFold)(
        study.images.folds, shuffle=True, random_state=study.seed + run.repeat
    )
    groups = images.units(test) if known else None
    try:
        with warnings.catch_warnings():
            # A class with fewer images than folds is missing from some of them, as it has to be.
            warnings.filterwarnings("ignore", message="The least populated class")
            parts = list(folds.split(test, images.labels[test], groups=groups))
    except ValueError as error:
        raise UserError(
            f"images.folds: the {len(test)} evaluated images cannot be divided into "
            f"{study.images.folds} folds.\n{error}"
        ) from None
    kept, held_out = parts[run.fold]
    always = np.flatnonzero(images.split != study.images.evaluate)
    return np.sort(np.concatenate([always, test[kept]])), test[held_out]


def check(study: Study) -> None:
    """Raise ``UserError`` if a study evaluates all images that it could train on."""
    train, evaluate = study.images.train, study.images.evaluate
    if study.trained and study.images.folds == 1 and evaluate in (train, ALL_SPLITS):
        raise UserError(
            f"images.evaluate: if the split {evaluate!r} is evaluated, no image is left to "
            "train on.\nGive images.folds, or name another split."
        )


def check_names(study: Study, splits: Iterable[str]) -> None:
    """Raise ``UserError`` if a split that the study needs is not among those that have images."""
    known = list(dict.fromkeys(splits))
    wanted = {"images.evaluate": study.images.evaluate}
    if study.trained and study.images.folds == 1:
        wanted["images.train"] = study.images.train
    for key, split in wanted.items():
        if split not in known and study.images.evaluate != ALL_SPLITS:
            names = listed(map(repr, known), most=10)
            are = "splits are" if len(known) > 1 else "only split is"
            raise UserError(f"{key}: no image is in a split {split!r}; the {are} {names}.")


def needed(study: Study) -> set[str] | None:
    """Return the splits that a study needs, or ``None`` if it needs every image.

    The training split is among them even if nothing is trained, as it may have duplicates of
    evaluated images.
    """
    settings = study.images
    if settings.evaluate == ALL_SPLITS or settings.folds > 1:
        return None
    return {settings.train, settings.evaluate}


def merged(images: Images, *, anew: bool) -> Images:
    """Return images with every split put into the split "all".

    With ``anew``, groups are numbered anew in each split, so that those of two splits differ.
    """
    group = images.group.copy()
    first = 0
    for split in dict.fromkeys(images.split.tolist()) if anew else ():
        chosen = (images.split == split) & (group >= 0)
        group[chosen] += first
        first = max(first, int(group.max()) + 1)
    return replace(
        images,
        split=np.full(len(images), ALL_SPLITS),
        index=np.arange(len(images)),
        group=group,
    )


def sample(images: Images, *, groups: int, seed: int, split: str = "test") -> np.ndarray:
    """Return the positions of the images of randomly drawn groups of a split, int64, rising.

    ``groups`` of all groups are drawn, or all if there are fewer. They depend on the images and the
    seed alone: the runs of a study share them, and each fold has its part.
    """
    evaluated = images.positions(split)
    units = images.units(evaluated)
    known = np.unique(units)
    drawn = np.random.default_rng(seed).choice(known, size=min(groups, len(known)), replace=False)
    return evaluated[np.isin(units, drawn)]
