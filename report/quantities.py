"""The values that the prose quotes, read from the cached results and formatted once.

Every number in the paper comes from here, so that the words follow the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import pandas as pd

from analysis import published
from analysis.results import Results, RunEntry
from analysis.study import CLASSES, Study
from report.figures import Markdown

DIGITS = [str(digit) for digit in range(CLASSES)]
LEVELS = 255
NONE = "none"
ATTACKS = {"fgsm": "FGSM", "random-sign": "random signs of the same size"}

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
        return f"{100 * value:.2f} percentage points"

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

    # Explanations

    @property
    def layer(self) -> str:
        """Return the layer whose maps the text is about."""
        return self.study.saliency.layers[0]

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

    def attacked(self, attack: str, number: int) -> str:
        """Return the accuracy under an attack at one of the original's ε, with its interval."""
        row = self._one("accuracy", attack=attack, epsilon=_original_epsilon(number))
        return f"{per_cent(row['value'])} ({per_cent_interval(row)})"

    def original_attacked(self, number: int) -> str:
        """Return the original's accuracy under FGSM at one of its ε, as published."""
        return per_cent(published.fgsm()[_original_epsilon(number)])

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
        fitted = [run.training.training_images for run in self.shown.values()]
        each = f"Each network is trained on {_range(fitted)} images"
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
            "svhn-subset": "11,189 official SVHN images by official index, format 2 (cropped "
            "digits): the first 1,083 of the training split, the first 106 of the extra split and "
            "the first 10,000 of the test split.",
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
            "distribution [@xiao2023], so this is a little easier than the official protocol, "
            "and each network sees about an eighth as many training images.",
            "streetdigits": "These are drawn digits, not photographs. They show that the report "
            "works; they say nothing about SVHN.",
        }[self.study.data.name]
        return Markdown(text)

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


def listed(parts: Sequence[str]) -> str:
    """Return parts as a list in words."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
