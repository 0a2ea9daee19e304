"""Images that a function of somebody else's returns."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.images.arrays import of_arrays
from analysis.images.classes import checked
from analysis.images.images import Images
from analysis.images.photos import pixels
from analysis.project import foreign
from analysis.project.errors import UserError
from analysis.study import Study

_KEY = "images.function"


def load(study: Study, folder: Path) -> Images:
    """Return the images that ``images.function`` returns, called with ``images.arguments``.

    It returns ``Images``, which are taken as they are; or arrays by name, as an .npz file has them
    (see ``analysis.images.arrays``); or pairs (image, label) or triples (image, label, split), such
    as a torch ``Dataset``, of pictures, arrays (H, W[, C]) or tensors (C, H, W). With
    ``images.size``, arrays and pairs become as many pixels wide and high.

    Raises ``UserError``, with the exception, file and line, if the function cannot be imported,
    raises, or returns something else.
    """
    settings = study.images
    assert settings.function is not None, "checked with the study"
    name, home = settings.function, study.located(".")
    called = foreign.function(name, key=_KEY, folder=home)
    form = pixels.Form(settings.size, settings.fit, settings.channels)
    with foreign.reported(f"{_KEY}: {name} failed", folder=home):
        found = called(**settings.arguments)
        if isinstance(found, Mapping):
            found = dict(found)
        elif not isinstance(found, Images):
            found = _listed(found, form, name)
    if isinstance(found, Images):
        checked(found.classes, key=f"{_KEY}: {name}")
        return found
    images = of_arrays(found, key=_KEY, origin=name)
    return _fitted(images, form) if form.size else images


def _listed(found: Any, form: pixels.Form, name: str) -> dict[str, Any]:
    """Return pairs or triples as arrays by name."""
    if isinstance(found, (str, bytes)) or not (
        isinstance(found, Iterable) or hasattr(found, "__getitem__")
    ):
        raise UserError(
            f"{_KEY}: {name} returned {type(found).__name__}; it must return Images, arrays by "
            "name, or pairs (image, label)."
        )
    images, labels, splits = [], [], []
    for number, row in enumerate(_rows(found)):
        if not isinstance(row, (tuple, list)) or len(row) not in (2, 3):
            raise UserError(
                f"{_KEY}: {name} returned {type(row).__name__} as image {number}; it must be a "
                "pair (image, label) or a triple (image, label, split)."
            )
        try:
            images.append(pixels.of_sample(row[0], form))
            labels.append(row[1] if isinstance(row[1], str) else operator.index(row[1]))
        except (ValueError, TypeError) as error:
            raise UserError(f"{_KEY}: {name}, image {number}: {error}.") from None
        splits += [str(row[2])] if len(row) == 3 else []
    if len(splits) not in (0, len(images)):
        raise UserError(f"{_KEY}: {name} must give a split for every image or for none.")
    classes = getattr(found, "classes", None)
    arrays = {"images": images, "labels": labels, "split": splits or None, "classes": classes}
    return {key: value for key, value in arrays.items() if value is not None}


def _rows(found: Any) -> Iterator[Any]:
    # A torch Dataset has a length and is read by position, and may never end when iterated.
    if hasattr(found, "__len__") and hasattr(found, "__getitem__"):
        return (found[number] for number in range(len(found)))
    return iter(found)


def _fitted(images: Images, form: pixels.Form) -> Images:
    """Return images at a size, RGB or grey as ``form`` says if they have 1 or 3 channels."""
    channels = images.pixels.shape[3]
    channels = form.channels if channels in (1, 3) else channels
    if images.pixels.shape[1:] == (form.size, form.size, channels):
        return images
    found = [pixels.of_array(image, form) for image in images.pixels]
    return replace(images, pixels=np.stack(found))
