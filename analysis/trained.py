"""Trained runs on disk: the finished weights of each, and the checkpoint of one under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from analysis import analyses, paths, provenance, training
from analysis import model as models
from analysis.datasets import ImageSet
from analysis.files import remove_leftovers, sha256
from analysis.model import Classifier
from analysis.split import divide
from analysis.study import TRAINED, Run, Study


def folder(study: Study, run: Run) -> Path:
    """Return where a run's weights lie; another recipe or version has another folder."""
    recipe = study.digest(*TRAINED)[:12]
    if analyses.TRAINING_VERSION > 1:
        recipe += f"-{analyses.TRAINING_VERSION}"
    return paths.cache() / study.name / recipe / run.name


def checkpoint(study: Study, run: Run) -> Path:
    """Return the path of the checkpoint of a run under way."""
    return folder(study, run) / "checkpoint.safetensors"


def weights(study: Study, run: Run) -> Path:
    """Return the path of a run's finished weights."""
    return folder(study, run) / "weights.safetensors"


def epochs_done(study: Study, run: Run) -> int:
    """Return how many epochs of a run need not be trained again."""
    if weights(study, run).is_file():
        return study.training.epochs
    path = checkpoint(study, run)
    return len(models.read_facts(path)["history"]) if path.is_file() else 0


def train(
    study: Study,
    run: Run,
    images: ImageSet,
    *,
    device: torch.device,
    report: Callable[[training.Epoch], None] = lambda epoch: None,
) -> None:
    """Train a run, or go on with it, and leave its weights with the facts about them."""
    positions, _ = divide(study, run, images)
    path = checkpoint(study, run)
    remove_leftovers(path.parent)
    classifier, history = training.fit(
        study, run, images, positions, device=device, checkpoint=path, report=report
    )
    facts = {
        "history": [asdict(row) for row in history],
        "device": describe(device),
        "packages": provenance.packages(),
        "revision": provenance.revision(),
        "finished": provenance.now(),
        "seconds": sum(row.seconds for row in history),
        "training_images": len(positions),
    }
    models.save(weights(study, run), classifier.state_dict(), facts=facts)
    path.unlink()


def read(study: Study, run: Run, *, device: torch.device) -> tuple[Classifier, dict]:
    """Return a trained classifier with gradients off for its parameters, and the facts about it."""
    path = weights(study, run)
    facts = models.read_facts(path) | {"sha256": sha256(path)}
    classifier = models.build(study.model, seed=run.seed, device=device)
    models.fill(classifier, models.read_tensors(path), path=path)
    return classifier.eval().requires_grad_(False), facts


def describe(device: torch.device) -> str:
    """Return the device in words, for the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return provenance.processor()
