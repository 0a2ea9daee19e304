"""The derived results of a study as pages read them: by names that are checked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.project.errors import UserError, nearest
from analysis.results import published, store
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.published import Published
from analysis.results.records import ClaimRecord, ClaimsRecord, Judgement
from analysis.results.schemas import (
    ALL,
    ATTACKS,
    MAPPED,
    MEASURES,
    NONE,
    QUESTIONS,
    SCALINGS,
)
from analysis.results.store import Derived

# More classes than this are too many for a figure: the worst and the best of them are shown.
MOST, WORST, BEST = 20, 15, 5
# What a column may contain, where a table does not list it.
_KNOWN = {
    "quantity": ("accuracy", "accuracy on the sample", *MEASURES),
    "attack": (NONE, *ATTACKS),
    "source": ("study", "published"),
    "scaling": SCALINGS,
    "measure": (*MEASURES, "ssim", "psnr", "linf", "rms"),
    "weights": MAPPED,
    "question": QUESTIONS,
}


def checked(what: str, name: str, known: Iterable[str]) -> str:
    """Return a name if it is known. Raises ``UserError`` with the nearest one."""
    known = list(known)
    if name not in known:
        raise UserError(f"There is no {what} {name!r}; the nearest is {nearest(name, known)!r}.")
    return name


class Results:
    """What was derived from the complete repeats of a study."""

    def __init__(self, derived: Derived) -> None:
        self.derived, self.study, self.record = derived, derived.study, derived.record
        self._tables: dict[str, pd.DataFrame] = {}
        self.classes = derived.record.classes
        self.noun, self.nouns = self.study.images.noun, self.study.images.nouns
        # Whether predictions were given without a network.
        self.level = derived.record.level
        self.alone = self.study.predictions is not None
        # The layer whose maps are shown, if any were measured.
        self.layer = next(iter(self.record.layers), NONE)
        attacks = self.study.attacks
        # The smallest ε of the sweep above 0, and the one whose errors are looked at closely.
        self.smallest, self.middle = (
            (attacks.epsilons[1], attacks.logits_epsilon) if attacks else (0.0, 0.0)
        )
        tests = ("connected classes", "connected flips")
        asked = [one.parameters["epsilon"] for one in self.record.claims if one.test in tests]
        connected = [epsilon for epsilon in asked if attacks and epsilon in attacks.epsilons]
        # The ε at which errors and fragility are compared.
        self.connected = connected[0] if connected else self.smallest
        # Without perturbations no image is called clean.
        perturbed = self.has("accuracies") or self.has("corruption_errors")
        self.clean = " on clean images" if perturbed else ""
        self._known = {**_KNOWN, "layer": (NONE, *self.record.layers)}

    @cached_property
    def published(self) -> Published | None:
        """Return the published results that the study names, if any."""
        return published.load(self.study.published) if self.study.published else None

    @cached_property
    def companion(self) -> ClaimsRecord | None:
        """Return the claims of the study that this one is compared with, if they were derived."""
        found = store.derived_if_any(self.study.companion) if self.study.companion else None
        return found.record if found else None

    @property
    def sources(self) -> dict[str, str]:
        """Return whose estimates there are, by their name in the column ``source``."""
        theirs = {"published": self.published.name} if self.published else {}
        return {"study": "this study", **theirs}

    def judgements(self, claim: ClaimRecord) -> list[tuple[str, Judgement]]:
        """Return the judgement from this study, and that from published results if there is one."""
        theirs = [claim.published] if self.published and claim.published else []
        names = [name.removeprefix("the ") for name in self.sources.values()]
        return list(zip(names, [claim.study, *theirs], strict=False))

    def has(self, table: str) -> bool:
        """Return whether a table was derived and has rows. Raises ``UserError`` if misspelt."""
        checked("table", table, DERIVED_TABLES)
        return table in self.derived and not self.table(table).empty

    def table(self, name: str) -> pd.DataFrame:
        """Return a table. Raises ``UserError`` if it is misspelt, damaged or was not derived."""
        if name not in self._tables:
            self._tables[name] = self.derived.table(checked("table", name, DERIVED_TABLES))
        return self._tables[name]

    def rows(self, table: str, **values: Any) -> pd.DataFrame:
        """Return the rows of a table that have a value in each of some columns.

        ``class_`` is the column ``class``, and of a tuple any value will do. Raises ``UserError``
        for a misspelt name; what was not measured has no rows.
        """
        rows = self.table(table)
        for name, value in values.items():
            column = name.rstrip("_")
            accepted = value if isinstance(value, tuple) else (value,)
            for one in accepted if column in self._known else ():
                checked(column, one, self._known[column])
            rows = rows[rows[column].isin(accepted)]
        return rows

    def estimates(
        self, quantity: str, *, attack: str = NONE, layer: str = NONE, source: str = "study"
    ) -> pd.DataFrame:
        """Return the estimates of a quantity, one for each class, and for each ε of an attack."""
        named = {"quantity": quantity, "attack": attack, "layer": layer, "source": source}
        return self.rows("estimates", **named)

    def overall(
        self, quantity: str, *, attack: str = NONE, epsilon: float = 0.0, layer: str = NONE
    ) -> pd.Series | None:
        """Return the estimate over all classes, or ``None`` if it was not measured."""
        rows = self.estimates(quantity, attack=attack, layer=layer)
        rows = rows[(rows["epsilon"] == epsilon) & (rows["class"] == ALL)]
        return None if rows.empty else rows.iloc[0]

    def confidence_under(self, attack: str, epsilon: float) -> pd.Series | None:
        """Return how sure errors under an attack are, on as many images as there are, if known."""
        rows = self.rows("attack_confidence", attack=attack, epsilon=epsilon)
        rows = rows.dropna(subset="auroc").sort_values("images")
        return None if rows.empty else rows.iloc[0]

    @property
    def accuracy(self) -> pd.Series:
        """Return the overall accuracy on clean images."""
        return self.estimates("accuracy").set_index("class").loc[ALL]

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """Return the accuracy of each class with an evaluated image, the lowest first."""
        rows = self.estimates("accuracy")
        return rows[rows["class"].isin(self.classes)].dropna(subset="value").sort_values("value")

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Return the classes that figures and tables show, in their own order."""
        if len(self.classes) <= MOST:
            return self.classes
        ranked = self.ranked["class"].tolist()
        chosen = {*ranked[:WORST], *ranked[-BEST:]}
        return tuple(name for name in self.classes if name in chosen)

    @property
    def left_out(self) -> str:
        """Return a sentence on the classes that are left out, with a space before it, if any."""
        which = f"{WORST} with the lowest accuracy and the {BEST} with the highest"
        return self._left_out(which, len(self.shown))

    @cached_property
    def confused(self) -> tuple[list[str], str]:
        """Return the classes of a confusion matrix, and a sentence on those that are left out.

        Of many classes they are those of the commonest confusions, in their own order.
        """
        if len(self.classes) <= MOST:
            return list(self.classes), ""
        rows = self.rows("confusions", attack=NONE)
        rows = rows.sort_values("images", ascending=False, kind="stable")
        pairs = rows[rows["label"] != rows["predicted"]][["label", "predicted"]]
        most = dict.fromkeys([*pairs.to_numpy().ravel(), *self.ranked["class"], *self.classes])
        chosen = set(list(most)[:MOST])
        shown = [name for name in self.classes if name in chosen]
        return shown, self._left_out(f"{MOST} of the commonest confusions", len(shown))

    @cached_property
    def sliced(self) -> tuple[pd.DataFrame, str]:
        """Return the slices that a figure shows, and a sentence on those that are left out."""
        rows = self.table("slices")
        rank = rows.groupby("attribute")["error"].rank(method="first", ascending=False)
        number = rows.groupby("attribute")["error"].transform("size")
        shown = (number <= MOST) | (rank <= WORST) | (rank > number - BEST)
        if shown.all():
            return rows, ""
        return rows[shown].reset_index(drop=True), (
            f" Of attributes with more than {MOST} slices, the {WORST} with the largest error and "
            f"the {BEST} with the smallest are shown."
        )

    def named(self, name: str) -> str:
        """Return a class with the noun before it, unless its name begins with that."""
        return name if name.lower().startswith(self.noun.lower()) else f"{self.noun} {name}"

    def _left_out(self, which: str, shown: int) -> str:
        count = len(self.classes)
        if count == shown:
            return ""
        return f" Of {count:,} {self.nouns} the {which} are shown; {count - shown:,} are left out."

    def of_shown(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the classes that are shown, by the column ``class``."""
        return rows[rows["class"].isin(self.shown)]

    @property
    def sizes(self) -> list[float]:
        """Return the ε that attacks are compared at, from 0: the published ones, if any."""
        if self.published and self.published.fgsm:
            return sorted(self.published.fgsm)
        return [0.0, *(self.study.attacks.native_epsilons if self.study.attacks else ())]
