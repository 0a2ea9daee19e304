"""Single values that the prose quotes, as ``value.…``."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from analysis.results.schemas import ALL, AS_GIVEN, CONFIDENT, LEVELS, PASSES, PGD, SCALED, TRAINED
from report.numbers import formats
from report.numbers.formats import NOT_MEASURED
from report.numbers.results import Results, checked

# A tenth of the confidence with fewer predictions is not drawn.
ENOUGH = 20
# A temperature nearer to one than this changes nothing that a reader would see.
_NEARLY = 0.05


class Values:
    """Formatted values of one study; shares are per cent with one decimal.

    ``smallest``, ``middle``, ``compared`` and ``sampled`` are the ε that the prose speaks of.
    """

    passes, confident, enough, levels_per_unit = PASSES, CONFIDENT, ENOUGH, LEVELS

    def __init__(self, results: Results) -> None:
        self._results = results
        self.smallest, self.middle, self.layer = results.smallest, results.middle, results.layer
        self.compared = next((size for size in results.sizes if size > 0), self.smallest)
        self.sampled = results.study.attacks.sample_epsilons[0]
        self.left_out, self.confusions_left_out = results.left_out, results.confused[1]
        self.accuracy = formats.per_cent(results.accuracy["value"])
        self.accuracy_interval = formats.share_interval(results.accuracy)
        # The standard deviation of the accuracy in percentage points, if there are several.
        deviation = results.accuracy["between_repeats"]
        self.between_repeats = "" if pd.isna(deviation) else f"{100 * deviation:.2f}"

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
    def temperature(self) -> str:
        """Return the mean temperature."""
        rows = self._results.rows("calibration", scaling=SCALED, class_=ALL)
        return formats.fixed(rows["temperature"].iloc[0], ".2f")

    @property
    def sharpened(self) -> str:
        """Return whether temperature scaling makes the networks more or less confident."""
        temperature = float(self.temperature)
        if abs(temperature - 1) < _NEARLY:
            return "about as confident as they should be"
        return f"somewhat too {'confident' if temperature > 1 else 'unsure'}"

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
        """Return how many maps of the first layer are zero everywhere."""
        rows = self._results.rows("zero_maps", layer=self.layer, weights=TRAINED)
        return formats.thousands(rows["zero"].sum())

    def size(self, epsilon: float) -> str:
        """Return an ε in [0, 1] pixel units and in levels."""
        return f"{epsilon:g} ({formats.levels(epsilon)} levels)"

    def attacked(self, attack: str, epsilon: float, *, quantity: str = "accuracy") -> str:
        """Return the accuracy under an attack, with its interval."""
        row = self._results.overall(quantity, attack=attack, epsilon=epsilon)
        return NOT_MEASURED if row is None else formats.share_with_interval(row)

    def measured(self, attack: str, epsilon: float, *, quantity: str = "accuracy") -> bool:
        """Return whether the accuracy under an attack was measured."""
        return self.attacked(attack, epsilon, quantity=quantity) != NOT_MEASURED

    def published_attacked(self, epsilon: float) -> str:
        """Return the published accuracy under FGSM at one of its ε."""
        found = self._results.published
        return formats.per_cent(found.fgsm[epsilon]) if found else ""

    @property
    def sample(self) -> str:
        """Return how many images PGD was run on, or nothing if it was not."""
        rows = self._results.estimates("accuracy", attack=PGD)
        counts = rows[rows["class"] == ALL]["images"]
        return "" if counts.empty else formats.thousands(counts.iloc[0])

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
        side = int(self.native_size or 0) if native else self._results.study.network.size
        chosen = {"attack": attack, "epsilon": epsilon, "measure": measure, "resolution": side}
        rows = self._results.rows("similarities", **chosen)
        if rows.empty:
            return NOT_MEASURED
        return formats.fixed(rows["value"].iloc[0], ".2f" if measure == "ssim" else ".1f")

    @property
    def suspects(self) -> str:
        """Return the number of suspected wrong labels."""
        return formats.thousands(len(self._results.table("suspects")))

    @property
    def validated_on(self) -> str:
        """Return the study whose masks the map measures are checked on, or nothing."""
        return self._on_masks[0]

    def pointing(self, measure: str) -> str:
        """Return whether a measure distinguishes maps that point at the object, in words."""
        row = self._on_masks[1].get(measure)
        if row is None:
            return f"whether {measure} distinguishes them was not measured"
        said = {
            "supported": f"{measure} distinguishes them",
            "refuted": f"{measure} does not distinguish them",
            "inconclusive": f"whether {measure} distinguishes them is undecided",
        }[row["verdict"]]
        auroc, low, high = (formats.fixed(row[name], ".2f") for name in ("auroc", "low", "high"))
        return f"{said} (AUROC {auroc}, {low} to {high})"

    def verdict_on(self, measure: str) -> str:
        """Return the verdict on whether a measure distinguishes them, or nothing."""
        return self._on_masks[1].get(measure, {}).get("verdict", "")

    @cached_property
    def _on_masks(self) -> tuple[str, dict[str, dict[str, Any]]]:
        """Return the study with masks, and by measure whether it finds the object."""
        for results in (self._results, self._results.validation):
            if results is not None and results.has("map_measures"):
                rows = results.rows("map_measures", question="on the object")
                if len(rows):
                    first = rows.drop_duplicates("measure").set_index("measure")
                    return results.study.name, first.to_dict("index")
        return "", {}


def _range(shares: pd.Series) -> str:
    if shares.empty:
        return NOT_MEASURED
    return formats.fixed(100 * (shares.max() - shares.min()), ".1f")
