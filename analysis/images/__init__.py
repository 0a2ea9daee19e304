"""Where images come from: each source gives ``Images``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.images.images import ALL_SPLITS, Batch, Images, batches
from analysis.images.split import check, check_names, divide, merged, sample
from analysis.project.errors import UserError
from analysis.project.foreign import reported
from analysis.study import Study

__all__ = ["SOURCES", "Batch", "Images", "batches", "divide", "load", "read", "sample"]


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


def _folder(study: Study, folder: Path) -> Images:
    from analysis.images import folder as photos

    return photos.load(study, folder)


def _torchvision(study: Study, folder: Path) -> Images:
    from analysis.images import torchvision_sets

    return torchvision_sets.load(study, folder)


def _arrays(study: Study, folder: Path) -> Images:
    from analysis.images import arrays

    return arrays.load(study, folder)


def _python(study: Study, folder: Path) -> Images:
    from analysis.images import python

    return python.load(study, folder)


SOURCES: dict[str, Callable[[Study, Path], Images]] = {
    "svhn": _svhn,
    "svhn-subset": _svhn_subset,
    "streetdigits": _streetdigits,
    "folder": _folder,
    "torchvision": _torchvision,
    "arrays": _arrays,
    "python": _python,
}
# Sources whose groups are numbered anew in each split.
_GROUPS_OF_SPLITS = ("svhn-subset", "streetdigits")


def load(study: Study, folder: Path) -> Images:
    """Return the images of a study, from files in ``folder`` or where the study file lies.

    They have one split "all" if that is evaluated. ``notes`` name what was passed over, classes
    without images, and groups that are both trained on and evaluated. Raises ``UserError`` for
    whatever is wrong with them.
    """
    check(study)
    images = read(study, folder)
    anew = study.images.source in _GROUPS_OF_SPLITS
    if study.images.evaluate == ALL_SPLITS:
        images = merged(images, anew=anew)
    check_names(study, images.split.tolist())
    if len(images.positions(study.images.evaluate)) == 1:
        raise UserError(
            f"images.evaluate: the split {study.images.evaluate!r} has one image, which says "
            "nothing of others."
        )
    return replace(images, notes=images.notes + _notes(study, images, across=not anew))


def read(study: Study, folder: Path) -> Images:
    """Return the images of a study in their own splits, with ``images.attributes``.

    Unlike ``load``, it asks for no split to train on. Raises ``UserError`` as ``load`` does.
    """
    settings = study.images
    source = f"images.source: the images of {settings.source!r}"
    # Somebody else's data, read by somebody else's code: neither can be foreseen.
    with reported(f"{source} cannot be read"):
        try:
            images = SOURCES[settings.source](study, folder)
            if settings.attributes is None:
                return images
            from analysis.images.annotations import annotated

            return annotated(
                images,
                study.located(settings.attributes, data=folder),
                split=settings.evaluate,
                base=study.located(settings.path or ".", data=folder),
            )
        except MemoryError:
            raise UserError(f"{source} do not fit into memory.") from None


def _notes(study: Study, images: Images, *, across: bool) -> tuple[str, ...]:
    """Return what there is to say of any source's images; ``across`` if splits share groups."""
    from analysis.images.classes import without_images

    evaluated = images.positions(study.images.evaluate)
    notes = without_images(images, evaluated)
    if across:
        others = images.group[np.setdiff1d(np.arange(len(images)), evaluated)]
        shared = np.intersect1d(images.group[evaluated], others)
        if count := int((shared >= 0).sum()):
            notes += (f"Groups with images in the evaluated split and in another: {count:,}.",)
    return notes
