"""Whether the results of a run are whole and fit together, for example after it was copied here.

This finds damage and mistakes. It is no protection against forgery: whoever can write the tables
can write records that fit them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.project.errors import UserError
from analysis.project.paths import shown
from analysis.results.schemas import (
    ALTERED,
    FGSM,
    FGSM_NATIVE,
    PGD,
    PGD_MARGIN,
    PGD_RANDOM,
    RANDOM,
    RANDOM_SIGN,
    TRAINED,
)
from analysis.results.store import Derived, Store, derived_if_any


def check_all(store: Store) -> int:
    """Check every run and what was derived; return how many files there are.

    Raises ``UserError`` for what is damaged, or does not fit the study.
    """
    for run, problems in store.problems.items():
        for step, reason in problems.items():
            raise UserError(
                f"{shown(store.folder / run)}: {step} is {reason}.\nRestore it with `git restore "
                f"{shown(store.folder)}`, or run `python -m analysis run {store.study.name}`."
            )
    count = sum(check_run(store, run) + 1 for run in store.runs)
    for runs in store.shown_repeats().values():
        check_together(store, runs)
    return count + _check_derived(derived_if_any(store.study.name))


def _check_derived(derived: Derived | None) -> int:
    if derived is None:
        return 0
    for name in derived.record.tables:
        derived.table(name)
    return len(derived.record.tables) + 1


def check_run(store: Store, run: str) -> int:
    """Read and check every table of a run; return how many there are.

    Raises ``UserError`` that names the run and what is wrong with it.
    """
    record = store.runs[run]
    tables = {name: store.read(run, name) for name in record.tables}
    for problem in _problems(store, tables, classes=len(record.classes)):
        raise UserError(
            f"{shown(store.folder / run)} is not a valid run of {store.study.name}: {problem}.\n"
            f"Copy it again from where it was computed, or delete it."
        )
    return len(tables)


def check_together(store: Store, runs: Iterable[str]) -> None:
    """Check that runs predict the same images, once a repeat. Raises ``UserError``."""
    records = [store.runs[run] for run in runs]
    for what in ("images", "classes"):
        if len({getattr(record, what) for record in records}) > 1:
            raise UserError(
                f"The runs of {store.study.name} were computed from different {what}.\n"
                "Delete those from other data and compute them again."
            )
    columns = ["index", "group", "label"]
    by_repeat: dict[int, list[pd.DataFrame]] = {}
    for record in records:
        rows = store.read(record.name, "predictions")[columns]
        by_repeat.setdefault(record.repeat, []).append(rows)
    whole = {
        repeat: pd.concat(parts).sort_values("index", ignore_index=True)
        for repeat, parts in by_repeat.items()
    }
    first = next(iter(whole.values()), pd.DataFrame(columns=columns))
    for repeat, rows in whole.items():
        if rows["index"].duplicated().any() or not rows.equals(first):
            raise UserError(
                f"Repeat {repeat} of {store.study.name} does not predict each image once, or not "
                "the same images as the others.\nDelete its runs and compute them again."
            )


def _problems(store: Store, tables: dict[str, pd.DataFrame], *, classes: int) -> Iterable[str]:
    """Yield what is wrong with the tables of a run, one sentence each."""
    training = len(tables.get("history", ()))
    if training != store.study.epochs:
        yield f"its training has {training} epochs, not {store.study.epochs}"
    for name, table in tables.items():
        for column in {"label", "predicted", "target"} & set(table):
            if len(table) and table[column].max() >= classes:
                yield f"{name} has a {column} beyond the {classes} classes"
    if "predictions" not in tables:
        return
    predictions = tables["predictions"]
    if predictions.empty:
        yield "predictions is empty"
        return
    yield from _logits(predictions, "predictions", classes)
    known = predictions.set_index("index")["label"]
    if "attributes" in tables and not set(tables["attributes"]["index"]) <= set(known.index):
        yield "attributes has images that predictions does not have"
    for name in {"maps", "attacks", "controls", "gradients", "corruptions"} & set(tables):
        rows = tables[name]
        labels = known.reindex(rows["index"])
        if labels.isna().any() or (labels.to_numpy() != rows["label"].to_numpy()).any():
            yield f"{name} has images or labels that predictions does not have"
    for name, check in (("attacks", _attacks), ("controls", _controls)):
        if name in tables:
            yield from check(store, tables[name], images=len(predictions))
            kept = tables[name][tables[name]["logits"].notna()]
            if not kept.empty:
                yield from _logits(kept, name, classes)
    if "gradients" in tables and len(tables["gradients"]) != len(predictions):
        yield "gradients has not every image"
    if "maps" in tables:
        yield from _maps(store, tables, images=len(predictions))


def _logits(table: pd.DataFrame, name: str, classes: int) -> Iterable[str]:
    if (table["logits"].map(len) != classes).any():
        yield f"{name} has logits of another number of classes than {classes}"
        return
    logits = np.stack(table["logits"].to_list())
    if (logits.argmax(axis=1) != table["predicted"].to_numpy()).any():
        yield f"{name} has a predicted class without the largest logit"


def _attacks(store: Store, table: pd.DataFrame, *, images: int) -> Iterable[str]:
    settings = store.study.attacks
    assert settings is not None, "a run has the analyses that its study asks for"
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


def _controls(store: Store, table: pd.DataFrame, *, images: int) -> Iterable[str]:
    settings = store.study.attacks
    assert settings is not None, "a run has the analyses that its study asks for"
    if set(table["epsilon"]) != {settings.logits_epsilon}:
        yield "controls has another size than the study"
    if (table["attack"] == PGD).sum() != images:
        yield "controls has not every image for pgd"
    if not set(table["attack"]) <= {PGD, PGD_RANDOM, PGD_MARGIN}:
        yield "controls has other attacks than the study"


def _maps(store: Store, tables: dict[str, pd.DataFrame], *, images: int) -> Iterable[str]:
    # Without layers in the study the network's own choice counts.
    named = store.study.maps.layers if store.study.maps else ()
    layers = set(named or tables["maps"]["layer"])
    sizes = tables["maps"].groupby(["layer", "weights"]).size()
    wanted, altered = (
        {(layer, weights) for layer in layers for weights in each}
        for each in ((TRAINED, RANDOM), ALTERED)
    )
    if not wanted <= set(sizes.index) <= wanted | altered:
        yield "maps has other layers than the study"
    elif (sizes[list(wanted)] != images).any():
        yield "maps has not every image"
    if not set(tables["mean_maps"]["layer"]) <= layers:
        yield "mean_maps has other layers than the study"
