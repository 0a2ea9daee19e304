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

# No table is larger when it is unpacked; a smaller file that claims to be is refused.
_LARGEST = 4 << 30


def write(
    folder: Path, name: str, table: pd.DataFrame, schema: pandera.DataFrameSchema
) -> TableEntry:
    """Validate a table and write it; it counts only once a record lists it."""
    schema.validate(table)
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


def read(folder: Path, entry: TableEntry, schema: pandera.DataFrameSchema) -> pd.DataFrame:
    """Return the content of a table. Raises ``Broken`` if it is missing, altered or not valid."""
    path = folder / entry.file
    check(folder, entry)
    try:
        file = pq.ParquetFile(path)
        groups = (file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups))
        if sum(groups) > _LARGEST:
            raise Broken(f"would take more than {_LARGEST >> 30} GB when unpacked")
        table = file.read().to_pandas()
        schema.validate(table)
    # A page of Parquet that cannot be decoded is an OSError.
    except (pa.ArrowException, OSError, SchemaError, SchemaErrors, KeyError, TypeError) as error:
        raise Broken(f"does not fit its schema: {_reason(error)}") from None
    if len(table) != entry.rows:
        raise Broken(f"has {len(table)} rows, not {entry.rows}")
    return table


def check(folder: Path, entry: TableEntry) -> None:
    """Raise ``Broken`` unless the file has the recorded content."""
    try:
        if files.sha256(folder / entry.file) == entry.sha256:
            return
    except FileNotFoundError:
        raise Broken("is missing") from None
    raise Broken("is truncated or altered: its content does not match its SHA-256")


def _reason(error: Exception) -> str:
    """Return the first of what may be many problems, without every value that has it."""
    first = error.schema_errors[0] if isinstance(error, SchemaErrors) else error
    line = (str(first).splitlines() or [type(first).__name__])[0].partition(" {")[0]
    return textwrap.shorten(line, 160, placeholder=" …").rstrip(".")
