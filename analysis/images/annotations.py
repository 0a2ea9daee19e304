"""Attributes and groups of images, from a CSV file that a person wrote."""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.images.attributes import NAMES
from analysis.images.classes import listed, shortened
from analysis.images.images import ALL_SPLITS, Images
from analysis.project.errors import UserError
from analysis.results.columns import LARGEST

_KEYS = ("file", "index")
_RESERVED = (*_KEYS, "split", "group", "label", *NAMES)
# Words for a missing number.
_MISSING = {"", "na", "n/a", "nan", "null", "none"}


def annotated(images: Images, path: Path, *, split: str, base: Path | None) -> Images:
    """Return images with the attributes and groups in a CSV file.

    Its column ``file`` is the path of an image below ``base``, or ``index`` its position in its
    split, which is ``split`` unless there is a column of that name; in "all", its position among
    all images. ``group`` is equal for images
    that share pixels. Every other column is an attribute: numbers, or else text. An image without a
    row, and an empty cell, are unknown. Raises ``UserError``, with the place in the file, for
    others.
    """
    table = _read(path)
    keys = [name for name in _KEYS if name in table]
    if len(keys) != 1:
        found = "has both" if keys else f"has only {listed(map(repr, table.columns))}"
        raise _refused(path, f"it needs a column 'file' or 'index', and {found}")
    if keys == ["file"]:
        rows = _by_file(images, table, path, base)
    else:
        rows = _by_index(images, table, path, split)
    placed = np.flatnonzero(rows >= 0)
    order = rows[placed]
    group, attributes = images.group, dict(images.attributes)
    for name in table.columns.difference([*_KEYS, "split"], sort=False):
        cells = table[name].to_numpy()[placed]
        if name == "group":
            group = np.full(len(images), -1)
            codes, _ = pd.factorize(np.where(cells == "", None, cells), sort=True)
            group[order] = codes
            continue
        check_name(name, key=f"images.attributes: {path}")
        values = _numbers(table[name], path)
        if values is None:
            column = np.full(len(images), "", dtype=f"U{max(1, *map(len, cells))}")
            column[order] = cells
        else:
            column = np.full(len(images), np.nan)
            column[order] = values[placed]
        attributes[name] = column
    notes = images.notes
    unknown = len(images) - len(order)
    if unknown:
        notes += (f"{path.name} has no row for {unknown:,} of {len(images):,} images.",)
    return replace(images, group=group.astype(np.int64), attributes=attributes, notes=notes)


def check_name(name: str, *, key: str) -> str:
    """Return the name of an attribute. Raises ``UserError`` for one that results cannot hold."""
    if not name.strip() or len(name) > 60 or any(ord(letter) < 32 for letter in name):
        raise UserError(
            f"{key}: the name {shortened(name)} of an attribute must have 1 to 60 letters."
        )
    if name.lower() in _RESERVED:
        raise UserError(f"{key}: the attribute {name!r} needs another name; that one is taken.")
    return name


def _refused(path: Path, problem: str) -> UserError:
    return UserError(f"images.attributes: {path}: {problem}.")


def _read(path: Path) -> pd.DataFrame:
    """Return the cells of a CSV file as text, without white space around them."""
    if not path.is_file():
        raise UserError(f"images.attributes: there is no file {path}.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _refused(path, f"it is not a CSV file in UTF-8: {str(error)[:150]}") from None
    header = [name.strip() for name in header]
    for place, name in enumerate(header):
        if not name or name in header[:place]:
            problem = (
                f"two columns are called {name!r}" if name else f"column {place + 1} has no name"
            )
            raise _refused(path, problem)
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            raise _refused(path, f"row {number} has {len(row)} cells, and the header {len(header)}")
    cells = [[cell.strip() for cell in row] for row in rows if row]
    return pd.DataFrame(cells, columns=header, dtype=object)


def _by_file(images: Images, table: pd.DataFrame, path: Path, base: Path | None) -> np.ndarray:
    """Return the position of each row's image, -1 for a file that is not among the images."""
    if images.files is None or base is None:
        raise _refused(path, "these images are no files, so that it needs a column 'index'")
    names = [_plain(name) for name in table["file"]]
    _once(names, path, "file")
    places = {name: place for place, name in enumerate(images.files)}
    for name in names:
        # Files of a split that is not read, and damaged ones, are none of the images.
        if name not in places and not _exists(base, name):
            raise _refused(path, f"there is no file {shortened(name)} in {base}")
    return np.array([places.get(name, -1) for name in names], np.int64)


def _by_index(images: Images, table: pd.DataFrame, path: Path, split: str) -> np.ndarray:
    """Return the position of each row's image."""
    splits = table["split"].tolist() if "split" in table else [split] * len(table)
    keys = list(zip(splits, table["index"], strict=True))
    known = {(ALL_SPLITS, str(place)): place for place in range(len(images))}
    for place, key in enumerate(zip(images.split.tolist(), images.index.tolist(), strict=True)):
        known[key[0], str(key[1])] = place
    for name, number in keys:
        if (name, number) not in known:
            count = sum(known_split == name for known_split, _ in known)
            if not count:
                raise _refused(path, f"there are no images of the split {shortened(name)}")
            raise _refused(
                path,
                f"index must be 0 to {count - 1} in the split {name!r}, not {shortened(number)}",
            )
    _once(keys, path, "index")
    return np.array([known[key] for key in keys], np.int64)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def _exists(base: Path, name: str) -> bool:
    # Some file systems hold decomposed names.
    return any((base / unicodedata.normalize(form, name)).is_file() for form in ("NFC", "NFD"))


def _once(keys: list, path: Path, name: str) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            shown = key if isinstance(key, str) else key[1]
            raise _refused(path, f"there are two rows for {name} {shortened(shown)}")
        seen.add(key)


def _numbers(column: pd.Series, path: Path) -> np.ndarray | None:
    """Return a column as float64 with NaN for missing cells, or ``None`` if it is text."""
    missing = column.str.lower().isin(_MISSING).to_numpy()
    values = pd.to_numeric(column.where(~missing), errors="coerce").to_numpy(np.float64)
    if missing.all() or np.isnan(values[~missing]).any():
        return None
    if (np.abs(values) > LARGEST).any():
        raise _refused(path, f"the column {column.name!r} must be finite, at most {LARGEST:g}")
    return values
