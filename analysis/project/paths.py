"""Paths of the project's folders.

Three environment variables move what a user may want elsewhere: ``FAILURE_MODES_DATA`` (data sets),
``FAILURE_MODES_CACHE`` (checkpoints and weights) and ``FAILURE_MODES_RESULTS`` (cached results).
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ROOT / "analysis" / "studies"


def _folder(variable: str, default: Path) -> Path:
    return expanded(os.environ.get(variable) or default)


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder for ``~``, or as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def data() -> Path:
    """Return the folder of the data sets: the official .mat files and ``svhn_subset.npz``."""
    return _folder("FAILURE_MODES_DATA", ROOT / "build" / "cache" / "data")


def cache() -> Path:
    """Return the folder of checkpoints and trained weights, which can always be made again."""
    return _folder("FAILURE_MODES_CACHE", ROOT / "build" / "cache")


def results(study: str) -> Path:
    """Return the folder of one study's cached results."""
    return _folder("FAILURE_MODES_RESULTS", ROOT / "build" / "results") / study


def shown(path: Path) -> str:
    """Return a path as a message names it: relative to the project if it lies there."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def pictures() -> Path:
    """Return the folder of the pictures of single images, which lies beside that of the results."""
    return _folder("FAILURE_MODES_RESULTS", ROOT / "build" / "results").parent / "pictures"


def simulation() -> Path:
    """Return the file of how often verdicts and intervals are wrong on made-up data."""
    return ROOT / "build" / "simulation.csv"


def scale() -> Path:
    """Return the file of what a run costs in studies of up to ten thousand."""
    return ROOT / "build" / "scale.csv"


def local() -> Path:
    """Return the folder of what must not leave this machine, which git ignores."""
    return ROOT / "build" / "local"
