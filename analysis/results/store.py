"""The results of one study: a folder for each run, and what was derived from the complete repeats.

``<study>/r0f0/run.json`` lists the tables of one run and is the last file written, by a rename;
``<study>/claims.json`` does the same for what is derived. Tables are named after their content. So
a kill at any moment leaves the old results or the new, a run is moved by copying its folder, and
finishing a run costs the same however many others there are.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from analysis.project import files, paths
from analysis.project.errors import UserError, nearest
from analysis.results import status, tables
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.records import (
    Analysis,
    Broken,
    ClaimsRecord,
    RunRecord,
    TableEntry,
    damaged,
)
from analysis.results.schemas import RUN_TABLES
from analysis.study import Run, Study, names

RUN, CLAIMS, LOCK, SUPERSEDED = "run.json", "claims.json", ".lock", "superseded"
RUN_NAME = re.compile(r"r(0|[1-9]\d*)f(0|[1-9]\d*)")
TABLE_FILE = re.compile(r"[a-z_]+-[0-9a-f]{12}\.parquet")


@dataclass
class Store:
    """The valid results of a study.

    ``runs`` has what the study asks for and nothing else: stale analyses are dropped from their
    records when the store is opened, and ``problems`` says by run what was dropped, and why.
    ``unasked`` are valid or stale analyses that the study does not ask for any more.
    """

    study: Study
    folder: Path
    runs: dict[str, RunRecord] = field(default_factory=dict)
    problems: dict[str, dict[str, str]] = field(default_factory=dict)
    unasked: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def open(
        cls, study: Study, folder: Path | None = None, *, runs: Iterable[Run] | None = None
    ) -> Store:
        """Return the results of a study that are valid; it may have none.

        They are in the usual folder or in another one, and of all runs or of some.
        """
        store = cls(study, folder or paths.results(study.name))
        # Listed once, as a study may have thousands of runs that nobody has begun.
        present = {path.name for path in store.folder.iterdir()} if store.folder.is_dir() else set()
        for run in study.runs if runs is None else runs:
            if run.name in present:
                store._take_up(run)
        return store

    def _take_up(self, run: Run) -> None:
        path = self.folder / run.name / RUN
        try:
            if not path.is_file():
                return
            record = RunRecord.read(path)
            if (record.study, record.name) != (self.study.name, run.name):
                raise Broken(f"belongs to run {record.name} of {record.study}")
        except Broken as reason:
            self._drop(run.name, "training", "broken", str(reason))
            return
        if not status.training_is_valid(self.study, run, record):
            self._drop(run.name, "training", "stale", "the study has changed")
            return
        kept = {}
        for name, analysis in record.analyses.items():
            if name not in status.wanted(self.study, run.repeat):
                self.unasked.setdefault(run.name, []).append(name)
                continue
            if not status.analysis_is_valid(self.study, name, record):
                self._drop(run.name, name, "stale", "the study has changed")
            elif self._whole(run.name, name, analysis):
                kept[name] = analysis
        history = record.training.history
        if history is None or self._whole_table(run.name, "training", history):
            self.runs[run.name] = record.model_copy(update={"analyses": kept})

    def _whole(self, run: str, name: str, analysis: Analysis) -> bool:
        if set(analysis.tables) != set(status.ANALYSES[name].tables):
            self._drop(run, name, "broken", "its record does not list its tables")
            return False
        return all(self._whole_table(run, name, entry) for entry in analysis.tables.values())

    def _whole_table(self, run: str, step: str, entry: TableEntry) -> bool:
        try:
            tables.check(self.folder / run, entry)
        except Broken as reason:
            self._drop(run, step, "broken", f"{entry.file} {reason}")
            return False
        return True

    def _drop(self, run: str, step: str, state: str, reason: str) -> None:
        self.problems.setdefault(run, {})[step] = f"{state}: {reason}"

    def state(self, run: Run) -> dict[str, str]:
        """Return the state of each step of a run: done, missing, stale or broken."""
        record, problems = self.runs.get(run.name), self.problems.get(run.name, {})
        every = problems.get("training", "missing").partition(":")[0]
        if record is None:
            return dict.fromkeys(["training", *status.wanted(self.study, run.repeat)], every)
        return {"training": "done"} | {
            name: "done"
            if name in record.analyses
            else problems.get(name, "missing").partition(":")[0]
            for name in status.wanted(self.study, run.repeat)
        }

    def todo(self, run: Run) -> list[str]:
        """Return the steps of a run that are not done."""
        return [step for step, state in self.state(run).items() if state != "done"]

    def sort(self) -> None:
        """Put the runs into the order of the study, in whatever order they were finished."""
        names = (run.name for run in self.study.runs)
        self.runs = {name: self.runs[name] for name in names if name in self.runs}

    def shown_repeats(self) -> dict[int, tuple[str, ...]]:
        """Return the runs of each repeat that pages show.

        Before the first complete repeat, those in which every image has been predicted are shown.
        """
        return self.complete_repeats() or self._repeats(lambda repeat: {"predictions"})

    def complete_repeats(self) -> dict[int, tuple[str, ...]]:
        """Return the runs of each repeat in which every fold has every analysis."""
        return self._repeats(lambda repeat: set(status.wanted(self.study, repeat)))

    def _repeats(self, analyses: Callable[[int], set[str]]) -> dict[int, tuple[str, ...]]:
        done: dict[int, list[str]] = {}
        for name, record in self.runs.items():
            if analyses(record.repeat) <= set(record.analyses):
                done.setdefault(record.repeat, []).append(name)
        folds = self.study.images.folds
        return {repeat: tuple(runs) for repeat, runs in done.items() if len(runs) == folds}

    def read(self, run: str, table: str) -> pd.DataFrame:
        """Return a table of one run. Raises ``UserError`` if it is damaged, or not there."""
        entry = self.runs[run].tables.get(table)
        if entry is None:
            raise UserError(f"Run {run} of {self.study.name} has no table {table!r} yet.")
        folder = self.folder / run
        try:
            return tables.read(folder, entry, RUN_TABLES[table])
        except Broken as reason:
            raise damaged(folder / entry.file, reason, study=self.study.name) from None

    def write_table(self, run: str, name: str, table: pd.DataFrame) -> TableEntry:
        """Write a table of a run; it counts once the run's record lists it."""
        return tables.write(self.folder / run, name, table, RUN_TABLES[name])

    def write_run(self, record: RunRecord) -> None:
        """Make a record the one that counts, then remove the files that it replaces."""
        folder = self.folder / record.name
        record.write(folder / RUN)
        self.runs[record.name] = record
        self.problems.pop(record.name, None)
        self.unasked.pop(record.name, None)
        _remove_unlisted(folder, {entry.file for entry in record.tables.values()})

    def files(self, run: Run) -> dict[str, bytes]:
        """Return the files of the valid results of a run by their names; it may have none."""
        record = self.runs.get(run.name)
        if record is None:
            return {}
        folder = self.folder / run.name
        names = [entry.file for entry in record.tables.values()]
        return {name: (folder / name).read_bytes() for name in names} | {RUN: record.sealed()}

    def take(self, arrived: Store, record: RunRecord) -> None:
        """Write a run whose tables are in another store: first the tables, then its record."""
        tables.announce(self.folder / record.name)
        for entry in record.tables.values():
            path = self.folder / record.name / entry.file
            with files.written_whole(path) as temporary:
                shutil.copyfile(arrived.folder / record.name / entry.file, temporary)
        self.write_run(record)

    def keep_earlier(self, run: Run, *, say: Callable[[str], None]) -> None:
        """Keep a copy of a run's results that are about to be replaced, and say where."""
        reasons = [
            f"{step} is {problem}"
            for step, problem in self.problems.get(run.name, {}).items()
            # A damaged table alone is simply computed again.
            if step == "training" or problem.startswith("stale")
        ]
        unasked = self.unasked.get(run.name, [])
        reasons += [f"{name} is not in the study any more" for name in unasked]
        if reasons:
            kept = self.set_aside(run)
            say(f"{run.name}: {reasons[0]}; its earlier results are kept in {kept}")

    def set_aside(self, run: Run) -> str:
        """Keep a copy of a run's results that are about to be replaced, and return where."""
        folder = self.folder / run.name
        kept = self.folder / SUPERSEDED / f"{run.name}-{files.sha256(folder / RUN)[:12]}"
        if not kept.exists():
            with files.folder_written_whole(kept) as temporary:
                shutil.copytree(folder, temporary, dirs_exist_ok=True)
        return paths.shown(kept)

    def write_derived(
        self,
        contents: dict[str, pd.DataFrame],
        record: Callable[[dict[str, TableEntry]], ClaimsRecord],
    ) -> ClaimsRecord:
        """Write derived tables and then the record that lists them, which ``record`` returns."""
        entries = {
            name: tables.write(self.folder, name, table, DERIVED_TABLES[name])
            for name, table in contents.items()
        }
        written = record(entries)
        written.write(self.folder / CLAIMS)
        _remove_unlisted(self.folder, {entry.file for entry in entries.values()})
        return written

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing these results. Raises ``UserError`` if somebody is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(
                f"{self.study.name} is being run already; nothing was changed.\n"
                "Wait for that run to end, or stop it: the next one continues from there."
            ) from None
        try:
            yield
        finally:
            lock.release()


def _remove_unlisted(folder: Path, listed: set[str]) -> None:
    """Remove tables that no record lists any more, and what interrupted writers left."""
    # The mark of what is being written goes last.
    for path in sorted(folder.iterdir(), key=lambda path: path.name == tables.WRITING):
        replaced = TABLE_FILE.fullmatch(path.name) and path.name not in listed
        if path.is_file() and (replaced or path.name.startswith(files.TEMPORARY)):
            path.unlink()


@dataclass(frozen=True)
class Derived:
    """What was derived from the complete repeats of a study: all that pages show.

    It stays as it was while further runs are computed, until they are complete.
    """

    folder: Path
    record: ClaimsRecord

    @property
    def study(self) -> Study:
        """Return the study as it was when this was derived."""
        return self.record.study

    def __contains__(self, table: str) -> bool:
        return table in self.record.tables

    def is_whole(self) -> bool:
        """Return whether every table has its recorded content."""
        try:
            for entry in self.record.tables.values():
                tables.check(self.folder, entry)
        except Broken:
            return False
        return True

    def table(self, name: str) -> pd.DataFrame:
        """Return a derived table. Raises ``UserError`` if it is damaged, or was not derived."""
        if name not in DERIVED_TABLES:
            raise KeyError(name)
        entry = self.record.tables.get(name)
        if entry is None:
            raise UserError(f"{self.study.name} has no table {name!r}: it was not measured.")
        try:
            return tables.read(self.folder, entry, DERIVED_TABLES[name])
        except Broken as reason:
            raise damaged(self.folder / entry.file, reason, study=self.study.name) from None


def derived(name: str) -> Derived:
    """Return what was derived for a study. Raises ``UserError`` if nothing was, or if damaged."""
    found = derived_if_any(name)
    if found is None:
        folder = paths.results(name)
        if not folder.is_dir() and name not in names():
            raise UserError(
                f"There is no study {name!r}; the nearest is {nearest(name, names())!r}."
            )
        raise nothing_yet(name)
    return found


def nothing_yet(name: str) -> UserError:
    """Return the error for a study without a complete repeat."""
    return UserError(
        f"{paths.shown(paths.results(name))} has no complete repeat yet.\n"
        f"Compute one with `python -m analysis run {name}`."
    )


def nothing_derived(name: str) -> UserError:
    """Return the error for complete repeats that nothing was derived from, or not any more."""
    path = paths.shown(paths.results(name) / CLAIMS)
    return UserError(
        f"{path} is missing, although a repeat is complete.\n"
        f"Restore it with `git restore {path}`, or derive it with `python -m analysis claims "
        f"{name}`."
    )


def derived_if_any(name: str) -> Derived | None:
    """Return what was derived for a study, or ``None``. Raises ``UserError`` if it is damaged."""
    path = paths.results(name) / CLAIMS
    if not path.is_file():
        return None
    try:
        record = ClaimsRecord.read(path)
        if record.study.name != name:
            raise Broken(f"belongs to another study, {record.study.name!r}")
        if unknown := sorted(set(record.tables) - set(DERIVED_TABLES)):
            raise Broken(f"lists a table that is not known, {unknown[0][:40]!r}")
    except Broken as reason:
        raise damaged(path, reason, study=name) from None
    return Derived(path.parent, record)
