"""The data dictionary: every table of the results store with its columns, and every file of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pandera.pandas as pa

from analysis.results import Results
from analysis.tables import SCHEMAS
from report import figures
from report.downloads import CLAIMS, archive_name
from report.figures import Markdown

_NUMBER = re.compile(r"\d+$")
# How each kind of check reads, by the name that pandera gives it.
_RANGES: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "in_range": lambda of: f"{of['min_value']:.4g} to {of['max_value']:.4g}",
    "greater_than_or_equal_to": lambda of: f"≥ {of['min_value']:g}",
    "greater_than": lambda of: f"> {of['min_value']:g}",
    "less_than_or_equal_to": lambda of: f"≤ {of['max_value']:g}",
    "less_than": lambda of: f"< {of['max_value']:g}",
    "isin": lambda of: ", ".join(map(str, of["allowed_values"])),
}


def columns(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Return the columns of a table, each with its meaning and its values: their type and range.

    Columns that differ in their number alone, such as the ten logits, share a row. Raises
    ``KeyError`` for a check that has no words yet.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, column in schema.columns.items():
        ranges = [_RANGES[check.name](check.statistics) for check in column.checks]
        told = (
            _NUMBER.sub("…", column.description or ""),
            str(column.dtype).partition("[")[0],
            "; ".join(ranges) or "any",
            ", or missing" if column.nullable else "",
        )
        rows.setdefault((_NUMBER.sub("", name), *told), []).append(name)
    return pd.DataFrame(
        [
            {
                "column": _span(names),
                # What a reader of a narrow screen came for stands next to the name.
                "meaning": schema.columns[names[0]].description if len(names) == 1 else meaning,
                "values": f"{kind}, {values}{missing}",
            }
            for (_, meaning, kind, values, missing), names in rows.items()
        ]
    )


def _span(names: list[str]) -> str:
    return f"`{names[0]}`" if len(names) == 1 else f"`{names[0]}` to `{names[-1]}`"


def tables() -> Markdown:
    """Return a section for each table: what a row is, its key, and its columns."""
    parts = []
    for name, schema in SCHEMAS.items():
        key = ", ".join(f"`{column}`" for column in schema.unique)
        about = f"{schema.description[0].upper()}{schema.description[1:]}. Told apart by {key}."
        parts += [f"## `{name}` {{#{name}}}", about, _framed(columns(schema))]
    return Markdown("\n\n".join(parts))


def files(results: Results) -> Markdown:
    """Return the files that the manifest vouches for, with their rows."""
    rows = [(f"`{entry.file}`", f"{entry.rows:,}") for _, entry in results.manifest.entries()]
    if entry := results.manifest.claims:
        rows.append((f"`{entry.file}`", f"{len(results.claims().claims):,}"))
    listed = pd.DataFrame(sorted(rows), columns=["file", "rows"])
    return Markdown(_framed(listed))


def downloads(results: Results, folder: str) -> Markdown:
    """Return links to what ``report.downloads`` wrote, ``folder`` being its place on the site."""
    archive = archive_name(results)
    lines = [f"- [{archive}]({folder}/{archive}): everything below, as it is in the repository."]
    if results.manifest.claims:
        lines.append(f"- [{CLAIMS}]({folder}/{CLAIMS}): every claim, its test and its verdicts.")
    for name, entry in results.manifest.derived.items():
        about = SCHEMAS[name].description
        lines.append(f"- [{name}.csv]({folder}/{name}.csv): {about}; {entry.rows:,} rows.")
    return Markdown("\n".join(lines))


def _framed(rows: pd.DataFrame) -> str:
    """Return a table that moves inside its own frame where it is wider than the page."""
    return f"::: {{.table-responsive}}\n{figures.table(rows)}\n:::"
