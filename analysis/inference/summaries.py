"""Tables that pages show and that need no interval: runs, confusions, mean maps, similarities."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.inference.evidence import Evidence, Tables
from analysis.results.records import RunRecord
from analysis.results.schemas import ALL, ALTERED, FGSM, NONE, RANDOM_SIGN

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def summaries(
    tables: Tables, evidence: Evidence, records: dict[str, RunRecord]
) -> dict[str, pd.DataFrame]:
    """Return every such table that the runs have been analysed far enough for."""
    names = np.array(evidence.classes, dtype=object)
    found = {"runs": _runs(tables, records, names), "confusions": _clean_confusions(tables, names)}
    if tables.measured("attacks"):
        attacks = tables.frame("attacks")
        found["accuracies"] = _accuracies(attacks)
        found["confusions"] = pd.concat(
            [found["confusions"], _attacked_confusions(tables, attacks, names)], ignore_index=True
        )
        found["similarities"] = _similarities(tables.frame("perturbations"))
    if tables.measured("duplicates"):
        rows = tables.frame("duplicates").merge(
            tables.frame("predictions")[["run", "index", "label"]], on=["run", "index"]
        )
        columns = ["run", "index", "label", "other_split", "other_index", "kind"]
        found["duplicates"] = rows.assign(label=names[rows["label"]].astype(str))[columns]
    if tables.measured("maps"):
        maps = tables.frame("maps")
        maps = maps[~maps["weights"].isin(ALTERED)]
        found["mean_maps"] = _mean_maps(tables.frame("mean_maps"), names)
        found["spreads"] = _spreads(maps, names)
        found["zero_maps"] = _zero_maps(maps, names)
    return found


def _runs(tables: Tables, records: dict[str, RunRecord], names: np.ndarray) -> pd.DataFrame:
    rows = tables.frame("predictions")
    right = (rows["label"] == rows["predicted"]).groupby([rows["run"], rows["label"]])
    by_class = right.mean().unstack()
    overall = (rows["label"] == rows["predicted"]).groupby(rows["run"]).mean()
    found = []
    for name in tables.runs:
        record = records[name]
        last = max([record.training, *record.analyses.values()], key=lambda one: one.finished)
        packages: dict[str, set[str]] = {}
        for part in (record.training, *record.analyses.values()):
            for package, version in part.packages.items():
                packages.setdefault(package, set()).add(version)
        found.append(
            {
                "run": name,
                "seed": record.seed,
                "accuracy": overall[name],
                "worst": names[by_class.loc[name].idxmin()],
                "worst_accuracy": by_class.loc[name].min(),
                "training_images": record.training.training_images,
                "seconds": record.training.seconds,
                "finished": last.finished,
                "trained": record.training.finished,
                "device": record.training.device,
                "revision": record.training.revision or "unknown",
                "analysed": last.revision or "unknown",
                "packages": ", ".join(
                    f"{package} {version}"
                    for package, versions in packages.items()
                    for version in sorted(versions)
                ),
            }
        )
    return pd.DataFrame(found)


def _accuracies(attacks: pd.DataFrame) -> pd.DataFrame:
    right = (attacks["predicted"] == attacks["label"]).astype(float)
    grouped = right.groupby([attacks[name] for name in ("run", "attack", "epsilon")], sort=False)
    return grouped.agg(accuracy="mean", images="size").reset_index()


def _clean_confusions(tables: Tables, names: np.ndarray) -> pd.DataFrame:
    rows = tables.frame("predictions").assign(attack=NONE, epsilon=0.0)
    return _confusions(rows, tables, names)


def _attacked_confusions(tables: Tables, attacks: pd.DataFrame, names: np.ndarray) -> pd.DataFrame:
    """Return the confusions under those attacks that every image underwent at every ε."""
    return _confusions(attacks[attacks["attack"].isin([FGSM, RANDOM_SIGN])], tables, names)


def _confusions(rows: pd.DataFrame, tables: Tables, names: np.ndarray) -> pd.DataFrame:
    keys = ["attack", "epsilon", "label", "predicted"]
    counts = rows.groupby(keys).size().rename("images").reset_index()
    total = counts.groupby(keys[:-1])["images"].transform("sum")
    return pd.DataFrame(
        {
            "attack": counts["attack"],
            "epsilon": counts["epsilon"],
            "label": names[counts["label"]],
            "predicted": names[counts["predicted"]],
            "images": counts["images"] / rows["repeat"].nunique(),
            "share": counts["images"] / total,
        }
    ).astype({"label": "str", "predicted": "str"})


def _mean_maps(rows: pd.DataFrame, names: np.ndarray) -> pd.DataFrame:
    """Return the mean map of each class, each run weighted by its images."""
    rows = rows.assign(mass=rows["value"].astype(float) * rows["images"])
    keys = ["layer", "label", "row", "column"]
    sums = rows.groupby(keys, as_index=False, sort=False)[["mass", "images"]].sum()
    sums = sums.assign(value=sums["mass"] / sums["images"], **{"class": names[sums["label"]]})
    order = ["layer", "class", "row", "column", "value", "images"]
    return sums[order].astype({"class": "str"})


def _spreads(rows: pd.DataFrame, names: np.ndarray) -> pd.DataFrame:
    rows = rows.dropna(subset="spread")
    grouped = rows.groupby(["layer", "weights", "label"], sort=False)["spread"]
    quantiles = grouped.quantile(list(QUANTILES)).rename("value")
    found = quantiles.rename_axis(["layer", "weights", "label", "quantile"]).reset_index()
    sizes = grouped.size().rename("images").reset_index()
    found = found.merge(sizes, on=["layer", "weights", "label"], validate="many_to_one")
    found = found.assign(**{"class": names[found["label"]]})
    order = ["layer", "weights", "class", "quantile", "value", "images"]
    return found[order].astype({"class": "str", "value": "float64"})


def _zero_maps(rows: pd.DataFrame, names: np.ndarray) -> pd.DataFrame:
    by_class = rows.assign(**{"class": names[rows["label"]]})
    every = pd.concat([rows.assign(**{"class": ALL}), by_class]).astype({"class": "str"})
    keys = [every[name] for name in ("layer", "weights", "class")]
    return every["spread"].isna().groupby(keys).agg(maps="size", zero="sum").reset_index()


def _similarities(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over the images of all runs; psnr has no value if nothing changed."""
    rows = rows[rows["images"] > 0]
    rows = rows.assign(total=rows["mean"] * rows["images"])
    keys = ["attack", "epsilon", "resolution", "native", "measure"]
    sums = rows.groupby(keys, as_index=False, sort=False)[["total", "images"]].sum()
    return sums.assign(value=sums["total"] / sums["images"])[[*keys, "value", "images"]]
