"""The data sets: each gives an ``ImageSet``."""

from __future__ import annotations

from pathlib import Path

from analysis.datasets.image_set import ImageSet
from analysis.study import Study

__all__ = ["ImageSet", "load"]


def load(study: Study, folder: Path) -> ImageSet:
    """Return the images of a study, from files in ``folder`` where the data set has files.

    Raises ``UserError`` where a file is missing, truncated or altered.
    """
    # Imported here because each brings a reader that the others do without.
    if study.data.name == "streetdigits":
        from analysis.datasets import drawn

        return drawn.load(train=study.data.train, test=study.data.test, seed=study.seed)
    from analysis.datasets import svhn, svhn_subset

    if study.data.name == "svhn-subset":
        return svhn_subset.load(folder)
    return svhn.load(folder)
