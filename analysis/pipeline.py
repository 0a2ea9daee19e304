"""Which runs there are, what is missing, doing it, and saying how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from analysis import (
    analyses,
    datasets,
    model,
    provenance,
    results,
    saliency,
    trained,
    training,
)
from analysis.analyses import ANALYSES
from analysis.datasets import ImageSet
from analysis.derived import alone, commit, conclude, derive_again
from analysis.errors import UserError
from analysis.forecast import forecast
from analysis.probes import PROBES, Subject
from analysis.progress import Progress, duration
from analysis.results import AnalysisEntry, Results, RunEntry, TrainingEntry
from analysis.split import divide
from analysis.state import RunState, states, valid
from analysis.study import Run, Study


def choose_device(name: str | None) -> torch.device:
    """Return the named device, or a CUDA device where there is one, else the CPU."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError):
        raise UserError(f"There is no device {name!r} here; try --device cpu.") from None
    return device


def run(
    study: Study, *, data: Path, device: torch.device, say: Callable[[str], None] = print
) -> bool:
    """Do what is missing of a study, run by run; return whether there was anything.

    It can be stopped at any moment and goes on where it was. Raises ``UserError`` where the same
    study is being run already, and for data, checkpoints and results that are not in order.
    """
    with alone(study):
        stored = results.load_if_any(study.name)
        todo = [state for state in states(study, stored) if not state.done]
        if stored is not None and not todo:
            return derive_again(study, stored, say=say)
        images = datasets.load(study, data)
        store = valid(study, results.open_for_writing(study, data_digest=images.digest()))
        # The same kernels every time, so that a seed gives the same weights on the same device.
        with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            untrained = model.build(study.model, seed=study.seed, device=device)
            saliency.check_layers(untrained.eval().requires_grad_(False), study.saliency.layers)
            left = forecast(study, images, todo, device=device)
            runs = "1 run" if len(todo) == 1 else f"{len(todo)} runs"
            say(
                f"{study.name}: {runs} to do, about {duration(left.seconds)} on "
                f"{trained.describe(device)} (measured on {left.measured})"
            )
            progress = Progress(left.costs, say=say)
            for state in todo:
                store = _finish(study, state, images, store, device=device, progress=progress)
        conclude(store)
        say(f"{study.name}: claims judged.")
    return True


def _finish(
    study: Study,
    state: RunState,
    images: ImageSet,
    store: Results,
    *,
    device: torch.device,
    progress: Progress,
) -> Results:
    """Train a run if it has to be, do its missing analyses, and commit each as it is done."""
    run = state.run

    def report(row: training.Epoch) -> None:
        progress.done(f"{run.name} epoch {row.epoch}", note=f"loss {row.train_loss:.3f}")

    if not trained.weights(study, run).is_file():
        trained.train(study, run, images, device=device, report=report)
    classifier, facts = trained.read(study, run, device=device)
    entry = store.manifest.runs.get(run.name)
    todo = state.todo
    if (
        entry is None
        or state.training != "done"
        or entry.training.weights_sha256 != facts["sha256"]
    ):
        # What was computed from other weights goes with them.
        entry = RunEntry(
            repeat=run.repeat,
            fold=run.fold,
            seed=run.seed,
            training=_training_entry(study, run, facts, store),
        )
        todo = analyses.of(study)
    _, positions = divide(study, run, images)
    subject = Subject(study, run, classifier, images, positions)
    for name in todo:
        begin = time.perf_counter()
        done = {
            table: store.read(table, entry.table(table))
            for needed in ANALYSES[name].needs
            for table in ANALYSES[needed].tables
        }
        tables = PROBES[name](subject, done)
        written = {
            table: results.write_table(store.folder, table, content, run=run.name)
            for table, content in tables.items()
        }
        analysis = AnalysisEntry(
            digest=analyses.digest(study, name),
            device=trained.describe(device),
            packages=provenance.packages(),
            revision=provenance.revision(),
            finished=provenance.now(),
            seconds=time.perf_counter() - begin,
            tables=written,
        )
        entry = entry.model_copy(update={"analyses": {**entry.analyses, name: analysis}})
        store = commit(store, {run.name: entry})
        progress.done(f"{run.name} {name}")
    return store


def _training_entry(study: Study, run: Run, facts: dict, store: Results) -> TrainingEntry:
    history = training.history_table(facts["history"])
    return TrainingEntry(
        digest=analyses.training_digest(study),
        device=facts["device"],
        packages=facts["packages"],
        revision=facts["revision"],
        finished=facts["finished"],
        seconds=facts["seconds"],
        weights_sha256=facts["sha256"],
        training_images=facts["training_images"],
        history=results.write_table(store.folder, "history", history, run=run.name),
    )
