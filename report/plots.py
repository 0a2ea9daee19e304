"""The figures of the paper: for each its data, its chart, and a text that says what it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd

from analysis import published
from analysis.study import CLASSES
from analysis.verdicts import SURE
from report import charts, series
from report.charts import explanations
from report.claim_rows import claim_rows
from report.execution import Execution
from report.figures import Figure
from report.findings import listed
from report.formats import LEVELS, counted, levels, per_cent
from report.quantities import ATTACKS, Quantities
from report.shown import DIGITS

NO_ATTACKS = "The attacks have not been made yet."
NO_CONFIDENCES = "Confidence has not been analysed yet."
NO_MAPS = "The maps have not been measured yet."


class Plots:
    """The figures of one study in one execution of a page.

    Where the study has not been analysed far enough for a series, the figure is without it; where
    there is nothing to draw, it says so.
    """

    def __init__(self, quantities: Quantities, context: Execution) -> None:
        self.quantities = quantities
        self._execution = context

    # The claims

    def claims(self) -> Figure:
        """Return the effect of each claim against its threshold, ours and the original's."""
        if self.quantities.results.manifest.claims is None:
            return self._not_measured("claims", "The claims have not been judged yet.")
        table = self.quantities.claims
        return self._figure(
            "claims",
            charts.claims,
            claim_rows(table),
            f"Effects of {len(table.claims)} claims with their intervals, each against its "
            f"threshold. Of these, {self.quantities.summary}.",
        )

    # Errors

    def class_error(self) -> Figure:
        """Return the error of each digit beside the original's."""
        data = series.class_error(self.quantities)
        ours = data[data["source"] == charts.OURS].sort_values("value")
        best, worst = ours.iloc[[0, -1]].itertuples()
        return self._figure(
            "class-error",
            charts.class_error,
            data,
            f"Error of each digit with its interval, for this study and the original. In this "
            f"study it runs from {per_cent(best.value)} for {best.digit} to "
            f"{per_cent(worst.value)} for {worst.digit}.",
        )

    def confusion(self) -> Figure:
        """Return the confusion matrix, in print without its diagonal."""
        data = series.confusions(self.quantities)
        errors = data[data["label"] != data["predicted"]].sort_values("images", ascending=False)
        first = errors.iloc[0]
        return self._figure(
            "confusion",
            charts.confusion,
            data,
            "Confusion matrix, rows true and columns predicted. The commonest error is "
            f"{first['label']:.0f} read as {first['predicted']:.0f}, {first['images']:.0f} times.",
            hidden=self._execution.print,
        )

    # Explanations

    def spread(self) -> Figure:
        """Return the spread and the area of the Grad-CAM maps of each digit."""
        data = series.diffuseness(self.quantities)
        if data.empty:
            return self._not_measured("spread", NO_MAPS)
        parts = []
        for name, rows in data.groupby("measure", sort=False):
            low, high = rows.sort_values("value").iloc[[0, -1]].itertuples()
            measure = str(name).partition(" (")[0]
            parts.append(
                f"the {measure} runs from {low.value:.3f} for {low.digit} to {high.value:.3f} for "
                f"{high.digit}"
            )
        text = "Mean spread and area of the Grad-CAM maps of each digit with their intervals: "
        return self._figure("spread", charts.saliency_by_class, data, f"{text}{listed(parts)}.")

    def maps(self) -> Figure:
        """Return the mean map of each digit and the spread of single ones, easiest digit first."""
        data = series.maps(self.quantities)
        if data.empty:
            return self._not_measured("maps", NO_MAPS)
        also = ", also with random weights" if explanations.RANDOM in set(data["weights"]) else ""
        medians = data[(data["weights"] == explanations.TRAINED) & (data["quantile"] == 0.5)]
        first, last = medians.iloc[[0, -1]].itertuples()
        return self._figure(
            "maps",
            charts.maps,
            data,
            f"Mean Grad-CAM map of each digit as a small heat map, from the digit with the highest "
            f"accuracy, {first.digit}, to the one with the lowest, {last.digit}, each with the "
            f"quantiles of the spread of single maps{also}. The median is {first.value:.3f} for "
            f"{first.digit} and {last.value:.3f} for {last.digit}.",
        )

    # Fragility

    def fragility(self) -> Figure:
        """Return accuracy against ε for the attacks and the controls, with the original's."""
        data = series.fragility(self.quantities)
        if data.empty:
            return self._not_measured("fragility", NO_ATTACKS)
        original = pd.DataFrame(
            [(LEVELS * epsilon, value) for epsilon, value in published.fgsm().items()],
            columns=["levels", "value"],
        )
        end = data[data["run"] == "all"].groupby("attack", sort=False)["value"].last()
        ends = [f"{per_cent(value)} under {name}" for name, value in end.items()]
        return self._figure(
            "fragility",
            charts.accuracy_against_epsilon,
            data,
            f"Accuracy against the size of the perturbation up to {levels(data['epsilon'].max())} "
            f"levels, on average and for each network. At the end it is {listed(ends)}.",
            attacks=list(ATTACKS.values()),
            published=original,
            chance=1 / CLASSES,
        )

    def perturbations(self) -> Figure:
        """Return how alike perturbed and clean images are, against ε."""
        data = series.similarity(self.quantities)
        if data.empty:
            return self._not_measured(
                "perturbations", "The size of the perturbations has not been measured yet."
            )
        measure, side = data[["measure", "resolution"]].iloc[0]
        values = data.loc[
            (data["measure"] == measure)
            & (data["resolution"] == side)
            & (data["attack"] == ATTACKS["fgsm"]),
            "value",
        ]
        return self._figure(
            "perturbations",
            charts.perturbations,
            data,
            "Similarity of perturbed and clean images against the size of the perturbation, for "
            f"each attack. Under FGSM the {measure} at {side}×{side} pixels falls from "
            f"{values.max():.3f} to {values.min():.3f}.",
            attacks=list(ATTACKS.values()),
        )

    # How the two connect

    def connection(self) -> Figure:
        """Return the error of each digit under the smallest attack against its clean error."""
        epsilon, data = series.connection(self.quantities)
        if data.empty:
            return self._not_measured("connection", NO_ATTACKS)
        least, most = data.sort_values("clean").iloc[[0, -1]].itertuples()
        return self._figure(
            "connection",
            charts.connection,
            data,
            f"Error of each digit under FGSM at {levels(epsilon)} levels against its error on "
            f"clean images. The digit with the smallest clean error, {least.digit}, has "
            f"{per_cent(least.attacked)} under attack; that with the largest, {most.digit}, "
            f"{per_cent(most.attacked)}.",
            under=f"FGSM, ε of {levels(epsilon)} levels",
        )

    def aggregate(self) -> Figure:
        """Return the accuracy of each network on its worst digit and under attack, by the whole."""
        names = {
            "worst": "on its worst digit",
            "attacked": f"under FGSM at {levels(published.MIDDLE)} levels",
        }
        data = series.aggregate(self.quantities, names)
        if data.empty:
            return self._not_measured("aggregate", NO_ATTACKS)
        ends = data.groupby("measure", sort=False)["value"].agg(["min", "max"])
        parts = [
            f"from {per_cent(low)} to {per_cent(high)} {name}"
            for name, low, high in ends.itertuples()
        ]
        overall = data["overall"]
        return self._figure(
            "aggregate",
            charts.aggregate,
            data,
            f"Accuracies of {counted(data['run'].nunique(), 'network')}: overall from "
            f"{per_cent(overall.min())} to {per_cent(overall.max())}, and against it "
            f"{listed(parts)}.",
        )

    # Confidence

    def confidences(self) -> Figure:
        """Return how the confidence of right, wrong and attacked predictions is distributed."""
        data = series.derived(self.quantities, "confidences")
        if data.empty:
            return self._not_measured("confidences", NO_CONFIDENCES)
        data = data[data["predictions"] > 0]
        sure = data[(data["scaling"] == "as given") & (data["low"] >= SURE - 1e-9)]
        shares = sure.groupby("kind", sort=False)["share"].sum()
        parts = [f"{per_cent(share)} of those {kind}" for kind, share in shares.items()]
        return self._figure(
            "confidences",
            charts.confidences,
            data,
            "Distribution of the confidence, as given and scaled by temperature. As given it is "
            f"{SURE:g} or more for {listed(parts)}.",
        )

    def reliability(self) -> Figure:
        """Return the share that is right against confidence."""
        data = series.derived(self.quantities, "reliability")
        errors = series.derived(self.quantities, "calibration")
        if data.empty or errors.empty:
            return self._not_measured("reliability", NO_CONFIDENCES)
        overall = errors[errors["group"] == "all"].set_index("scaling")["error"]
        return self._figure(
            "reliability",
            charts.reliability,
            data,
            "Share of predictions that is right against their confidence in tenths, over all "
            "digits and for each. The expected calibration error is "
            f"{overall['as given']:.3f} as given and {overall['scaled']:.3f} scaled by "
            "temperature.",
        )

    def selective(self) -> Figure:
        """Return the error among the surest predictions against the share kept."""
        data = series.derived(self.quantities, "selective")
        if data.empty:
            return self._not_measured("selective", NO_CONFIDENCES)
        given = data[data["scaling"] == "as given"].set_index("kept")["error"]
        half = given.index[abs(given.index - 0.5).argmin()]
        return self._figure(
            "selective",
            charts.selective,
            data,
            "Error among the surest predictions against the share of them kept: "
            f"{per_cent(given.iloc[-1])} if all are kept, {per_cent(given[half])} of the surer "
            "half.",
        )

    # All of it, a digit at a time

    def explorer(self) -> Figure:
        """Return charts that follow the reader's choice of a digit, a confusion and an ε."""
        data = series.confusions_under_attack(self.quantities)
        if data.empty:
            return self._not_measured("explorer", NO_ATTACKS)
        sizes = sorted(set(data["levels"]))
        clean = data[(data["levels"] == sizes[0]) & (data["attack"] == ATTACKS["fgsm"])]
        wrong = clean[clean["digit"] != clean["predicted"]]
        digit, predicted, share = wrong.sort_values("share").iloc[-1][
            ["digit", "predicted", "share"]
        ]
        reliability = series.derived(self.quantities, "reliability")
        if not reliability.empty:
            reliability = reliability.rename(columns={"group": "digit"}).drop(columns="bin")
            reliability = reliability[reliability["digit"] != "all"]
        maps = series.mean_maps(self.quantities)
        if not maps.empty:
            maps = maps[["digit", "row", "column", "value"]]
        return self._figure(
            "explorer",
            charts.explorer,
            data,
            "Linked charts of one digit at a time: confusions, accuracy under attack, calibration "
            f"and mean Grad-CAM map. To begin with the digit is {digit}, of which "
            f"{per_cent(share)} are read as {predicted} on clean images.",
            choice=charts.Choice(DIGITS, sizes, digit, predicted, level=sizes[1]),
            accuracy=series.fragility_by_digit(self.quantities).round(5),
            maps=maps.round(5),
            reliability=reliability.round(5),
        )

    def _figure(
        self,
        name: str,
        function: Callable[..., alt.TopLevelMixin],
        data: pd.DataFrame,
        text: str,
        **options: Any,
    ) -> Figure:
        """Return the figure that a function of ``report.charts`` draws from data."""
        # Six decimals are more than any chart can show, and half of what a page would weigh.
        data = data.round(6)
        path = f"{function.__module__}.{function.__name__}"
        return Figure(name, function(data, **options), text, data, path, self._execution)

    def _not_measured(self, name: str, reason: str) -> Figure:
        text = f"{reason} This figure has nothing to show, not one row."
        return self._figure(name, charts.not_measured, pd.DataFrame({"reason": [reason]}), text)
