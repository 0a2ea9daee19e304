"""What people read on images that they were shown without label and prediction.

One CSV file a reader, ``analysis/studies/audits/<study>/<reader>.csv``, with the columns study,
reader, index and reading, as the page of ``python -m analysis audit`` saves it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from analysis.project import paths
from analysis.project.errors import UserError, nearest
from analysis.project.files import sha256_of_text

FOLDER = paths.STUDIES / "audits"
COLUMNS = ("study", "reader", "index", "reading")
# In place of a class: what a reader could not read, and what nobody was shown.
UNREADABLE, UNSEEN = -1, -2


def files(study: str) -> list[Path]:
    """Return the files of all readers of a study, by name."""
    return sorted((FOLDER / study).glob("*.csv"))


def digest(study: str) -> str:
    """Return what identifies all readings of a study, empty if there are none."""
    return contents(files(study))


def contents(paths: Sequence[Path]) -> str:
    """Return the name and the SHA-256 of each of some texts, a line each."""
    return "\n".join(f"{path.name} {sha256_of_text(path)}" for path in paths)


def load(study: str, *, classes: Sequence[str], index: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each reader saw on the images ``index`` (N,), int (N,) by reader.

    It is the position of a class, ``UNREADABLE`` or ``UNSEEN``. Raises ``UserError`` for a file
    that is not valid, and for a reader who was not shown what the others were.
    """
    found = {
        path.stem: _read(path, study=study, classes=classes, index=index) for path in files(study)
    }
    seen = [reading != UNSEEN for reading in found.values()]
    for path, mine in zip(files(study), seen, strict=True):
        missing = np.any(seen, axis=0) & ~mine
        if missing.any():
            raise UserError(
                f"{paths.shown(path)} has no reading of {missing.sum()} images that others read, "
                f"such as {index[missing][0]}.\nComplete it, or move it elsewhere."
            )
    return found


def _read(path: Path, *, study: str, classes: Sequence[str], index: np.ndarray) -> np.ndarray:
    place = {int(value): number for number, value in enumerate(index)}
    reading = np.full(len(index), UNSEEN)
    for line, row in rows(path, COLUMNS):
        image = row["index"]
        where = place.get(int(image)) if image.isascii() and image.isdigit() else None
        if row["study"] != study:
            problem = f"is about the study {row['study']!r}, not {study!r}"
        elif row["reader"] != path.stem:
            problem = f"is by {row['reader']!r}, but the file is named after {path.stem!r}"
        elif where is None:
            problem = f"has the index {image!r}, which is no evaluated image"
        elif reading[where] != UNSEEN:
            problem = f"reads the image {image} a second time"
        elif row["reading"] and row["reading"] not in classes:
            likely = nearest(row["reading"][:100], classes)
            problem = f"names no class: {row['reading'][:100]!r}; the nearest is {likely!r}"
        else:
            known = bool(row["reading"])
            reading[where] = classes.index(row["reading"]) if known else UNREADABLE
            continue
        raise refused(path, f"line {line} {problem[:200]}")
    return reading


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of a reader's file with the number of its line.

    Raises ``UserError`` for a file that is no CSV with these columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = csv.DictReader(file, strict=True)
            if tuple(found.fieldnames or ()) != columns:
                raise refused(path, f"its columns are not {', '.join(columns)}")
            for row in found:
                if None in row or None in row.values():
                    raise refused(path, f"line {found.line_num} has not {len(columns)} values")
                yield found.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise refused(path, f"it is not a CSV file in UTF-8 ({str(error)[:80]})") from None


def refused(path: Path, problem: str) -> UserError:
    """Return the error for a reader's file."""
    return UserError(
        f"{paths.shown(path)}: {problem}.\nCorrect it, or save it again from the page it is from."
    )
