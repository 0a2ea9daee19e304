"""What people answered who were asked which of two images is the attacked one.

One CSV file a reader, ``analysis/studies/readings/<study>/<reader>.csv``, as the page "Can you
tell?" saves it, with the columns reader, pair (from 1), index, side (that of the attacked image),
answer, right (1 or 0) and epsilon.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from analysis.project import paths
from analysis.results import readings

FOLDER = paths.STUDIES / "readings"
COLUMNS = ("reader", "pair", "index", "side", "answer", "right", "epsilon")
SIDES = ("left", "right")
# A reader and the ε that was shown.
Key = tuple[str, float]


def files(study: str) -> list[Path]:
    """Return the files of all readers of a study, by name."""
    return sorted((FOLDER / study).glob("*.csv"))


def digest(study: str) -> str:
    """Return what identifies all answers to a study, empty if there are none."""
    return readings.contents(files(study))


def load(study: str, *, index: np.ndarray) -> dict[Key, np.ndarray]:
    """Return whether each reader was right on the images ``index`` (N,), by reader and ε.

    It is 1 for right, 0 for wrong and NaN for an image that the reader was not asked about. Raises
    ``UserError`` for a file that is not valid.
    """
    found: dict[Key, np.ndarray] = {}
    for path in files(study):
        found |= _read(path, index=index)
    return found


def _read(path: Path, *, index: np.ndarray) -> dict[Key, np.ndarray]:
    place = {int(value): number for number, value in enumerate(index)}
    found: dict[Key, np.ndarray] = {}
    for line, row in readings.rows(path, COLUMNS):
        image, epsilon = row["index"], _number(row["epsilon"])
        where = place.get(int(image)) if image.isascii() and image.isdigit() else None
        right = str(int(row["side"] == row["answer"]))
        answers = found.setdefault((path.stem, epsilon), np.full(len(index), np.nan))
        if row["reader"] != path.stem:
            problem = f"is by {row['reader']!r}, but the file is named after {path.stem!r}"
        elif where is None:
            problem = f"has the index {image!r}, which is no evaluated image"
        elif not np.isnan(answers[where]):
            problem = f"answers for the image {image} a second time"
        elif not 0 < epsilon <= 1:
            problem = f"has the epsilon {row['epsilon']!r}, which is not between 0 and 1"
        elif {row["side"], row["answer"]} - set(SIDES):
            problem = f"has the sides {row['side']!r} and {row['answer']!r}, not left or right"
        elif row["right"] != right:
            problem = f"says that right is {row['right']!r}, but by its sides it is {right}"
        else:
            answers[where] = float(right)
            continue
        raise readings.refused(path, f"line {line} {problem[:200]}")
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
