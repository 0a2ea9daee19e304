"""What is done, missing or stale, told from the study and its results alone."""

from __future__ import annotations

from dataclasses import dataclass

from analysis import analyses
from analysis.analyses import ANALYSES
from analysis.errors import UserError
from analysis.results import Results, RunEntry
from analysis.study import Run, Study


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


def _state(study: Study, run: Run, stored: Results | None) -> RunState:
    entry = stored.manifest.runs.get(run.name) if stored else None
    if stored is None or entry is None:
        return RunState(run, "missing", dict.fromkeys(ANALYSES, "missing"))
    if entry.training.digest != analyses.training_digest(study) or entry.seed != run.seed:
        return RunState(run, "stale", dict.fromkeys(ANALYSES, "stale"))
    trained = _readable(stored, entry, ["history"])
    found = {name: _analysis_state(study, name, stored, entry) for name in ANALYSES}
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
