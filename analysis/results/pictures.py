"""Pictures of single images: which are shown, by rule, and the file that has them.

They are chosen by rules from the tables, so nothing is picked by eye, and drawn by
``analysis.probes.pictures``. Reading them takes no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.project import paths
from analysis.project.errors import UserError
from analysis.project.files import written_whole
from analysis.results.schemas import FGSM
from analysis.results.store import Derived, Store, derived, nothing_yet
from analysis.study import Study

# How many images a group shows at most; of confusions one for each of the commonest pairs.
GROUPS = {"confusion": 6, "suspect": 8, "error": 8, "flipped": 4}
# How much larger the perturbation is drawn than it is.
MAGNIFICATION = 20

_CLEAN, _ATTACKED = ["predicted", "confidence"], ["attacked_predicted", "attacked_confidence"]
CHOSEN = ["group", "run", "index", "label", *_CLEAN, *_ATTACKED]
# PNG files: the image; what the attack adds at the input size, magnified, on grey; the image with
# it; and Grad-CAM of both, to lie over the image, missing where it is zero everywhere.
PANELS = ["clean", "perturbation", "attacked", "clean_map", "attacked_map"]
# The last identifies the results that the pictures are of.
COLUMNS = [*CHOSEN, *PANELS, "inputs"]


class NotDrawn(UserError):
    """There are no pictures of these results yet."""


def path(study: str) -> Path:
    """Return the file of a study's pictures."""
    return paths.pictures() / f"{study}.parquet"


def choose(store: Store) -> pd.DataFrame:
    """Return the images of the complete repeats to show, as ``by_rule`` does.

    Raises ``UserError`` if the study does not allow single images, or has no complete repeat.
    """
    study = store.study
    _check_shown(study)
    if study.attacks is None:
        raise UserError(f"{study.name} has no [attacks], whose images are what is shown.")
    runs = [run for runs in store.shown_repeats().values() for run in runs]
    if not runs or not all("attacks" in store.runs[run].tables for run in runs):
        raise nothing_yet(study.name)
    predictions, attacks = (
        pd.concat([store.read(run, table).assign(run=run) for run in runs], ignore_index=True)
        for table in ("predictions", "attacks")
    )
    at_epsilon = np.isclose(attacks["epsilon"], study.attacks.logits_epsilon)
    results = derived(study.name)
    # Too few repeats suspect no label.
    suspects = results.table("suspects")["index"] if "suspects" in results else []
    return by_rule(predictions, attacks[at_epsilon & (attacks["attack"] == FGSM)], suspects)


def by_rule(
    predictions: pd.DataFrame, attacked: pd.DataFrame, suspects: Iterable[int]
) -> pd.DataFrame:
    """Return the images to show, with classes as positions (the columns ``CHOSEN``).

    Of each of the commonest confusions the most confident; then suspected wrong labels, errors, and
    right predictions that the attack turns into errors, of different classes, all the most
    confident first. Each image is shown once, in the first group that has it.
    """
    under = attacked.rename(columns=dict(zip(_CLEAN, _ATTACKED, strict=True)))
    key = ["run", "index"]
    both = predictions.merge(under[[*key, *_ATTACKED]], on=key, validate="one_to_one")
    errs = both["label"] != both["predicted"]
    flips = ~errs & (both["label"] != both["attacked_predicted"])
    wrong, flipped = (
        both[rows].sort_values([surest, *key], ascending=[False, True, True])
        for rows, surest in ((errs, "confidence"), (flips, "attacked_confidence"))
    )
    pair = ["label", "predicted"]
    commonest = wrong.groupby(pair).size().sort_values(ascending=False, kind="stable")
    of_pairs = wrong.set_index(pair, drop=False)
    candidates = [
        ("confusion", of_pairs.loc[[one]], "index", 1)
        for one in commonest.index[: GROUPS["confusion"]]
    ]
    candidates += [
        ("suspect", wrong[wrong["index"].isin(suspects)], "index", GROUPS["suspect"]),
        ("error", wrong, "index", GROUPS["error"]),
        ("flipped", flipped, "label", GROUPS["flipped"]),
    ]
    chosen = both.head(0).assign(group="")
    for group, rows, once, count in candidates:
        new = rows[~rows["index"].isin(chosen["index"])].drop_duplicates(once).head(count)
        chosen = pd.concat([chosen, new.assign(group=group)], ignore_index=True)
    return chosen[CHOSEN]


def _check_shown(study: Study) -> None:
    if not study.images.show:
        raise UserError(
            f"Single images of {study.name} must not be shown: its study does not allow it.\n"
            "If their licence does, set images.show = true in the study."
        )


def write(results: Derived, table: pd.DataFrame) -> Path:
    """Write the pictures of some results, with the names of classes; return the file."""
    with written_whole(path(results.study.name)) as temporary:
        table.assign(inputs=results.record.inputs)[COLUMNS].to_parquet(temporary)
    return path(results.study.name)


def read(results: Derived) -> pd.DataFrame:
    """Return the pictures of some results, with the columns ``COLUMNS``.

    Raises ``NotDrawn`` if there are none of them, ``UserError`` if they must not be shown.
    """
    _check_shown(results.study)
    study, place = results.study.name, path(results.study.name)
    try:
        table = pd.read_parquet(place)
        drawn = list(table) == COLUMNS and set(table["inputs"]) == {results.record.inputs}
    except (pa.ArrowException, OSError):
        drawn = False
    if not drawn:
        raise NotDrawn(
            f"{paths.shown(place)} is missing, damaged, or of other results of {study}.\n"
            f"Draw the pictures with `python -m analysis pictures {study}`."
        )
    return table
