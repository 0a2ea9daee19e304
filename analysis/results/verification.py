"""Whether the results of a run are whole and fit together, for example after it was copied here.

This finds damage and mistakes. It is no protection against forgery: whoever can write the tables
can write records that fit them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.project import files
from analysis.project.errors import UserError
from analysis.project.paths import shown
from analysis.results import consistency, tables
from analysis.results.records import Broken, ClaimsRecord, RunRecord
from analysis.results.schemas import PGD
from analysis.results.store import (
    CLAIMS,
    RUN,
    RUN_NAME,
    SUPERSEDED,
    TABLE_FILE,
    Derived,
    Store,
    derived_if_any,
    nothing_derived,
)


def check_all(store: Store) -> int:
    """Check every run and what was derived; return how many files there are.

    Raises ``UserError`` for what is damaged, missing, or does not fit the study.
    """
    if store.folder.is_dir():
        check_folder(store.folder, asked={run.name for run in store.study.runs})
    for run in store.problems:
        raise _unfit(store, run)
    derived = derived_if_any(store.study.name)
    count = _check_derived(derived)
    if derived is not None:
        check_nothing_lost(store, derived)
    count += sum(check_run(store, run) + 1 for run in store.runs)
    for runs in store.shown_repeats().values():
        check_together(store, runs)
    if derived is None and store.complete_repeats():
        raise nothing_derived(store.study.name)
    return count


def check_folder(folder: Path, *, asked: Collection[str]) -> None:
    """Raise ``UserError`` for an entry of a study's folder that does not belong to its results.

    ``asked`` are the names of its runs. Others of an earlier form of the study may be there.
    """
    runs = [path for path in sorted(folder.iterdir()) if RUN_NAME.fullmatch(path.name)]
    strangers = _strangers(
        folder / CLAIMS, ClaimsRecord, beside={SUPERSEDED, *(run.name for run in runs)}
    )
    for path in runs:
        whole = path.is_dir() and (path.name in asked or _is_run(path))
        strangers += _strangers(path / RUN, RunRecord) if whole else [path]
    for stranger in strangers:
        raise UserError(
            f"{shown(stranger)} does not belong to the results.\nMove it elsewhere or delete it."
        )


def _is_run(folder: Path) -> bool:
    """Return whether a folder has the record of the run that it is named after."""
    try:
        return RunRecord.read(folder / RUN).name == folder.name
    except Broken:
        return False


def _strangers(
    path: Path, form: type[RunRecord | ClaimsRecord], *, beside: Collection[str] = ()
) -> list[Path]:
    """Return what is in the folder of a record and neither listed by it nor ``beside`` it.

    Tables are passed over while others are written and after a kill then, and beside a damaged
    record, which is reported as such. Raises ``UserError`` if the record of tables is missing.
    """
    others = [
        other
        for other in sorted(path.parent.iterdir())
        if not files.hidden(other.name) and other.name not in {path.name, *beside}
    ]
    named = [other for other in others if TABLE_FILE.fullmatch(other.name)]
    if named and not (path.parent / tables.WRITING).exists():
        if not path.exists():
            raise UserError(
                f"{shown(path)} is missing, but its tables are there.\n"
                f"Restore it with `git restore {shown(path)}`, or delete the tables."
            )
        try:
            listed = {entry.file for entry in form.read(path).tables.values()}
        except Broken:
            return [other for other in others if other not in named]
        return [other for other in others if other.name not in listed]
    return [other for other in others if other not in named]


def check_nothing_lost(store: Store, derived: Derived) -> None:
    """Raise ``UserError`` if a run that results were derived from is not valid any more."""
    shown_now = {run for runs in store.shown_repeats().values() for run in runs}
    lost = {run for runs in derived.record.repeats.values() for run in runs} - shown_now
    for run in store.study.runs:
        # Others of its repeat are lost with it, and have no fault.
        if run.name in lost and (run.name in store.problems or run.name not in store.runs):
            raise _unfit(store, run.name)


def _unfit(store: Store, run: str) -> UserError:
    """Return the error for a run that is not whole, or stale."""
    step, reason = next(iter(store.problems.get(run, {"training": "missing"}).items()))
    return UserError(
        f"{shown(store.folder / run)}: {step} is {reason}.\nRestore it with `git restore "
        f"{shown(store.folder)}`, or run `python -m analysis run {store.study.name}`."
    )


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
    read = {name: store.read(run, name) for name in record.tables}
    found = consistency.problems(
        store.study,
        read,
        classes=len(record.classes),
        training_images=record.training.training_images,
    )
    for problem in found:
        raise UserError(
            f"{shown(store.folder / run)} is not a valid run of {store.study.name}: {problem}.\n"
            f"Copy it again from where it was computed, or delete it."
        )
    return len(read)


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
        each = np.array_equal(rows["index"], np.arange(len(rows)))
        if not (each and rows.equals(first)):
            raise UserError(
                f"Repeat {repeat} of {store.study.name} does not predict each image once, or not "
                "the same images as the others.\nDelete its runs and compute them again."
            )
        _check_samples(store, [record for record in records if record.repeat == repeat], rows)


def _check_samples(store: Store, records: Sequence[RunRecord], rows: pd.DataFrame) -> None:
    """Check that the runs of a repeat share samples of as many groups as the study asks for."""
    group = consistency.units(rows.set_index("index")["group"])
    for name in ("attacks", "corruptions"):
        settings = getattr(store.study, name)
        if settings is None or any(name not in record.tables for record in records):
            continue
        read = [store.read(record.name, name) for record in records]
        sampled = [
            table["index"] if name == "corruptions" else table["index"][table["attack"] == PGD]
            for table in read
        ]
        found = group.loc[np.unique(np.concatenate(sampled))].nunique()
        wanted = min(settings.sample, group.nunique())
        if found != wanted:
            raise UserError(
                f"Repeat {records[0].repeat} of {store.study.name} has a sample of {found:,} "
                f"groups of images in {name}, not {wanted:,}.\nDelete its runs and compute them "
                "again."
            )
