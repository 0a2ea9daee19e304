"""Images as arrays, from an .npz file or a function.

Either ``images``, ``labels`` and, optionally, ``split``, ``group`` and ``attribute_<name>``, or the
same for each split, such as ``train_images``, ``train_labels``, ``test_images``. ``classes`` is
optional in both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.images.annotations import check_name
from analysis.images.classes import checked, listed, shortened
from analysis.images.images import ALL_SPLITS, MOST_CLASSES, Images
from analysis.images.photos.pixels import levels
from analysis.project.errors import UserError, nearest
from analysis.results.columns import LARGEST
from analysis.study import Study

_COLUMNS = ("images", "labels", "split", "group")
_ATTRIBUTE = "attribute_"
# Kinds of NumPy's types that a column may have, in words as well.
_KINDS = {
    "labels": ("iubU", "names or whole numbers"),
    "split": ("U", "text"),
    "group": ("iuU", "text or whole numbers"),
}
Columns = dict[str, np.ndarray]
Refuse = Callable[[str], UserError]

# More channels than any sensor has; a batch with its channels first has more.
_MOST_CHANNELS = 64


def load(study: Study, folder: Path) -> Images:
    """Return the images in the .npz file ``images.path``.

    Raises ``UserError`` for a file that is missing, damaged or has Python objects, and for arrays
    of another form (see ``of_arrays``).
    """
    assert study.images.path is not None, "checked with the study"
    path = study.located(study.images.path, data=folder)
    if not path.is_file():
        raise UserError(f"images.path: there is no file {path}.\nName an .npz file.")
    try:
        with np.load(path, allow_pickle=False) as content:
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise UserError(f"images.path: {path} is not an .npz file, as np.savez writes it.")
            arrays = {name: content[name] for name in content.files}
    except (UserError, MemoryError):
        raise
    # Each kind of damage raises an error of its own, from zipfile, zlib or NumPy's parser.
    except Exception as error:
        if "allow_pickle" in str(error) or "pickled" in str(error):
            problem = "contains Python objects, which are never loaded"
        else:
            problem = "is damaged or not an .npz file"
        raise UserError(f"images.path: {path} {problem}.\nWrite it again with np.savez.") from None
    return of_arrays(arrays, key="images.path", origin=str(path))


def of_arrays(arrays: Mapping[str, Any], *, key: str, origin: str) -> Images:
    """Return images from arrays by the names that this module's docstring gives.

    ``images`` are uint8 (N, H, W) or (N, H, W, C), or floats in [0, 1], which become 8 bit.
    ``labels`` (N,) are the names of classes, or their positions from 0; ``classes`` (K,) are all
    names in order. ``split`` (N,) is text, ``group`` (N,) text or whole numbers, which mean the
    same group in every split, and an attribute (N,) numbers or text.

    Raises ``UserError`` for others, with the study's ``key`` and ``origin``, where they are from.
    """

    def refuse(problem: str) -> UserError:
        return UserError(f"{key}: {origin}: {problem}.")

    parts = _parts({name: arrays[name] for name in arrays if name != "classes"}, refuse=refuse)
    columns = _joined([_part(part, split, refuse=refuse) for split, part in parts.items()], refuse)
    labels, names = _labels(columns["labels"], arrays.get("classes"), refuse=refuse)
    columns["labels"] = labels
    classes = checked(names, key=f"{key}: {origin}")
    splits = columns["split"].tolist()
    counts = {split: splits.count(split) for split in dict.fromkeys(splits)}
    order = np.argsort(_numbered(columns["split"]), kind="stable")
    if (np.diff(order) < 0).any():
        columns = {name: column[order] for name, column in columns.items()}
    return Images.of_splits(
        counts,
        columns["images"],
        columns["labels"],
        classes=classes,
        group=_numbered(columns["group"]) if "group" in columns else None,
        attributes={
            check_name(name.removeprefix(_ATTRIBUTE), key=f"{key}: {origin}"): column
            for name, column in columns.items()
            if name.startswith(_ATTRIBUTE)
        },
    )


def _parts(arrays: Mapping[str, Any], *, refuse: Refuse) -> dict[str | None, Columns]:
    """Return the columns of each split, or of ``None`` if there are no splits in their names."""
    parts: dict[str | None, Columns] = {}
    for name, value in arrays.items():
        split, column = _place(str(name))
        if column is None:
            known = (*_COLUMNS, "classes", _ATTRIBUTE)
            raise refuse(f"unknown array {name!r}; the nearest is {nearest(str(name), known)!r}")
        parts.setdefault(split, {})[column] = _array(value, name, refuse=refuse)
    if not parts or (None in parts and len(parts) > 1):
        found = listed(repr(name) for name in arrays) or "no arrays"
        raise refuse(f"it must have 'images' and 'labels', for all or for each split, not {found}")
    return parts


def _joined(parts: list[Columns], refuse: Refuse) -> Columns:
    """Return the columns of all splits, one split after the other."""
    for part in parts[1:]:
        if odd := sorted(set(part) ^ set(parts[0])):
            raise refuse(f"{odd[0]!r} must be given for every split or for none")
        if part["images"].shape[1:] != parts[0]["images"].shape[1:]:
            raise refuse("images of all splits must have one height, width and number of channels")
        for name, column in part.items():
            if (column.dtype.kind == "U") != (parts[0][name].dtype.kind == "U"):
                raise refuse(f"{name!r} must be text in every split or in none")
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _place(name: str) -> tuple[str | None, str | None]:
    """Return the split, if any, and the column that the name of an array says."""
    split, attribute, rest = name.partition(_ATTRIBUTE)
    if attribute and (not split or split.endswith("_")):
        return split[:-1] or None, _ATTRIBUTE + rest
    split, _, column = name.rpartition("_")
    return split or None, column if column in _COLUMNS else None


def _array(value: Any, name: str, *, refuse: Refuse) -> np.ndarray:
    try:
        found = np.asarray(value)
    except ValueError:
        raise refuse(f"{name!r} is no array: its rows differ in size") from None
    if found.dtype.kind == "S":
        return np.char.decode(found, "utf-8")
    # pandas and NumPy have text of any length as well.
    if found.dtype.kind == "T" or (
        found.dtype.kind == "O" and all(isinstance(cell, str) for cell in found.flat)
    ):
        return found.astype(str)
    if found.dtype.kind == "O":
        raise refuse(f"{name!r} must be numbers or text, not Python objects")
    return found


def _part(part: Columns, split: str | None, *, refuse: Refuse) -> Columns:
    """Return the columns of a split, checked one by one, all with one value for each image."""
    prefix = "" if split is None else f"{split}_"
    for name in ("images", "labels"):
        if name not in part:
            raise refuse(f"'{prefix}{name}' is missing")
    if split is not None and "split" in part:
        raise refuse(f"'{prefix}split' is one too many: the names of these arrays say the split")
    found = {"images": _pixels(part["images"], f"{prefix}images", refuse=refuse)}
    count = len(found["images"])
    for name, column in part.items():
        if name != "images":
            found[name] = _column(column, name, f"{prefix}{name}", count, refuse=refuse)
    found.setdefault("split", np.full(count, ALL_SPLITS if split is None else split))
    return found


def _pixels(pixels: np.ndarray, name: str, *, refuse: Refuse) -> np.ndarray:
    """Return images as uint8 (N, H, W, C)."""
    if pixels.ndim and not len(pixels):
        raise refuse(f"{name!r} has no images")
    if pixels.ndim not in (3, 4) or not all(pixels.shape):
        raise refuse(
            f"{name!r} must be (N, height, width) or (N, height, width, channels), "
            f"not {pixels.shape}"
        )
    if pixels.ndim == 4 and (
        pixels.shape[3] > _MOST_CHANNELS or (pixels.shape[1] in (1, 3) and pixels.shape[3] > 4)
    ):
        raise refuse(
            f"{name!r} is {pixels.shape}; channels come last, at most {_MOST_CHANNELS}: "
            "transpose(0, 2, 3, 1) puts them there"
        )
    try:
        return levels(pixels).reshape(*pixels.shape[:3], -1)
    except ValueError as error:
        raise refuse(f"{name!r}: {error}") from None


def _column(column: np.ndarray, kind: str, name: str, count: int, *, refuse: Refuse) -> np.ndarray:
    """Return a column of labels, splits, groups or an attribute, (N,)."""
    # Some write labels as a column.
    column = column[:, 0] if column.ndim == 2 and column.shape[1] == 1 else column
    if column.shape != (count,):
        raise refuse(
            f"{name!r} must have one value for each of the {count:,} images, but is {column.shape}"
        )
    allowed, words = _KINDS.get(kind, ("iubfU", "numbers or text"))
    if column.dtype.kind not in allowed:
        raise refuse(f"{name!r} must be {words}, not {column.dtype}")
    if kind == "split" and (column == "").any():
        raise refuse(f"{name!r} must name a split for each image")
    if kind.startswith(_ATTRIBUTE) and column.dtype.kind != "U":
        column = column.astype(np.float64)
        if (np.abs(column) > LARGEST).any():
            raise refuse(f"{name!r} must be finite, at most {LARGEST:g}")
    return column


def _labels(labels: np.ndarray, classes: Any, *, refuse: Refuse) -> tuple[np.ndarray, list[str]]:
    """Return positions in the classes, int64, and the names of the classes."""
    names = None if classes is None else [_composed(name) for name in np.ravel(classes).tolist()]
    if labels.dtype.kind == "U":
        known, positions = np.unique(labels, return_inverse=True)
        found = [_composed(name) for name in known.tolist()]
        names = sorted(set(found)) if names is None else names
        missing = next((name for name in found if name not in names), None)
        if missing is not None:
            raise refuse(f"the label {shortened(missing)} is not among the classes")
        return np.array([names.index(name) for name in found], np.int64)[positions], names
    low, high = int(labels.min()), int(labels.max())
    count = high + 1 if names is None else len(names)
    if low < 0 or high >= count:
        allowed = "0 or more" if names is None else f"0 to {count - 1}, positions in the classes"
        raise refuse(f"labels must be {allowed}, not {low if low < 0 else high}")
    if count > MOST_CLASSES:
        raise refuse(f"labels reach to {high}, but there can be {MOST_CLASSES:,} classes at most")
    if names is None:
        names = [str(number) for number in range(count)]
    return labels.astype(np.int64), names


def _composed(name: Any) -> str:
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
    return unicodedata.normalize("NFC", text)


def _numbered(values: np.ndarray) -> np.ndarray:
    """Return a number for each distinct value, int64: in order of appearance, from 0.

    Negative numbers, and empty text, are unknown: -1.
    """
    known = values != "" if values.dtype.kind == "U" else values >= 0
    found = np.full(len(values), -1)
    found[known] = pd.factorize(values[known])[0]
    return found
