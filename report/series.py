"""The numbers that the figures draw, from the cached results; none where they are not there yet.

A table that not every run has counts as not there, so that all series of a figure rest on the same
networks.
"""

from __future__ import annotations

import pandas as pd

from analysis import published
from analysis.study import CLASSES
from report.charts import ORIGINAL, OURS, explanations
from report.formats import LEVELS
from report.quantities import ATTACKS, Quantities

# Those attacks that every image underwent at every ε.
EXPLORED = {name: ATTACKS[name] for name in ("fgsm", "random-sign")}
# Digits that the original calls easy or hard.
SAID = {
    **dict.fromkeys(map(str, published.EASY), explanations.EASY),
    **dict.fromkeys(map(str, published.HARD), explanations.HARD),
}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MEASURES = {"spread": "spread (1 is flat)", "area": "area (share of the input)"}
SIMILARITIES = {"ssim": "structural similarity", "psnr": "signal-to-noise in dB"}
_DIGITS = pd.CategoricalDtype(range(CLASSES))


def of_runs(quantities: Quantities, table: str) -> pd.DataFrame:
    """Return the rows of the runs that are shown."""
    if not all(entry.table(table) for entry in quantities.shown.values()):
        return pd.DataFrame()
    rows = quantities.results.table(table)
    return rows[rows["run"].isin(list(quantities.shown))]


def derived(quantities: Quantities, table: str) -> pd.DataFrame:
    """Return a table that is derived from those of the runs."""
    if table not in quantities.results.manifest.derived:
        return pd.DataFrame()
    return quantities.results.table(table)


def errors(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return the error that goes with each accuracy; the ends of the interval change places."""
    ends = {"low": 1 - accuracy["high"], "high": 1 - accuracy["low"]}
    return accuracy.assign(value=1 - accuracy["value"], **ends)


def class_error(quantities: Quantities) -> pd.DataFrame:
    """Return the error of each digit, ours and the original's."""
    ours = errors(quantities.by_digit("accuracy")).assign(source=OURS)
    theirs = errors(quantities.by_digit("published accuracy")).assign(source=ORIGINAL)
    return pd.concat([ours, theirs])[["source", "digit", "value", "low", "high", "images"]]


def confusions(quantities: Quantities) -> pd.DataFrame:
    """Return images (mean over repeats) and share of the label, one row a pair of digits."""
    rows = quantities.predictions
    counts = pd.crosstab(
        rows["label"].astype(_DIGITS), rows["predicted"].astype(_DIGITS), dropna=False
    )
    counts = counts / quantities.repeats
    shares = counts.div(counts.sum(axis=1), axis=0)
    long = counts.stack().rename("images").to_frame().join(shares.stack().rename("share"))
    return long.reset_index().astype({"label": int, "predicted": int})


def confusions_under_attack(quantities: Quantities) -> pd.DataFrame:
    """Return the share of each digit that is read as each other, by attack and ε."""
    rows = of_runs(quantities, "attacks")
    if rows.empty:
        return rows
    rows = rows[rows["attack"].isin(list(EXPLORED))]
    keys = [rows[name] for name in ("attack", "epsilon", "label")]
    counts = pd.crosstab(keys, rows["predicted"].astype(_DIGITS), dropna=False)
    # A combination that does not occur has no share.
    shares = counts.div(counts.sum(axis=1), axis=0).dropna().stack().rename("share").reset_index()
    return pd.DataFrame(
        {
            "digit": shares["label"].astype(str),
            "predicted": shares["predicted"].astype(str),
            "attack": shares["attack"].map(EXPLORED),
            "levels": (LEVELS * shares["epsilon"]).round(4),
            "share": shares["share"].round(4),
        }
    )


def diffuseness(quantities: Quantities) -> pd.DataFrame:
    """Return the spread and the area of the maps of each digit."""
    tables = [
        quantities.by_digit(measure, layer=quantities.layer).assign(measure=name)
        for measure, name in MEASURES.items()
    ]
    rows = pd.concat(tables)
    rows = rows.assign(said=rows["digit"].map(SAID).fillna(explanations.OTHERS))
    return rows[["measure", "digit", "said", "value", "low", "high", "images"]]


def maps(quantities: Quantities) -> pd.DataFrame:
    """Return the mean map of each digit and quantiles of the spread of single ones.

    Digits come from the one with the highest accuracy to the one with the lowest.
    """
    cells = mean_maps(quantities)
    if cells.empty:
        return cells
    order = quantities.by_digit("accuracy").sort_values("value", ascending=False)["digit"]
    rank = {digit: rank for rank, digit in enumerate(order)}
    rows = pd.concat([cells, _quantiles_of_spread(quantities)], ignore_index=True)
    rows = rows.sort_values("digit", key=lambda digits: digits.map(rank), kind="stable")
    names = ["digit", "kind", "weights", "row", "column", "quantile", "value", "images"]
    return rows[names].reset_index(drop=True)


def mean_maps(quantities: Quantities) -> pd.DataFrame:
    """Return the mean map of each digit, each run weighed by its images."""
    rows = of_runs(quantities, "maps")
    if rows.empty:
        return rows
    rows = rows[rows["layer"] == quantities.layer]
    rows = rows.assign(mass=rows["value"] * rows["images"])
    sums = rows.groupby(["label", "row", "column"], as_index=False)[["mass", "images"]].sum()
    return sums.assign(
        value=sums["mass"] / sums["images"],
        digit=sums["label"].astype(str),
        kind=explanations.MAP,
    )


def _quantiles_of_spread(quantities: Quantities) -> pd.DataFrame:
    """Return quantiles of the spread of the maps of each digit, all runs together."""
    tables = {explanations.TRAINED: "saliency", explanations.RANDOM: "randomised"}
    found = []
    for weights, table in tables.items():
        rows = of_runs(quantities, table)
        if rows.empty:
            continue
        rows = rows[rows["layer"] == quantities.layer].dropna(subset="spread")
        by_digit = rows.groupby("label")["spread"]
        quantiles = by_digit.quantile(list(QUANTILES)).rename("value")
        quantiles = quantiles.rename_axis(["label", "quantile"]).reset_index()
        images = quantiles["label"].map(by_digit.size())
        digit = quantiles["label"].astype(str)
        found.append(quantiles.assign(digit=digit, weights=weights, images=images))
    return pd.concat(found).assign(kind=explanations.SPREAD)


def fragility(quantities: Quantities) -> pd.DataFrame:
    """Return the accuracy under each attack at each ε, of all runs together and of each."""
    tables = [
        _accuracy_under(quantities, attack).assign(attack=name) for attack, name in ATTACKS.items()
    ]
    rows = pd.concat(tables)
    rows = rows.assign(levels=LEVELS * rows["epsilon"])
    return rows[["attack", "run", "epsilon", "levels", "value", "low", "high", "images"]]


def _accuracy_under(quantities: Quantities, attack: str) -> pd.DataFrame:
    together = quantities.rows("accuracy", attack=attack, epsilon=None)
    together = together[together["group"] == "all"].assign(run="all")
    rows = of_runs(quantities, "attacks" if attack in EXPLORED else "controls")
    if together.empty or rows.empty:
        return together
    rows = rows[rows["attack"] == attack]
    rows = rows.assign(value=(rows["predicted"] == rows["label"]).astype(float))
    each = rows.groupby(["run", "epsilon"], as_index=False)
    return pd.concat([together, each.agg(value=("value", "mean"), images=("value", "size"))])


def fragility_by_digit(quantities: Quantities) -> pd.DataFrame:
    """Return the accuracy of each digit under those attacks that every image underwent."""
    rows = pd.concat(
        quantities.rows("accuracy", attack=attack, epsilon=None).assign(attack=name)
        for attack, name in EXPLORED.items()
    )
    rows = rows[rows["group"] != "all"].rename(columns={"group": "digit"})
    rows = rows.assign(levels=(LEVELS * rows["epsilon"]).round(4))
    return rows[["digit", "attack", "levels", "value", "low", "high"]]


def similarity(quantities: Quantities) -> pd.DataFrame:
    """Return how alike perturbed and clean images are, a mean over the images of all runs."""
    rows = of_runs(quantities, "perturbations")
    if rows.empty:
        return rows
    # The signal-to-noise ratio of an image that did not change has no value.
    rows = rows[rows["measure"].isin(list(SIMILARITIES)) & (rows["images"] > 0)]
    rows = rows.assign(total=rows["mean"] * rows["images"])
    keys = ["measure", "attack", "resolution", "epsilon"]
    sums = rows.groupby(keys, as_index=False)[["total", "images"]].sum()
    sums = sums.sort_values(["measure", "resolution"], ascending=False, kind="stable")
    return pd.DataFrame(
        {
            "measure": sums["measure"].map(SIMILARITIES),
            "resolution": sums["resolution"],
            "attack": sums["attack"].map(ATTACKS),
            "epsilon": sums["epsilon"],
            "levels": LEVELS * sums["epsilon"],
            "value": sums["total"] / sums["images"],
            "images": sums["images"],
        }
    )


def connection(quantities: Quantities) -> tuple[float, pd.DataFrame]:
    """Return the smallest ε above zero, and the error of each digit there and on clean images."""
    under = quantities.rows("accuracy", attack="fgsm", epsilon=None)
    under = under[(under["epsilon"] > 0) & (under["group"] != "all")]
    if under.empty:
        return 0.0, under
    epsilon = float(under["epsilon"].min())
    attacked = under[under["epsilon"] == epsilon].rename(columns={"group": "digit"})
    columns: dict[str, pd.Series] = {}
    for name, rows in (("clean", quantities.by_digit("accuracy")), ("attacked", attacked)):
        rows = errors(rows).set_index("digit")
        columns |= {name: rows["value"], f"{name}_low": rows["low"], f"{name}_high": rows["high"]}
    return epsilon, pd.DataFrame(columns).reset_index()


def aggregate(quantities: Quantities, names: dict[str, str]) -> pd.DataFrame:
    """Return accuracies of each run beside its overall one; ``names`` says how each is headed."""
    if of_runs(quantities, "attacks").empty:
        return pd.DataFrame()
    table = quantities.runs_table.rename(columns={"accuracy": "overall"})
    rows = table.melt(["run", "overall"], list(names), var_name="measure")
    return rows.assign(measure=rows["measure"].map(names))
