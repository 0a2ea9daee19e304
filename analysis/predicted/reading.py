"""From the file that a study of predictions alone names to the tables of its one run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.predicted import files
from analysis.predicted.files import Header, likeliest, refused, short
from analysis.predicted.scores import outcomes
from analysis.project.errors import UserError
from analysis.results.columns import LARGEST
from analysis.results.schemas import ALL
from analysis.study import Predictions, Study

FEWEST, MOST, LONGEST = 2, 1000, 200
# An attribute with more categories is a name rather than an attribute.
CATEGORIES = 100


@dataclass(frozen=True)
class Given:
    """What a file of predictions says: ``tables`` are those of a run, by name.

    ``digest`` identifies labels, groups, classes and, where they are known, the names of images, as
    that of images does.
    """

    classes: tuple[str, ...]
    tables: dict[str, pd.DataFrame]
    digest: str


def read(study: Study) -> Given:
    """Return the predictions of a study.

    The index of an image is its row in the file. Raises ``UserError`` for a file that is not valid.
    """
    section = study.predictions
    assert section is not None, "a study of predictions alone has the section"
    found = files.header(study.files["predictions.file"], label=section.label)
    classes = _classes(found, section)
    texts = {section.label, section.id, section.group} - {None}
    table = files.read(found, numbers=classes, texts={str(name) for name in texts})
    label = _labels(found, table[section.label], classes, section.label)
    group = _groups(found, table, section)
    names = _names(found, table, section)
    attributes = [_attribute(found, table[name], name) for name in section.attributes]
    scores = outcomes(found, table, classes, probabilities=section.scores == "probabilities")
    index = np.arange(len(label))
    tables = {
        "predictions": pd.DataFrame({"index": index, "group": group, "label": label}).join(scores),
        "attributes": _long(section.attributes, attributes, index),
    }
    return Given(classes, tables, _digest(classes, label, group, names))


def _classes(found: Header, section: Predictions) -> tuple[str, ...]:
    """Return the names of the classes: every column that a study gives no other meaning."""
    columns = found.columns
    single = {key: getattr(section, key) for key in ("label", "id", "group")}
    keys: dict[str, tuple[str, ...]] = {key: (name,) for key, name in single.items() if name}
    keys |= {"attributes": section.attributes, "omit": section.omit}
    meant: dict[str, str] = {}
    for key, names in keys.items():
        for name in names:
            if name not in columns:
                said = f"there is no column {short(name)}{likeliest(name, columns)}"
                raise UserError(f"predictions.{key}: {said}.")
            if name in meant:
                said = f"the column {short(name)} is named under {meant[name]} too"
                raise UserError(f"predictions.{key}: {said}.")
            meant[name] = key
    classes = tuple(name for name in columns if name not in meant)
    if not FEWEST <= len(classes) <= MOST:
        every = f": {', '.join(map(short, classes))}" if 0 < len(classes) < FEWEST else ""
        raise refused(
            found.path,
            f"has {len(classes):,} columns of classes{every}; at least {FEWEST}, at most {MOST:,}",
            "Every column is one that is not named as label, id, group, attributes or omit.",
        )
    for name in classes:
        if name == ALL or len(name) > LONGEST:
            why = "means every class" if name == ALL else f"is longer than {LONGEST} letters"
            raise refused(found.path, f"has the column {short(name)}; as a class, that {why}")
    return classes


def _labels(
    found: Header, column: pa.ChunkedArray, classes: Sequence[str], name: str
) -> np.ndarray:
    """Return the class of each row by its position, int64 (N,)."""
    texts = _texts(found, column, name)
    distinct, where = np.unique(texts, return_inverse=True)
    place = {each: number for number, each in enumerate(classes)}
    # 3.0 is the class 3, as data frames turn whole numbers into others where one is missing.
    whole = [_whole(each) for each in classes]
    if None not in whole and len(set(whole)) == len(classes):
        place = {str(each): number for number, each in enumerate(whole)} | place
    known = np.array([place.get(each, place.get(_whole(each) or "", -1)) for each in distinct])
    label = known[where]
    if (label < 0).any():
        row = int((label < 0).argmax())
        text = str(texts[row])
        if not text:
            raise refused(found.path, f"row {row + 1} of the column {short(name)} has no value")
        problem = f"row {row + 1} has the label {short(text)}, which is no class"
        advice = "A label is the name of a column of scores."
        if text == name:
            advice = "That is the column of labels, which cannot be a class as well."
        raise refused(found.path, problem + likeliest(text, classes), advice)
    return label


def _whole(text: str) -> str | None:
    """Return a whole number as it is usually written, ``None`` for other text."""
    try:
        value = float(text)
        return str(int(value)) if value == int(value) else None
    except (ValueError, OverflowError):
        return None


def _texts(found: Header, column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Return a column as text without surrounding spaces, (N,), empty where it is missing."""
    if pa.types.is_boolean(column.type):
        # As Python and CSV files write them.
        column = pc.if_else(column, "True", "False")
    try:
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    except pa.ArrowException:
        kind = column.type
        raise refused(
            found.path, f"has the column {short(name)} of type {kind}, which is no text"
        ) from None
    found_ = pc.fill_null(text, "").to_numpy()
    return np.where(found_ == "nan", "", found_) if pa.types.is_floating(column.type) else found_


def _groups(found: Header, table: pa.Table, section: Predictions) -> np.ndarray:
    """Return the group of each row, int64 (N,), -1 where it is not known."""
    if section.group is None:
        return np.full(table.num_rows, -1)
    texts = _texts(found, table[section.group], section.group)
    distinct, where = np.unique(texts, return_inverse=True)
    # An empty text comes first.
    return where - int(distinct[0] == "")


def _names(found: Header, table: pa.Table, section: Predictions) -> np.ndarray:
    """Return the name of each image, text (N,), or none where a study does not say."""
    if section.id is None:
        return np.array([], dtype=object)
    texts = _texts(found, table[section.id], section.id)
    _, first, count = np.unique(texts, return_index=True, return_counts=True)
    for row in first[(texts[first] == "") | (count > 1)][:1]:
        where = f"row {row + 1} of the column {short(section.id)}"
        if not texts[row]:
            raise refused(found.path, f"{where} has no value")
        again = int(np.flatnonzero(texts == texts[row])[1]) + 1
        raise refused(found.path, f"{where} has the id {short(texts[row])}, as has row {again}")
    return texts


def _attribute(found: Header, column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Return an attribute of each row, float64 or text (N,), NaN or empty where it is missing."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = column.cast(pa.float64()).to_numpy()
        beyond = np.abs(values) > LARGEST
        if beyond.any():
            where = f"row {int(beyond.argmax()) + 1} of the column {short(name)}"
            raise refused(found.path, f"{where} is infinite or beyond {LARGEST:g}")
        return values
    texts = _texts(found, column, name)
    count = len(np.unique(texts))
    if count > CATEGORIES:
        raise UserError(
            f"predictions.attributes: {short(name)} has {count:,} categories, at most {CATEGORIES}."
            "\nName it under omit, or as the id."
        )
    return texts


def _long(names: Iterable[str], values: Iterable[np.ndarray], index: np.ndarray) -> pd.DataFrame:
    """Return the rows of ``attributes``."""
    parts = [
        pd.DataFrame(
            {
                "index": index,
                "attribute": name,
                "number": each if each.dtype == float else np.nan,
                "category": "" if each.dtype == float else each,
            }
        )
        for name, each in zip(names, values, strict=True)
    ]
    kinds = {"index": "int64", "attribute": "str", "number": "float64", "category": "str"}
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(kinds))
    return rows.astype(kinds)


def _digest(classes: Sequence[str], label: np.ndarray, group: np.ndarray, names: np.ndarray) -> str:
    sha = hashlib.sha256(repr((classes, names.tolist())).encode())
    for array in (label, group):
        sha.update(np.ascontiguousarray(array, dtype=np.int64).data)
    return sha.hexdigest()
