"""CSV and Parquet files as Arrow tables, with what is wrong with them in one line or two.

Values of a CSV file are numbers, categories or names by what their column is for. Its separator is
the one that its header needs, and with semicolons numbers may have a decimal comma.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from analysis.project.errors import UserError, nearest
from analysis.project.paths import shown

KEY = "predictions.file"
_TEXT = (".csv", ".tsv", ".txt")
_SEPARATORS = ",;\t|"
_PARQUET, _GZIP = b"PAR1", b"\x1f\x8b"
# The index of a data frame, which its columns are written with unless somebody says otherwise.
_INDEX = re.compile(r"__index_level_\d+__")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+(e[-+]?\d+)?\s*", re.IGNORECASE)
# Rows that are looked at for a decimal comma, and the longest header, in bytes.
_ROWS, _LONGEST = 100, 1 << 20
# What Arrow says of a value that is no number.
_WRONG = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?.*invalid value '(.*)'", re.DOTALL)


@dataclass(frozen=True)
class Header:
    """The names of a file's columns without surrounding spaces, and how a CSV file is written."""

    path: Path
    names: tuple[str, ...]
    separator: str = ""
    decimal: str = "."
    raw: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Return the names without those of a data frame's index, which mean nothing here."""
        unnamed = self.names[:1] == ("",)
        return [name for name in self.names[unnamed:] if not _INDEX.fullmatch(name)]


def header(path: Path, *, label: str = "") -> Header:
    """Return the header of a CSV or Parquet file.

    ``label`` is a column that helps to find the separator. Raises ``UserError`` for a file that is
    missing, empty, neither CSV nor Parquet, or has two columns of one name or one without a name.
    """
    found = _parquet_header(path) if _is_parquet(path) else _csv_header(path, label)
    columns = found.columns
    if "" in columns:
        raise refused(path, f"column {found.names.index('', 1) + 1} has no name")
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise refused(path, f"has two columns {short(twice[0])}")
    return found


def read(found: Header, *, numbers: Iterable[str], texts: Iterable[str]) -> pa.Table:
    """Return the columns of a file by their names.

    ``numbers`` are float64 in a CSV file, where missing values are null, ``texts`` are text, and
    the type of the others follows from their values. Raises ``UserError`` for a file that is
    damaged, has a number that is none, or no rows.
    """
    if found.separator:
        table = _read_csv(found, set(numbers), set(texts))
    else:
        try:
            table = pq.ParquetFile(found.path).read()
        except (pa.ArrowException, OSError) as error:
            raise refused(found.path, f"cannot be read ({_first_line(error)})") from None
        table = table.rename_columns(list(found.names))
    if not table.num_rows:
        raise refused(found.path, "has no rows")
    return table


def refused(path: Path, problem: str, advice: str = "") -> UserError:
    """Return the error for what is wrong with a file."""
    return UserError(f"{KEY}: {shown(path)} {problem}." + (f"\n{advice}" if advice else ""))


def short(text: object) -> str:
    """Return text in quotes, shortened."""
    plain = str(text)
    return repr(plain if len(plain) <= 60 else f"{plain[:59]}…")


def likeliest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like another, as the end of a sentence."""
    likely = nearest(name, known)
    return f"; the nearest is {short(likely)}" if likely else ""


def _is_parquet(path: Path) -> bool:
    """Return whether a file is Parquet rather than CSV. Raises ``UserError`` if it is neither."""
    if not path.is_file():
        raise UserError(f"{KEY}: there is no file {shown(path)}.")
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    zipped = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if zipped else suffixes)[-1:]
    if kind not in ([".parquet"], *([suffix] for suffix in _TEXT)):
        raise refused(path, "is neither a .csv, .csv.gz, .tsv nor a .parquet file by its name")
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise refused(path, "is empty")
    parquet = kind == [".parquet"]
    if parquet != (start == _PARQUET):
        raise refused(path, f"is {'no' if parquet else 'a'} Parquet file, whatever its name says")
    if zipped != start.startswith(_GZIP):
        raise refused(path, f"is {'not ' if zipped else ''}compressed, whatever its name says")
    return parquet


def _parquet_header(path: Path) -> Header:
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise refused(path, f"is no valid Parquet file ({_first_line(error)})") from None
    return Header(path, tuple(name.strip() for name in names))


def _csv_header(path: Path, label: str) -> Header:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rb") as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            # A header of many classes is long, and one of a table of pixels longer.
            start = "".join(islice(iter(lambda: text.read(1 << 16), ""), _LONGEST >> 16))
    except UnicodeDecodeError:
        raise refused(path, "is not UTF-8 text", "Save it as CSV in UTF-8.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise refused(path, f"cannot be read ({_first_line(error)})") from None
    best: list[list[str]] = [[]]
    separator = ","
    for candidate in _SEPARATORS:
        rows = _rows(start, candidate)
        named = label in [name.strip() for name in rows[0]]
        before = label in [name.strip() for name in best[0]]
        if (named, len(rows[0])) > (before, len(best[0])):
            best, separator = rows, candidate
    comma = separator == ";" and any(_DECIMAL_COMMA.fullmatch(v) for row in best[1:] for v in row)
    names = tuple(name.strip() for name in best[0])
    return Header(path, names, separator, "," if comma else ".", tuple(best[0]))


def _rows(text: str, separator: str) -> list[list[str]]:
    """Return the header and some rows of what a CSV file begins with."""
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        return list(islice(filter(None, rows), 1 + _ROWS)) or [[]]
    except csv.Error:
        return [[]]


def _read_csv(found: Header, numbers: set[str], texts: set[str]) -> pa.Table:
    kinds = {}
    for raw, name in zip(found.raw, found.names, strict=True):
        if name in numbers | texts:
            kinds[raw] = pa.float64() if name in numbers else pa.string()
    ragged: list[pa_csv.InvalidRow] = []

    def note(row: pa_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    zipped = "gzip" if found.path.suffix.lower() == ".gz" else None
    try:
        with pa.input_stream(str(found.path), compression=zipped) as file:
            table = pa_csv.read_csv(
                file,
                # In one thread rows have numbers, so that errors can name them.
                read_options=pa_csv.ReadOptions(use_threads=False),
                parse_options=pa_csv.ParseOptions(
                    delimiter=found.separator, newlines_in_values=True, invalid_row_handler=note
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=kinds, decimal_point=found.decimal
                ),
            )
    except (pa.ArrowException, OSError) as error:
        if ragged:
            first = ragged[0]
            row = f"row {first.number - 1}" if first.number else "a row"
            problem = f"{row} has {first.actual_columns} values, not {first.expected_columns}"
        else:
            problem = _no_number(str(error), found.names)
        raise refused(found.path, problem) from None
    return table.rename_columns(list(found.names))


def _no_number(message: str, names: tuple[str, ...]) -> str:
    """Return what Arrow refuses, in this project's words where they are known."""
    wrong = _WRONG.match(message)
    if not wrong:
        return f"is no valid CSV file ({message.splitlines()[0][:150]})"
    column, row, value = wrong.groups()
    # Arrow counts the header.
    where = f"row {int(row) - 1} of the column" if row else "the column"
    return f"{where} {short(names[int(column)])} has {short(value)}, which is no number"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:150]
