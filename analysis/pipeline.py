"""What is missing of a study, doing it, and deriving what follows: the one place with the order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from analysis import claims, derivation, predicted
from analysis import study as studies
from analysis.project import files, provenance
from analysis.project.errors import UserError
from analysis.results import pictures, status
from analysis.results.records import Analysis, RunRecord, Training
from analysis.results.store import Store, derived
from analysis.study import Run, Study, resources

if TYPE_CHECKING:
    import torch

    from analysis.images import Images

Say = Callable[[str], None]


class Work(Protocol):
    """Does runs."""

    def __call__(
        self,
        opened: Store,
        todo: list[Run],
        images: Images,
        *,
        progress: Callable[[int], object],
        say: Say,
    ) -> dict[str, str]:
        """Finish runs in a store, and return what is wrong with those that failed, by name."""


@dataclass(frozen=True)
class Workers:
    """Who does the work, and on what, in words; the network is tried on ``device`` before."""

    work: Work
    on: str
    device: torch.device


# Gives the workers for as long as they are needed.
Place = Callable[[], AbstractContextManager[Workers]]


def run(
    study: Study,
    *,
    data: Path,
    device: str | None,
    say: Say = print,
    place: Place | None = None,
) -> None:
    """Do what is missing of a study, run by run, and derive what follows.

    The runs are done one after another on ``device``, or at another ``place``. It can be stopped at
    any moment and continues from there. Results that the study no longer asks for are kept in
    ``superseded``. Raises ``UserError`` if the study is being run already, and for data,
    checkpoints, weights and results that are not valid.
    """
    claims.of(study)
    resources.check(study)
    opened = Store.open(study)
    with studies.named(study), opened.locked():
        # Opened again, as another process may have changed it before the lock was held.
        opened = Store.open(study)
        todo = [run for run in study.runs if opened.todo(run)]
        failed = {}
        if todo:
            advice = "Nothing was computed; results go elsewhere with FAILURE_MODES_RESULTS."
            files.check_writable(opened.folder, advice)
        if todo and study.predictions:
            for each in todo:
                opened.keep_earlier(each, say=say)
                _take_predictions(opened, each)
        elif todo:
            with place() if place else _here(device) as workers:
                failed = _do(opened, todo, workers, data=data, say=say)
        if derivation.derive(opened, say=say):
            _draw(study, data=data, device=device, say=say)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(study.runs)} runs of {study.name} failed: "
            f"{', '.join(list(failed)[:10])}{', …' * (len(failed) > 10)}.\n"
            "What is finished is kept; the same command tries the others again."
        )


def _do(
    opened: Store, todo: list[Run], workers: Workers, *, data: Path, say: Say
) -> dict[str, str]:
    """Read the images and have the runs done; return what is wrong with those that failed."""
    from tqdm import tqdm

    from analysis import images as sources
    from analysis import running

    study = opened.study
    images = sources.load(study, data)
    claims.of(study).check_classes(images.classes)
    evaluated = images.positions(study.images.evaluate)
    resources.check_images(
        study,
        images=len(evaluated),
        groups=len(set(images.units(evaluated))),
        classes=len(images.classes),
    )
    for note in images.notes:
        say(f"{study.name}: {note}")
    for record in opened.runs.values():
        if record.images != images.digest():
            raise UserError(
                f"The images are not those of run {record.name} of {study.name}: their digest is "
                f"{images.digest()[:12]}…, not {record.images[:12]}….\n"
                "Restore the data, or move the results elsewhere to begin anew."
            )
    say(f"{study.name}: {len(todo)} of {len(study.runs)} runs to do on {workers.on}")
    running.check_network(study, images, workers.device)
    steps = sum(study.epochs + len(status.wanted(study, run.repeat)) for run in todo)
    with tqdm(total=steps, unit="step", desc=study.name) as bar:
        return workers.work(opened, todo, images, progress=bar.update, say=say)


@contextmanager
def _here(device: str | None) -> Iterator[Workers]:
    """Give what does runs one after another in this process; the first failure ends it."""
    from analysis import running
    from analysis.networks import classifier, weights

    chosen = classifier.choose_device(device)

    def work(
        opened: Store,
        todo: list[Run],
        images: Images,
        *,
        progress: Callable[[int], object],
        say: Say,
    ) -> dict[str, str]:
        for each in todo:
            opened.keep_earlier(each, say=say)
            running.finish(opened, each, images, device=chosen, progress=progress, say=say)
        return {}

    yield Workers(work, on=weights.describe(chosen), device=chosen)


def _draw(study: Study, *, data: Path, device: str | None, say: Callable[[str], None]) -> None:
    """Draw the single images that pages show, if there are none of these results."""
    if study.images.show and not study.predictions and not pictures.are_drawn(derived(study.name)):
        from analysis.probes import pictures as drawing

        drawing.attempt(study, data=data, device=device, say=say)


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
            recipe=status.recipe(study),
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
