"""Tables as Parquet files that are named after their content and verified when they are read."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.errors import SchemaError, SchemaErrors

from analysis.project import files
from analysis.results.records import Broken, TableEntry

# In a folder while tables are written that its record does not list yet, and after a kill then.
WRITING = f"{files.TEMPORARY}tables"

# No table is larger when it is unpacked, in bytes and in rows, however small its file.
_LARGEST, _ROWS = 2 << 30, 50_000_000
# Rows that are unpacked at a time, so that it ends before memory does.
_BATCH = 1 << 14


def write(
    folder: Path, name: str, table: pd.DataFrame, schema: pandera.DataFrameSchema
) -> TableEntry:
    """Validate a table and write it; it counts only once a record lists it."""
    schema.validate(table)
    announce(folder)
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with files.written_beside(folder / f"{name}.parquet") as temporary:
        # Splitting floats by byte packs them a third smaller.
        split = [field.name for field in arrow.schema if pa.types.is_floating(field.type)]
        lists = [
            f"{field.name}.list.element" for field in arrow.schema if pa.types.is_list(field.type)
        ]
        rest = [name for name in arrow.column_names if name not in split]
        pq.write_table(
            arrow,
            temporary,
            compression="zstd",
            compression_level=9,
            use_dictionary=[name for name in rest if f"{name}.list.element" not in lists],
            use_byte_stream_split=[*split, *lists],
        )
        digest = files.sha256(temporary)
        file = f"{name}-{digest[:12]}.parquet"
        files.move_into_place(temporary, folder / file)
    return TableEntry(file=file, sha256=digest, rows=len(table))


def announce(folder: Path) -> None:
    """Mark a folder as one that tables are written into, until its record lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WRITING).touch()


def read(folder: Path, entry: TableEntry, schema: pandera.DataFrameSchema) -> pd.DataFrame:
    """Return the content of a table. Raises ``Broken`` if it is missing, altered or not valid."""
    check(folder, entry)
    try:
        table = _unpacked(folder / entry.file, entry.rows).to_pandas()
        schema.validate(table)
    # A page of Parquet that cannot be decoded is an OSError.
    except (pa.ArrowException, OSError, SchemaError, SchemaErrors, KeyError, TypeError) as error:
        raise Broken(f"does not fit its schema: {_reason(error)}") from None
    return table


def _unpacked(path: Path, rows: int) -> pa.Table:
    """Return the content of a Parquet file. Raises ``Broken`` if it is larger than tables are."""
    file = pq.ParquetFile(path)
    if file.metadata.num_rows != rows:
        raise Broken(f"has {file.metadata.num_rows} rows, not {rows}")
    groups = (file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups))
    size = _LARGEST + 1 if sum(groups) > _LARGEST or rows > _ROWS else 0
    batches = []
    # What a file says of itself may be less than there is: one text may be repeated in every row.
    for batch in file.iter_batches(_BATCH) if not size else ():
        size += batch.nbytes
        if size > _LARGEST:
            break
        batches.append(batch)
    if size > _LARGEST:
        raise Broken(f"would take more than {_LARGEST >> 30} GB when unpacked")
    return pa.Table.from_batches(batches, file.schema_arrow)


def check(folder: Path, entry: TableEntry) -> None:
    """Raise ``Broken`` unless the file has the recorded content."""
    path = folder / entry.file
    if not path.is_file():
        raise Broken("is not a file" if path.exists() else "is missing")
    if files.sha256(path) == entry.sha256:
        return
    raise Broken("is truncated or altered: its content does not match its SHA-256")


def _reason(error: Exception) -> str:
    """Return the first of what may be many problems, without every value that has it."""
    first = error.schema_errors[0] if isinstance(error, SchemaErrors) else error
    line = (str(first).splitlines() or [type(first).__name__])[0].partition(" {")[0]
    return textwrap.shorten(line, 160, placeholder=" …").rstrip(".")
