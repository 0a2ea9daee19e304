"""Photos in class folders, with or without split folders above them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from analysis.images.classes import checked, listed, shortened
from analysis.images.images import ALL_SPLITS, Images
from analysis.images.photos import pixels
from analysis.images.photos.decoded import cores, decoded, key
from analysis.images.photos.tree import Folder, PassedOver, Photo, scan
from analysis.images.split import check_names, needed
from analysis.project.errors import UserError
from analysis.study import Study

# What split folders are usually called. Those that the study names are split folders as well.
_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}


class Item(NamedTuple):
    """A photo, its class by position, and its split."""

    photo: Photo
    label: int
    split: str


def load(study: Study, folder: Path) -> Images:
    """Return the photos in the class folders below ``images.path``, sorted by split, class, name.

    Class folders may hold folders themselves. Of split folders those are read that the study needs;
    without any, all photos are in the split "all". Photos become 8-bit pixels of one size (see
    ``analysis.images.photos``). Raises ``UserError`` for a folder that is missing or is neither
    layout, and for a damaged file unless ``images.damaged`` leaves it out.
    """
    settings = study.images
    assert settings.path is not None and settings.size is not None, "checked with the study"
    base = study.located(settings.path, data=folder)
    items, classes, passed = _items(base, study)
    form = pixels.Form(settings.size, settings.fit, settings.channels)
    name = key(form, ((item.photo[1:], item.label) for item in items))

    def read(number: int) -> tuple[np.ndarray, int]:
        return pixels.read(items[number].photo.path, form), items[number].label

    skip = settings.damaged == "skip"
    try:
        found = decoded(name, len(items), read, form=form, skip=skip, threads=cores())
    except pixels.Damaged as error:
        number, reason = error.args
        raise UserError(
            f"images.path: {items[number].photo.path} cannot be read: {reason}.\n"
            'Replace it, or leave such files out with images.damaged = "skip".'
        ) from None
    kept = [items[number] for number in found.kept]
    if not kept:
        raise UserError(f"images.path: none of the {len(items):,} images in {base} can be read.")
    notes = passed.notes()
    if found.damaged:
        names = (f"{items[n].photo.name} ({reason})" for n, reason in found.damaged.items())
        notes += (f"Damaged files left out, {len(found.damaged):,}: {listed(names)}.",)
    splits = [item.split for item in kept]
    return Images.of_splits(
        {split: splits.count(split) for split in dict.fromkeys(splits)},
        found.pixels,
        found.labels,
        classes=classes,
        files=tuple(item.photo.name for item in kept),
        notes=notes,
    )


def _items(base: Path, study: Study) -> tuple[list[Item], tuple[str, ...], PassedOver]:
    """Return the photos of the splits that are needed, the classes, and what is passed over."""
    if not base.is_dir():
        problem = "is a file, not a folder" if base.exists() else "does not exist"
        hint = "Unpack it, and name the folder" if base.exists() else "Name a folder"
        raise UserError(f"images.path: {base} {problem}.\n{hint} with one folder for each class.")
    try:
        tree, passed = scan(base)
    except OSError as error:
        raise UserError(f"images.path: {error.filename or base}: {error.strerror}.") from None
    if not tree.folders:
        raise UserError(
            f"images.path: there are no folders in {base}, so no classes.\n"
            "Put the images of each class into a folder that has the name of the class."
        )
    splits = _splits(tree, base, {study.images.train, study.images.evaluate} - {ALL_SPLITS})
    passed.outside += len(tree.photos)
    if ALL_SPLITS not in splits:
        passed.empty += len(tree.folders) - len(splits)
    names = {folder.name for folders in splits.values() for folder in folders}
    classes = checked(sorted(names), key="images.path")
    filled = [split for split, folders in splits.items() if any(map(_any_photo, folders))]
    if not filled:
        raise UserError(" ".join((f"images.path: there are no images in {base}.", *passed.notes())))
    check_names(study, filled)
    wanted = needed(study) or filled
    numbers = {name: number for number, name in enumerate(classes)}
    items = [
        Item(photo, numbers[folder.name], split)
        for split in filled
        if split in wanted or split == ALL_SPLITS
        for folder in sorted(splits[split], key=lambda folder: folder.name)
        for photo in folder.every()
    ]
    return items, classes, passed


def _splits(tree: Folder, base: Path, named: set[str]) -> dict[str, list[Folder]]:
    """Return the class folders of each split, or of the split "all" if there are no splits."""
    called = [
        folder
        for folder in tree.folders
        if folder.folders and (folder.name in named or folder.name.lower() in _SPLITS)
    ]
    own = [folder for folder in tree.folders if folder.photos]
    nested = [folder for folder in called if not folder.photos]
    if not nested:
        _not_splits(tree, base)
        return {ALL_SPLITS: tree.folders}
    if own:
        raise UserError(
            f"images.path: {base} has both a folder of class folders, {shortened(nested[0].name)}, "
            f"and one of images, {shortened(own[0].name)}.\n"
            "Keep either class folders alone, or split folders with class folders in them."
        )
    return {
        folder.name: folder.folders
        for folder in tree.folders
        if folder in called or _any_photo(folder)
    }


def _any_photo(folder: Folder) -> bool:
    return any(True for _ in folder.every())


def _not_splits(tree: Folder, base: Path) -> None:
    """Raise ``UserError`` for folders that may be classes as well as splits."""
    inner = [{folder.name for folder in each.folders} for each in tree.folders]
    same = len(inner) > 1 and len(inner[0]) > 1 and all(names == inner[0] for names in inner)
    if same and not any(folder.photos for folder in tree.folders):
        first, second = (shortened(folder.name) for folder in tree.folders[:2])
        raise UserError(
            f"images.path: in {base}, {first} and {second} hold folders of the same names, so they "
            "may be splits or classes.\nName a split in images.train or images.evaluate; if they "
            "are classes, move their images out of the folders in them."
        )
