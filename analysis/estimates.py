"""Estimates with intervals, derived from the tables of all complete repeats.

The quantity is the expected value for the recipe on such images: folds are pooled within a repeat,
repeats are averaged for each image, photos are resampled. The interval is conditional on the
trained networks; the standard deviation between repeats stands beside it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from analysis import published, statistics
from analysis.results import Results
from analysis.study import CLASSES, Bootstrap

ALL = "all"
NONE = "none"
MEASURES = ("spread", "area", "offset", "fragments")
_KEYS = ["quantity", "attack", "epsilon", "layer"]


def estimate(results: Results) -> pd.DataFrame | None:
    """Return the rows of ``estimates``, or nothing before the first complete repeat."""
    repeats = results.complete_repeats()
    if not repeats:
        return None
    predictions = results.table("predictions")
    photo = photos(predictions)
    label = predictions.drop_duplicates("index").set_index("index")["label"].loc[photo.index]
    repeat_of = {run: repeat for repeat, runs in repeats.items() for run in runs}
    values = [
        _accuracy(predictions.assign(attack=NONE, epsilon=0.0), repeat_of),
        *_values_of_finished(results, repeat_of),
    ]
    settings = results.study.bootstrap
    table = pd.concat(values)
    ours = _estimates(table, photo, label, settings, seed=results.study.seed)
    return pd.concat([ours, _published(settings.level)], ignore_index=True)


def _values_of_finished(results: Results, repeat_of: dict[str, int]) -> list[pd.DataFrame]:
    """Return the values of those analyses that every complete repeat has."""
    repeats = set(repeat_of.values())
    found = []
    if repeats <= set(results.complete_repeats("attacks")):
        found.append(_accuracy(results.table("attacks"), repeat_of))
        if repeats <= set(results.complete_repeats("controls")):
            controls = results.table("controls")
            found.append(_accuracy(controls, repeat_of))
            found.append(_on_the_sample(results.table("attacks"), controls, repeat_of))
    if repeats <= set(results.complete_repeats("saliency")):
        found.append(_saliency(results.table("saliency"), repeat_of))
    return found


def photos(predictions: pd.DataFrame) -> pd.Series:
    """Return the photo of each image, by index; an image is its own photo where none is known."""
    images = predictions.drop_duplicates("index").set_index("index")["photo"].sort_index()
    return images.where(images >= 0, -1 - images.index.to_series())


def _accuracy(rows: pd.DataFrame, repeat_of: dict[str, int]) -> pd.DataFrame:
    correct = (rows["label"] == rows["predicted"]).astype(float)
    rows = rows.assign(quantity="accuracy", layer=NONE, value=correct)
    return _of_repeats(rows, repeat_of)


def _on_the_sample(
    attacks: pd.DataFrame, controls: pd.DataFrame, repeat_of: dict[str, int]
) -> pd.DataFrame:
    """Return the accuracy of FGSM and PGD on the same images, those that PGD was run on."""
    pgd = controls[controls["attack"] == "pgd"]
    same = attacks["epsilon"].isin([0, *pgd["epsilon"]]) & attacks["index"].isin(pgd["index"])
    rows = pd.concat([attacks[same & (attacks["attack"] == "fgsm")], pgd])
    return _accuracy(rows, repeat_of).assign(quantity="accuracy on the sample")


def _saliency(rows: pd.DataFrame, repeat_of: dict[str, int]) -> pd.DataFrame:
    rows = rows.melt(
        id_vars=["run", "index", "layer"], value_vars=list(MEASURES), var_name="quantity"
    )
    # Fragments are not defined on small maps: no value at all rather than missing ones.
    there = rows.groupby(["quantity", "layer"])["value"].transform("count") > 0
    return _of_repeats(rows[there].assign(attack=NONE, epsilon=0.0), repeat_of)


def _of_repeats(rows: pd.DataFrame, repeat_of: dict[str, int]) -> pd.DataFrame:
    rows = rows.assign(repeat=rows["run"].map(repeat_of)).dropna(subset="repeat")
    return rows[[*_KEYS, "repeat", "index", "value"]]


def _estimates(
    values: pd.DataFrame, photo: pd.Series, label: pd.Series, settings: Bootstrap, *, seed: int
) -> pd.DataFrame:
    by_repeat = values.pivot_table(index="index", columns=[*_KEYS, "repeat"], values="value")
    by_repeat = by_repeat.loc[photo.index]
    columns = by_repeat.columns.droplevel("repeat").unique()
    averaged = by_repeat.T.groupby(level=_KEYS).mean().T[columns]
    counts = statistics.photo_counts(photo.nunique(), resamples=settings.resamples, seed=seed)
    groups = {ALL: np.ones(len(label), dtype=bool)}
    groups |= {str(digit): (label == digit).to_numpy() for digit in range(CLASSES)}
    tables = []
    for name, members in groups.items():
        chosen = averaged.where(pd.Series(members, index=averaged.index))
        # In a small set a digit may have no image, or none whose map says anything.
        chosen = chosen.loc[:, chosen.notna().any()]
        if chosen.empty:
            continue
        resampled = statistics.resampled_means(chosen.to_numpy(), photo.to_numpy(), counts)
        low, high = statistics.interval(resampled, settings.level)
        repeats = by_repeat[members].mean().groupby(level=_KEYS).agg(["std", "count"])
        repeats = repeats.loc[chosen.columns]
        tables.append(
            chosen.columns.to_frame(index=False).assign(
                group=name,
                value=chosen.mean().to_numpy(),
                low=low,
                high=high,
                between_repeats=repeats["std"].to_numpy(),
                images=chosen.count().to_numpy(),
                repeats=repeats["count"].to_numpy(),
            )
        )
    return _typed(pd.concat(tables, ignore_index=True))


def _published(level: float) -> pd.DataFrame:
    """Return the accuracies of the original's matrix, with Wilson's interval.

    One run, and no word of photos: images are taken as independent.
    """
    matrix = published.confusion_matrix()
    right = {
        ALL: np.trace(matrix),
        **{str(digit): matrix[digit, digit] for digit in range(CLASSES)},
    }
    total = {ALL: matrix.sum(), **{str(digit): matrix[digit].sum() for digit in range(CLASSES)}}
    rows = []
    for group, count in right.items():
        low, high = proportion_confint(count, total[group], alpha=1 - level, method="wilson")
        rows.append(
            {
                "quantity": "published accuracy",
                "attack": NONE,
                "epsilon": 0.0,
                "layer": NONE,
                "group": group,
                "value": count / total[group],
                "low": low,
                "high": high,
                "between_repeats": np.nan,
                "images": total[group],
                "repeats": 1,
            }
        )
    return _typed(pd.DataFrame(rows))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    table = table.astype({"images": "int32", "repeats": "int32", "between_repeats": "float64"})
    return table[[*_KEYS, "group", *table.columns.drop([*_KEYS, "group"])]]
