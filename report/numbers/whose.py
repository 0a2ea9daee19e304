"""Whose errors they are: what the prose says of labels, neighbours and slices, as ``whose.…``."""

from __future__ import annotations

import pandas as pd

from analysis.results.schemas import AGREED, BY_ONE_NETWORK, CONTROL, NONE, UNKNOWN
from report.numbers import formats
from report.numbers.results import Results
from report.numbers.values import ENOUGH

# Of more suspected labels, the most confident predictions are listed.
LISTED = 200
# The attribute that says where in its group an image is.
PLACE = "place"


class Whose:
    """What is known of the errors of one study apart from the network; shares are per cent."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self.slices_left_out = results.sliced[1]

    @property
    def suspects_said(self) -> str:
        """Return how many labels are suspected to be wrong, in words."""
        count = len(self._results.table("suspects"))
        are = "is" if count == 1 else "are"
        return f"{formats.counted(count, 'label')} {are} suspected to be wrong"

    @property
    def one_network(self) -> bool:
        """Return whether labels are suspected by the rule for a single network."""
        return BY_ONE_NETWORK in set(self._results.table("suspects")["rule"])

    @property
    def suspects_listed(self) -> str:
        """Return how many of them a table names, if not all."""
        count = len(self._results.table("suspects"))
        return formats.thousands(LISTED) if count > LISTED else ""

    @property
    def audited(self) -> str:
        """Return what readers saw on the suspected labels, and on controls, in one sentence."""
        seen = self._results.table("audit")
        suspected, controls = (
            seen.loc[rows, "agreed"].value_counts()
            for rows in (seen["rule"] != CONTROL, seen["rule"] == CONTROL)
        )
        return (
            f"Readers who saw neither label nor prediction read the label on "
            f"{suspected.get(AGREED[0], 0)} of these {suspected.sum()} images and the prediction "
            f"on {suspected.get(AGREED[1], 0)}; on random other images they read the label on "
            f"{controls.get(AGREED[0], 0)} of {controls.sum()}."
        )

    @property
    def agreement(self) -> str:
        """Return how far readers agree, in one sentence, or nothing of fewer than two."""
        rows = self._results.rows("agreement", kind="all")
        if rows.empty:
            return ""
        said = [
            f"{formats.per_cent(row['share'])} of {formats.thousands(row['images'])} images"
            + (
                ""
                if pd.isna(row["kappa"])
                else f" (Cohen's κ {formats.fixed(row['kappa'], '.2f')})"
            )
            for row in rows.to_dict("records")
        ]
        if len(rows) == 1:
            return f"The two agree on {said[0]}."
        pairs = [f"{who} on {what}" for who, what in zip(rows["readers"], said, strict=True)]
        return f"They agree pair by pair: {formats.listed(pairs)}."

    @property
    def neighbours(self) -> dict[str, str]:
        """Return how many errors read a neighbour, with its interval, and how many by chance."""
        (row,) = self._results.table("neighbours").to_dict("records")
        ends = row["chance_low"], row["chance_high"]
        return {
            "share": formats.between(row["share"], row["low"], row["high"], "share"),
            "chance": formats.between(row["chance"], *ends, "share"),
            "errors": formats.thousands(row["errors"]),
        }

    @property
    def worst_slice(self) -> str:
        """Return which slice of an attribute has the largest error and which the smallest.

        Nothing if fewer than two slices have enough images.
        """
        slices = self._slices
        slices = slices[slices["attribute"] == self.held_fixed].sort_values("error")
        if len(slices) < 2:
            return ""
        least, most = slices.iloc[0], slices.iloc[-1]
        return (
            f"Of the images with the {self.held_fixed} “{most['slice']}”, "
            f"{formats.share_with_interval(most, 'error')} are misread, of those with "
            f"“{least['slice']}” {formats.share_with_interval(least, 'error')}."
        )

    @property
    def held_fixed(self) -> str:
        """Return the attribute over which errors differ most, or the place in a group if known."""
        slices = self._slices if len(self._slices) else self._results.table("slices")
        if PLACE in set(slices["attribute"]):
            return PLACE
        errors = slices.groupby("attribute", sort=False)["error"]
        return str((errors.max() - errors.min()).idxmax())

    @property
    def most_changed(self) -> str:
        """Return which class's difference from the others changes most with it held fixed."""
        rows = self._results.of_shown(self._results.table("adjusted"))
        wide = rows.pivot(index="class", columns="attribute", values="difference")
        if self.held_fixed not in wide:
            return ""
        wide = wide[[NONE, self.held_fixed]].dropna()
        if wide.empty:
            return ""
        row = wide.loc[(wide[self.held_fixed] - wide[NONE]).abs().idxmax()]
        before, after = (formats.number(each, "difference of shares") for each in row)
        return (
            f"the difference of {self._results.noun} {row.name} changes most, from {before} to "
            f"{after} percentage points"
        )

    @property
    def _slices(self) -> pd.DataFrame:
        """Return the slices with enough images, those without a value left out."""
        slices = self._results.table("slices").dropna(subset="error")
        return slices[(slices["images"] >= ENOUGH) & (slices["slice"] != UNKNOWN)]
