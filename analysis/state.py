"""What is done, missing or stale, told from the study and its results alone."""

from __future__ import annotations

from dataclasses import dataclass

from analysis import analyses
from analysis.analyses import ANALYSES
from analysis.errors import UserError
from analysis.results import Results, RunEntry
from analysis.study import Run, Study

ESTIMATES = "estimates"


@dataclass(frozen=True)
class RunState:
    """The state of each step of one run: ``done``, ``missing``, ``stale`` or ``broken``."""

    run: Run
    training: str
    analyses: dict[str, str]

    @property
    def todo(self) -> tuple[str, ...]:
        """Return the analyses that have to be done, in the order that they need one another."""
        return tuple(name for name, state in self.analyses.items() if state != "done")

    @property
    def done(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.training == "done" and not self.todo


def states(study: Study, stored: Results | None) -> list[RunState]:
    """Return the state of every run of a study."""
    return [_state(study, run, stored) for run in study.runs]


def valid(study: Study, stored: Results) -> Results:
    """Return the store, in memory, without what is stale or broken or of no run of the study."""
    runs = {}
    for state in states(study, stored):
        if state.training == "done":
            entry = stored.manifest.runs[state.run.name]
            done = {
                name: found
                for name, found in entry.analyses.items()
                if state.analyses.get(name) == "done"
            }
            runs[state.run.name] = entry.model_copy(update={"analyses": done})
    return stored.with_manifest(runs=runs)


def estimates_digest(study: Study, stored: Results) -> str:
    """Return the digest that the estimates have if they are of all that the store has now."""
    return analyses.derived_digest(study, analyses.ESTIMATES_VERSION, _files(study, stored))


def claims_digest(study: Study, stored: Results) -> str:
    """Return the digest that the claims have if they are of all that the store has now."""
    return analyses.derived_digest(study, analyses.CLAIMS_VERSION, _files(study, stored))


def _files(study: Study, stored: Results) -> list[str]:
    """Return the names of all tables of the study's runs, which change with their content."""
    return sorted(
        entry.file
        for run in study.runs
        if run.name in stored.manifest.runs
        for analysis in stored.manifest.runs[run.name].analyses.values()
        for entry in analysis.tables.values()
    )


def estimates_state(study: Study, stored: Results | None) -> str:
    """Return the state of the estimates over all runs."""
    entry = stored.manifest.derived.get(ESTIMATES) if stored else None
    if stored is None or entry is None:
        return "missing"
    if entry.digest != estimates_digest(study, stored):
        return "stale"
    try:
        stored.read(ESTIMATES, entry)
    except UserError:
        return "broken"
    return "done"


def claims_state(study: Study, stored: Results | None) -> str:
    """Return the state of the claims, and of the tables beside them."""
    entry = stored.manifest.claims if stored else None
    if stored is None or entry is None:
        return "missing"
    if entry.digest != claims_digest(study, stored):
        return "stale"
    try:
        stored.claims()
        for name, table in stored.manifest.derived.items():
            stored.read(name, table)
    except UserError:
        return "broken"
    return "done"


def _state(study: Study, run: Run, stored: Results | None) -> RunState:
    entry = stored.manifest.runs.get(run.name) if stored else None
    if stored is None or entry is None:
        return RunState(run, "missing", dict.fromkeys(analyses.of(study), "missing"))
    if entry.training.digest != analyses.training_digest(study) or entry.seed != run.seed:
        return RunState(run, "stale", dict.fromkeys(analyses.of(study), "stale"))
    trained = _readable(stored, entry, ["history"])
    found = {name: _analysis_state(study, name, stored, entry) for name in analyses.of(study)}
    return RunState(run, "done" if trained else "broken", found)


def _analysis_state(study: Study, name: str, stored: Results, entry: RunEntry) -> str:
    if name not in entry.analyses:
        return "missing"
    if entry.analyses[name].digest != analyses.digest(study, name):
        return "stale"
    return "done" if _readable(stored, entry, ANALYSES[name].tables) else "broken"


def _readable(stored: Results, entry: RunEntry, tables: tuple[str, ...] | list[str]) -> bool:
    try:
        for name in tables:
            file = entry.table(name)
            if file is None:
                return False
            stored.read(name, file)
    except UserError:
        return False
    return True
