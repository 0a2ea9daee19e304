"""The weights of each run, trained here or given, with the facts about where they come from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from analysis.images.images import Images
from analysis.images.split import divide
from analysis.networks import tensors, training, weight_files
from analysis.networks.classifier import Classifier, check, of_study
from analysis.networks.tensors import digest as tensors_digest
from analysis.project import files, paths, provenance
from analysis.project.errors import UserError
from analysis.results.records import Training
from analysis.results.status import training_digest
from analysis.study import Run, Study
from analysis.study.sections import PRETRAINED


@dataclass(frozen=True)
class Trained:
    """A trained classifier, whose parameters need no gradients, and how it was trained.

    ``history`` is the table of that name, which networks that were not trained here have not, and
    ``digest`` the SHA-256 of the tensors. The facts are device, packages, revision, finished,
    seconds and training_images.
    """

    classifier: Classifier
    history: pd.DataFrame | None
    facts: dict[str, Any]
    digest: str


def path(study: Study, run: Run) -> Path:
    """Return the path of a run's finished weights; another recipe has another folder."""
    folder = paths.cache() / study.name / training_digest(study)[:12] / run.name
    return folder / "weights.safetensors"


def train(
    study: Study,
    run: Run,
    images: Images,
    *,
    device: torch.device,
    report: Callable[[training.Epoch], None] = lambda epoch: None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Train a run, or go on with it, and write its weights with the facts about them.

    ``report`` gets each epoch, and ``say`` how much of the weights to start from was taken.
    """
    positions, _ = divide(study, run, images)
    place = path(study, run)
    files.remove_leftovers(place.parent)
    checkpoint = place.with_name("checkpoint.safetensors")
    classifier, history = training.fit(
        study,
        run,
        images,
        positions=positions,
        device=device,
        checkpoint=checkpoint,
        report=report,
        say=say,
    )
    seconds = sum(row["seconds"] for row in history)
    facts = _facts(device, seconds=seconds, training_images=len(positions))
    tensors.write(place, classifier.state_dict(), {"history": history, "facts": facts})
    checkpoint.unlink()


def read(
    study: Study,
    run: Run,
    *,
    classes: int,
    device: torch.device,
    channels: int = 3,
    images: tuple[int, int] | None = None,
    expected: str | None = None,
) -> Trained:
    """Return a trained run, for images with that many channels, and of that height and width.

    Raises ``UserError`` if its weights are missing, damaged, of another architecture, or not those
    that the digest ``expected`` identifies.
    """
    place = path(study, run)
    if not place.is_file():
        raise UserError(
            f"{paths.shown(place)} is missing: the weights of run {run.name} of {study.name}.\n"
            "Name the cache that has them in FAILURE_MODES_CACHE, or train the run again."
        )
    state, recorded = tensors.read(place)
    digest = tensors_digest(state)
    if expected not in (None, digest):
        raise UserError(
            f"{paths.shown(place)} has other weights than those behind the results of {run.name}.\n"
            "Delete it to train the run again, on the kind of processor that trained it, or move "
            "the results elsewhere."
        )
    classifier = of_study(
        study, classes=classes, channels=channels, images=images, seed=run.seed, device=device
    )
    try:
        classifier.load_state_dict(state)
    except RuntimeError:
        reason = "has weights of another architecture than the study's"
        raise tensors.unusable(place, reason) from None
    try:
        history, facts = training.checked(recorded["history"]), recorded["facts"]
        Training(digest=digest, files={}, weights=digest, history=None, **facts)
    except (KeyError, TypeError, ValueError):
        raise tensors.unusable(place, "has no history and facts of a training") from None
    return Trained(classifier.eval().requires_grad_(False), history, facts, digest)


def given(
    study: Study,
    *,
    classes: int,
    channels: int,
    device: torch.device,
    images: tuple[int, int] | None = None,
    expected: str | None = None,
) -> Trained:
    """Return a network that is not trained here: timm's pretrained one, or one from a file.

    ``images`` is their height and width, which a person's own module takes if the study names no
    size. Raises ``UserError`` for weights that cannot be had, do not fit the study's network or the
    images' classes, or are not those that the digest ``expected`` identifies, and for a network
    that does not work.
    """
    assert study.network is not None, "predictions alone have no network"
    begin, source = time.perf_counter(), study.network.weights
    classifier = of_study(
        study,
        classes=classes,
        channels=channels,
        images=images,
        seed=study.seed,
        device=device,
        pretrained=source == PRETRAINED,
    )
    if source != PRETRAINED:
        weight_files.load(classifier, study.located(source), key="network.weights")
        check(classifier)
    classifier.eval().requires_grad_(False)
    digest = tensors_digest(classifier.state_dict())
    if expected not in (None, digest):
        raise UserError(
            f"network.weights: {study.name} has other weights than those behind its results.\n"
            "Restore the file, or the version of timm or of your own code, or move the results "
            "elsewhere to begin anew."
        )
    facts = _facts(device, seconds=time.perf_counter() - begin, training_images=0)
    return Trained(classifier, None, facts, digest)


def _facts(device: torch.device, *, seconds: float, training_images: int) -> dict[str, Any]:
    return dict(
        device=describe(device),
        packages=provenance.packages(),
        revision=provenance.revision(),
        finished=provenance.now(),
        seconds=seconds,
        training_images=training_images,
    )


def describe(device: torch.device) -> str:
    """Return the device in words, for the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    own = "" if device.type == "cpu" else f", {device.type}"
    return f"{provenance.processor()}{own}"
