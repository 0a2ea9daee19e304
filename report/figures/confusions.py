"""What each class is read as, by attack and ε: the rows behind the explorer's charts."""

from __future__ import annotations

import pandas as pd

from analysis.results.schemas import FGSM, RANDOM_SIGN
from report.figures.errors import complete
from report.numbers.formats import ATTACK_NAMES, in_levels
from report.numbers.results import Results

# The attacks that every image underwent at every ε.
ATTACKS = {attack: ATTACK_NAMES[attack] for attack in (FGSM, RANDOM_SIGN)}
# So many confusions of one class at most, and about so many of classes beyond the matrix.
READINGS, _ROWS = 10, 20_000
_KEYS = ["class", "predicted", "attack", "levels", "share"]


def confusions(results: Results, attacks: tuple[str, ...], classes: list[str]) -> pd.DataFrame:
    """Return the share of each class that is read as each other, by attack and ε."""
    rows = results.rows("confusions", attack=attacks)
    every = complete(rows[rows["label"].isin(classes)], classes)
    every = every[every["label"].isin(rows["label"])]
    return levelled(every).rename(columns={"label": "class"})[_KEYS].round({"share": 4})


def commonest(results: Results, attacks: tuple[str, ...], matrix: pd.DataFrame) -> pd.DataFrame:
    """Return the commonest confusions of each class, and all of those in the matrix."""
    rows = results.rows("confusions", attack=attacks)
    rows = rows[rows["label"] != rows["predicted"]]
    sizes = len(rows[["attack", "epsilon"]].drop_duplicates())
    most = min(READINGS, max(2, _ROWS // (sizes * len(results.classes))))
    rows = rows.sort_values("share", ascending=False, kind="stable")
    rows = rows.groupby(["attack", "epsilon", "label"], sort=False).head(most)
    found = levelled(rows).rename(columns={"label": "class"})[_KEYS].round({"share": 4})
    return pd.concat([matrix, found]).drop_duplicates(_KEYS[:-1], ignore_index=True)


def levelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the names of their attacks and with ε in levels."""
    return rows.assign(attack=rows["attack"].replace(ATTACKS), levels=in_levels(rows["epsilon"]))
