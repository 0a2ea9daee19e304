"""Results of a study that nothing was trained for: runs whose tables are drawn at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis import study as studies
from analysis.results import status
from analysis.results.records import Analysis, RunRecord, Training
from analysis.results.schemas import (
    ALTERED,
    CORRUPTIONS,
    FGSM,
    FGSM_NATIVE,
    MAPPED,
    PGD,
    PGD_MARGIN,
    PGD_RANDOM,
    RANDOM_SIGN,
    RUN_TABLES,
)
from analysis.results.store import Store
from analysis.study import Attacks, Corruptions, Run, Study

WEIGHTS = "5" * 64
PROVENANCE = {
    "device": "a processor",
    "packages": {"numpy": "2.0"},
    "revision": None,
    "finished": "2026-01-02T03:04:05+00:00",
    "seconds": 1.0,
}
STUDY = """
title = "Made-up results"
repeats = 2
images = { source = "svhn-subset", folds = 2 }
network = { model = "test_resnet", size = 64 }
training = { learning_rate = 1e-3, stages = [{ size = 64, epochs = 2 }] }
maps = { layers = ["layer2.0", "layer1.0"] }
attacks.epsilons = [0, 0.015]
attacks.native_epsilons = [0.015]
attacks.sample_epsilons = [0.015]
attacks.sample = 15
bootstrap = { resamples = 100 }
"""


def made_up_study(folder: Path, text: str = STUDY, *, name: str = "made") -> Study:
    """Return a study from a file that is written into a folder."""
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return studies.load(path)


def history(epochs: int) -> pd.DataFrame:
    rows = {"epoch": np.arange(1, epochs + 1), "train_loss": 1.0, "learning_rate": 1e-3}
    return pd.DataFrame({**rows, "seconds": 1.0})


def predictions(images: np.ndarray, *, classes: int, seed: int) -> pd.DataFrame:
    """Return predictions of images at these positions; labels follow from the positions."""
    generator = np.random.default_rng(seed)
    label = images * 7919 % classes
    logits = generator.normal(size=(len(images), classes)).astype(np.float32)
    logits[np.arange(len(images)), label] += generator.choice([1, 4], len(images))
    return pd.DataFrame({"index": images, "group": images // 2, "label": label} | _outcome(logits))


def _outcome(logits: np.ndarray) -> dict[str, object]:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    confidence = shares.max(axis=1).astype(np.float32)
    return {
        "predicted": logits.argmax(axis=1),
        "confidence": confidence,
        "logits": list(logits),
    }


def attributes(rows: pd.DataFrame) -> pd.DataFrame:
    index = rows["index"].to_numpy()
    numbers = pd.DataFrame({"index": index, "attribute": "brightness", "number": index / 100})
    colours = pd.DataFrame({"index": index, "attribute": "colour", "number": np.nan})
    colours["category"] = np.where(index % 3 == 0, "red", "green")
    found = pd.concat([numbers.assign(category=""), colours], ignore_index=True)
    return found.astype({"category": "str"})


def duplicates() -> pd.DataFrame:
    """Return that no image has a duplicate."""
    kinds = {"index": "int64", "other_split": "str", "other_index": "int64", "kind": "str"}
    return pd.DataFrame(columns=list(kinds)).astype(kinds)


def sampled(rows: pd.DataFrame, settings: Attacks | Corruptions | None) -> pd.DataFrame:
    """Return the rows of the images in a sample, which has the first groups."""
    return rows[rows["group"] < (settings or Attacks(epsilons=(0, 1))).sample]


def maps(study: Study, rows: pd.DataFrame, *, seed: int) -> dict[str, pd.DataFrame]:
    generator = np.random.default_rng(seed)
    tables = []
    for layer in study.maps.layers:
        for weights in MAPPED:
            mapped = sampled(rows, study.attacks) if weights in ALTERED else rows
            columns = {"layer": layer, "weights": weights}
            columns |= {name: mapped[name].to_numpy() for name in ("index", "label")}
            columns["target"] = mapped["predicted"].to_numpy()
            for measure in ("spread", "area", "offset"):
                columns[measure] = generator.random(len(mapped)).astype(np.float32)
            columns["fragments"] = np.float32(1)
            tables.append(pd.DataFrame(columns))
    cells = [
        (layer, label, row, column, 1 / 16, (rows["label"] == label).sum())
        for layer in study.maps.layers
        for label in sorted(set(rows["label"]))
        for row in range(4)
        for column in range(4)
    ]
    names = ["layer", "label", "row", "column", "value", "images"]
    mean = pd.DataFrame(cells, columns=names).astype({"value": "float32"})
    return {"maps": pd.concat(tables, ignore_index=True), "mean_maps": mean}


def attacks(study: Study, rows: pd.DataFrame, *, seed: int) -> dict[str, pd.DataFrame]:
    generator = np.random.default_rng(seed)
    settings, tables = study.attacks, []
    for attack, epsilons in (
        (FGSM, settings.epsilons),
        (RANDOM_SIGN, settings.epsilons),
        (FGSM_NATIVE, settings.native_epsilons),
        (PGD, settings.sample_epsilons),
    ):
        for epsilon in epsilons:
            moved = sampled(rows, settings) if attack == PGD else rows
            part = _attacked(moved, attack, epsilon, generator)
            if (attack, epsilon) != (FGSM, settings.logits_epsilon):
                part["logits"] = None
            tables.append(part)
    numbers = dict.fromkeys(("mean", "q05", "median", "q95"), 0.9)
    changes = [
        {"attack": attack, "epsilon": epsilon, "resolution": resolution, "native": resolution == 32}
        | {"measure": measure, **numbers, "images": len(sampled(rows, settings))}
        for attack in (FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD)
        for epsilon in settings.sample_epsilons
        for resolution in (32, 64)
        for measure in ("ssim", "psnr", "linf", "rms")
    ]
    return {"attacks": pd.concat(tables, ignore_index=True), "perturbations": pd.DataFrame(changes)}


def controls(study: Study, rows: pd.DataFrame, *, seed: int) -> dict[str, pd.DataFrame]:
    tables = []
    for attack in (PGD, PGD_RANDOM, PGD_MARGIN):
        # All three find the same, as those of a network whose gradients are not masked.
        generator = np.random.default_rng(seed + 1)
        part = _attacked(rows, attack, study.attacks.logits_epsilon, generator)
        if attack != PGD:
            images = sampled(rows, study.attacks)["index"]
            part = part[part["index"].isin(images)].assign(logits=None)
        tables.append(part)
    gradients = rows[["index", "label"]].assign(largest=np.float32(0.1), zero=0.0)
    return {
        "controls": pd.concat(tables, ignore_index=True),
        "gradients": gradients.assign(margin=_margin(rows)),
    }


def _margin(rows: pd.DataFrame) -> np.ndarray:
    logits, label = np.stack(rows["logits"].to_list()), rows["label"].to_numpy()
    own = np.take_along_axis(logits, label[:, None], axis=1)[:, 0]
    others = np.where(np.arange(logits.shape[1]) == label[:, None], -np.inf, logits)
    return (own - others.max(axis=1)).astype(np.float32)


def corruptions(study: Study, rows: pd.DataFrame, *, seed: int) -> dict[str, pd.DataFrame]:
    generator = np.random.default_rng(seed + 2)
    tables = []
    for name in CORRUPTIONS:
        for number, strength in enumerate(getattr(study.corruptions, name)):
            found = _attacked(sampled(rows, study.corruptions), FGSM, 0.1 * number, generator)
            found = found.assign(corruption=name, strength=float(strength))
            tables.append(found[list(RUN_TABLES["corruptions"].columns)])
    return {"corruptions": pd.concat(tables, ignore_index=True)}


def _attacked(
    rows: pd.DataFrame, attack: str, epsilon: float, generator: np.random.Generator
) -> pd.DataFrame:
    logits = np.stack(rows["logits"].to_list())
    moved = generator.normal(size=logits.shape).astype(np.float32) * (epsilon > 0)
    return pd.DataFrame(
        {"attack": attack, "epsilon": float(epsilon)}
        | {name: rows[name].to_numpy() for name in ("index", "label")}
        | _outcome(logits + 2 * moved)
    )


def add_run(
    store: Store,
    run: Run,
    *,
    classes: int = 3,
    images: int = 60,
    analyses: tuple[str, ...] = tuple(status.ANALYSES),
    weights: str = WEIGHTS,
) -> RunRecord:
    """Write a run with some analyses into a store; its weights seed the tables."""
    study = store.study
    chosen = np.arange(images)[run.fold :: study.images.folds]
    seed = run.seed + 1000 * int(weights[0], 16)
    rows = predictions(chosen, classes=classes, seed=seed)
    made = {
        "attributes": lambda: {"attributes": attributes(rows)},
        "duplicates": lambda: {"duplicates": duplicates()},
        "predictions": lambda: {"predictions": rows},
        "maps": lambda: maps(study, rows, seed=seed),
        "attacks": lambda: attacks(study, rows, seed=seed),
        "controls": lambda: controls(study, rows, seed=seed),
        "corruptions": lambda: corruptions(study, rows, seed=seed),
    }
    trained = {"training_images": 0, "history": None}
    if study.trained:
        written = store.write_table(run.name, "history", history(study.epochs))
        trained = {"training_images": images, "history": written}
    record = RunRecord(
        study=study.name,
        repeat=run.repeat,
        fold=run.fold,
        seed=run.seed,
        images="1" * 64,
        classes=tuple(f"class {number}" for number in range(classes)),
        recipe={},
        training=Training(
            digest=status.training_digest(study),
            weights=weights,
            **trained,
            **PROVENANCE,
        ),
        analyses={
            name: Analysis(
                digest=status.analysis_digest(study, name, weights=weights),
                tables={
                    table: store.write_table(run.name, table, content)
                    for table, content in made[name]().items()
                },
                **PROVENANCE,
            )
            for name in analyses
            if name in status.wanted(study, run.repeat)
        },
    )
    store.write_run(record)
    return record


def filled(study: Study, **options: object) -> Store:
    """Return a store with every run of a study."""
    store = Store.open(study)
    for run in study.runs:
        add_run(store, run, **options)
    return store
