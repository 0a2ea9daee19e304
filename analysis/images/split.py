"""Which images a run is trained on, which it is evaluated on, and which are sampled."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedKFold

from analysis.images.images import Images
from analysis.project.errors import UserError
from analysis.study import Run, Study


def divide(study: Study, run: Run, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of the training and of the evaluated images of a run, both int64, rising.

    Images of one group share pixels, so a fold holds whole groups, and classes in equal shares
    where no group is known. Each repeat draws its own folds. Raises ``UserError`` for images that
    cannot be divided so.
    """
    test = images.positions("test")
    if study.images.folds == 1:
        return images.positions("train"), test
    known = (images.group[test] >= 0).any()
    folds = (GroupKFold if known else StratifiedKFold)(
        study.images.folds, shuffle=True, random_state=study.seed + run.repeat
    )
    groups = images.units(test) if known else None
    try:
        parts = list(folds.split(test, images.labels[test], groups=groups))
    except ValueError as error:
        raise UserError(
            f"images.folds: the {len(test)} evaluated images cannot be divided into "
            f"{study.images.folds} folds.\n{error}"
        ) from None
    kept, held_out = parts[run.fold]
    always = np.flatnonzero(images.split != "test")
    return np.sort(np.concatenate([always, test[kept]])), test[held_out]


def sample(images: Images, *, groups: int, seed: int) -> np.ndarray:
    """Return the positions of the images of randomly drawn groups, int64, rising.

    ``groups`` of all evaluated groups are drawn, or all if there are fewer. They depend on the
    images and the seed alone: the runs of a study share them, and each fold has its part.
    """
    evaluated = images.positions("test")
    units = images.units(evaluated)
    known = np.unique(units)
    drawn = np.random.default_rng(seed).choice(known, size=min(groups, len(known)), replace=False)
    return evaluated[np.isin(units, drawn)]
