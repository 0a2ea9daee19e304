"""What follows from the tables of all runs: the estimates and the claims, kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from analysis import claims, confidence, estimates, evidence, label_noise, paths, results, sanity
from analysis.errors import UserError
from analysis.evidence import Evidence, NotTested
from analysis.results import DerivedEntry, Results, RunEntry
from analysis.state import (
    ESTIMATES,
    claims_digest,
    claims_state,
    estimates_digest,
    estimates_state,
    valid,
)
from analysis.study import Bootstrap, Study


def commit(store: Results, entries: dict[str, RunEntry]) -> Results:
    """Put run entries into the manifest, with the estimates that follow, in one rename."""
    runs = {**store.manifest.runs, **entries}
    order = {run.name: number for number, run in enumerate(store.study.runs)}
    runs = {name: runs[name] for name in sorted(runs, key=order.__getitem__)}
    store = store.with_manifest(runs=runs, derived={}, claims=None)
    table = estimates.estimate(store)
    if table is not None:
        written = results.write_table(store.folder, ESTIMATES, table, run=None)
        digest = estimates_digest(store.study, store)
        entry = DerivedEntry(**written.model_dump(), digest=digest)
        store = store.with_manifest(derived={ESTIMATES: entry})
    results.write_manifest(store)
    return store


def conclude(store: Results) -> Results:
    """Judge the claims on what the store has, and write them and the tables beside them into it."""
    study = store.study
    digest = claims_digest(study, store)
    found: Evidence | NotTested
    try:
        count = claims.needed_resamples(study, claims.CONFIRMATORY)
        found = evidence.of_study(store, resamples=count)
        tables = tables_beside(found, study.bootstrap)
    except NotTested as reason:
        found, tables = reason, {}
    # Tables of an earlier time, which now have nothing to be of, do not stay.
    derived = {name: e for name, e in store.manifest.derived.items() if name == ESTIMATES}
    for name, table in tables.items():
        written = results.write_table(store.folder, name, table, run=None)
        derived[name] = DerivedEntry(**written.model_dump(), digest=digest)
    judged = claims.claims_table(study, found, digest=digest)
    return results.write_claims(store.with_manifest(derived=derived), judged)


def tables_beside(found: Evidence, settings: Bootstrap) -> dict[str, pd.DataFrame]:
    """Return the tables that are written with the claims; their version is that of the claims."""
    level, resamples = settings.level, settings.resamples
    return {
        **confidence.tables(found, level=level, resamples=resamples),
        "sanity": sanity.table(found, level=level, resamples=resamples),
        "suspects": label_noise.table(found),
    }


def judged(name: str) -> Results:
    """Return a study's results with estimates and claims that are up to date, derived if need be.

    They are of the runs that are there, whether or not the study file has changed since. Raises
    ``UserError`` where there are no results, or somebody is changing them.
    """
    # Not by ``results.load``, which refuses a store that lacks what is only derived.
    stored = results.load_if_any(name) or results.load(name)
    if derived_state(stored.study, stored) == "done":
        stored.check_folder()
        return stored
    with alone(stored.study):
        stored = results.load_if_any(name) or results.load(name)
        if estimates_state(stored.study, stored) != "done":
            stored = commit(stored, {})
        return conclude(stored)


def derived_state(study: Study, stored: Results | None) -> str:
    """Return ``done``, or the state of what has to be derived again."""
    both = (estimates_state(study, stored), claims_state(study, stored))
    return next((state for state in both if state != "done"), "done")


def derive_again(study: Study, stored: Results, *, say: Callable[[str], None]) -> bool:
    """Derive estimates and claims where all else is done, if they are not; return whether so."""
    if derived_state(study, stored) == "done":
        return False
    changed = {"study": study, "study_digest": study.digest()}
    conclude(commit(valid(study, stored.with_manifest(**changed)), {}))
    say(f"{study.name}: estimates and claims derived again; nothing else to do.")
    return True


@contextmanager
def alone(study: Study) -> Iterator[None]:
    """Keep others from changing a study's results. Raises ``UserError`` where somebody does."""
    lock = FileLock(paths.cache() / study.name / "lock", timeout=0)
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        held = lock.acquire()
    except Timeout:
        raise UserError(
            f"{study.name} is being run already; nothing was changed.\n"
            "Wait for that run to end, or stop it: the next one goes on from there."
        ) from None
    with held:
        yield
