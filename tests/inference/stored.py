"""Made-up tables of runs, and a store that contains them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.results import status
from analysis.results.records import Analysis, RunRecord, Training
from analysis.results.schemas import (
    ALTERED,
    MAPPED,
    MEASURES,
    PGD,
    PGD_MARGIN,
    PGD_RANDOM,
    RUN_TABLES,
)
from analysis.results.store import Store
from analysis.study import Study
from tests.conftest import small_study
from tests.made_up import duplicates

Tables = dict[str, dict[str, pd.DataFrame]]
PROVENANCE = {
    "device": "none",
    "packages": {"numpy": "2.0"},
    "revision": None,
    "finished": "2026-01-01T00:00:00+00:00",
    "seconds": 1.0,
}
LAYERS = ("layer4.1", "layer3.1")


def study(*, folds: int = 2, repeats: int = 2, **sections: object) -> Study:
    return small_study(
        images={"source": "svhn-subset", "folds": folds}, repeats=repeats, seed=5, **sections
    )


def run_tables(
    chosen: Study, *, images: int, classes: int, groups: int = 50, seed: int = 0
) -> Tables:
    """Return the tables of every run: a third of errors, a sample under PGD, missing maps."""
    generator = np.random.default_rng(seed)
    group = np.sort(generator.integers(0, groups, images))
    label = generator.permutation(np.arange(images) % classes)
    found: Tables = {}
    for repeat in range(chosen.repeats):
        fold = generator.integers(0, chosen.images.folds, groups)[group]
        for number in range(chosen.images.folds):
            index = np.flatnonzero(fold == number)
            run = _run(generator, index, group[index], label[index], classes)
            if repeat:
                first = ("controls", "gradients", "duplicates")
                run = {name: run[name] for name in run if name not in first}
            found[f"r{repeat}f{number}"] = run
    return found


def _run(
    generator: np.random.Generator,
    index: np.ndarray,
    group: np.ndarray,
    label: np.ndarray,
    classes: int,
) -> dict[str, pd.DataFrame]:
    def predicted(error: float, *, kept: bool = True) -> dict[str, object]:
        logits = generator.normal(size=(len(index), classes)).astype(np.float32)
        logits[np.arange(len(index)), label] += np.float32(8) * (
            generator.random(len(index)) > error
        )
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return {
            "predicted": logits.argmax(axis=1),
            "confidence": shares.max(axis=1),
            "logits": list(logits) if kept else None,
        }

    rows = pd.DataFrame({"index": index, "label": label})
    sample = rows[group % 3 == 0]
    attacks = []
    for attack, epsilon in [("fgsm", 0.0), ("fgsm", 0.015), ("random-sign", 0.015), ("pgd", 0.015)]:
        outcome = predicted(0.2 + 20 * epsilon, kept=(attack, epsilon) == ("fgsm", 0.015))
        each = rows.assign(attack=attack, epsilon=epsilon, **outcome)
        attacks.append(each.loc[sample.index] if attack == "pgd" else each)
    controls = [rows.assign(attack=PGD, epsilon=0.015, **predicted(0.6))]
    for attack in (PGD_RANDOM, PGD_MARGIN):
        each = rows.assign(attack=attack, epsilon=0.015, **predicted(0.6, kept=False))
        controls.append(each.loc[sample.index])
    maps, cells = [], []
    for layer, side in zip(LAYERS, (4, 8), strict=True):
        for weights in MAPPED:
            values = generator.random((len(MEASURES), len(index))).astype(np.float32)
            values[:, generator.random(len(index)) < 0.15] = np.nan
            measures = dict(zip(MEASURES, values, strict=True))
            measures["fragments"] = np.ceil(values[3] * 3) if side == 8 else values[3] * np.nan
            each = rows.assign(layer=layer, weights=weights, target=label, **measures)
            maps.append(each.loc[sample.index] if weights in ALTERED else each)
        for one in np.unique(label):
            mass = generator.random(side * side).astype(np.float32)
            place = np.divmod(np.arange(side * side), side)
            cell = {"row": place[0], "column": place[1], "value": mass / mass.sum()}
            number = int((label == one).sum())
            cells.append(pd.DataFrame({"layer": layer, "label": one, **cell, "images": number}))
    quantiles = dict.fromkeys(("q05", "median", "q95"), 1.0)
    moved = {"attack": "fgsm", "epsilon": 0.015, "resolution": 64, "native": False, **quantiles}
    size = {"index": index, "attribute": "size", "number": generator.random(len(index))}
    tables = {
        "attributes": pd.DataFrame(size).assign(category=""),
        "duplicates": duplicates(),
        "predictions": rows.assign(group=group, **predicted(0.2)),
        "attacks": pd.concat(attacks, ignore_index=True),
        "perturbations": pd.DataFrame(
            [
                moved | {"measure": "rms", "mean": generator.random(), "images": len(sample)},
                moved | {"measure": "psnr", "mean": np.nan, "images": 0},
            ]
        ),
        "controls": pd.concat(controls, ignore_index=True),
        "gradients": rows.assign(
            largest=generator.random(len(index)).astype(np.float32),
            zero=0.0,
            margin=generator.normal(size=len(index)).astype(np.float32),
        ),
        "maps": pd.concat(maps, ignore_index=True),
        "mean_maps": pd.concat(cells, ignore_index=True),
    }
    return {name: table[list(RUN_TABLES[name].columns)] for name, table in tables.items()}


def store(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: Study,
    content: Tables,
    classes: tuple[str, ...],
) -> Store:
    """Write runs into a folder of their own and return the store that is read from it."""
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(folder))
    opened = Store.open(chosen)
    history = pd.DataFrame(
        {"epoch": [1], "train_loss": [1.0], "learning_rate": [0.1], "seconds": [1.0]}
    )
    for run in chosen.runs:
        if run.name not in content:
            continue
        weights = f"{run.seed:064x}"
        analyses = {
            name: Analysis(
                digest=status.analysis_digest(chosen, name, weights=weights),
                tables={
                    t: opened.write_table(run.name, t, content[run.name][t]) for t in kind.tables
                },
                **PROVENANCE,
            )
            for name, kind in status.ANALYSES.items()
            if set(kind.tables) <= set(content[run.name])
        }
        training = Training(
            digest=status.training_digest(chosen),
            weights=weights,
            training_images=1,
            history=opened.write_table(run.name, "history", history),
            **PROVENANCE,
        )
        opened.write_run(
            RunRecord(
                study=chosen.name,
                repeat=run.repeat,
                fold=run.fold,
                seed=run.seed,
                images="0" * 64,
                classes=classes,
                recipe={},
                training=training,
                analyses=analyses,
            )
        )
    return Store.open(chosen)
