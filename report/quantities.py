"""The values that the prose quotes, read from the cached results and formatted once.

Every number in the paper comes from here, so that the words follow the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import pandas as pd

from analysis import published, results, timings
from analysis.datasets.counts import SUBSET
from analysis.results import Results, RunEntry
from analysis.study import CLASSES, Study
from analysis.verdicts import SURE, TELLING, Beside, ClaimRecord, ClaimsTable, Verdict
from report import findings
from report.charts.confidence import ENOUGH
from report.figures import Markdown
from report.findings import listed

DIGITS = [str(digit) for digit in range(CLASSES)]
LEVELS = 255
NOT_MEASURED = "not measured"
# A temperature nearer to one than this changes nothing that a reader would see.
_NEARLY = 0.05
# The side of the images of every data set in pixels.
NATIVE = 32
# The study whose digits were drawn with known pixels.
DRAWN = "demo"
REPEATS_FOR_SUSPECTS = 3
NONE = "none"
ATTACKS = {
    "fgsm": "FGSM",
    "fgsm-native": "FGSM on native pixels",
    "pgd": "PGD, on a sample",
    "random-sign": "random signs of the same size",
}

_DATA = {
    "svhn": "SVHN, the official training and test split",
    "svhn-subset": "SVHN, a subset by official index",
    "streetdigits": "street digits drawn by this project",
}


class Quantities:
    """Formatted values of one study. Shares are per cent with one decimal unless said otherwise."""

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

    # Accuracy on clean images

    @property
    def accuracy(self) -> str:
        """Return the overall accuracy."""
        return per_cent(self._one("accuracy")["value"])

    @property
    def accuracy_interval(self) -> str:
        """Return the interval of the overall accuracy."""
        return per_cent_interval(self._one("accuracy"))

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

    # Claims

    @cached_property
    def claims(self) -> ClaimsTable:
        """Return every claim with its verdicts."""
        return self.results.claims()

    def claim(self, name: str) -> ClaimRecord:
        """Return one claim."""
        return self.claims.claim(name)

    def finding(self, name: str) -> str:
        """Return what the study says of a claim, with its numbers."""
        return findings.finding(self.claim(name))

    def original_finding(self, name: str) -> str:
        """Return what the original's published numbers say of a claim by the same test."""
        return findings.original_finding(self.claim(name))

    def clause(self, name: str) -> str:
        """Return what the study says of a claim, without numbers."""
        return findings.clause(self.claim(name))

    def test(self, name: str) -> str:
        """Return how a claim is tested."""
        return self.claim(name).test

    @property
    def summary(self) -> str:
        """Return how many claims have which verdict."""
        return findings.summary(self.claims)

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
    def number_of_claims(self) -> int:
        """Return the number of claims."""
        return len(self.claims.claims)

    @property
    def marks(self) -> str:
        """Return the mark of each verdict that a drawn effect can have."""
        drawn = (verdict for verdict in findings.VERDICTS if verdict != "not tested")
        return listed([findings.mark(verdict) for verdict in drawn])

    @property
    def with_threshold(self) -> int:
        """Return how many claims have a threshold to be judged by."""
        return findings.with_threshold(self.claims)

    def with_verdict(self, verdict: Verdict) -> str:
        """Return the claims that have a verdict."""
        return findings.by_verdict(self.claims, verdict)

    @property
    def verdict_rules(self) -> Markdown:
        """Return what the verdicts mean."""
        return Markdown(findings.RULES)

    @property
    def tested(self) -> int:
        """Return the number of claims that were tested on the study."""
        return self.claims.tested

    @property
    def claim_resamples(self) -> str:
        """Return the number of resamples behind the verdicts."""
        return thousands(self.claims.resamples)

    @property
    def error_rate(self) -> str:
        """Return the chance of any wrong verdict that the tests allow for."""
        return f"{100 * self.claims.alpha:.0f}%"

    def beside(self, name: str, what: str, *, points: bool = False) -> str:
        """Return a share that stands beside a claim; that it was not measured where it is not.

        A difference of shares is in percentage ``points``.
        """
        found = [one for one in self.claim(name).study.beside if one.name == what]
        if not found:
            return NOT_MEASURED
        if points:
            return f"{findings.beside(found[0], 'difference of shares')} percentage points"
        return findings.beside(found[0], "share")

    def value_beside(self, name: str, what: str, form: str) -> str:
        """Return a number that stands beside a claim, with its interval if it has one."""
        found = [one for one in self.claim(name).study.beside if one.name == what]
        return _formatted(found[0], form) if found else NOT_MEASURED

    @property
    def telling(self) -> str:
        """Return the AUROC above which a saliency measure tells what it is asked."""
        return f"{TELLING:g}"

    @property
    def sure(self) -> str:
        """Return the confidence from which on a prediction counts as confident."""
        return f"{SURE:g}"

    @property
    def persistence_by_chance(self) -> str:
        """Return how rarely exchanged photos give such a persistence, where that is known."""
        p = self.value_beside(
            "persistent", "uncorrected correlation under exchanged photos, p", ".4f"
        )
        if p == NOT_MEASURED:
            return "What exchanged photos would give is not known then."
        return f"Exchanging photos between the digits would give as much with p = {p}."

    def contrasts(self) -> list[tuple[str, str]]:
        """Return each saliency measure's contrast of hard and easy digits, with its interval.

        Those that decide come first; of the others, those with random weights last.
        """
        judged = self.claim("explanations").study
        return [
            (f"{part.name}, {self.layer}", findings.part_effect(self.claim("explanations"), part))
            for part in judged.parts
        ] + [
            (one.name, _formatted(one, ".2f"))
            for one in judged.beside
            if not one.name.endswith("of one class")
        ]

    @property
    def easy(self) -> str:
        """Return the digits that the original calls easy."""
        return listed([str(digit) for digit in published.EASY])

    @property
    def hard(self) -> str:
        """Return the digits that the original calls hard."""
        return listed([str(digit) for digit in published.HARD])

    # Confidence

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
    def temperature_fit(self) -> str:
        """Return on what the temperatures were fitted."""
        if self.study.split.kind == "fixed":
            return (
                "on the evaluated images of one half of the photos, and used on the other half, so "
                "that no image has a part in its own temperature"
            )
        return (
            "on the images of its training folds, with the logits of the networks that had not "
            "seen them, so that nothing is fitted on what was trained on"
        )

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

    @property
    def suspects(self) -> Markdown:
        """Return how many images are candidates for a wrong label, and what that means."""
        if self.repeats < REPEATS_FOR_SUSPECTS:
            return Markdown(
                "Errors that all repeats make alike and with high confidence would be candidates "
                "for a wrong label. They are looked for from three repeats on, so @tbl-suspects "
                "and @tbl-bounds have nothing to show here."
            )
        count = thousands(len(self.results.table("suspects")))
        return Markdown(
            f"Errors that all {self.repeats} repeats make alike, with a confidence of {SURE:g} or "
            f"more each time, are candidates for a wrong label; their number is {count} "
            "(@tbl-suspects). Nobody has looked at the pictures here. Leaving them out lowers the "
            "error by construction, so what it does to a claim is a bound; @tbl-bounds sets it "
            "beside leaving out as many errors at random."
        )

    # What the saliency measures can tell

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

    # Explanations

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

    # Attacks

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

    @property
    def size(self) -> int:
        """Return the side of the input in pixels."""
        return self.study.model.size

    @property
    def native_size(self) -> int:
        """Return the side of the images in pixels."""
        return NATIVE

    def original_attacked(self, number: int) -> str:
        """Return the original's accuracy under FGSM at one of its ε, as published."""
        return per_cent(published.fgsm()[_original_epsilon(number)])

    @property
    def steps(self) -> int:
        """Return the number of steps of projected gradient descent."""
        return self.study.controls.steps

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return CLASSES

    @property
    def levels_per_unit(self) -> int:
        """Return how many 8-bit levels one pixel unit has."""
        return LEVELS

    # The study itself

    @property
    def data(self) -> str:
        """Return what the images are, in words."""
        return _DATA[self.study.data.name]

    @property
    def data_paragraph(self) -> str:
        """Return how the images were divided, and into what."""
        each = f"Each network is trained on {self.trained_on} images"
        if self.study.split.kind == "fixed":
            return f"{self._data_sentence} {each} and evaluated on the {self.images} test images."
        return (
            f"{self._data_sentence} The {self.images} images of the official test split that are "
            f"among them are evaluated by {self.study.split.folds}-fold cross-validation, grouped "
            f"by photo, so that no digit is predicted by a network that saw its neighbours; the "
            f"others are always trained on. {each}."
        )

    @property
    def _data_sentence(self) -> str:
        return {
            "svhn": "The official files of SVHN, format 2 (cropped digits).",
            "svhn-subset": f"{thousands(sum(SUBSET.values()))} official SVHN images by official "
            f"index, format 2 (cropped digits): the first {thousands(SUBSET['train'])} of the "
            f"training split, the first {thousands(SUBSET['extra'])} of the extra split and the "
            f"first {thousands(SUBSET['test'])} of the test split.",
            "streetdigits": "House-number-like digits drawn by this project, with several "
            "typefaces, neighbours at the edges, blur, noise and perspective.",
        }[self.study.data.name]

    @property
    def data_caveat(self) -> Markdown:
        """Return what the data may not stand for."""
        text = {
            "svhn": "The same files as the original's, with other seeds.",
            "svhn-subset": "A subset of SVHN, with cross-validation inside the official test "
            "split. The official training and test splits are not drawn from the same "
            "distribution [@xiao2023], so training and evaluating within one of them avoids a "
            "shift that the original's network met; on the other hand each network sees far fewer "
            "training images. Which weighs more is not known.",
            "streetdigits": "These are drawn digits, not photographs. They show that the report "
            "works; they say nothing about SVHN.",
        }[self.study.data.name]
        return Markdown(text)

    @property
    def recipe_caveat(self) -> str:
        """Return on what the recipe of training was chosen."""
        if self.study.data.name == "svhn-subset":
            return (
                "Four recipes were compared, each once, on parts of the images that are evaluated "
                "here, so the accuracy may be a little too high for it; no threshold was involved. "
                "The last change, to fewer epochs, was not tried before."
            )
        return "The recipe was fixed before any image was evaluated."

    @property
    def trained_on(self) -> str:
        """Return how many images the networks were trained on, as a range."""
        return _range([run.training.training_images for run in self.shown.values()])

    @property
    def predictors(self) -> str:
        """Return how many networks predict each image."""
        return f"{counted(self.repeats, 'network')} that did not see its photo in training"

    @property
    def intervals(self) -> str:
        """Return how our intervals were made."""
        return f"Ours are bootstrap intervals over {self.photos} photos."

    @property
    def resamples(self) -> str:
        """Return the number of resamples."""
        return thousands(self.study.bootstrap.resamples)

    @property
    def model_name(self) -> str:
        """Return timm's name of the model."""
        return self.study.model.name

    @property
    def study_digest(self) -> str:
        """Return the first digits of the study's digest."""
        return self.results.manifest.study_digest[:12]

    @property
    def data_digest(self) -> str:
        """Return the first digits of the data's digest."""
        return self.results.manifest.data_digest[:12]

    @property
    def benchmark(self) -> str:
        """Return where and when the benchmark was made, and the memory that training took."""
        found = timings.read()
        if found is None:
            return "It has not been made yet"
        peaks = [f"{peak.mebibytes:,.0f} MiB with {peak.name}" for peak in found.peaks]
        memory = f"; training took at most {findings.listed(peaks)}" if peaks else ""
        return (
            f"Measured on {found.device}, with torch {found.packages['torch']}, on "
            f"{found.finished[:10]}{memory}"
        )

    @property
    def completeness(self) -> str:
        """Return how much of the study has been run."""
        planned = len(self.study.runs)
        if self.runs == planned:
            return f"All {planned} runs of the study are done."
        return f"The study plans {planned} runs; the {self.runs} of its complete repeats are shown."

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
    def enough(self) -> int:
        """Return how many predictions a tenth of the confidence needs to be drawn."""
        return ENOUGH

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


def _original_epsilon(number: int) -> float:
    """Return one of the original's ε in [0, 1] pixel units; 0 is none, -1 the largest."""
    return sorted(published.fgsm())[number]


def _formatted(one: Beside, form: str) -> str:
    text = f"{one.value:{form}}"
    if one.low is not None and one.high is not None:
        text += f" ({one.low:{form}} to {one.high:{form}})"
    return text.replace("-", "−")


def _range(numbers: Sequence[int]) -> str:
    """Return the range of whole numbers, or the one that they all are."""
    low, high = min(numbers), max(numbers)
    return thousands(low) if low == high else f"{thousands(low)} to {thousands(high)}"


def per_cent(share: float) -> str:
    """Return a share as per cent with one decimal."""
    return f"{100 * share:.1f}%"


def per_cent_interval(row: pd.Series) -> str:
    """Return the interval of a share, such as ``94.1 to 95.2 %``."""
    return f"{100 * row['low']:.1f} to {100 * row['high']:.1f}%"


def thousands(number: float) -> str:
    """Return a whole number with commas."""
    return f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, plural where it has to be."""
    return f"{thousands(number)} {noun}{'' if number == 1 else 's'}"


def levels(epsilon: float) -> str:
    """Return an ε in [0, 1] pixel units as 8-bit levels."""
    return f"{LEVELS * epsilon:.1f}"
