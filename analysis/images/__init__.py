"""Where images come from: each source gives ``Images``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from analysis.images.images import Batch, Images, batches
from analysis.images.split import divide, sample
from analysis.study import Study

__all__ = ["SOURCES", "Batch", "Images", "batches", "divide", "load", "sample"]


# Imported where they are used, because each brings a reader that the others do without.
def _svhn(study: Study, folder: Path) -> Images:
    from analysis.images import svhn

    return svhn.load(folder)


def _svhn_subset(study: Study, folder: Path) -> Images:
    from analysis.images import svhn_subset

    return svhn_subset.load(folder)


def _streetdigits(study: Study, folder: Path) -> Images:
    from analysis.images import streetdigits

    assert study.images.draw is not None, "a study of streetdigits says how many to draw"
    return streetdigits.load(**study.images.draw.model_dump(), seed=study.seed)


SOURCES: dict[str, Callable[[Study, Path], Images]] = {
    "svhn": _svhn,
    "svhn-subset": _svhn_subset,
    "streetdigits": _streetdigits,
}


def load(study: Study, folder: Path) -> Images:
    """Return the images of a study, from files in ``folder`` if the source has files.

    Raises ``UserError`` for a file that is missing, truncated or altered.
    """
    return SOURCES[study.images.source](study, folder)
