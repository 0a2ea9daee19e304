"""What the site offers for download: the results as one archive, and what follows from them as CSV.

The archive is the same to the byte wherever it is made of the same results.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd

from analysis.results import MANIFEST, Results
from analysis.verdicts import ClaimsTable

FOLDER = Path(__file__).parent / "assets" / "downloads"
CLAIMS = "claims.csv"
# The earliest time that the format knows: when a copy was made is no part of its content.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def prepare(results: Results, *, folder: Path = FOLDER) -> list[Path]:
    """Write the downloads of a study in place of those that were there, and return them.

    Raises ``UserError`` where a file of the results is missing or altered.
    """
    content = {archive_name(results): archive(results)}
    if results.manifest.claims:
        content[CLAIMS] = _csv(claims(results.claims()))
    for name in results.manifest.derived:
        content[f"{name}.csv"] = _csv(results.table(name))
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in content:
            path.unlink()
    for name, data in content.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
    return [folder / name for name in content]


def archive_name(results: Results) -> str:
    """Return the name of the archive of a study's results."""
    return f"{results.study.name}-results.zip"


def archive(results: Results) -> bytes:
    """Return the files of a results folder as a zip: of the same results, always the same bytes.

    Raises ``UserError`` where one is missing or altered.
    """
    results.verify()
    buffer = io.BytesIO()
    # Stored as they are: Parquet is compressed already, and compressors differ from each other.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        for name in sorted(results.manifest.files() | {MANIFEST}):
            entry = zipfile.ZipInfo(f"{results.study.name}/{name}", date_time=_NO_TIME)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            packed.writestr(entry, (results.folder / name).read_bytes())
    return buffer.getvalue()


def claims(table: ClaimsTable) -> pd.DataFrame:
    """Return one row for each part of each claim and each source, and one where there is no part.

    A claim can have a verdict without a part, where the data cannot speak to it; ``reason`` says
    why.
    """
    rows = []
    for claim in table.claims:
        fixed = claim.model_dump(exclude={"study", "original"})
        for source, judgement in (("study", claim.study), ("original", claim.original)):
            of = {"source": source, "verdict": judgement.verdict, "reason": judgement.reason}
            for part in judgement.parts or (None,):
                values = part.model_dump() if part else {}
                if part:
                    values["turns_at"] = " ".join(f"{value:.6g}" for value in part.turns_at)
                measured = {f"part_{name}": value for name, value in values.items()}
                rows.append(fixed | of | measured)
    return pd.DataFrame(rows)


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()
