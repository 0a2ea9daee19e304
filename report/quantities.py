"""The values that the prose quotes, read from the cached results and formatted once.

Every number in the paper comes from here, so that the words follow the data.
"""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from analysis import published, results
from analysis.results import Results
from analysis.verdicts import TELLING
from report import findings
from report.charts.confidence import ENOUGH
from report.figures import Markdown
from report.findings import listed
from report.formats import (
    NOT_MEASURED,
    counted,
    levels,
    per_cent,
    per_cent_interval,
    thousands,
    with_interval,
)
from report.judged import Judged

# A temperature nearer to one than this changes nothing that a reader would see.
_NEARLY = 0.05
# The study whose digits were drawn with known pixels.
DRAWN = "demo"
ATTACKS = {
    "fgsm": "FGSM",
    "fgsm-native": "FGSM on native pixels",
    "pgd": "PGD, on a sample",
    "random-sign": "random signs of the same size",
}


class Quantities(Judged):
    """Formatted values of one study. Shares are per cent with one decimal unless said otherwise."""

    @property
    def accuracy(self) -> str:
        """Return the overall accuracy."""
        return per_cent(self._one("accuracy")["value"])

    @property
    def accuracy_interval(self) -> str:
        """Return the interval of the overall accuracy."""
        return per_cent_interval(self._one("accuracy"))

    @property
    def abstract(self) -> Markdown:
        """Return the abstract as metadata, for a page that prints it as it is."""
        text = findings.abstract(
            self.claims,
            images=self.images,
            networks=counted(self.runs, "trained network"),
            data=self.data,
            accuracy=f"{self.accuracy} ({self.level} interval {self.accuracy_interval})",
        )
        return Markdown(f"---\nabstract: |\n  {text}\n---")

    @property
    def between_repeats(self) -> str:
        """Return the standard deviation of the accuracy between repeats, or that it is unknown."""
        value = self._one("accuracy")["between_repeats"]
        if pd.isna(value):
            return "not known from a single repeat"
        few = ", too few to say how much another training would change" if self.repeats < 5 else ""
        return f"{100 * value:.2f} percentage points over {self.repeats} repeats{few}"

    @property
    def original_accuracy(self) -> str:
        """Return the original's accuracy, as published."""
        return per_cent(published.original()["test_accuracy"])

    def ranked(self, count: int, *, worst: bool) -> str:
        """Return the digits with the lowest or highest accuracy, with it, as a list in words."""
        rows = self.by_digit("accuracy").sort_values("value", ascending=worst).head(count)
        return listed(
            [f"{row.digit} ({per_cent(row.value)})" for row in rows.itertuples(index=False)]
        )

    @property
    def gap(self) -> str:
        """Return the gap between the best and the worst digit, in percentage points."""
        values = self.by_digit("accuracy")["value"]
        return f"{100 * (values.max() - values.min()):.1f}"

    @property
    def telling(self) -> str:
        """Return the AUROC above which a saliency measure tells what it is asked."""
        return f"{TELLING:g}"

    def contrasts(self) -> list[tuple[str, str]]:
        """Return each saliency measure's contrast of hard and easy digits, with its interval.

        Those that decide come first; of the others, those with random weights last.
        """
        judged = self.claim("explanations").study
        return [
            (f"{part.name}, {self.layer}", findings.part_effect(self.claim("explanations"), part))
            for part in judged.parts
        ] + [
            (one.name, with_interval(one, ".2f"))
            for one in judged.beside
            if not one.name.endswith("of one class")
        ]

    def calibration_error(self, scaling: str) -> str:
        """Return the expected calibration error, ``as given`` or ``scaled``."""
        rows = self.results.table("calibration")
        row = rows[(rows["scaling"] == scaling) & (rows["group"] == "all")].iloc[0]
        low, high = row[["low", "high"]]
        return f"{row['error']:.3f} ({low:.3f} to {high:.3f})"

    @property
    def temperature(self) -> str:
        """Return the mean temperature."""
        rows = self.results.table("calibration").query("scaling == 'scaled'")
        return f"{rows['temperature'].iloc[0]:.2f}"

    @property
    def sharpened(self) -> str:
        """Return whether temperature scaling makes the networks more or less sure."""
        temperature = float(self.temperature)
        if abs(temperature - 1) < _NEARLY:
            return "about as sure of themselves as they should be"
        return f"somewhat too {'sure' if temperature > 1 else 'unsure'} of themselves"

    def error_when_keeping(self, share: float) -> str:
        """Return the error among the surest predictions, by the share of them that is kept."""
        rows = self.results.table("selective").query("scaling == 'as given'")
        row = rows.iloc[(rows["kept"] - share).abs().argmin()]
        return f"{per_cent(row['error'])} ({per_cent_interval(row)})"

    @cached_property
    def sanity(self) -> pd.DataFrame:
        """Return what each measure can tell of the trained networks, and on drawn digits."""
        own = self.results.table("sanity").assign(study=self.study.name)
        drawn = self._drawn if self.study.name != DRAWN else None
        tables = [own] if drawn is None else [own, drawn.table("sanity").assign(study=DRAWN)]
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def _drawn(self) -> Results | None:
        """Return the results on drawn digits, whose pixels are known, where there are any."""
        stored = results.load_if_any(DRAWN)
        return stored if stored and "sanity" in stored.manifest.derived else None

    def pointing(self, measure: str) -> str:
        """Return whether a measure tells a map on the digit from one that is not, in words.

        On drawn digits, whose pixels are known, at the layer that the text is about.
        """
        rows = self.sanity
        rows = rows[
            (rows["study"] == DRAWN)
            & (rows["question"] == "on the digit")
            & (rows["measure"] == measure)
        ]
        if rows.empty:
            return f"whether {measure} tells a map on the digit was not measured"
        return findings.pointing(measure, rows.iloc[0])

    @property
    def about_the_measures(self) -> str:
        """Return whether the claims about explanations lean on measures that cannot tell."""
        rows = self.sanity
        rows = rows[(rows["study"] == DRAWN) & (rows["question"] == "on the digit")]
        rows = rows.drop_duplicates("measure").set_index("measure")["verdict"]
        told = [rows.get(measure) for measure in ("spread", "area")]
        if told == ["refuted", "refuted"]:
            return (
                "On drawn digits neither of the two measures tells a map that points at the digit "
                "from one that does not, so these are findings about the measures first."
            )
        if told == ["supported", "supported"]:
            return "On drawn digits both measures tell a map that points at the digit."
        return "Whether both measures tell a map that points at the digit is not settled."

    @cached_property
    def runs_table(self) -> pd.DataFrame:
        """Return overall, worst-class and attacked accuracy of each network that is shown.

        Attacked is under FGSM at the original's middle ε; missing where it was not measured.
        """
        rows = self.predictions
        right = (rows["label"] == rows["predicted"]).groupby([rows["run"], rows["label"]])
        by_digit = right.mean().unstack()
        attacks = self._shown_rows("attacks")
        attacks = attacks[(attacks["attack"] == "fgsm") & (attacks["epsilon"] == published.MIDDLE)]
        under = (attacks["label"] == attacks["predicted"]).groupby(attacks["run"]).mean()
        found = pd.DataFrame(
            {
                "accuracy": (rows["label"] == rows["predicted"]).groupby(rows["run"]).mean(),
                "digit": by_digit.idxmin(axis=1),
                "worst": by_digit.min(axis=1),
                "attacked": under,
            }
        )
        return found.reset_index(names="run")

    def range_over_runs(self, column: str) -> str:
        """Return how far apart the networks lie, in percentage points."""
        values = self.runs_table[column]
        return f"{100 * (values.max() - values.min()):.1f}"

    @property
    def layer(self) -> str:
        """Return the layer whose maps the text is about."""
        return self.study.saliency.layers[0]

    @property
    def layers(self) -> str:
        """Return the layers whose maps are measured."""
        return listed(list(self.study.saliency.layers))

    def randomised(self, measure: str) -> str:
        """Return the name of the contrast of a measure with random weights."""
        return f"{measure}, {self.layer}, randomised weights"

    def map_size(self, layer: str) -> str:
        """Return the size of a layer's maps, such as ``4×4``."""
        maps = self.of_layer("maps", layer)
        return f"{maps['row'].max() + 1}×{maps['column'].max() + 1}"

    def spread(self, group: str = "all") -> str:
        """Return the mean spread of the maps of a group, with its interval."""
        row = self._one("spread", group, layer=self.layer)
        return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"

    @property
    def missing_maps(self) -> str:
        """Return how many maps of the layer are zero everywhere."""
        return thousands(self.of_layer("saliency", self.layer)["spread"].isna().sum())

    def epsilon(self, number: int) -> str:
        """Return one of the original's ε, in [0, 1] pixel units and in levels."""
        value = _original_epsilon(number)
        return f"{value:g} ({levels(value)} levels)"

    @property
    def smallest_epsilon(self) -> str:
        """Return the smallest ε of the study above zero, in [0, 1] pixel units and in levels."""
        value = min(epsilon for epsilon in self.study.attack.epsilons if epsilon > 0)
        return f"{value:g} ({levels(value)} levels)"

    def attacked(self, attack: str, number: int, *, quantity: str = "accuracy") -> str:
        """Return the accuracy under an attack at one of the original's ε, with its interval."""
        rows = self.rows(quantity, attack=attack, epsilon=_original_epsilon(number))
        rows = rows[rows["group"] == "all"]
        if rows.empty:
            return NOT_MEASURED
        return f"{per_cent(rows['value'].iloc[0])} ({per_cent_interval(rows.iloc[0])})"

    @property
    def sample(self) -> str:
        """Return how many images PGD was run on."""
        rows = self.rows("accuracy", attack="pgd", epsilon=None)
        rows = rows[rows["group"] == "all"]
        return thousands(rows["images"].iloc[0]) if len(rows) else "no"

    def similarity(self, attack: str, number: int, *, resolution: int, measure: str) -> str:
        """Return the mean similarity or size of a perturbation at one of the original's ε."""
        if not any("controls" in run.analyses for run in self.shown.values()):
            return NOT_MEASURED
        rows = self._shown_rows("perturbations")
        rows = rows[
            (rows["attack"] == attack)
            & (rows["epsilon"] == _original_epsilon(number))
            & (rows["resolution"] == resolution)
            & (rows["measure"] == measure)
        ]
        mean = (rows["mean"] * rows["images"]).sum() / rows["images"].sum()
        return f"{mean:.2f}" if measure == "ssim" else f"{mean:.1f}"

    def original_attacked(self, number: int) -> str:
        """Return the original's accuracy under FGSM at one of its ε, as published."""
        return per_cent(published.fgsm()[_original_epsilon(number)])

    @property
    def enough(self) -> int:
        """Return how many predictions a tenth of the confidence needs to be drawn."""
        return ENOUGH


def _original_epsilon(number: int) -> float:
    """Return one of the original's ε in [0, 1] pixel units; 0 is none, -1 the largest."""
    return sorted(published.fgsm())[number]
