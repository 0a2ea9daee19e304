"""The file of a study's single images: which are shown is derived, and what is drawn is here.

The derived table ``pictures`` names the images, by rule (see ``analysis.inference.pictures``);
``analysis.probes.pictures`` draws them. Reading them takes no torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pyarrow as pa

from analysis.project import paths
from analysis.project.errors import UserError
from analysis.project.files import written_whole
from analysis.results.store import Derived
from analysis.study import Study

# How much larger the perturbation is drawn than it is.
MAGNIFICATION = 20
CHOSEN = "pictures"
_KEY = ["group", "index"]
# Image files: the image; what the attack adds, magnified, on grey; the image with it; and Grad-CAM
# of both, over the image in grey. What a group does not show is missing, as is a map that is zero
# everywhere.
PANELS = ["clean", "perturbation", "attacked", "clean_map", "attacked_map"]
# The last identifies what the pictures are of.
COLUMNS = [*_KEY, *PANELS, "inputs"]
# Raised by hand when the same images are drawn in another way.
_VERSION = 1


class NotDrawn(UserError):
    """There are no pictures of these results."""


def path(study: str) -> Path:
    """Return the file of a study's pictures."""
    return paths.pictures() / f"{study}.parquet"


def check_shown(study: Study) -> None:
    """Raise ``UserError`` if a study does not allow single images, or has none."""
    if study.predictions is not None:
        raise UserError(f"{study.name} has predictions alone, so there is no image to show.")
    if not study.images.show:
        raise UserError(
            f"Single images of {study.name} must not be shown: its study does not allow it.\n"
            "If their licence does, set images.show = true in the study."
        )


def inputs(results: Derived) -> str:
    """Return what identifies the pictures of some results.

    It is the choice with what its networks say, the images, the attack and the layer: a claim in
    other words needs no new pictures.
    """
    attacks, record = results.study.attacks, results.record
    epsilon = attacks.logits_epsilon if attacks else None
    chosen = results.table(CHOSEN).to_csv(index=False, float_format="%.9g")
    parts = f"{_VERSION} {record.images} {epsilon} {record.layers[:1]} {MAGNIFICATION}\n{chosen}"
    return hashlib.sha256(parts.encode()).hexdigest()


def write(results: Derived, table: pd.DataFrame) -> Path:
    """Write what is drawn, with the columns ``group``, ``index`` and ``PANELS``; return the file.

    Raises ``UserError`` if the study does not allow single images.
    """
    check_shown(results.study)
    with written_whole(path(results.study.name)) as temporary:
        table.assign(inputs=inputs(results))[COLUMNS].to_parquet(temporary)
    return path(results.study.name)


def are_drawn(results: Derived) -> bool:
    """Return whether there are pictures of these results."""
    return _drawn(results) is not None


def read(results: Derived) -> pd.DataFrame:
    """Return the pictures of some results: the derived table with the columns ``PANELS``.

    Raises ``NotDrawn`` if there are none of them, ``UserError`` if they must not be shown.
    """
    check_shown(results.study)
    study, place = results.study.name, path(results.study.name)
    drawn = _drawn(results)
    if drawn is None:
        raise NotDrawn(
            f"{paths.shown(place)} is missing, damaged, or of other results of {study}.\n"
            f"Draw the pictures with `python -m analysis pictures {study}`."
        )
    return results.table(CHOSEN).merge(drawn.drop(columns="inputs"), on=_KEY, how="inner")


def _drawn(results: Derived) -> pd.DataFrame | None:
    """Return the file's table if it is of these results."""
    if CHOSEN not in results:
        return None
    try:
        table = pd.read_parquet(path(results.study.name))
    except (pa.ArrowException, OSError):
        return None
    if list(table) != COLUMNS or set(table["inputs"]) - {inputs(results)}:
        return None
    return table
