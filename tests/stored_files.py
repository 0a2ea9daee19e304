"""Which files a study's results should hold, and which they do, by table and run."""

from __future__ import annotations

from collections.abc import Iterable

from analysis import analyses
from analysis.analyses import ANALYSES
from analysis.results import Results
from analysis.study import Study
from analysis.tables import SCHEMAS

_OF_RUNS = {"history", *(table for found in ANALYSES.values() for table in found.tables)}
# The tables over all runs.
DERIVED = frozenset(SCHEMAS) - _OF_RUNS


def expected_files(study: Study, runs: Iterable[str]) -> set[tuple[str, str]]:
    """Return the table and run of every file of a study whose runs are finished.

    The claims are among them as a table over all runs.
    """
    tables = {"history", *(t for name in analyses.of(study) for t in ANALYSES[name].tables)}
    of_runs = {(table, run) for run in runs for table in tables}
    return of_runs | {(table, "all") for table in (*DERIVED, "claims")}


def vouched_files(store: Results) -> set[tuple[str, str]]:
    """Return the same of the files that a store vouches for. Raises where one is not in order."""
    names = [entry.file for _, entry in store.manifest.entries()]
    found = {(table, run) for table, run, _ in (name.split("-") for name in names)}
    if store.manifest.claims:
        found.add(("claims", "all"))
    # No two files are of one table and run.
    assert store.verify() == len(found)
    return found
