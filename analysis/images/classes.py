"""Which names classes may have, and which of them have no images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from analysis.images.images import FEWEST_CLASSES, MOST_CLASSES, Images
from analysis.project.errors import UserError
from analysis.results.schemas import ALL

LONGEST_NAME = 200


def checked(names: Sequence[str], *, key: str) -> tuple[str, ...]:
    """Return the names of classes, all distinct and fit to be stored.

    Raises ``UserError``, which begins with the study's ``key``, for others.
    """
    if len(names) < FEWEST_CLASSES:
        only = f"the only class is {shortened(names[0])}" if names else "there are no classes"
        raise UserError(f"{key}: {only}; a classifier has two classes or more.")
    if len(names) > MOST_CLASSES:
        raise UserError(f"{key}: there are {len(names):,} classes, more than {MOST_CLASSES:,}.")
    for name in names:
        if len(name) > LONGEST_NAME:
            problem = f"has {len(name)} letters, more than {LONGEST_NAME}"
        elif name == ALL:
            problem = "stands for every class in results"
        elif not name.strip():
            problem = "is blank"
        elif any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in name):
            problem = "has control characters"
        else:
            continue
        raise UserError(
            f"{key}: the class name {shortened(name)} {problem}.\nGive it another name."
        )
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise UserError(f"{key}: two classes are called {shortened(twice)}.")
    return tuple(names)


def without_images(images: Images, evaluated: np.ndarray) -> tuple[str, ...]:
    """Return lines that name classes without any image, and without an evaluated one."""
    every = np.bincount(images.labels, minlength=len(images.classes))
    tested = np.bincount(images.labels[evaluated], minlength=len(images.classes))
    parts = (
        ("no images", every == 0),
        ("no evaluated images", (tested == 0) & (every > 0)),
    )
    return tuple(
        f"{'Classes' if chosen.sum() > 1 else 'A class'} with {what}: "
        f"{listed(repr(images.classes[number]) for number in np.flatnonzero(chosen))}."
        for what, chosen in parts
        if chosen.any()
    )


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Return names in one line, the first few of them and how many follow."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def shortened(name: str) -> str:
    """Return a name in quotes, with its beginning alone if it is long."""
    return repr(name if len(name) <= 60 else f"{name[:60]}…")
