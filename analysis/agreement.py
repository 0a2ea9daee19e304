"""How far a trained run's numbers are, probed again on a device here, from the cached ones.

The same weights give slightly other sums on another device. This says how much of the results that
is: of one run on a GPU whose results come from a CPU, say.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from analysis import trained
from analysis.analyses import ANALYSES
from analysis.datasets import ImageSet
from analysis.errors import UserError
from analysis.probes import PROBES, Subject
from analysis.results import Results
from analysis.split import divide
from analysis.study import Run, Study
from analysis.tables import SCHEMAS

# Those that give rows of single images.
PROBED = ("predictions", "saliency", "attacks")
# What comes from the data set and not from the network.
_GIVEN = ["photo", "label"]


def probed_again(
    study: Study,
    run: Run,
    images: ImageSet,
    stored: Results,
    *,
    device: torch.device,
    count: int,
) -> pd.DataFrame:
    """Return how far the first ``count`` evaluated images of a run are from the cached results.

    One row for each column of each table: the table, the column, its ``values``, the number of them
    that ``differ`` at all, and the ``largest`` difference. Raises ``UserError`` where the run has
    no results, or no weights on this machine.
    """
    entry = stored.manifest.runs.get(run.name)
    if entry is None or not set(PROBED) <= set(entry.analyses):
        raise UserError(
            f"{run.name} of {study.name} has no results to compare with.\n"
            f"Compute them with `python -m analysis run {study.name}`."
        )
    path = trained.weights(study, run)
    if not path.is_file():
        raise UserError(
            f"{run.name} of {study.name} has no weights here: {path} is missing.\n"
            "They are on the machine that trained it; FAILURE_MODES_CACHE names their folder."
        )
    classifier, facts = trained.read(study, run, device=device)
    if facts["sha256"] != entry.training.weights_sha256:
        raise UserError(
            f"{path} holds other weights than those of the cached results.\n"
            f"Compare where {run.name} was trained."
        )
    _, positions = divide(study, run, images)
    subject = Subject(study, run, classifier, images, positions[:count])
    done: dict[str, pd.DataFrame] = {}
    for name in PROBED:
        needed = {
            table: done[table] for one in ANALYSES[name].needs for table in ANALYSES[one].tables
        }
        done |= PROBES[name](subject, needed)
    found = [
        differences(name, here, stored.read(name, entry.table(name)))
        for name, here in done.items()
        # A mean over other images is another number.
        if "index" in SCHEMAS[name].unique
    ]
    return pd.concat(found, ignore_index=True)


def differences(name: str, here: pd.DataFrame, there: pd.DataFrame) -> pd.DataFrame:
    """Return how far the numbers of a table are from those of the same rows in a larger one."""
    key = SCHEMAS[name].unique
    here, there = (table.set_index(key).sort_index() for table in (here, there))
    there = there.loc[here.index]
    rows = []
    for column in here.select_dtypes("number").drop(columns=_GIVEN, errors="ignore"):
        ours, theirs = (table[column].to_numpy(dtype=float) for table in (here, there))
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        gaps = np.abs(ours - theirs)[~same]
        rows.append(
            {
                "table": name,
                "column": column,
                "values": len(ours),
                "differ": int(np.sum(~same)),
                # A map that is missing on one side alone has no difference, and counts above.
                "largest": float(np.nanmax(gaps, initial=0.0)),
            }
        )
    return pd.DataFrame(rows)


def lines(table: pd.DataFrame) -> str:
    """Return the differences as text, one line a column."""
    shown = table.assign(largest=table["largest"].map("{:.2g}".format))
    return shown.to_string(index=False)
