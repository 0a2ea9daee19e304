"""What is missing of a study, doing it, and deriving what follows: the one place with the order."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis import claims
from analysis.claims.judge import ALPHA, judge, needed_resamples
from analysis.inference import (
    audit,
    certainty,
    confidence,
    estimates,
    evidence,
    masking,
    measures,
    neighbours,
    slices,
    suspects,
)
from analysis.inference.evidence import Tables
from analysis.inference.summaries import summaries
from analysis.project import provenance
from analysis.project.errors import UserError
from analysis.results import published, readings, status, store, verification
from analysis.results.records import Analysis, ClaimsRecord, RunRecord, Training
from analysis.results.store import Store
from analysis.study import Run, Study

if TYPE_CHECKING:
    import torch

    from analysis.images import Images
    from analysis.networks.weights import Trained
    from analysis.probes import Subject

# Raised by hand when something else is derived from the same tables.
DERIVED_VERSION = 4


def run(
    study: Study,
    *,
    data: Path,
    device: str | None,
    say: Callable[[str], None] = print,
) -> None:
    """Do what is missing of a study, run by run, and derive what follows.

    It can be stopped at any moment and continues from there. Results that the study no longer asks
    for are kept in ``superseded``. Raises ``UserError`` if the study is being run already, and for
    data, checkpoints, weights and results that are not valid.
    """
    claims.of(study)
    opened = Store.open(study)
    with opened.locked():
        # Opened again, as another process may have changed it before the lock was held.
        opened = Store.open(study)
        todo = [run for run in study.runs if opened.todo(run)]
        if todo:
            _run_all(opened, todo, data=data, device=device, say=say)
        derive(opened, say=say)


def _run_all(
    opened: Store,
    todo: list[Run],
    *,
    data: Path,
    device: str | None,
    say: Callable[[str], None],
) -> None:
    import torch
    from tqdm import tqdm

    from analysis import images as sources
    from analysis.networks import classifier, weights
    from analysis.probes import maps

    study = opened.study
    chosen = classifier.choose_device(device)
    images = sources.load(study, data)
    claims.of(study).check_classes(images.classes)
    for record in opened.runs.values():
        if record.images != images.digest():
            raise UserError(
                f"The images are not those of run {record.name} of {study.name}: their digest is "
                f"{images.digest()[:12]}…, not {record.images[:12]}….\n"
                "Restore the data, or move the results elsewhere to begin anew."
            )
    say(f"{study.name}: {len(todo)} of {len(study.runs)} runs to do on {weights.describe(chosen)}")
    # The same kernels every time, so that a seed gives the same weights on the same device.
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        untrained = classifier.build(
            study.network, classes=len(images.classes), seed=study.seed, device=chosen
        )
        maps.check_layers(untrained, study.maps.layers)
        steps = sum(
            len(study.training.sizes) + len(status.wanted(study, run.repeat)) for run in todo
        )
        with tqdm(total=steps, unit="step", desc=study.name) as progress:
            for each in todo:
                _finish(opened, each, images, device=chosen, progress=progress.update, say=say)


def _finish(
    opened: Store,
    run: Run,
    images: Images,
    *,
    device: torch.device,
    progress: Callable[[int], bool | None],
    say: Callable[[str], None],
) -> None:
    """Train a run if needed, do its missing analyses, and record each as it is done."""
    from analysis.images import divide
    from analysis.networks import weights
    from analysis.probes import OF_IMAGES, PROBES

    study = opened.study
    for step, problem in opened.problems.get(run.name, {}).items():
        # A damaged table alone is simply computed again.
        if step == "training" or problem.startswith("stale"):
            kept = opened.set_aside(run)
            say(f"{run.name}: {step} is {problem}; its earlier results are kept in {kept}")
            break
    _, positions = divide(study, run, images)
    record = opened.runs.get(run.name)
    subject: Subject | None = None
    if record is None:
        record, subject = _trained(opened, run, images, positions, device=device, progress=progress)
    for name in status.wanted(study, run.repeat):
        kind = status.ANALYSES[name]
        if name not in record.analyses:
            # Weights are read, or trained again, only where something needs them.
            if kind.network and subject is None:
                record, subject = _trained(
                    opened, run, images, positions, device=device, progress=progress
                )
            begin = time.perf_counter()
            done = {
                table: opened.read(run.name, table)
                for needed in kind.needs
                for table in status.ANALYSES[needed].tables
            }
            if kind.network and subject is not None:
                tables = PROBES[name](subject, done)
            else:
                tables = OF_IMAGES[name](images, positions)
            analysis = Analysis(
                digest=status.analysis_digest(study, name, weights=status.weights_of(record)),
                device=weights.describe(device),
                packages=provenance.packages(),
                revision=provenance.revision(),
                finished=provenance.now(),
                seconds=time.perf_counter() - begin,
                tables={
                    table: opened.write_table(run.name, table, content)
                    for table, content in tables.items()
                },
            )
            record = record.model_copy(update={"analyses": {**record.analyses, name: analysis}})
            opened.write_run(record)
        progress(1)
    if subject is None:
        progress(len(study.training.sizes))


def _trained(
    opened: Store,
    run: Run,
    images: Images,
    positions: np.ndarray,
    *,
    device: torch.device,
    progress: Callable[[int], bool | None],
) -> tuple[RunRecord, Subject]:
    """Return the record of a run with its network, which is trained first if it has to be."""
    from analysis.networks import weights
    from analysis.probes import Subject

    study, record = opened.study, opened.runs.get(run.name)

    def epoch(row: object) -> None:
        progress(1)

    if not weights.path(study, run).is_file():
        weights.train(study, run, images, device=device, report=epoch)
    else:
        progress(len(study.training.sizes))
    trained = weights.read(
        study,
        run,
        classes=len(images.classes),
        device=device,
        expected=record.training.weights if record else None,
    )
    subject = Subject(study, run, trained.classifier, images, positions)
    if record is not None and record.training.weights is None:
        record = _identified(opened, record, subject, trained)
    if record is None:
        record = _record(opened, run, images, trained)
        opened.write_run(record)
    return record, subject


def _record(opened: Store, run: Run, images: Images, trained: Trained) -> RunRecord:
    """Return the record of a run that has been trained and not yet analysed."""
    study, facts = opened.study, trained.facts
    history = opened.write_table(run.name, "history", trained.history)
    return RunRecord(
        study=study.name,
        repeat=run.repeat,
        fold=run.fold,
        seed=run.seed,
        images=images.digest(),
        classes=images.classes,
        recipe=study.model_dump(
            mode="json",
            include={"seed", "images", "network", "training", "maps", "attacks"},
            exclude_defaults=True,
        ),
        training=Training(
            digest=status.training_digest(study), weights=trained.digest, history=history, **facts
        ),
    )


def _identified(opened: Store, record: RunRecord, subject: Subject, trained: Trained) -> RunRecord:
    """Return a record with the digest of its weights, if they give exactly its predictions."""
    from analysis.probes import PROBES

    before = opened.read(record.name, "predictions")
    again = PROBES["predictions"](subject, {})["predictions"]
    if not np.array_equal(np.stack(before["logits"]), np.stack(again["logits"])):
        raise UserError(
            f"The weights of {record.name} of {opened.study.name} do not give its stored "
            "predictions.\nRun it where it was trained, or move its results elsewhere."
        )
    training = record.training.model_copy(update={"weights": trained.digest})
    analyses = {
        name: analysis.model_copy(
            update={"digest": status.analysis_digest(opened.study, name, weights=trained.digest)}
        )
        for name, analysis in record.analyses.items()
    }
    return record.model_copy(update={"training": training, "analyses": analyses})


def derive(opened: Store, *, say: Callable[[str], None] = print) -> ClaimsRecord | None:
    """Derive all that pages show from the complete repeats, unless that has been done.

    Returns nothing, and says so, if no repeat is complete. Raises ``UserError`` if their runs are
    not valid.
    """
    study, repeats = opened.study, opened.shown_repeats()
    if not repeats:
        say(f"{study.name}: no repeat is complete, so there is nothing to derive yet.")
        return None
    wanted = claims.of(study)
    inputs = derived_digest(opened, wanted)
    try:
        before = store.derived_if_any(study.name)
    except UserError:
        # Damaged, or written by another version: it can be derived again.
        before = None
    if before is not None and before.is_whole() and before.record.inputs == inputs:
        say(f"{study.name}: nothing to do.")
        return before.record
    runs = [run for names in repeats.values() for run in names]
    for run in runs:
        verification.check_run(opened, run)
    verification.check_together(opened, runs)
    tables = Tables(opened, repeats)
    classes = opened.runs[runs[0]].classes
    count = needed_resamples(study, wanted.confirmatory)
    found = evidence.of_study(tables, study, classes, resamples=count)
    theirs = published.load(study.published) if study.published else None
    level, resamples = study.bootstrap.level, study.bootstrap.resamples
    contents = {
        **summaries(tables, found, opened.runs),
        "estimates": estimates.estimates(found, theirs, level=level),
        "map_measures": measures.table(found, level=level, resamples=resamples),
        "suspects": suspects.table(found),
        "neighbours": neighbours.table(found, level=level),
    }
    contents |= slices.tables(found, level=level) | audit.tables(found) | masking.tables(found)
    contents |= certainty.tables(found, level=level)
    contents |= confidence.tables(
        found, level=level, resamples=resamples, epsilon=study.attacks.logits_epsilon
    )
    records, family, published_family = judge(study, wanted, found, theirs)
    derived = opened.write_derived(
        contents,
        lambda entries: ClaimsRecord(
            study=study,
            classes=classes,
            images=opened.runs[runs[0]].images,
            inputs=inputs,
            repeats=repeats,
            groups=len(np.unique(tables.group)),
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
    seen = readings.digest(opened.study.name)
    text = f"{wanted.digest} {body.model_dump_json() if body else ''} {words} {seen}"
    return status.derived_digest(
        opened.study, [opened.runs[run] for run in runs], version=DERIVED_VERSION, claims=text
    )


def judged(study: Study, *, say: Callable[[str], None]) -> ClaimsRecord:
    """Return the claims of a study, derived again if they are not up to date.

    Raises ``UserError`` without a complete repeat, and if somebody is changing the results.
    """
    opened = Store.open(study)
    if not opened.shown_repeats():
        raise store.nothing_yet(study.name)
    with opened.locked():
        found = derive(Store.open(study), say=say)
    if found is None:
        raise store.nothing_yet(study.name)
    return found
