"""The data page: every table with its columns, every file, and what can be downloaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandera.pandas as pa

from analysis.results.columns import LARGEST
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.schemas import RUN_TABLES
from analysis.results.status import ANALYSES, wanted
from analysis.results.store import Derived
from report import page
from report.numbers.formats import UNDEFINED, counted
from report.page import Markdown
from report.safe import safe
from report.site.downloads import CLAIMS_CSV, FOLDER, archive_name, contents

# What the name of a table ends with.
_DIGEST = re.compile(r"-[0-9a-f]+(?=\.parquet$)")
# How each kind of check reads, by the name that pandera gives it.
_RANGES: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "in_range": lambda check: _between(check["min_value"], check["max_value"]),
    "greater_than_or_equal_to": lambda check: f"≥ {check['min_value']:g}",
    "greater_than": lambda check: f"> {check['min_value']:g}",
    "isin": lambda check: ", ".join(str(value) or "empty" for value in check["allowed_values"]),
    "finite": lambda check: "finite",
}


def _between(low: float, high: float) -> str:
    return "finite" if high >= LARGEST else f"{low:.4g} to {high:.4g}"


def about_runs(derived: Derived) -> Markdown:
    """Return what a run of a study is, and how to find the images that it is about."""
    study = derived.study
    if study.predictions:
        run = "The one run is the file of predictions as it was read."
        images = "The index of an image is its row in that file, the first of which has number 0."
    else:
        run = f"A run is one {'trained ' if study.trained else ''}network."
        images = (
            "Splits and positions are those of the data set, so that anyone who has its files can "
            "look at the images."
        )
    files = "Its folder has one file for each of these tables, and `run.json`."
    return Markdown(f"{run} {files} {images}")


def of_runs(derived: Derived) -> dict[str, pa.DataFrameSchema]:
    """Return the schemas of the tables that the runs of a study have."""
    study = derived.study
    names = {table for name in wanted(study, 0) for table in ANALYSES[name].tables}
    names |= {"history"} if study.trained else set()
    return {name: schema for name, schema in RUN_TABLES.items() if name in names}


def of_derived(derived: Derived) -> dict[str, pa.DataFrameSchema]:
    """Return the schemas of the tables that were derived for a study."""
    return {name: schema for name, schema in DERIVED_TABLES.items() if name in derived}


def columns(schema: pa.DataFrameSchema) -> list[dict[str, str]]:
    """Return the columns of a table, each with its meaning, its type and its range.

    Raises ``KeyError`` for a kind of check that has no words yet.
    """
    rows = []
    for name, column in schema.columns.items():
        ranges = [_RANGES[str(check.name)](check.statistics) for check in column.checks]
        # The one kind of column that holds objects.
        kind = str(column.dtype).partition("[")[0].replace("object", "list of float32")
        missing = ", or missing" if column.nullable else ""
        values = f"{kind}, {'; '.join(ranges) or 'any'}{missing}"
        row = {"column": Markdown(f"`{name}`"), "meaning": column.description, "values": values}
        rows.append(row)
    return rows


def tables(schemas: Mapping[str, pa.DataFrameSchema], *, prefix: str) -> Markdown:
    """Return a section for each table: what a row is, its key, and its columns.

    ``prefix`` begins the identifiers of the sections.
    """
    parts = []
    for name, schema in schemas.items():
        key = ", ".join(f"`{column}`" for column in schema.unique)
        about = f"{schema.description[0].upper()}{schema.description[1:]}, by {key}."
        parts += [f"## `{name}` {{#{prefix}-{name}}}", about, _framed(columns(schema))]
    return Markdown("\n\n".join(parts))


def files(derived: Derived) -> Markdown:
    """Return the files behind the pages with their rows; one kind of file of all runs is a row.

    Raises ``UserError`` if one is damaged.
    """
    found: dict[str, list[int]] = {}
    for path, rows in contents(derived).items():
        folder, _, name = path.rpartition("/")
        kind = f"*/{_DIGEST.sub('-*', name)}" if folder else name
        found.setdefault(kind, []).append(rows)
    return Markdown(
        _framed(
            [
                {
                    "file": Markdown(f"`{name}`"),
                    "files": len(rows),
                    "rows": UNDEFINED if name.endswith(".json") else f"{sum(rows):,}",
                }
                for name, rows in sorted(found.items())
            ]
        )
    )


def downloads(derived: Derived) -> Markdown:
    """Return links to what ``report.site.downloads`` writes into the site."""
    folder, archive = FOLDER.as_posix(), archive_name(derived)
    lines = [
        f"- [{safe(archive)}]({folder}/{archive}): all files listed below.",
        f"- [{CLAIMS_CSV}]({folder}/{CLAIMS_CSV}): every claim, its test and its verdicts.",
    ]
    for name, entry in derived.record.tables.items():
        about = DERIVED_TABLES[name].description
        lines.append(f"- [{name}.csv]({folder}/{name}.csv): {about}; {counted(entry.rows, 'row')}.")
    return Markdown("\n".join(lines))


def _framed(rows: list[dict[str, Any]]) -> str:
    """Return a table that scrolls inside its own frame where it is wider than the page."""
    return f"::: {{.table-responsive}}\n{page.table(rows)}\n:::"
