"""What the original notebook printed, from its single run: figures to compare with."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

# The digits that the original calls easy and hard.
EASY, HARD = (0, 1, 2), (8, 9)
# Its middle and largest ε, 0.03 and 0.10 in its own units, in [0, 1] pixel units.
MIDDLE, LARGEST = 0.015, 0.05

_FILE = Path(__file__).with_name("published.json")


@cache
def original() -> dict:
    """Return the source, protocol and results as published; ε in the original's [-1, 1] units."""
    return json.loads(_FILE.read_text(encoding="utf-8"))


def confusion_matrix() -> np.ndarray:
    """Return the counts of all 26,032 test images, int64 (10, 10), rows true, columns predicted."""
    return np.array(original()["confusion_matrix_rows_true_columns_predicted"])


def fgsm() -> dict[float, float]:
    """Return the accuracy under FGSM by ε in [0, 1] pixel units, which are half the original's."""
    return {row["epsilon_normalised"] / 2: row["accuracy"] for row in original()["fgsm"]}
