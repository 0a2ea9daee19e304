"""Accuracy and confidence on corrupted images, in words."""

from __future__ import annotations

import pandas as pd

from analysis.results.schemas import CORRUPTIONS, FGSM
from report.numbers import formats
from report.numbers.results import Results

# What corruptions are called, and what their strengths are.
NAMES = dict(zip(CORRUPTIONS, (*CORRUPTIONS[:-1], "JPEG"), strict=True))
STRENGTHS = {
    "noise": "standard deviation in [0, 1] pixel units",
    "blur": "standard deviation of the kernel in pixels",
    "contrast": "factor of contrast",
    "brightness": "factor of brightness",
    "jpeg": "JPEG quality",
}
_AT = {
    "noise": "a standard deviation of {:g}",
    "blur": "a standard deviation of {:g} pixels",
    "contrast": "a factor of {:g}",
    "brightness": "a factor of {:g}",
    "jpeg": "a quality of {:g}",
}


class CorruptionNumbers:
    """What templates say of corrupted images as ``corruption.…``.

    ``lowest`` and ``others`` are about the strongest of each corruption, the one that leaves the
    lowest accuracy first; ``images`` counts those of the sample.
    """

    def __init__(self, results: Results) -> None:
        rows = results.table("corruption_errors")
        own = rows[rows["corruption"] != FGSM]
        strongest = (
            own.groupby("corruption", sort=False).tail(1).sort_values("value", kind="stable")
        )
        clean, self._fgsm = own.iloc[0], rows[rows["corruption"] == FGSM]
        self.images = formats.thousands(clean["images"])
        self.clean = formats.share_with_interval(clean)
        self.clean_confidence = formats.per_cent(clean["confidence"])
        found = [_written(row) for _, row in strongest.iterrows()]
        self.lowest, others = found[0], found[1:]
        self.others = formats.listed([f"{one['accuracy']} with {one['name']}" for one in others])
        ends = {f"{end}_confidence": end for end in ("low", "high")}
        sure = strongest.iloc[0].drop(["low", "high"]).rename(ends)
        self.confidence = formats.share_with_interval(sure, "confidence")

    def fgsm(self, epsilon: float) -> str:
        """Return the accuracy under FGSM at an ε on the same images, or nothing."""
        rows = self._fgsm[self._fgsm["strength"] == epsilon]
        return "" if rows.empty or epsilon == 0 else formats.share_with_interval(rows.iloc[0])


def _written(row: pd.Series) -> dict[str, str]:
    name, strength = row["corruption"], row["strength"]
    # Of a factor it matters on which side of one it is.
    more = ("less " if strength < 1 else "more ") if name in ("contrast", "brightness") else ""
    return {
        "name": more + NAMES[name],
        "at": _AT[name].format(strength),
        "accuracy": formats.share_with_interval(row),
    }
