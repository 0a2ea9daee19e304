"""What the site offers for download: the results as one archive, and the derived tables as CSV."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from analysis.results import MANIFEST, Results

FOLDER = Path(__file__).parent / "assets" / "downloads"
# The earliest time that the format knows: when a copy was made is no part of its content.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def prepare(results: Results, *, folder: Path = FOLDER) -> list[Path]:
    """Write the downloads of a study in place of those that were there, and return them.

    Raises ``UserError`` where a file of the results is missing or altered.
    """
    content = {f"{results.study.name}-results.zip": archive(results)}
    for name in results.manifest.derived:
        content[f"{name}.csv"] = results.table(name).to_csv(index=False).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in content:
            path.unlink()
    for name, data in content.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
    return [folder / name for name in content]


def archive(results: Results) -> bytes:
    """Return the files of a results folder as a zip: of the same results, always the same bytes.

    Raises ``UserError`` where one is missing or altered.
    """
    results.verify()
    names = sorted({entry.file for _, entry in results.manifest.entries()} | {MANIFEST})
    buffer = io.BytesIO()
    # Stored as they are: Parquet is compressed already, and compressors differ from each other.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        for name in names:
            entry = zipfile.ZipInfo(f"{results.study.name}/{name}", date_time=_NO_TIME)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            packed.writestr(entry, (results.folder / name).read_bytes())
    return buffer.getvalue()
