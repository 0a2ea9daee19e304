"""The figures of the paper: for each its data, its chart, and a text that says what it shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import altair as alt
import pandas as pd

from analysis import published
from analysis.errors import UserError
from analysis.study import CLASSES
from report import charts
from report.charts import explanations
from report.claim_rows import claim_rows
from report.execution import Execution
from report.figures import Figure
from report.findings import listed
from report.quantities import ATTACKS, DIGITS, LEVELS, Quantities, counted, levels, per_cent

# Those attacks that every image underwent at every ε.
EXPLORED = {name: ATTACKS[name] for name in ("fgsm", "random-sign")}
# Digits that the original calls easy or hard.
SAID = {
    **dict.fromkeys(map(str, published.EASY), explanations.EASY),
    **dict.fromkeys(map(str, published.HARD), explanations.HARD),
}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NO_MAPS = "The maps have not been measured yet."
MEASURES = {"spread": "spread (1 is flat)", "area": "area (share of the input)"}
SIMILARITIES = {
    "ssim": "structural similarity",
    "psnr": "signal-to-noise in dB",
}


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
        try:
            table = self.quantities.claims
        except UserError:
            return self._not_measured("claims", "The claims have not been judged yet.")
        data = claim_rows(table)
        verdicts = pd.Series([claim.study.verdict for claim in table.claims]).value_counts()
        return self._figure(
            "claims",
            charts.claims,
            data,
            f"Effects of {len(table.claims)} claims with their intervals against the thresholds. "
            f"In this study "
            + listed([f"{number} are {verdict}" for verdict, number in verdicts.items()])
            + ".",
        )

    # Errors

    def class_error(self) -> Figure:
        """Return the error of each digit beside the original's."""
        ours = _errors(self.quantities.by_digit("accuracy")).assign(source=charts.OURS)
        theirs = _errors(self.quantities.by_digit("published accuracy"))
        theirs = theirs.assign(source=charts.ORIGINAL)
        data = pd.concat([ours, theirs])[["source", "digit", "value", "low", "high", "images"]]
        best, worst = ours.sort_values("value").iloc[[0, -1]].itertuples()
        return self._figure(
            "class-error",
            charts.class_error,
            data,
            f"Error of each digit with its interval, for this study and the original. In this "
            f"study it runs from {per_cent(best.value)} for {best.digit} to "
            f"{per_cent(worst.value)} for {worst.digit}.",
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
        """Return the confusion matrix, in print without its diagonal."""
        data = self.confusion_counts
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
        layer = self.quantities.layer
        tables = [
            self.quantities.by_digit(measure, layer=layer).assign(measure=name)
            for measure, name in MEASURES.items()
        ]
        data = pd.concat(tables)
        data = data.assign(said=data["digit"].map(SAID).fillna(explanations.OTHERS))
        data = data[["measure", "digit", "said", "value", "low", "high", "images"]]
        if data.empty:
            return self._not_measured("spread", NO_MAPS)
        parts = []
        for name, rows in data.groupby("measure", sort=False):
            low, high = rows.sort_values("value").iloc[[0, -1]].itertuples()
            parts.append(
                f"the {name.partition(' (')[0]} runs from {low.value:.3f} for {low.digit} to "
                f"{high.value:.3f} for {high.digit}"
            )
        text = "Mean spread and area of the Grad-CAM maps of each digit with their intervals: "
        return self._figure("spread", charts.saliency_by_class, data, text + listed(parts) + ".")

    def maps(self) -> Figure:
        """Return the mean map of each digit and the spread of single ones, easiest digit first."""
        cells = self._mean_maps()
        if cells.empty:
            return self._not_measured("maps", NO_MAPS)
        order = self.quantities.by_digit("accuracy").sort_values("value", ascending=False)
        rank = {digit: rank for rank, digit in enumerate(order["digit"])}
        data = pd.concat([cells, self._quantiles_of_spread()])
        data = data.sort_values("digit", key=lambda digits: digits.map(rank), kind="stable")
        names = ["digit", "kind", "weights", "row", "column", "quantile", "value", "images"]
        random = (data["weights"] == explanations.RANDOM).any()
        easiest, hardest = order["digit"].iloc[[0, -1]]
        medians = data[(data["weights"] == explanations.TRAINED) & (data["quantile"] == 0.5)]
        medians = medians.set_index("digit")["value"]
        return self._figure(
            "maps",
            charts.maps,
            data[names].reset_index(drop=True),
            f"Mean Grad-CAM map of each digit as a small heat map, from the digit with the highest "
            f"accuracy, {easiest}, to the one with the lowest, {hardest}, each with the quantiles "
            f"of the spread of single maps{', also with random weights' if random else ''}. The "
            f"median is {medians[easiest]:.3f} for {easiest} and {medians[hardest]:.3f} for "
            f"{hardest}.",
        )

    def _mean_maps(self) -> pd.DataFrame:
        """Return the mean map of each digit, each run weighed by its images."""
        maps = self._rows("maps")
        if maps.empty:
            return maps
        maps = maps[maps["layer"] == self.quantities.layer]
        maps = maps.assign(mass=maps["value"] * maps["images"])
        sums = maps.groupby(["label", "row", "column"], as_index=False)[["mass", "images"]].sum()
        return sums.assign(
            value=sums["mass"] / sums["images"],
            digit=sums["label"].astype(str),
            kind=explanations.MAP,
        )

    def _quantiles_of_spread(self) -> pd.DataFrame:
        """Return quantiles of the spread of the maps of each digit, all runs together."""
        tables = {explanations.TRAINED: "saliency", explanations.RANDOM: "randomised"}
        found = []
        for weights, table in tables.items():
            rows = self._rows(table)
            if rows.empty:
                continue
            rows = rows[rows["layer"] == self.quantities.layer].dropna(subset="spread")
            by_digit = rows.groupby("label")["spread"]
            quantiles = by_digit.quantile(list(QUANTILES)).rename("value")
            quantiles = quantiles.rename_axis(["label", "quantile"]).reset_index()
            images = quantiles["label"].map(by_digit.size())
            found.append(quantiles.assign(weights=weights, images=images))
        rows = pd.concat(found)
        return rows.assign(digit=rows["label"].astype(str), kind=explanations.SPREAD)

    # Fragility

    def fragility(self) -> Figure:
        """Return accuracy against ε for the attacks and the controls, with the original's."""
        data = pd.concat(
            [self._accuracy_under(attack).assign(attack=name) for attack, name in ATTACKS.items()]
        )
        data = data.assign(levels=LEVELS * data["epsilon"])
        data = data[["attack", "run", "epsilon", "levels", "value", "low", "high", "images"]]
        original = pd.DataFrame(
            [(LEVELS * epsilon, value) for epsilon, value in published.fgsm().items()],
            columns=["levels", "value"],
        )
        every = data[data["run"] == "all"]
        end = every.groupby("attack")["value"].last()
        text = (
            f"Accuracy against the size of the perturbation up to {levels(data['epsilon'].max())} "
            "levels, on average and for each network. At the end it is "
        )
        ends = [f"{per_cent(end[name])} under {name}" for name in ATTACKS.values() if name in end]
        return self._figure(
            "fragility",
            charts.accuracy_against_epsilon,
            data,
            text + listed(ends) + ".",
            attacks=list(ATTACKS.values()),
            published=original,
            chance=1 / CLASSES,
        )

    def _accuracy_under(self, attack: str) -> pd.DataFrame:
        """Return the accuracy under an attack at every ε, of all runs together and of each."""
        together = self.quantities.rows("accuracy", attack=attack, epsilon=None)
        if together.empty:
            return together.assign(run="")
        together = together[together["group"] == "all"].assign(run="all")
        rows = self._rows("attacks" if attack in ("fgsm", "random-sign") else "controls")
        if rows.empty:
            return together
        rows = rows[rows["attack"] == attack]
        rows = rows.assign(value=(rows["predicted"] == rows["label"]).astype(float))
        each = rows.groupby(["run", "epsilon"], as_index=False)
        return pd.concat([together, each.agg(value=("value", "mean"), images=("value", "size"))])

    def perturbations(self) -> Figure:
        """Return how alike perturbed and clean images are, against ε."""
        rows = self._rows("perturbations")
        if rows.empty:
            return self._not_measured(
                "perturbations", "The size of the perturbations has not been measured yet."
            )
        rows = rows[rows["measure"].isin(list(SIMILARITIES)) & (rows["images"] > 0)]
        rows = rows.assign(total=rows["mean"] * rows["images"])
        keys = ["measure", "attack", "resolution", "epsilon"]
        sums = rows.groupby(keys, as_index=False)[["total", "images"]].sum()
        sums = sums.sort_values(["measure", "resolution"], ascending=False, kind="stable")
        data = pd.DataFrame(
            {
                "measure": [
                    f"{SIMILARITIES[row.measure]}, {row.resolution}×{row.resolution} pixels"
                    for row in sums.itertuples()
                ],
                "attack": sums["attack"].map(ATTACKS),
                "epsilon": sums["epsilon"],
                "levels": LEVELS * sums["epsilon"],
                "value": sums["total"] / sums["images"],
                "images": sums["images"],
            }
        )
        first = data[(data["measure"] == data["measure"].iloc[0])]
        ssim = first.loc[first["attack"] == ATTACKS["fgsm"], "value"]
        return self._figure(
            "perturbations",
            charts.perturbations,
            data,
            "Similarity of perturbed and clean images against the size of the perturbation, for "
            f"each attack. Under FGSM, the {first['measure'].iloc[0]}, falls from "
            f"{ssim.max():.3f} to {ssim.min():.3f}.",
            attacks=list(ATTACKS.values()),
        )

    # How the two connect

    def connection(self) -> Figure:
        """Return the error of each digit under the smallest attack against its clean error."""
        under = self.quantities.rows("accuracy", attack="fgsm", epsilon=None)
        under = under[under["epsilon"] > 0]
        if under.empty:
            return self._not_measured("connection", "The attacks have not been made yet.")
        epsilon = under["epsilon"].min()
        attacked = under[(under["epsilon"] == epsilon) & (under["group"] != "all")]
        attacked = attacked.rename(columns={"group": "digit"})
        parts = {"clean": self.quantities.by_digit("accuracy"), "attacked": attacked}
        columns: dict[str, pd.Series] = {}
        for name, rows in parts.items():
            rows = _errors(rows).set_index("digit")
            columns |= {name: rows["value"], f"{name}_low": rows["low"]}
            columns |= {f"{name}_high": rows["high"]}
        data = pd.DataFrame(columns).reset_index()
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
        """Return the accuracy of each network over all digits, on its worst, and under attack."""
        if self._rows("attacks").empty:
            return self._not_measured("aggregate", "The attacks have not been made yet.")
        table = self.quantities.runs_table
        names = {
            "worst": "on its worst digit",
            "attacked": f"under FGSM at {levels(published.MIDDLE)} levels",
        }
        table = table.rename(columns={"accuracy": "overall"})
        data = table.melt(["run", "overall"], list(names), var_name="measure")
        data = data.assign(measure=data["measure"].map(names))
        ends = data.groupby("measure", sort=False)["value"].agg(["min", "max"])
        parts = [
            f"from {per_cent(low)} to {per_cent(high)} {name}"
            for name, low, high in ends.itertuples()
        ]
        overall = table["overall"]
        return self._figure(
            "aggregate",
            charts.aggregate,
            data,
            f"Accuracies of {counted(len(table), 'network')}: overall from "
            f"{per_cent(overall.min())} to {per_cent(overall.max())}, and against it "
            f"{listed(parts)}.",
        )

    # Confidence

    def confidences(self) -> Figure:
        """Return how the confidence of right, wrong and attacked predictions is distributed."""
        data = self._derived("confidences")
        if data is None:
            return self._not_measured("confidences", "Confidence has not been analysed yet.")
        sure = data[(data["scaling"] == "as given") & (data["low"] >= 0.9 - 1e-9)]
        shares = sure.groupby("kind", sort=False)["share"].sum()
        return self._figure(
            "confidences",
            charts.confidences,
            data[data["predictions"] > 0],
            "Distribution of the confidence, as given and scaled by temperature. As given it is "
            "0.9 or more for "
            + listed([f"{per_cent(share)} of those {kind}" for kind, share in shares.items()])
            + ".",
        )

    def reliability(self) -> Figure:
        """Return the share that is right against confidence."""
        data, errors = self._derived("reliability"), self._derived("calibration")
        if data is None or errors is None:
            return self._not_measured("reliability", "Calibration has not been analysed yet.")
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
        data = self._derived("selective")
        if data is None:
            return self._not_measured("selective", "Confidence has not been analysed yet.")
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
        confusions = self._confusions_under_attack()
        if confusions is None:
            return self._not_measured("explorer", "The attacks have not been made yet.")
        accuracy = pd.concat(
            self.quantities.rows("accuracy", attack=attack, epsilon=None).assign(attack=name)
            for attack, name in EXPLORED.items()
        )
        accuracy = accuracy[accuracy["group"] != "all"].rename(columns={"group": "digit"})
        accuracy = accuracy.assign(levels=LEVELS * accuracy["epsilon"])
        reliability, maps = self._derived("reliability"), self._mean_maps()
        if reliability is not None:
            reliability = reliability[reliability["group"] != "all"]
            reliability = reliability.rename(columns={"group": "digit"}).drop(columns="bin")
        clean = confusions[(confusions["levels"] == 0) & (confusions["attack"] == ATTACKS["fgsm"])]
        wrong = clean[clean["digit"] != clean["predicted"]]
        commonest = wrong.sort_values("share").iloc[-1]
        sizes = sorted(set(confusions["levels"]))
        choice = charts.Choice(
            digits=DIGITS,
            levels=sizes,
            digit=commonest["digit"],
            predicted=commonest["predicted"],
            level=sizes[1],
        )
        return self._figure(
            "explorer",
            charts.explorer,
            confusions,
            "Linked charts of one digit at a time: confusions, accuracy under attack, calibration "
            f"and mean Grad-CAM map. To begin with the digit is {commonest['digit']}, of which "
            f"{per_cent(commonest['share'])} are read as {commonest['predicted']} on clean images.",
            choice=choice,
            accuracy=accuracy[["digit", "attack", "levels", "value", "low", "high"]].round(5),
            maps=None if maps.empty else maps[["digit", "row", "column", "value"]].round(5),
            reliability=None if reliability is None else reliability.round(5),
        )

    def _confusions_under_attack(self) -> pd.DataFrame | None:
        """Return the share of each digit that is read as each other, by attack and ε."""
        rows = self._rows("attacks")
        if rows.empty:
            return None
        rows = rows[rows["attack"].isin(list(EXPLORED))]
        digits = pd.CategoricalDtype(range(CLASSES))
        keys = ["attack", "epsilon", "label"]
        counts = pd.crosstab(
            [rows[key] for key in keys], rows["predicted"].astype(digits), dropna=False
        )
        shares = counts.div(counts.sum(axis=1), axis=0).dropna().stack().rename("share")
        shares = shares.reset_index()
        return pd.DataFrame(
            {
                "digit": shares["label"].astype(str),
                "predicted": shares["predicted"].astype(str),
                "attack": shares["attack"].map(EXPLORED),
                "levels": (LEVELS * shares["epsilon"]).round(4),
                "share": shares["share"].round(4),
            }
        )

    # What is there

    def _rows(self, table: str) -> pd.DataFrame:
        """Return the rows of the shown runs, or none where not every one of them has the table."""
        entries = self.quantities.shown.values()
        if not all(entry.table(table) for entry in entries):
            return pd.DataFrame()
        rows = self.quantities.results.table(table)
        return rows[rows["run"].isin(list(self.quantities.shown))]

    def _derived(self, table: str) -> pd.DataFrame | None:
        """Return a table that is derived from those of the runs, or nothing before it is."""
        if table not in self.quantities.results.manifest.derived:
            return None
        found = self.quantities.results.table(table)
        return found if len(found) else None

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
        text = f"{reason} This figure has nothing to show: 0 rows."
        return self._figure(name, charts.not_measured, pd.DataFrame({"reason": [reason]}), text)


def _errors(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return the error that goes with each accuracy; the ends of the interval change places."""
    ends = {"low": 1 - accuracy["high"], "high": 1 - accuracy["low"]}
    return accuracy.assign(value=1 - accuracy["value"], **ends)
