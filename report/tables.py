"""The tables of the paper, made from the cached results."""

from __future__ import annotations

import pandas as pd

from analysis import published
from report import deviations, figures
from report.figures import Markdown
from report.quantities import (
    ATTACKS,
    DIGITS,
    Quantities,
    levels,
    per_cent,
    per_cent_interval,
)


class Tables:
    """The tables of one study."""

    def __init__(self, quantities: Quantities) -> None:
        self.quantities = quantities

    def overall(self) -> Markdown:
        """Return the accuracy of each digit and of all, ours and the original's, as a table."""
        rows = []
        for group in ["all", *DIGITS]:
            ours = self._group("accuracy", group)
            theirs = self._group("published accuracy", group)
            rows.append(
                {
                    "digit": group,
                    "images": f"{ours['images']:,}",
                    "accuracy": per_cent(ours["value"]),
                    "interval": per_cent_interval(ours),
                    "original": per_cent(theirs["value"]),
                    "original's interval": per_cent_interval(theirs),
                }
            )
        return figures.table(pd.DataFrame(rows))

    def attacked(self) -> Markdown:
        """Return accuracy at the original's ε, ours and the original's, as a table."""
        rows = []
        for epsilon, original in published.fgsm().items():
            rows.append(
                {
                    "ε": f"{epsilon:g}",
                    "in levels": levels(epsilon),
                    "original's ε": f"{2 * epsilon:g}",
                    **{
                        name: self._attacked_cell(attack, epsilon)
                        for attack, name in ATTACKS.items()
                    },
                    "original, FGSM": per_cent(original),
                }
            )
        return figures.table(pd.DataFrame(rows))

    def _attacked_cell(self, attack: str, epsilon: float) -> str:
        rows = self.quantities.rows("accuracy", attack=attack, epsilon=epsilon)
        row = rows[rows["group"] == "all"]
        return per_cent(row["value"].iloc[0]) if len(row) else "not measured"

    def deviations(self) -> Markdown:
        """Return where the study departs from the original, as a table."""
        return figures.table(deviations.table(self.quantities.study))

    def provenance(self) -> Markdown:
        """Return how each network was trained, as a table."""
        rows = [
            {
                "run": name,
                "seed": entry.seed,
                "trained on": f"{entry.training.training_images:,}",
                "minutes": f"{entry.training.seconds / 60:.1f}",
                "finished": entry.training.finished[:10],
                "device": entry.training.device,
                "revision": _short(entry.training.revision),
            }
            for name, entry in self.quantities.shown.items()
        ]
        return figures.table(pd.DataFrame(rows))

    def versions(self) -> Markdown:
        """Return the versions of the packages that decided the numbers, as a table."""
        found: dict[str, set[str]] = {}
        for entry in self.quantities.shown.values():
            for part in (entry.training, *entry.analyses.values()):
                for name, version in part.packages.items():
                    found.setdefault(name, set()).add(version)
        rows = [
            {"package": name, "version": ", ".join(sorted(versions))}
            for name, versions in found.items()
        ]
        return figures.table(pd.DataFrame(rows))

    def _group(self, quantity: str, group: str) -> pd.Series:
        rows = self.quantities.rows(quantity)
        return rows[rows["group"] == group].iloc[0]


def _short(revision: str | None) -> str:
    if revision is None:
        return "not known"
    commit, _, modified = revision.partition("-")
    return f"{commit[:9]}{' with changes' if modified else ''}"
