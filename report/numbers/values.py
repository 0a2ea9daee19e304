"""Single values that the prose quotes, as ``value.…``."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from analysis.results.schemas import (
    ALL,
    AS_GIVEN,
    FGSM,
    LEVELS,
    PGD,
    RANDOM,
    SCALED,
    TRAINED,
)
from report.numbers import formats
from report.numbers.formats import NOT_MEASURED
from report.numbers.results import Results, checked

# A tenth of the confidence with fewer predictions is not drawn.
ENOUGH = 20
# A temperature nearer to one than this changes nothing that a reader would see.
_NEARLY = 0.05


class Sureness(NamedTuple):
    """Whether errors are more or less confident than right predictions, and the median of each."""

    side: str
    median: str
    right: str


class Values:
    """Formatted values of one study; shares are per cent with one decimal.

    ``connected``, ``middle`` and ``sampled`` are the ε that the prose speaks of.
    """

    enough, levels_per_unit = ENOUGH, LEVELS

    def __init__(self, results: Results) -> None:
        self._results = results
        self.connected, self.middle, self.layer = results.connected, results.middle, results.layer
        attacks = results.study.attacks
        self.sampled = attacks.sample_epsilons[0] if attacks else 0.0
        self.shown = len(results.shown)
        self.left_out, self.confusions_left_out = results.left_out, results.confused[1]
        self.accuracy = formats.per_cent(results.accuracy["value"])
        self.accuracy_interval = formats.share_interval(results.accuracy)
        self.errors = bool(results.accuracy["value"] < 1)
        # The standard deviation of the accuracy in percentage points, if there are several.
        deviation = results.accuracy["between_repeats"]
        self.between_repeats = "" if pd.isna(deviation) else f"{100 * deviation:.2f}"

    @property
    def duplicates(self) -> str:
        """Return how many evaluated images have a duplicate among those trained on."""
        return formats.thousands(len(self._results.table("duplicates")))

    @property
    def worst(self) -> str:
        """Return the largest error of a class, with the class."""
        row = self._results.ranked.iloc[0]
        return f"{formats.per_cent(1 - row['value'])} ({row['class']})"

    @property
    def best(self) -> str:
        """Return the smallest error of a class, with the class and its noun."""
        row = self._results.ranked.iloc[-1]
        return f"{formats.per_cent(1 - row['value'])} ({self._results.named(row['class'])})"

    def ranked(self, *, worst: bool) -> str:
        """Return up to three classes with the lowest or the highest accuracy, in words."""
        rows = self._results.ranked if worst else self._results.ranked[::-1]
        rows = rows.head(min(3, len(rows) // 2))
        pairs = zip(rows["class"], rows["value"], strict=True)
        return formats.listed([f"{name} ({formats.per_cent(value)})" for name, value in pairs])

    def calibration_error(self, scaling: str) -> str:
        """Return the expected calibration error, ``as given`` or ``scaled``."""
        (row,) = self._results.rows("calibration", scaling=scaling, class_=ALL).to_dict("records")
        return formats.between(row["error"], row["low"], row["high"], ".3f")

    @property
    def binned(self) -> bool:
        """Return whether any tenth of the confidence has enough predictions to be drawn."""
        return bool((self._results.rows("reliability", class_=ALL)["predictions"] >= ENOUGH).any())

    @property
    def temperature(self) -> str:
        """Return the mean temperature."""
        rows = self._results.rows("calibration", scaling=SCALED, class_=ALL)
        return formats.fixed(rows["temperature"].iloc[0], ".2f")

    @property
    def sharpened(self) -> str:
        """Return whether temperature scaling makes predictions more or less confident."""
        temperature = float(self.temperature)
        if abs(temperature - 1) < _NEARLY:
            return "about as confident as they should be"
        return f"somewhat {'over' if temperature > 1 else 'under'}confident"

    def error_when_keeping(self, share: float) -> str:
        """Return the error among the most confident predictions, by the share that is kept."""
        rows = self._results.rows("selective", scaling=AS_GIVEN)
        return formats.share_with_interval(rows.loc[(rows["kept"] - share).abs().idxmin()], "error")

    def range_over_runs(self, column: str) -> str:
        """Return how far the networks differ in a column of ``runs``, in percentage points."""
        checked("column of runs", column, ("accuracy", "worst_accuracy"))
        return _range(self._results.table("runs")[column])

    def range_under(self, attack: str, epsilon: float) -> str:
        """Return how far the networks differ under an attack, in percentage points."""
        rows = self._results.rows("accuracies", attack=attack, epsilon=epsilon)
        return _range(rows["accuracy"])

    @property
    def map_size(self) -> str:
        """Return the size of the first layer's maps, such as ``4×4``."""
        rows = self._results.rows("mean_maps", layer=self.layer)
        return f"{rows['row'].max() + 1}×{rows['column'].max() + 1}"

    @property
    def spread(self) -> str:
        """Return the mean spread of the maps of the first layer."""
        row = self._results.overall("spread", layer=self.layer)
        if row is None:
            return NOT_MEASURED
        return formats.between(row["value"], row["low"], row["high"], ".3f")

    @property
    def zero_maps(self) -> str:
        """Return how many maps of the first layer are zero everywhere, nothing if none is."""
        rows = self._results.rows("zero_maps", layer=self.layer)
        rows = rows.assign(share=rows["zero"] / rows["maps"])
        every = rows[rows["class"] == ALL].set_index("weights")
        trained = every.loc[TRAINED]
        text = "No map is zero everywhere"
        if trained["zero"]:
            text = f"{_zero(rows, TRAINED)} of the maps are zero everywhere and have no measures"
        if RANDOM not in every.index or not every["zero"].any():
            return f"{text}." if trained["zero"] else ""
        return f"{text}; with random weights {_zero(rows, RANDOM)} are."

    def size(self, epsilon: float) -> str:
        """Return an ε in [0, 1] pixel units and in levels."""
        return f"{epsilon:g} ({formats.levels(epsilon)} levels)"

    def sure_under(self, attack: str, epsilon: float) -> Sureness | None:
        """Return how sure errors under an attack are against right predictions, if it is known."""
        row = self._results.confidence_under(attack, epsilon)
        if row is None:
            return None
        median, right = (formats.confidence(row[name]) for name in ("median", "median_right"))
        return Sureness("more" if row["auroc"] < formats.EVEN else "less", median, right)

    def levels(self, epsilon: float) -> str:
        """Return an ε in levels."""
        return formats.levels(epsilon)

    def attacked_short(self, attack: str, epsilon: float) -> str:
        """Return the accuracy under an attack without its interval."""
        return self.attacked(attack, epsilon).partition(" (")[0]

    def attacked(self, attack: str, epsilon: float, *, quantity: str = "accuracy") -> str:
        """Return the accuracy under an attack, with its interval."""
        row = self._results.overall(quantity, attack=attack, epsilon=epsilon)
        return NOT_MEASURED if row is None else formats.share_with_interval(row)

    def measured(self, attack: str, epsilon: float, *, quantity: str = "accuracy") -> bool:
        """Return whether the accuracy under an attack was measured."""
        return self.attacked(attack, epsilon, quantity=quantity) != NOT_MEASURED

    @property
    def rebound(self) -> str:
        """Return where accuracy under FGSM is lowest, if the largest ε leaves clearly more."""
        rows = self._results.estimates("accuracy", attack=FGSM)
        rows = rows[rows["class"] == ALL].sort_values("epsilon")
        if rows.empty:
            return ""
        lowest, last = rows.loc[rows["value"].idxmin()], rows.iloc[-1]
        if last["low"] <= lowest["high"]:
            return ""
        return (
            f"Under FGSM, accuracy is lowest at {self.size(lowest['epsilon'])}, "
            f"{formats.per_cent(lowest['value'])}, and at {self.size(last['epsilon'])} it is "
            f"{formats.per_cent(last['value'])} again: one large step can go too far."
        )

    @property
    def sample(self) -> str:
        """Return how many images PGD was run on, by ε if they differ, or nothing if it was not."""
        rows = self._results.estimates("accuracy", attack=PGD)
        counts = rows[rows["class"] == ALL].set_index("epsilon")["images"]
        if counts.empty:
            return ""
        few = counts.min()
        more = [
            f"{formats.thousands(count)} at ε = {self.size(epsilon)}"
            for epsilon, count in counts[counts > few].items()
        ]
        return ", ".join([f"{formats.thousands(few)} images", *more])

    @property
    def native_size(self) -> str:
        """Return the longer side of the images as given in pixels, or nothing if not measured."""
        if not self._results.has("similarities"):
            return ""
        sides = self._results.rows("similarities", native=True)["resolution"].unique()
        return f"{sides[0]}" if len(sides) == 1 else ""

    def similarity(self, attack: str, epsilon: float, *, native: bool, measure: str) -> str:
        """Return how alike attacked and clean images are, or that it is not measured.

        At the size of the images as given if ``native``, else at that of the network's input.
        """
        taken = self._results.record.input
        side = int(self.native_size or 0) if native else taken.size if taken else 0
        chosen = {"attack": attack, "epsilon": epsilon, "measure": measure, "resolution": side}
        rows = self._results.rows("similarities", **chosen)
        if rows.empty:
            return NOT_MEASURED
        return formats.fixed(rows["value"].iloc[0], ".2f" if measure == "ssim" else ".1f")

    @property
    def changed(self) -> str:
        """Return how many tests were changed, as the start of a sentence."""
        changed = [each.claim for each in self._results.study.paper.changes]
        if len(changed) == 1:
            return "One test was changed"
        known = sum(self._results.record.claim(name).study.effect is not None for name in changed)
        left = f", {known} of them with a verdict," if known < len(changed) else ""
        return f"{len(changed)} tests{left} were changed"

    @property
    def macro(self) -> dict[str, str]:
        """Return the mean of each measure over the classes, with its interval."""
        rows = self._results.rows("classes", class_=ALL)
        return {
            row["measure"]: formats.between(row["value"], row["low"], row["high"], ".3f")
            for row in rows.to_dict("records")
        }

    @property
    def masking(self) -> str:
        """Return whether gradients are masked, in one sentence with the numbers behind it."""
        (row,) = self._results.table("masking").to_dict("records")
        left = [formats.per_cent(row[name]) for name in ("pgd", "pgd_random", "pgd_margin")]
        verdict = (
            "Gradients are masked" if row["masked"] else "No sign of masked gradients was found"
        )
        return (
            f"{verdict}: {formats.per_cent(row['vanishing'])} of the images have no gradient in "
            f"single precision, and on {formats.thousands(row['sample'])} images at "
            f"{self.size(row['epsilon'])} PGD leaves {left[0]} right, {left[1]} from a random "
            f"start and {left[2]} on the margin between logits."
        )


def _range(shares: pd.Series) -> str:
    if shares.empty:
        return NOT_MEASURED
    return formats.fixed(100 * (shares.max() - shares.min()), ".1f")


def _zero(rows: pd.DataFrame, weights: str) -> str:
    """Return the share of maps that are zero everywhere, and the classes that have most and least.

    ``rows`` has a share by class and for all of them.
    """
    rows = rows[rows["weights"] == weights].set_index("class")["share"]
    each = rows.drop(ALL).dropna().sort_values(kind="stable")
    if not each.any():
        return formats.per_cent(rows[ALL])
    ends = [f"{formats.per_cent(each.iloc[end])} for {each.index[end]}" for end in (0, -1)]
    return f"{formats.per_cent(rows[ALL])} (from {ends[0]} to {ends[1]})"
