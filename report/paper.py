"""The paper's exhibits: each figure and table of a page, made from the cached results.

A page opens the paper once, in its first cell, and asks it for what it shows.
"""

from __future__ import annotations

from functools import cached_property

import altair as alt
import pandas as pd

from analysis import published, results
from analysis.study import CLASSES
from report import charts, deviations, execution, figures
from report.execution import Execution
from report.figures import Figure, Markdown
from report.quantities import DIGITS, LEVELS, Quantities, levels, per_cent, per_cent_interval

ATTACKS = {"fgsm": "FGSM", "random-sign": "random signs of the same size"}


class Paper:
    """The exhibits of one study in one execution of a page."""

    def __init__(self, quantities: Quantities, context: Execution) -> None:
        self.quantities = quantities
        self._execution = context

    @classmethod
    def open(cls) -> Paper:
        """Return the paper of the study that is being rendered. Raises ``UserError``."""
        context = execution.current()
        return cls(Quantities(results.load(context.study)), context)

    @property
    def scripts(self) -> Markdown:
        """Return what a page loads to draw its charts."""
        return figures.scripts(self._execution)

    # Figures

    def class_accuracy(self) -> Figure:
        """Return the accuracy of each digit beside the original's."""
        ours = self.quantities.by_digit("accuracy").assign(source=charts.OURS)
        theirs = self.quantities.by_digit("published accuracy").assign(source=charts.ORIGINAL)
        data = pd.concat([ours, theirs])[["source", "digit", "value", "low", "high", "images"]]
        worst, best = ours.sort_values("value").iloc[[0, -1]].itertuples()
        return self._figure(
            "class-accuracy",
            charts.class_accuracy(data),
            data,
            charts.class_accuracy.__name__,
            f"Accuracy of each digit with its interval, for this study and the original. In this "
            f"study it runs from {per_cent(worst.value)} for {worst.digit} to "
            f"{per_cent(best.value)} for {best.digit}.",
        )

    @cached_property
    def confusion_counts(self) -> pd.DataFrame:
        """Return images (mean over repeats) and share of the label, one row a pair of digits."""
        rows = self.quantities.predictions
        digits = pd.CategoricalDtype(range(CLASSES))
        counts = pd.crosstab(
            rows["label"].astype(digits), rows["predicted"].astype(digits), dropna=False
        )
        counts = counts / self.quantities.repeats
        shares = counts.div(counts.sum(axis=1), axis=0)
        long = counts.stack().rename("images").to_frame().join(shares.stack().rename("share"))
        return long.reset_index().astype({"label": int, "predicted": int})

    def confusion(self) -> Figure:
        """Return the confusion matrix."""
        data = self.confusion_counts
        errors = data[data["label"] != data["predicted"]].sort_values("images", ascending=False)
        first = errors.iloc[0]
        return self._figure(
            "confusion",
            charts.confusion(data),
            data,
            charts.confusion.__name__,
            "Confusion matrix, rows true and columns predicted. The commonest error is "
            f"{first['label']:.0f} read as {first['predicted']:.0f}, {first['images']:.0f} times.",
        )

    def spread(self) -> Figure:
        """Return the spread of the Grad-CAM maps of each digit."""
        layer = self.quantities.layer
        data = self.quantities.by_digit("spread", layer=layer)
        data = data[["digit", "value", "low", "high", "images"]]
        low, high = data.sort_values("value").iloc[[0, -1]].itertuples()
        return self._figure(
            "spread",
            charts.saliency_by_class(data, title="spread of the Grad-CAM map (1 is flat)"),
            data,
            charts.saliency_by_class.__name__,
            f"Mean spread of the Grad-CAM maps of each digit with its interval, from "
            f"{low.value:.3f} for {low.digit} to {high.value:.3f} for {high.digit}.",
        )

    def mean_maps(self) -> Figure:
        """Return the mean map of each digit, from the easiest to the hardest."""
        maps = self.quantities.of_layer("maps", self.quantities.layer)
        maps = maps.assign(mass=maps["value"] * maps["images"])
        sums = maps.groupby(["label", "row", "column"], as_index=False)[["mass", "images"]].sum()
        sums = sums.assign(value=sums["mass"] / sums["images"], digit=sums["label"].astype(str))
        order = self.quantities.by_digit("accuracy").sort_values("value", ascending=False)
        sums = sums.set_index("digit").loc[order["digit"]].reset_index()
        data = sums[["digit", "row", "column", "value", "images"]]
        return self._figure(
            "mean-maps",
            charts.mean_maps(data),
            data,
            charts.mean_maps.__name__,
            "Mean Grad-CAM map of each digit as a small heat map, from the digit with the highest "
            f"accuracy, {order['digit'].iloc[0]}, to the one with the lowest, "
            f"{order['digit'].iloc[-1]}.",
        )

    def fragility(self) -> Figure:
        """Return accuracy against ε for FGSM and for random signs, with the original's points."""
        tables = [
            self.quantities.rows("accuracy", attack=attack, epsilon=None).assign(attack=name)
            for attack, name in ATTACKS.items()
        ]
        data = pd.concat(tables).query("group == 'all'")
        data = data.assign(levels=LEVELS * data["epsilon"])
        data = data[["attack", "epsilon", "levels", "value", "low", "high", "images"]]
        original = pd.DataFrame(
            [(LEVELS * epsilon, value) for epsilon, value in published.fgsm().items()],
            columns=["levels", "value"],
        )
        chart = charts.accuracy_against_epsilon(data, original, chance=1 / CLASSES)
        end = data.groupby("attack")["value"].last()
        return self._figure(
            "fragility",
            chart,
            data,
            charts.accuracy_against_epsilon.__name__,
            f"Accuracy against the size of the perturbation up to {levels(data['epsilon'].max())} "
            f"levels. At the end it is {per_cent(end['FGSM'])} under FGSM and "
            f"{per_cent(end[ATTACKS['random-sign']])} under random signs of the same size.",
        )

    def _figure(
        self, name: str, chart: alt.TopLevelMixin, data: pd.DataFrame, function: str, text: str
    ) -> Figure:
        return Figure(name, chart, text, data, f"report.charts.{function}", self._execution)

    # Tables

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
