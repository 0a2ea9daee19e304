"""What is missing of a study, doing it, and deriving what follows: the one place with the order."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import claims, derivation, predicted
from analysis.project import provenance
from analysis.project.errors import UserError
from analysis.results import pictures, status
from analysis.results.records import Analysis, Input, RunRecord, Training
from analysis.results.store import Store, derived
from analysis.study import Run, Study

if TYPE_CHECKING:
    import torch

    from analysis.images import Images
    from analysis.networks.classifier import Classifier
    from analysis.networks.weights import Trained
    from analysis.probes import Subject


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
        if derivation.derive(opened, say=say):
            _draw(study, data=data, device=device, say=say)


def _run_all(
    opened: Store,
    todo: list[Run],
    *,
    data: Path,
    device: str | None,
    say: Callable[[str], None],
) -> None:
    study = opened.study
    if study.predictions:
        for each in todo:
            _take_predictions(opened, each)
        return
    import torch
    from tqdm import tqdm

    from analysis import images as sources
    from analysis.networks import classifier, weights

    chosen = classifier.choose_device(device)
    images = sources.load(study, data)
    claims.of(study).check_classes(images.classes)
    for note in images.notes:
        say(f"{study.name}: {note}")
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
        _check_network(study, images, chosen)
        steps = sum(study.epochs + len(status.wanted(study, run.repeat)) for run in todo)
        with tqdm(total=steps, unit="step", desc=study.name) as progress:
            for each in todo:
                _finish(opened, each, images, device=chosen, progress=progress.update, say=say)


def _draw(study: Study, *, data: Path, device: str | None, say: Callable[[str], None]) -> None:
    """Draw the single images that pages show, if there are none of these results."""
    if study.images.show and not study.predictions and not pictures.are_drawn(derived(study.name)):
        from analysis.probes import pictures as drawing

        drawing.attempt(study, data=data, device=device, say=say)


def _check_network(study: Study, images: Images, device: torch.device) -> None:
    """Raise ``UserError`` for a network or layers that do not work, before hours are spent."""
    from analysis.probes import maps

    network = untrained(study, images, device)
    if study.maps:
        maps.check_layers(network, study.maps.layers or maps.default_layers(network))


def untrained(study: Study, images: Images, device: torch.device) -> Classifier:
    """Return the network of a study before its training or, if it has none, as it is given.

    Raises ``UserError`` for a network that cannot be made, or does not work.
    """
    from analysis.networks import classifier, weights

    classes, channels, size = len(images.classes), images.channels, images.size
    if study.trained:
        return classifier.of_study(
            study, classes=classes, channels=channels, seed=study.seed, device=device, images=size
        )
    given = weights.given(study, classes=classes, channels=channels, device=device, images=size)
    return given.classifier


def untrained_subject(study: Study, *, images: int, data: Path, device: str | None) -> Subject:
    """Return what probes are given, of the first run: no training, and few images.

    Raises ``UserError`` for images and a network that cannot be had.
    """
    from analysis import images as sources
    from analysis.networks import classifier
    from analysis.probes import Subject

    if study.predictions:
        raise UserError(f"{study.name} is about predictions alone, which need no probes.")
    found, (run, *_) = sources.load(study, data), study.runs
    network = untrained(study, found, classifier.choose_device(device))
    _, positions = sources.divide(study, run, found)
    chosen = np.linspace(0, len(positions) - 1, min(images, len(positions))).astype(int)
    return Subject(study, run, network.eval().requires_grad_(False), found, positions[chosen])


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
    trained_on, positions = divide(study, run, images)
    record = opened.runs.get(run.name)
    subject: Subject | None = None
    if record is None:
        record, subject = _trained(
            opened, run, images, positions, device=device, progress=progress, say=say
        )
    for name in status.wanted(study, run.repeat):
        kind = status.ANALYSES[name]
        if name not in record.analyses:
            # Weights are read, or trained again, only where something needs them.
            if kind.network and subject is None:
                record, subject = _trained(
                    opened, run, images, positions, device=device, progress=progress, say=say
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
                tables = OF_IMAGES[name](images, trained_on, positions)
            analysis = Analysis(
                digest=status.analysis_digest(study, name, weights=status.weights_of(record)),
                files=status.contents(study, kind.files),
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
        progress(study.epochs)


def _take_predictions(opened: Store, run: Run) -> None:
    """Record what a file of predictions says as a run's analyses."""
    study = opened.study
    begin = time.perf_counter()
    given = predicted.read(study)
    claims.of(study).check_classes(given.classes)
    facts: dict[str, Any] = dict(
        device="computed elsewhere",
        packages=provenance.packages(),
        revision=provenance.revision(),
        finished=provenance.now(),
        seconds=time.perf_counter() - begin,
    )
    digest = status.training_digest(study)
    analyses = {}
    for name in status.wanted(study, run.repeat):
        tables = {
            table: opened.write_table(run.name, table, given.tables[table])
            for table in status.ANALYSES[name].tables
        }
        known = status.analysis_digest(study, name, weights=digest)
        analyses[name] = Analysis(digest=known, tables=tables, **facts)
    opened.write_run(
        RunRecord(
            study=study.name,
            repeat=run.repeat,
            fold=run.fold,
            seed=run.seed,
            images=given.digest,
            classes=given.classes,
            recipe=_recipe(study),
            training=Training(
                digest=digest,
                files=status.contents(study, status.TRAINED_FROM),
                weights=None,
                training_images=0,
                history=None,
                **facts,
            ),
            analyses=analyses,
        )
    )


def _recipe(study: Study) -> dict[str, Any]:
    """Return what a study says of its networks and their analyses, for the record."""
    measured = ("maps", "attacks", "corruptions")
    return study.content("seed", "images", "network", "training", "predictions", *measured)


def _trained(
    opened: Store,
    run: Run,
    images: Images,
    positions: np.ndarray,
    *,
    device: torch.device,
    progress: Callable[[int], bool | None],
    say: Callable[[str], None],
) -> tuple[RunRecord, Subject]:
    """Return the record of a run with its network, which is trained first if it has to be."""
    from analysis.networks import weights
    from analysis.probes import Subject

    study, record = opened.study, opened.runs.get(run.name)

    def epoch(row: object) -> None:
        progress(1)

    if not study.trained:
        trained = weights.given(
            study,
            classes=len(images.classes),
            channels=images.channels,
            images=images.size,
            device=device,
        )
    else:
        if not weights.path(study, run).is_file():
            weights.train(study, run, images, device=device, report=epoch, say=say)
        else:
            progress(study.epochs)
        trained = weights.read(
            study,
            run,
            classes=len(images.classes),
            channels=images.channels,
            images=images.size,
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
    study, classifier = opened.study, trained.classifier
    history = None
    if trained.history is not None:
        history = opened.write_table(run.name, "history", trained.history)
    return RunRecord(
        study=study.name,
        repeat=run.repeat,
        fold=run.fold,
        seed=run.seed,
        images=images.digest(),
        classes=images.classes,
        recipe=_recipe(study),
        input=Input(
            size=classifier.size,
            channels=images.channels,
            mean=classifier.mean,
            std=classifier.std,
        ),
        training=Training(
            digest=status.training_digest(study),
            files=status.contents(study, status.TRAINED_FROM),
            weights=trained.digest,
            history=history,
            **trained.facts,
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
