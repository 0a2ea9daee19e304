"""One run: its network, which is trained or read, and the analyses that it lacks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from analysis.images import Images, divide, load
from analysis.networks import classifier, weights
from analysis.networks.classifier import Classifier
from analysis.networks.weights import Trained
from analysis.probes import OF_IMAGES, PROBES, Subject, maps
from analysis.project import provenance
from analysis.project.errors import UserError
from analysis.results import status
from analysis.results.records import Analysis, Input, RunRecord, Training
from analysis.results.store import Store
from analysis.study import Run, Study


def check_network(study: Study, images: Images, device: torch.device) -> None:
    """Raise ``UserError`` for a network or layers that do not work, before hours are spent."""
    network = untrained(study, images, device)
    if study.maps:
        maps.check_layers(network, study.maps.layers or maps.default_layers(network))


def untrained(study: Study, images: Images, device: torch.device) -> Classifier:
    """Return the network of a study before its training or, if it has none, as it is given.

    Raises ``UserError`` for a network that cannot be made, or does not work.
    """
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
    if study.predictions:
        raise UserError(f"{study.name} is about predictions alone, which need no probes.")
    found, (run, *_) = load(study, data), study.runs
    network = untrained(study, found, classifier.choose_device(device))
    _, positions = divide(study, run, found)
    chosen = np.linspace(0, len(positions) - 1, min(images, len(positions))).astype(int)
    return Subject(study, run, network.eval().requires_grad_(False), found, positions[chosen])


def finish(
    opened: Store,
    run: Run,
    images: Images,
    *,
    device: torch.device,
    progress: Callable[[int], object],
    say: Callable[[str], None],
) -> None:
    """Train a run if needed, do its missing analyses, and record each as it is done.

    ``progress`` is told of each epoch and of each analysis. Raises ``UserError`` for a network,
    weights or a checkpoint that are not valid.
    """
    # The same kernels every time, so that a seed gives the same weights on the same device.
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        _finish(opened, run, images, device=device, progress=progress, say=say)


def _finish(
    opened: Store,
    run: Run,
    images: Images,
    *,
    device: torch.device,
    progress: Callable[[int], object],
    say: Callable[[str], None],
) -> None:
    study = opened.study
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


def _trained(
    opened: Store,
    run: Run,
    images: Images,
    positions: np.ndarray,
    *,
    device: torch.device,
    progress: Callable[[int], object],
    say: Callable[[str], None],
) -> tuple[RunRecord, Subject]:
    """Return the record of a run with its network, which is trained first if it has to be."""
    study, record = opened.study, opened.runs.get(run.name)

    def epoch(row: object) -> None:
        progress(1)

    if not study.trained:
        known = (each.training.weights for each in opened.runs.values())
        trained = weights.given(
            study,
            classes=len(images.classes),
            channels=images.channels,
            images=images.size,
            device=device,
            # One network for all runs.
            expected=next(filter(None, known), None),
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
    study, network = opened.study, trained.classifier
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
        recipe=status.recipe(study),
        input=Input(
            size=network.size,
            channels=images.channels,
            mean=network.mean,
            std=network.std,
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
