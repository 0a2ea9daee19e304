"""The classification data sets of torchvision, by the name of their class."""

from __future__ import annotations

import inspect
import operator
import os
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torchvision
from torchvision import datasets

from analysis.images.classes import checked
from analysis.images.images import ALL_SPLITS, Images
from analysis.images.photos import pixels
from analysis.images.photos.decoded import decoded, key
from analysis.images.split import check_names, needed
from analysis.project import foreign, paths
from analysis.project.errors import UserError, nearest
from analysis.study import Study

# Modules of torchvision.datasets whose targets are boxes, masks, flow, text, pairs or videos.
_OTHERS = {
    *("_optical_flow", "_stereo_matching", "cityscapes", "coco", "flickr", "hmdb51", "kinetics"),
    *("kitti", "moving_mnist", "phototour", "sbd", "sbu", "ucf101", "vision", "voc", "widerface"),
}
# Arguments that are functions, which no study file can give.
_FUNCTIONS = {"transform", "transforms", "target_transform", "loader", "is_valid_file"}
# Splits that do not overlap, tried one by one where every image is wanted, and one that does if
# there is another for training.
_PARTS = ("train", "val", "valid", "test")
_BOTH = "trainval"


def load(study: Study, folder: Path) -> Images:
    """Return the data set ``images.dataset`` of torchvision, made with ``images.arguments``.

    Its files lie in ``folder``, unless the argument ``root`` names another; they are downloaded
    only with ``download = true``. The splits of a set with the argument ``train`` are "train" and
    "test"; those of a set with the argument ``split`` are its values; all other sets have the one
    split "all". Pictures become 8-bit pixels of one size (see ``analysis.images.photos``).

    Raises ``UserError`` for a set that is unknown, missing or has no single class for each image.
    """
    settings = study.images
    assert settings.dataset is not None and settings.size is not None, "checked with the study"
    kind = _kind(settings.dataset)
    arguments, root = _arguments(kind, study, folder)
    parts = _opened(kind, study, arguments, root)
    check_names(study, parts)
    form = pixels.Form(settings.size, settings.fit, settings.channels)
    names = {split: _class_names(part) for split, part in parts.items()}
    ends = list(accumulate(len(part) for part in parts.values()))
    if not ends[-1]:
        raise UserError(f"images.dataset: {kind.__name__} has no images.")

    def read(number: int) -> tuple[np.ndarray, int]:
        place = bisect_right(ends, number)
        split, part = list(parts.items())[place]
        position = number - (ends[place - 1] if place else 0)
        return _sample(part, position, f"{kind.__name__}, image {position} of {split!r}", form)

    asked = [item for item in sorted(arguments.items()) if item[0] not in ("root", "download")]
    about = (kind.__name__, torchvision.__version__, asked, list(parts), ends)
    # Whatever lies in the data folder is part of the name: which files a set reads is not known.
    listing = _listing(root) if root else ()
    found = decoded(key(form, about, listing), ends[-1], read, form=form)
    known = next(iter(names.values()))
    if any(other != known for other in names.values()):
        raise UserError(f"images.dataset: the splits of {kind.__name__} differ in their classes.")
    count = int(found.labels.max()) + 1
    if known is None or len(known) < count:
        known = [str(number) for number in range(count)]
    if found.labels.min() < 0:
        raise UserError(f"images.dataset: {kind.__name__} has images without a label.")
    return Images.of_splits(
        {split: len(part) for split, part in parts.items()},
        found.pixels,
        found.labels,
        classes=checked(known, key="images.dataset"),
    )


def _kind(name: str) -> type:
    known = {
        each: getattr(datasets, each)
        for each in datasets.__all__
        if inspect.isclass(getattr(datasets, each))
    }
    kind = known.get(name)
    if kind is None:
        usable = [each for each, kind in known.items() if _module(kind) not in _OTHERS]
        raise UserError(
            f"images.dataset: torchvision has no data set {name!r}; the nearest is "
            f"{nearest(name, usable)!r}."
        )
    if _module(kind) in _OTHERS or name in ("DatasetFolder", "LFWPairs"):
        raise UserError(
            f"images.dataset: {name} does not have one class for each image, so that it is not for "
            "classification."
        )
    return kind


def _module(kind: type) -> str:
    return kind.__module__.rpartition(".")[2]


def _parameters(kind: type) -> set[str]:
    """Return the names of the arguments that a data set takes, its base classes' included."""
    found: set[str] = set()
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base).parameters.values()
            found |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return found


def _arguments(kind: type, study: Study, folder: Path) -> tuple[dict[str, Any], Path | None]:
    """Return the arguments of a data set, and the folder of its files, if it has any."""
    accepted = _parameters(kind)
    given = dict(study.images.arguments)
    # EMNIST's argument "split" names a set of letters, and its splits are those of "train".
    taken = "train" if "train" in accepted else "split"
    if taken in given:
        raise UserError(
            f"images.arguments.{taken}: splits are named by images.train and images.evaluate."
        )
    usable = accepted - _FUNCTIONS - {taken, "self"}
    for name in given:
        if name not in usable:
            raise UserError(
                f"images.arguments: {kind.__name__} has no argument {name!r} that a study can "
                f"give; the nearest is {nearest(name, usable)!r}."
            )
    if "root" not in accepted:
        return given, None
    root = study.located(str(given["root"]), data=folder) if "root" in given else folder
    if not root.is_dir() and not given.get("download"):
        raise _missing(kind, root, accepted, "that folder does not exist")
    return {**given, "root": str(root)}, root


def _opened(
    kind: type, study: Study, arguments: dict[str, Any], root: Path | None
) -> dict[str, Any]:
    """Return the data set of each split that the study needs."""
    accepted = _parameters(kind)
    wanted = needed(study)
    if wanted is not None and not study.trained:
        wanted = {study.images.evaluate}
    chosen: dict[str, dict[str, Any]]
    if "train" in accepted:
        chosen = {"train": {"train": True}, "test": {"train": False}}
    elif "split" in accepted:
        if wanted is None and study.images.evaluate not in (ALL_SPLITS, *_PARTS):
            # It may overlap with any other.
            wanted = {study.images.evaluate}
        words = (*_PARTS, _BOTH) if wanted is None else sorted(wanted)
        chosen = {word: {"split": word} for word in words}
    else:
        chosen = {ALL_SPLITS: {}}
        wanted = None
    if wanted is not None and (unknown := sorted(wanted - set(chosen))):
        which = "evaluate" if study.images.evaluate in unknown else "train"
        raise UserError(
            f"images.{which}: {kind.__name__} has no split {unknown[0]!r}; the splits are "
            f"{' and '.join(map(repr, chosen))}."
        )
    found = {}
    for split, given in chosen.items():
        if wanted is not None and split not in wanted:
            continue
        if wanted is None and split == _BOTH and "train" in found:
            continue
        try:
            found[split] = kind(**arguments, **given)
        except Exception as error:
            if "argument split" in str(error):
                if wanted is None and split != study.images.evaluate:
                    continue
                which = "evaluate" if split == study.images.evaluate else "train"
                raise UserError(f"images.{which}: {kind.__name__}: {foreign.said(error)}") from None
            raise _missing(kind, root, accepted, foreign.said(error)) from error
    return found


def _missing(kind: type, root: Path | None, accepted: set[str], problem: str) -> UserError:
    if root is None:
        return UserError(f"images.dataset: {kind.__name__} cannot be made: {problem}")
    hint = "Put its files there"
    if "download" in accepted:
        hint += ", or let torchvision download them with arguments = { download = true }"
    return UserError(
        f"images.dataset: {kind.__name__} cannot be read from {root}: {problem}\n{hint}."
    )


def _sample(part: Any, position: int, where: str, form: pixels.Form) -> tuple[np.ndarray, int]:
    with foreign.reported(f"images.dataset: {where} cannot be read"):
        sample = part[position]
        image, target = sample if isinstance(sample, tuple) and len(sample) == 2 else (None, sample)
        if isinstance(target, str):
            raise UserError(f"images.dataset: {where} has the text {target[:40]!r} as its target.")
        try:
            label = operator.index(target)
        # Several numbers, boxes or masks.
        except (TypeError, ValueError, RuntimeError):
            raise UserError(
                f"images.dataset: {where} has {type(target).__name__} as its target, not the "
                "number of a class, so that it is not for classification."
            ) from None
        found = pixels.of_sample(image, form)
    if found.shape[2] != form.channels:
        raise UserError(f"images.dataset: {where} has {found.shape[2]} channels.")
    return found, label


def _class_names(part: Any) -> list[str] | None:
    """Return the names of the classes of a data set, or ``None`` if it does not say them."""
    classes = getattr(part, "classes", None) or getattr(part, "categories", None)
    mapping = getattr(part, "class_to_idx", None)
    if isinstance(classes, (list, tuple)) and classes:
        # ImageNet has the synonyms of each class.
        names = [str(name[0] if isinstance(name, (list, tuple)) else name) for name in classes]
    elif isinstance(mapping, dict) and sorted(mapping.values()) == list(range(len(mapping))):
        names = sorted(map(str, mapping), key=mapping.__getitem__)
    elif isinstance(getattr(part, "num_classes", None), int):
        names = [str(number) for number in range(part.num_classes)]
    else:
        return None
    # ImageNet has two cranes.
    twice = {name for name in names if names.count(name) > 1}
    return [f"{name} ({n})" if name in twice else name for n, name in enumerate(names)]


def _listing(root: Path) -> Iterator[tuple[str, int, int]]:
    cache = paths.cache().resolve()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if (Path(folder) / f).resolve() != cache)
        for name in sorted(names):
            status = os.lstat(os.path.join(folder, name))
            yield (
                os.path.relpath(os.path.join(folder, name), root),
                status.st_size,
                status.st_mtime_ns,
            )
