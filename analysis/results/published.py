"""Published results of somebody else, which the same tests are applied to."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError

from analysis.project import paths
from analysis.project.errors import UserError, nearest
from analysis.project.forms import Section, problem

FOLDER = paths.STUDIES / "published"


class Fgsm(Section):
    """One accuracy under FGSM; ``epsilon`` is in the units of the publication."""

    epsilon: float
    accuracy: float


class Published(Section):
    """What a publication reports of one network.

    ``about`` ends a sentence that begins with its name, and ``images`` is the source of its images,
    as in a study. ``confusion`` counts images, rows true and columns predicted, in the order of
    ``classes``; ``epsilon_scale`` is how many of its units one [0, 1] pixel unit has. ``cite`` is
    its key in ``references.bib`` and ``url`` its address.
    """

    name: str
    about: str
    source: str
    cite: Annotated[str, Field(pattern=r"^([a-z]+\d{4})?$")] = ""
    url: Annotated[str, Field(pattern=r"^(https://[\w./-]+)?$")] = ""
    images: str
    protocol: dict[str, Any]
    classes: tuple[str, ...]
    accuracy: float
    accuracy_by_epoch: tuple[float, ...] = ()
    confusion: tuple[tuple[int, ...], ...]
    epsilon_scale: float
    attacked: tuple[Fgsm, ...] = ()

    @property
    def matrix(self) -> np.ndarray:
        """Return the confusion matrix, int64 (K, K)."""
        return np.array(self.confusion)

    @property
    def fgsm(self) -> dict[float, float]:
        """Return the accuracy under FGSM by ε in [0, 1] pixel units."""
        return {row.epsilon / self.epsilon_scale: row.accuracy for row in self.attacked}


@cache
def load(name: str) -> Published:
    """Return published results by name. Raises ``UserError`` if there are none, or not valid."""
    path = FOLDER / f"{name}.json"
    known = sorted(path.stem for path in FOLDER.glob("*.json"))
    if name not in known:
        raise UserError(
            f"There are no published results {name!r}; the nearest are {nearest(name, known)!r}."
        )
    try:
        return Published.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        reason = problem(error, Published) if isinstance(error, ValidationError) else error
        raise UserError(f"{paths.shown(path)} is not valid: {reason}") from None
