"""Probabilities or logits of classes, as predictions, confidences and logits of single rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.predicted.files import Header, refused, short

# A probability of 0 has the logit of the smallest number that float32 holds in full.
_LEAST = float(np.finfo(np.float32).tiny)
_LARGEST = float(np.finfo(np.float32).max)
# How far the probabilities of a row may be from 1 together, and a single one below 0.
SUM, _BELOW = 1e-3, -1e-6
_AS_LOGITS = 'If they are logits, say so under [predictions]: scores = "logits".'


def outcomes(
    found: Header, table: pa.Table, classes: Sequence[str], *, probabilities: bool
) -> pd.DataFrame:
    """Return ``predicted``, ``confidence`` and ``logits`` of each row, as a run's table has them.

    The prediction has the largest score as it is given, and is the first of several such. Raises
    ``UserError`` for what is no score, with its row and its column.
    """
    rows = table.num_rows
    # One class after the other, as 1,000 of 50,000 rows are large in double precision.
    logits = np.empty((len(classes), rows), dtype=np.float32)
    largest, predicted = np.full(rows, -np.inf), np.zeros(rows, dtype=np.int64)
    total = np.zeros(rows)
    for number, name in enumerate(classes):
        values = numbers(found, table[name], name)
        if probabilities:
            _check(found, values >= _BELOW, name, "is a probability below 0", _AS_LOGITS)
        else:
            _check(found, np.abs(values) <= _LARGEST, name, "is too large for float32")
        above = values > largest
        largest[above], predicted[above] = values[above], number
        total += values
        logits[number] = np.log(np.maximum(values, _LEAST)) if probabilities else values
    if probabilities:
        if (wrong := np.abs(total - 1) > SUM).any():
            row = int(wrong.argmax())
            problem = f"row {row + 1} has probabilities that sum to {total[row]:.6g}, not to 1"
            raise refused(found.path, problem, _AS_LOGITS)
    else:
        top, largest = logits.max(axis=0).astype(float), np.ones(rows)
        total = sum((np.exp(each - top) for each in logits), np.zeros(rows))
    whole = np.ascontiguousarray(logits.T)
    _keep(whole, predicted)
    return pd.DataFrame(
        {
            "predicted": predicted,
            "confidence": (largest / total).clip(0, 1).astype(np.float32),
            "logits": list(whole),
        }
    )


def numbers(found: Header, column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Return a column of finite numbers, float64 (N,). Raises ``UserError`` for anything else."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise refused(
            found.path,
            f"has the column {short(name)}, which is taken for a class but holds {kind}",
            "Name it under attributes or omit of [predictions] if it is none.",
        )
    missing = column.is_null(nan_is_null=True).to_numpy()
    _check(found, ~missing, name, "has no value")
    values = column.cast(pa.float64()).to_numpy()
    _check(found, np.isfinite(values), name, "is infinite")
    return values


def _check(found: Header, valid: np.ndarray, name: str, problem: str, advice: str = "") -> None:
    """Raise ``UserError`` for the first row that is not valid."""
    if not valid.all():
        row = int(valid.argmin())
        where = f"row {row + 1} of the column {short(name)}"
        raise refused(found.path, f"{where} {problem}", advice)


def _keep(logits: np.ndarray, predicted: np.ndarray) -> None:
    """Raise the logit of predictions (N, K) that single precision has made equal to another's."""
    moved = np.flatnonzero(logits.argmax(axis=1) != predicted)
    top = logits[moved].max(axis=1)
    logits[moved, predicted[moved]] = np.nextafter(top, np.float32(np.inf))
