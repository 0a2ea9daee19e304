"""What the columns of a file of predictions are likely to be, for somebody to look over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.predicted import files
from analysis.predicted.files import refused
from analysis.predicted.reading import CATEGORIES
from analysis.predicted.scores import SUM

_LABELS = ("label", "labels", "true", "truth", "true_label", "y_true", "target", "class", "y")
_IDS = ("id", "image", "image_id", "file", "filename", "file_name", "path", "name", "index")
_GROUPS = ("group", "group_id", "photo", "patient", "patient_id", "subject", "subject_id")


def columns(path: Path) -> dict[str, Any]:
    """Return the keys of ``[predictions]`` that suit a file.

    They are ``label`` and ``scores``, and under ``columns`` those of ``id``, ``group``,
    ``attributes`` and ``omit``. Raises ``UserError`` for a file that is not valid, or without a
    column that may be the labels.
    """
    found = files.header(path)
    table = files.read(found, numbers=(), texts=()).select(found.columns)
    label = _named(table, _LABELS)
    if label is None:
        raise refused(
            path,
            f"has no column of labels that goes by a usual name, such as {_LABELS[0]!r}",
            "Name that column so, or write the study file yourself.",
        )
    image, group = _named(table, _IDS), _named(table, _GROUPS)
    rest = [name for name in table.column_names if name not in (label, image, group)]
    numeric = [name for name in rest if _is_number(table[name].type)]
    labels = set(pc.unique(table[label].cast(pa.string())).to_pylist())
    # Where all numbers of a row sum to one, they are probabilities; else classes have labels.
    classes = numeric if _sum_to_one(table, numeric) else [n for n in numeric if n in labels]
    classes = classes or numeric
    others = [name for name in rest if name not in classes]
    few = [name for name in others if _is_number(table[name].type) or _is_category(table[name])]
    return {
        "label": label,
        "scores": "probabilities" if _sum_to_one(table, classes) else "logits",
        "columns": {
            "id": image,
            "group": group,
            "attributes": few,
            "omit": [name for name in others if name not in few],
        },
    }


def _named(table: pa.Table, usual: tuple[str, ...]) -> str | None:
    """Return the column whose name is the first of the usual ones that occurs."""
    lower = {name.lower(): name for name in reversed(table.column_names)}
    return next((lower[name] for name in usual if name in lower), None)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_category(column: pa.ChunkedArray) -> bool:
    return len(pc.unique(column)) <= CATEGORIES


def _sum_to_one(table: pa.Table, names: list[str]) -> bool:
    total = np.zeros(table.num_rows)
    for name in names:
        total += pc.fill_null(table[name].cast(pa.float64()), np.nan).to_numpy()
    return bool(names) and bool((np.abs(total - 1) <= SUM).all())
