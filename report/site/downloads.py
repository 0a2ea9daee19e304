"""What the site offers for download: the results as one archive, and what follows from them as CSV.

The archive of the same results is the same to the byte, wherever and whenever it is made.
"""

from __future__ import annotations

import json
import zipfile
from itertools import chain
from pathlib import Path

import pandas as pd

from analysis.results import tables
from analysis.results.records import Broken, ClaimsRecord, RunRecord, damaged
from analysis.results.store import CLAIMS, RUN, Derived
from report.page import csv_text

FOLDER = Path("report", "assets", "downloads")
CLAIMS_CSV = "claims.csv"
# The earliest time that the format has: when a copy was made is not part of its content.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def contents(derived: Derived) -> dict[str, int]:
    """Return the files behind the pages and their rows, after comparing each with its SHA-256.

    They are ``claims.json``, the derived tables, and the folders of the runs where they are at
    hand. Raises ``UserError`` for a file that is missing or damaged.
    """
    rows = {CLAIMS: len(derived.record.claims)}
    for name, entry in derived.record.tables.items():
        derived.table(name)
        rows[entry.file] = entry.rows
    for run in chain.from_iterable(derived.record.repeats.values()):
        folder, path = derived.folder / run, derived.folder / run / RUN
        if not path.is_file():
            continue
        try:
            record = RunRecord.read(path)
            if (record.study, record.name) != (derived.study.name, run):
                raise Broken(f"belongs to run {record.name} of {record.study}")
            rows[f"{run}/{RUN}"] = len(record.tables)
            for entry in record.tables.values():
                path = folder / entry.file
                tables.check(folder, entry)
                rows[f"{run}/{entry.file}"] = entry.rows
        except Broken as reason:
            raise damaged(path, reason, study=derived.study.name) from None
    return rows


def archive_name(derived: Derived) -> str:
    """Return the name of the archive of a study's results."""
    return f"{derived.study.name}-results.zip"


def write(derived: Derived, folder: Path) -> None:
    """Write the downloads of a study into a folder. Raises as ``contents`` does."""
    folder.mkdir(parents=True, exist_ok=True)
    _archive(derived, folder / archive_name(derived))
    tables = {name: derived.table(name) for name in derived.record.tables}
    for name, table in {Path(CLAIMS_CSV).stem: claims(derived.record), **tables}.items():
        (folder / f"{name}.csv").write_text(csv_text(table), encoding="utf-8", newline="\n")


def _archive(derived: Derived, path: Path) -> None:
    # Stored as they are: Parquet is compressed already, and compressors differ from each other.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for name in sorted(contents(derived)):
            entry = zipfile.ZipInfo(f"{derived.study.name}/{name}", date_time=_NO_TIME)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            packed.writestr(entry, (derived.folder / name).read_bytes())


def claims(record: ClaimsRecord) -> pd.DataFrame:
    """Return one row for each claim and each source.

    A claim has a verdict without an effect if the data cannot test it; ``reason`` says why.
    """
    rows = []
    for claim in record.claims:
        fixed = claim.model_dump(exclude={"study", "published", "reports"})
        fixed["parameters"] = json.dumps(claim.parameters)
        for source, judgement in (("study", claim.study), ("published", claim.published)):
            if judgement is None:
                continue
            given = {"source": source, "verdict": judgement.verdict, "reason": judgement.reason}
            values = judgement.effect.model_dump() if judgement.effect else {}
            rows.append(fixed | given | {f"effect_{name}": one for name, one in values.items()})
    return pd.DataFrame(rows)
