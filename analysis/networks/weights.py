"""The finished weights of each run, with the facts about their training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from analysis.images.images import Images
from analysis.images.split import divide
from analysis.networks import tensors, training
from analysis.networks.classifier import Classifier, build
from analysis.networks.tensors import digest as tensors_digest
from analysis.project import files, paths, provenance
from analysis.project.errors import UserError
from analysis.results.status import training_digest
from analysis.study import Run, Study


@dataclass(frozen=True)
class Trained:
    """A trained classifier, whose parameters need no gradients, and how it was trained.

    ``history`` is the table of that name and ``digest`` the SHA-256 of the tensors. The facts are
    device, packages, revision, finished, seconds and training_images.
    """

    classifier: Classifier
    history: pd.DataFrame
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
) -> None:
    """Train a run, or go on with it, and write its weights with the facts about them."""
    positions, _ = divide(study, run, images)
    place = path(study, run)
    files.remove_leftovers(place.parent)
    checkpoint = place.with_name("checkpoint.safetensors")
    classifier, history = training.fit(
        study, run, images, positions=positions, device=device, checkpoint=checkpoint, report=report
    )
    facts = dict(
        device=describe(device),
        packages=provenance.packages(),
        revision=provenance.revision(),
        finished=provenance.now(),
        seconds=sum(row["seconds"] for row in history),
        training_images=len(positions),
    )
    tensors.write(place, classifier.state_dict(), {"history": history, "facts": facts})
    checkpoint.unlink()


def read(
    study: Study, run: Run, *, classes: int, device: torch.device, expected: str | None = None
) -> Trained:
    """Return a trained run.

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
    classifier = build(study.network, classes=classes, seed=run.seed, device=device)
    try:
        classifier.load_state_dict(state)
    except RuntimeError:
        reason = "has weights of another architecture than the study's"
        raise tensors.unusable(place, reason) from None
    history = pd.DataFrame(recorded["history"])
    return Trained(classifier.eval().requires_grad_(False), history, recorded["facts"], digest)


def describe(device: torch.device) -> str:
    """Return the device in words, for the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return provenance.processor()
