"""Which images a run is trained on and which it is evaluated on."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import GroupKFold

from analysis.datasets.image_set import ImageSet
from analysis.errors import UserError
from analysis.study import Run, Study


def divide(study: Study, run: Run, images: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of the training and of the evaluated images of a run, both int64, rising.

    Digits of one photo share pixels, so a fold holds whole photos; each repeat draws its own folds.
    """
    test = images.positions("test")
    if study.split.kind == "fixed":
        return images.positions("train"), test
    photo = images.photo[test]
    if (photo < 0).any():
        raise UserError(f"{study.data.name} does not say which photo each image is from.")
    folds = GroupKFold(study.split.folds, shuffle=True, random_state=study.seed + run.repeat)
    kept, held_out = list(folds.split(test, groups=photo))[run.fold]
    always = np.flatnonzero(images.split != "test")
    return np.sort(np.concatenate([always, test[kept]])), test[held_out]
