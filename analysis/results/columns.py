"""Columns that the schemas of tables are made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandera.pandas as pa

SHARE = pa.Check.in_range(0, 1)
# The largest attribute of an image either way: sums of squares of larger ones have no number.
LARGEST = 1e100
AT_LEAST_0, AT_LEAST_1 = pa.Check.ge(0), pa.Check.ge(1)


def table(columns: dict[str, pa.Column], *, unique: list[str], about: str) -> pa.DataFrameSchema:
    """Return the schema of a table with exactly these columns."""
    return pa.DataFrameSchema(
        columns,
        pa.Check(_no_infinity, name="no infinite number"),
        unique=unique,
        strict=True,
        ordered=True,
        coerce=False,
        description=about,
    )


def _no_infinity(rows: pd.DataFrame) -> bool:
    return not any(np.isinf(rows[name]).any() for name in rows.select_dtypes("float"))


def text(about: str, *names: str) -> pa.Column:
    """Return a column of text, of these names alone if there are any."""
    return pa.Column(str, [pa.Check.isin(names)] if names else [], description=about)


def number(
    about: str, *checks: pa.Check, kind: str = "float64", missing: bool = False
) -> pa.Column:
    """Return a column of numbers; ``missing`` allows NaN."""
    return pa.Column(kind, list(checks), nullable=missing, description=about)


def count(about: str, least: int = 0) -> pa.Column:
    """Return a column of whole numbers."""
    return number(about, pa.Check.ge(least), kind="int64")


def share(about: str, *, kind: str = "float64") -> pa.Column:
    """Return a column of numbers in [0, 1]."""
    return number(about, SHARE, kind=kind)


def measure(about: str, check: pa.Check) -> pa.Column:
    """Return a column of a map measure."""
    return number(about, check, kind="float32", missing=True)


def _finite(value: object) -> bool:
    return isinstance(value, np.ndarray) and bool(np.isfinite(value).all())


def logits(*, missing: bool) -> pa.Column:
    """Return a column of float32 arrays."""
    finite = pa.Check(_finite, element_wise=True, name="finite")
    about = "logit of each class" + (", where they are kept" if missing else "")
    return pa.Column(object, finite, nullable=missing, description=about)


# NaN where too few images leave an interval undefined.
ENDS = {
    "low": number("lower end of the interval", missing=True),
    "high": number("upper end of the interval", missing=True),
}
