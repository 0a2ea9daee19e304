"""The figures of the paper: for each its data, its chart, and a text that says what it shows."""

from __future__ import annotations

from functools import cached_property

import altair as alt
import pandas as pd

from analysis import published
from analysis.study import CLASSES
from report import charts
from report.execution import Execution
from report.figures import Figure
from report.quantities import ATTACKS, LEVELS, Quantities, levels, per_cent


class Plots:
    """The figures of one study in one execution of a page."""

    def __init__(self, quantities: Quantities, context: Execution) -> None:
        self.quantities = quantities
        self._execution = context

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
