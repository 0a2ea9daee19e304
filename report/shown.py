"""The results that are shown, and what they rest on: the base of all that the prose quotes."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from analysis.results import Results, RunEntry
from analysis.study import CLASSES, Study
from report.formats import counted, thousands

DIGITS = [str(digit) for digit in range(CLASSES)]
NONE = "none"


class Shown:
    """The complete repeats of one study: their estimates, their rows and how many there are."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.study: Study = results.study

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """Return every estimate with its interval."""
        return self.results.table("estimates")

    @cached_property
    def shown(self) -> dict[str, RunEntry]:
        """Return the runs of complete repeats: only they are shown."""
        names = [run for runs in self.results.complete_repeats().values() for run in runs]
        return {name: self.results.manifest.runs[name] for name in names}

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Return the predictions of the runs that are shown."""
        return self._shown_rows("predictions")

    def of_layer(self, table: str, layer: str) -> pd.DataFrame:
        """Return the rows of ``saliency`` or ``maps`` that belong to a layer."""
        rows = self._shown_rows(table)
        return rows[rows["layer"] == layer]

    def _shown_rows(self, name: str) -> pd.DataFrame:
        table = self.results.table(name)
        return table[table["run"].isin(list(self.shown))]

    def rows(
        self, quantity: str, *, attack: str = NONE, layer: str = NONE, epsilon: float | None = 0.0
    ) -> pd.DataFrame:
        """Return the estimates of a quantity, one a group, and one an ε where that is ``None``."""
        table = self.estimates
        chosen = (
            (table["quantity"] == quantity)
            & (table["attack"] == attack)
            & (table["layer"] == layer)
        )
        if epsilon is not None:
            chosen &= table["epsilon"] == epsilon
        return table[chosen]

    def by_digit(self, quantity: str, *, layer: str = NONE) -> pd.DataFrame:
        """Return the estimates of a quantity for the ten digits, with the column ``digit``."""
        rows = self.rows(quantity, layer=layer)
        return rows[rows["group"].isin(DIGITS)].rename(columns={"group": "digit"})

    def _one(self, quantity: str, group: str = "all", **where: str | float) -> pd.Series:
        rows = self.rows(quantity, **where)
        return rows[rows["group"] == group].iloc[0]

    @property
    def images(self) -> str:
        """Return the number of evaluated images."""
        return thousands(self._one("accuracy")["images"])

    @property
    def photos(self) -> str:
        """Return the number of photos that the evaluated images were cut from."""
        photos = self.predictions["photo"]
        return thousands(photos.nunique()) if (photos >= 0).all() else self.images

    @property
    def repeats(self) -> int:
        """Return the number of complete repeats."""
        return len(self.results.complete_repeats())

    @property
    def runs(self) -> int:
        """Return the number of trained networks behind the numbers."""
        return len(self.shown)

    @property
    def networks(self) -> str:
        """Return how many networks are shown."""
        return counted(self.runs, "network")

    @property
    def basis(self) -> str:
        """Return what a figure rests on: images, photos, networks and repeats."""
        return (
            f"{self.images} images from {self.photos} photos, {counted(self.runs, 'network')} in "
            f"{counted(self.repeats, 'repeat')}"
        )

    @property
    def level(self) -> str:
        """Return the level of the intervals."""
        return f"{100 * self.study.bootstrap.level:.0f}%"

    @property
    def date(self) -> str:
        """Return the day on which the last analysis was finished."""
        entries = [a for run in self.shown.values() for a in run.analyses.values()]
        return max(entry.finished for entry in entries)[:10]
