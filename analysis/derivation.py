"""Derive all that pages show from the tables of the complete repeats, in one step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from analysis import claims
from analysis.claims.judge import ALPHA, judge, needed_resamples
from analysis.inference import (
    audit,
    certainty,
    classes,
    confidence,
    corruptions,
    estimates,
    evidence,
    masking,
    measures,
    neighbours,
    pictures,
    slices,
    suspects,
    variants,
)
from analysis.inference.evidence import Tables
from analysis.inference.summaries import summaries
from analysis.project.errors import UserError
from analysis.project.paths import shown
from analysis.results import answers, published, readings, status, store, verification
from analysis.results.records import ClaimsRecord
from analysis.results.store import Derived, Store
from analysis.study import Study

# Raised by hand when something else is derived from the same tables.
DERIVED_VERSION = 7


# On one thread sums are added in one order, whatever the machine has.
@threadpool_limits.wrap(limits=1)
def derive(opened: Store, *, say: Callable[[str], None] = print) -> ClaimsRecord | None:
    """Derive all that pages show from the complete repeats, unless that has been done.

    Returns nothing, and says so, if no repeat is complete. Raises ``UserError`` if their runs are
    not valid, or if one that was derived from before is damaged or stale now.
    """
    opened.sort()
    study, repeats = opened.study, opened.shown_repeats()
    if not repeats:
        say(f"{study.name}: no repeat is complete, so there is nothing to derive yet.")
        return None
    wanted = claims.of(study)
    inputs = derived_digest(opened, wanted)
    before = _whole(study.name)
    if before is not None and before.record.inputs == inputs:
        say(f"{study.name}: nothing to do.")
        return before.record
    if before is not None:
        verification.check_nothing_lost(opened, before)
    runs = [run for names in repeats.values() for run in names]
    for run in runs:
        verification.check_run(opened, run)
    verification.check_together(opened, runs)
    tables = Tables(opened, repeats)
    names = opened.runs[runs[0]].classes
    # Claims that nobody's answers can test need none, so that their number changes no other result.
    count = needed_resamples(study, wanted.testable(asked=bool(answers.files(study.name))))
    found = evidence.of_study(tables, study, names, resamples=count)
    theirs = published.load(study.published) if study.published else None
    level, resamples = study.bootstrap.level, study.bootstrap.resamples
    fewer = variants.fewer_resamples(found, resamples)
    contents = {
        **summaries(tables, found, opened.runs),
        "estimates": estimates.estimates(found, theirs, level=level),
        "classes": classes.table(fewer, level=level),
        **measures.tables(found, level=level, resamples=resamples),
        "suspects": suspects.table(found),
        **neighbours.tables(found, level=level),
    }
    contents |= slices.tables(found, level=level) | audit.tables(found) | masking.tables(found)
    contents |= certainty.tables(found, level=level)
    contents |= confidence.tables(
        found,
        level=level,
        resamples=resamples,
        epsilon=study.attacks.logits_epsilon if study.attacks else None,
    )
    contents |= corruptions.tables(tables, found, level=level, resamples=resamples)
    if study.images.show:
        contents |= pictures.tables(
            found,
            runs=tables.runs,
            level=level,
            epsilon=study.attacks.logits_epsilon if study.attacks else None,
        )
    records, family, published_family = judge(study, wanted, found, theirs)
    derived = opened.write_derived(
        contents,
        lambda entries: ClaimsRecord(
            study=study,
            classes=names,
            images=opened.runs[runs[0]].images,
            inputs=inputs,
            repeats=repeats,
            groups=len(np.unique(tables.group)),
            input=opened.runs[runs[0]].input,
            layers=tuple(found.maps),
            alpha=ALPHA,
            level=level,
            family=family,
            published=published_family,
            introduction=wanted.introduction,
            claims=records,
            tables=entries,
        ),
    )
    say(f"{study.name}: claims judged on {len(runs)} runs.")
    return derived


def derived_digest(opened: Store, wanted: claims.Claims) -> str:
    """Return what identifies all that is derived from the complete repeats now."""
    runs = [run for names in opened.shown_repeats().values() for run in names]
    body = published.load(opened.study.published) if opened.study.published else None
    words = opened.study.model_dump_json(include={"title", "images", "paper", "companion"})
    seen = f"{readings.digest(opened.study.name)} {answers.digest(opened.study.name)}".strip()
    text = f"{wanted.digest} {body.model_dump_json() if body else ''} {words} {seen}"
    return status.derived_digest(
        opened.study, [opened.runs[run] for run in runs], version=DERIVED_VERSION, claims=text
    )


def check_current(opened: Store) -> None:
    """Raise ``UserError`` if what was derived is not from what is there now."""
    before = store.derived_if_any(opened.study.name)
    if before and before.record.inputs != derived_digest(opened, claims.of(opened.study)):
        raise UserError(
            f"{shown(before.folder / store.CLAIMS)} was derived from other runs, or for another "
            f"form of the study or its claims.\n"
            f"Derive it again with `python -m analysis claims {opened.study.name}`."
        )


def _whole(name: str) -> Derived | None:
    """Return what was derived for a study before, unless it is damaged or of another version."""
    try:
        before = store.derived_if_any(name)
    except UserError:
        return None
    return before if before is not None and before.is_whole() else None


def judged(study: Study, *, say: Callable[[str], None]) -> ClaimsRecord:
    """Return the claims of a study, derived again if they are not up to date.

    Raises ``UserError`` without a complete repeat, and if somebody is changing the results.
    """
    opened = Store.open(study)
    if not opened.shown_repeats():
        raise store.nothing_yet(study.name)
    before = _whole(study.name)
    if before is not None and before.record.inputs == derived_digest(opened, claims.of(study)):
        # Without the lock, for which the results would have to be writable.
        say(f"{study.name}: nothing to do.")
        return before.record
    with opened.locked():
        found = derive(Store.open(study), say=say)
    if found is None:
        raise store.nothing_yet(study.name)
    return found
