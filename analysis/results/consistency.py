"""What the tables of a run must have in common with one another and with their study."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.results.schemas import (
    ALTERED,
    CORRUPTIONS,
    FGSM,
    FGSM_NATIVE,
    LEVELS,
    PGD,
    PGD_MARGIN,
    PGD_RANDOM,
    RANDOM,
    RANDOM_SIGN,
    TRAINED,
)
from analysis.study import Attacks, Corruptions, Study

Tables = dict[str, pd.DataFrame]

# Of numbers that follow from others, which another processor may round in another way.
_ROUNDING = 1e-3
_LONGEST_TEXT, _LARGEST_IMAGE = 5000, 100_000
_OF_IMAGES = ("maps", "attacks", "controls", "gradients", "corruptions")
# What the measures of a perturbation can be; psnr is that of float32 pixels.
_MEASURED = {"ssim": (-1, 1), "psnr": (0, 1000), "linf": (0, LEVELS), "rms": (0, LEVELS)}


def problems(
    study: Study, tables: Tables, *, classes: int, training_images: int = 0
) -> Iterable[str]:
    """Yield what is wrong with the tables of a run, a sentence each without its full stop.

    ``training_images`` counts those that its network was trained on, if it was trained here.
    """
    training = len(tables.get("history", ()))
    if training != study.epochs:
        yield f"its training has {training} epochs, not {study.epochs}"
    for name, table in tables.items():
        yield from _values(table, name, classes)
    if "predictions" not in tables:
        return
    predictions = tables["predictions"]
    if predictions.empty:
        yield "predictions is empty"
        return
    # Others are compared with these.
    if wrong := list(_logits(predictions, "predictions", classes)):
        yield from wrong
        return
    by_index = predictions.set_index("index")
    for name in set(tables) & {*_OF_IMAGES}:
        rows = tables[name]
        labels = by_index["label"].reindex(rows["index"])
        if labels.isna().any() or (labels.to_numpy() != rows["label"].to_numpy()).any():
            yield f"{name} has images or labels that predictions does not have"
            return
    for name in set(tables) & {"attributes", "duplicates"}:
        if not set(tables[name]["index"]) <= set(by_index.index):
            yield f"{name} has images that predictions does not have"
        elif (
            name == "attributes"
            and study.network
            and set(by_index.index) - {*tables[name]["index"]}
        ):
            yield "attributes has not every image"
    yield from _positions(study, tables, training_images)
    if "attributes" in tables:
        yield from _attributes(tables["attributes"])
    if study.corruptions and "corruptions" in tables:
        yield from _corruptions(study.corruptions, tables["corruptions"])
    if study.attacks and "attacks" in tables:
        yield from _attacks(study.attacks, tables, by_index, classes)
    if study.attacks and "controls" in tables:
        yield from _controls(study.attacks, tables, by_index, classes)
    if "maps" in tables:
        yield from _maps(study, tables, by_index)
    yield from _samples(study, tables, by_index)


def units(group: pd.Series) -> pd.Series:
    """Return the groups of images by their index; one that is not known has a group of its own."""
    return group.where(group >= 0, -1 - group.index.to_series())


def _values(table: pd.DataFrame, name: str, classes: int) -> Iterable[str]:
    """Yield what no table may have."""
    for column in {"label", "predicted", "target"} & set(table):
        if len(table) and table[column].max() >= classes:
            yield f"{name} has a {column} beyond the {classes} classes"
    for column in table.select_dtypes("float"):
        if np.isinf(table[column]).any():
            yield f"{name} has an infinite {column}"
    for column in table.select_dtypes("str"):
        if len(table) and table[column].str.len().max() > _LONGEST_TEXT:
            yield f"{name} has a {column} of more than {_LONGEST_TEXT:,} letters"
    if "confidence" in table and (table["confidence"] < 1 / classes - _ROUNDING).any():
        yield f"{name} has a confidence below one in {classes}"


def _logits(table: pd.DataFrame, name: str, classes: int) -> Iterable[str]:
    if (table["logits"].map(len) != classes).any():
        yield f"{name} has logits of another number of classes than {classes}"
        return
    logits = np.stack(table["logits"].to_list()).astype(np.float64)
    if (logits.argmax(axis=1) != table["predicted"].to_numpy()).any():
        yield f"{name} has a predicted class without the largest logit"
    confidence = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    if np.abs(confidence - table["confidence"].to_numpy()).max() > _ROUNDING:
        yield f"{name} has a confidence that is not that of its logits"


def _kept(table: pd.DataFrame, where: pd.Series, name: str, classes: int) -> Iterable[str]:
    """Yield what is wrong with logits that some rows must have, and others may."""
    kept = table["logits"].notna()
    if (where & ~kept).any():
        yield f"{name} has not the logits that are to be kept"
    elif kept.any():
        yield from _logits(table[kept], name, classes)


def _positions(study: Study, tables: Tables, training_images: int) -> Iterable[str]:
    """Yield positions of images beyond all that there are, as far as those are known."""
    if not training_images:
        return
    evaluated = len(tables["predictions"])
    folds = study.images.folds > 1
    # In folds, what is not evaluated is trained on.
    known = {"predictions": ("index", evaluated + training_images if folds else evaluated)}
    known["duplicates"] = ("other_index", evaluated + training_images if folds else training_images)
    for name, (column, count) in known.items():
        if name in tables and (tables[name][column] >= count).any():
            yield f"{name} has an {column} beyond the {count:,} images"


def _attributes(table: pd.DataFrame) -> Iterable[str]:
    number, category = table["number"].notna(), table["category"] != ""
    # Where an image's value is not known, it has neither.
    kinds = pd.DataFrame({"number": number, "category": category}).groupby(table["attribute"]).any()
    if kinds.all(axis=1).any():
        yield "attributes has an attribute that is both a number and a category"
    if (~kinds.any(axis=1)).all() and len(kinds):
        yield "attributes has no value"


def _samples(study: Study, tables: Tables, by_index: pd.DataFrame) -> Iterable[str]:
    """Yield what is wrong with the part of a random sample of groups that a run has."""
    groups = study.attacks.sample if study.attacks else Attacks.model_fields["sample"].default
    parts: list[tuple[str, pd.DataFrame, list[str], int]] = []
    if study.attacks and "attacks" in tables:
        rows = tables["attacks"][tables["attacks"]["attack"] == PGD]
        parts.append(("attacks", rows, ["epsilon"], groups))
    if "maps" in tables:
        rows = tables["maps"][tables["maps"]["weights"].isin(ALTERED)]
        parts.append(("maps", rows, ["layer", "weights"], groups))
    if study.corruptions and "corruptions" in tables:
        keys = ["corruption", "strength"]
        parts.append(("corruptions", tables["corruptions"], keys, study.corruptions.sample))
    group = units(by_index["group"])
    drawn: dict[int, set[int]] = {}
    for name, rows, keys, wanted in parts:
        images = set(rows["index"])
        chosen = group[group.index.isin(images)]
        fewest = min(wanted, group.nunique()) if study.images.folds == 1 else 0
        if (rows.groupby(keys).size() != len(images)).any():
            yield f"{name} has not the same sample of images throughout"
        elif group.isin(chosen).sum() != len(images):
            yield f"{name} has a sample with parts of groups"
        elif not fewest <= chosen.nunique() <= wanted:
            yield f"{name} has a sample of {chosen.nunique():,} groups, not {wanted:,}"
        elif drawn.setdefault(wanted, images) != images:
            yield f"{name} has another sample than the other tables"


def _corruptions(settings: Corruptions, table: pd.DataFrame) -> Iterable[str]:
    # A fold may have no part of the sample.
    asked = {(name, float(each)) for name in CORRUPTIONS for each in getattr(settings, name)}
    found = set(zip(table["corruption"], table["strength"], strict=True))
    if found and found != asked:
        yield "corruptions has other corruptions or strengths than the study"


def _attacks(
    settings: Attacks, tables: Tables, by_index: pd.DataFrame, classes: int
) -> Iterable[str]:
    table, images = tables["attacks"], len(by_index)
    swept = sorted({*settings.epsilons, settings.logits_epsilon})
    # The sizes that there may be, and those that there must be.
    expected: dict[str, tuple[Iterable[float], Iterable[float]]] = {
        FGSM: (swept, settings.epsilons),
        RANDOM_SIGN: (settings.epsilons, settings.epsilons),
        FGSM_NATIVE: (settings.native_epsilons, settings.native_epsilons),
        PGD: (settings.sample_epsilons, settings.sample_epsilons),
    }
    for attack, (allowed, needed) in expected.items():
        rows = table[table["attack"] == attack]
        sizes = set(rows["epsilon"])
        # A fold may have no part of the sample.
        if not set(needed) <= sizes <= set(allowed) and not (attack == PGD and rows.empty):
            yield f"attacks has other sizes for {attack} than the study"
        if attack != PGD and (rows.groupby("epsilon").size() != images).any():
            yield f"attacks has not every image for {attack}"
    if not set(table["attack"]) <= set(expected):
        yield "attacks has other attacks than the study"
    still = table[table["epsilon"] == 0]
    for column in ("predicted", "confidence"):
        if (still[column].to_numpy() != by_index[column].reindex(still["index"]).to_numpy()).any():
            yield f"attacks has another {column} for images that are not moved than predictions"
    at = (table["attack"] == FGSM) & (table["epsilon"] == settings.logits_epsilon)
    yield from _kept(table, at, "attacks", classes)
    sample = table[table["attack"] == PGD]["index"].nunique()
    yield from _perturbations(settings, tables["perturbations"], images=sample)


def _perturbations(settings: Attacks, table: pd.DataFrame, *, images: int) -> Iterable[str]:
    """Yield what is wrong with how far a sample of so many images is moved."""
    if table.empty != (images == 0):
        yield "perturbations is not of the sample that attacks has"
        return
    if not set(table["epsilon"]) <= set(settings.sample_epsilons):
        yield "perturbations has other sizes than the study"
    if (table["resolution"] > _LARGEST_IMAGE).any():
        yield "perturbations has a resolution that no image has"
    given = table[table["native"]]
    wanted = {
        (attack, epsilon, measure)
        for attack in (FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD)
        for epsilon in settings.sample_epsilons
        for measure in _MEASURED
    }
    found = set(zip(given["attack"], given["epsilon"], given["measure"], strict=True))
    if (
        len(given) != len(wanted)
        or found != wanted
        or len(table) not in (len(given), 2 * len(given))
    ):
        yield "perturbations has not every attack, size and measure once"
    # Two images that are equal have no psnr, and small ones no ssim.
    counts = {"ssim": {0, images}, "psnr": range(images + 1), "linf": {images}, "rms": {images}}
    for measure, rows in table.groupby("measure"):
        lowest, highest = _MEASURED[measure]
        numbers = rows[["mean", "q05", "median", "q95"]]
        if not rows["images"].isin(counts[measure]).all():
            yield f"perturbations has other images for {measure} than attacks"
        if (numbers.isna() != (rows["images"] == 0).to_numpy()[:, None]).to_numpy().any():
            yield f"perturbations has no {measure} of images that have one"
        slack = _ROUNDING * highest
        if (numbers < lowest - slack).to_numpy().any() or (
            numbers > highest + slack
        ).to_numpy().any():
            yield f"perturbations has a {measure} that no image has"
        if (rows["q05"] > rows["median"]).any() or (rows["median"] > rows["q95"]).any():
            yield f"perturbations has quantiles of {measure} that fall"


def _controls(
    settings: Attacks, tables: Tables, by_index: pd.DataFrame, classes: int
) -> Iterable[str]:
    table, gradients = tables["controls"], tables["gradients"]
    if set(table["epsilon"]) != {settings.logits_epsilon}:
        yield "controls has another size than the study"
    if not set(table["attack"]) <= {PGD, PGD_RANDOM, PGD_MARGIN}:
        yield "controls has other attacks than the study"
    by_attack = {attack: set(rows["index"]) for attack, rows in table.groupby("attack")}
    if by_attack.get(PGD) != set(by_index.index):
        yield "controls has not every image for pgd"
    if "attacks" in tables:
        attacks = tables["attacks"]
        sample = set(attacks[attacks["attack"] == PGD]["index"])
        for attack in (PGD_RANDOM, PGD_MARGIN):
            if by_attack.get(attack, set()) != sample:
                yield f"controls has another sample for {attack} than attacks"
    yield from _kept(table, table["attack"] == PGD, "controls", classes)
    if len(gradients) != len(by_index):
        yield "gradients has not every image"
        return
    rows = by_index.loc[gradients["index"]]
    logits = np.stack(rows["logits"].to_list())
    own = np.arange(len(rows)), rows["label"].to_numpy()
    of_label = logits[own]
    logits[own] = -np.inf
    if not np.allclose(of_label - logits.max(axis=1), gradients["margin"], atol=_ROUNDING):
        yield "gradients has a margin that is not that of the logits"


def _maps(study: Study, tables: Tables, by_index: pd.DataFrame) -> Iterable[str]:
    # Without layers in the study the network's own choice counts.
    table, means = tables["maps"], tables["mean_maps"]
    named = study.maps.layers if study.maps else ()
    layers = set(named or table["layer"])
    sizes = table.groupby(["layer", "weights"]).size()
    wanted, altered = (
        {(layer, weights) for layer in layers for weights in each}
        for each in ((TRAINED, RANDOM), ALTERED)
    )
    if not wanted <= set(sizes.index) <= wanted | altered:
        yield "maps has other layers than the study"
    elif (sizes[list(wanted)] != len(by_index)).any():
        yield "maps has not every image"
    if (table["target"].to_numpy() != by_index["predicted"].reindex(table["index"])).any():
        yield "maps explains another class than the predicted one"
    yield from _mean_maps(means, table[table["weights"] == TRAINED])


def _mean_maps(means: pd.DataFrame, trained: pd.DataFrame) -> Iterable[str]:
    """Yield what is wrong with the mean of maps of which ``trained`` has the measures."""
    # A map that is zero everywhere counts for nothing, and a class without another has no mean.
    mapped = trained[trained["spread"].notna()].groupby(["layer", "label"]).size()
    behind = means.groupby(["layer", "label"])["images"].agg(["min", "max"])
    if set(behind.index) != set(mapped.index):
        yield "mean_maps has other layers or classes than maps"
    elif (behind.sub(mapped, axis=0) != 0).to_numpy().any():
        yield "mean_maps has another number of images than maps"
    for _, cells in means.groupby(["layer", "label"]):
        # Each cell once, and all of them the whole.
        count = (cells["row"].max() + 1) * (cells["column"].max() + 1)
        if count != len(cells) or abs(cells["value"].sum() - 1) > _ROUNDING:
            yield "mean_maps has a map that is not whole"
            return
