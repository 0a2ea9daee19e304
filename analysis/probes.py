"""Run one analysis over the evaluated images of a trained run, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis import controls as control
from analysis import localisation as local
from analysis import perturbation, randomisation
from analysis.attack import art_classifier, attack
from analysis.batches import SIZE, Batch, batches
from analysis.datasets.image_set import ImageSet
from analysis.model import Classifier
from analysis.prediction import predict
from analysis.saliency import explain, mean_maps
from analysis.sampling import sample
from analysis.study import Run, Study

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Subject:
    """What is probed: the classifier of a trained run, and the images it is evaluated on.

    ``positions`` (N,) are those of the evaluated images, rising.
    """

    study: Study
    run: Run
    classifier: Classifier
    images: ImageSet
    positions: np.ndarray

    @property
    def device(self) -> torch.device:
        """Return where the classifier is."""
        return next(self.classifier.parameters()).device

    @property
    def sample(self) -> np.ndarray:
        """Return the positions of the run's part of the study's sample of photos, rising."""
        photos = self.study.controls.photos
        drawn = sample(self.images, photos=photos, seed=self.study.seed)
        return np.intersect1d(self.positions, drawn)

    def batches(self, positions: np.ndarray | None = None) -> Iterator[Batch]:
        """Give the evaluated images in order, or those at ``positions``."""
        chosen = self.positions if positions is None else positions
        return batches(self.images, chosen, device=self.device)

    def generator(self) -> torch.Generator:
        """Return a generator on the classifier's device that begins with the run's seed."""
        return torch.Generator(self.device).manual_seed(self.run.seed)

    def randomised(self) -> Classifier:
        """Return the run's network with random weights, the same at each call."""
        few = self.positions[: randomisation.IMAGES]
        return randomisation.randomised(
            self.study.model, self.batches(few), seed=self.run.seed, device=self.device
        )

    def beside(self, predictions: pd.DataFrame) -> Iterator[tuple[Batch, pd.DataFrame]]:
        """Give each batch with its rows of the run's ``predictions``, which are in its order."""
        for number, batch in enumerate(self.batches()):
            yield batch, predictions.iloc[number * SIZE : (number + 1) * SIZE]

    def targets(self, predictions: pd.DataFrame) -> Iterator[tuple[Batch, Tensor]]:
        """Give each batch with the predicted classes, int64 (N,) on the classifier's device."""
        for batch, rows in self.beside(predictions):
            predicted = rows["predicted"].to_numpy().astype(np.int64)
            yield batch, torch.from_numpy(predicted).to(self.device)


def predictions(subject: Subject, done: Tables) -> Tables:
    """Return the table ``predictions``."""
    return {"predictions": _joined(predict(subject.classifier, b) for b in subject.batches())}


def saliency(subject: Subject, done: Tables) -> Tables:
    """Return the tables ``saliency`` and ``maps``."""
    layers = subject.study.saliency.layers
    explained = [explain(subject.classifier, batch, layers) for batch in subject.batches()]
    rows = _joined(batch.rows for batch in explained)
    return {"saliency": rows, "maps": mean_maps(explained)}


def attacks(subject: Subject, done: Tables) -> Tables:
    """Return the table ``attacks``; needs the run's ``predictions`` in the same order of images."""
    generator = subject.generator()
    art = art_classifier(subject.classifier)
    return {
        "attacks": _joined(
            attack(
                art,
                subject.classifier,
                batch,
                clean=clean,
                epsilons=subject.study.attack.epsilons,
                generator=generator,
            )
            for batch, clean in subject.beside(done["predictions"])
        )
    }


def controls(subject: Subject, done: Tables) -> Tables:
    """Return the tables ``controls``, ``attacked`` and ``perturbations``."""
    classifier, settings = subject.classifier, subject.study.controls
    views = control.Views(
        resized=art_classifier(classifier),
        native=art_classifier(classifier, size=subject.images.images.shape[1]),
    )
    rows, attacked, changes = [], [], []
    for batch in subject.batches():
        rows.append(
            control.attack_native(
                views.native, classifier, batch, epsilons=settings.native_epsilons
            )
        )
        attacked.append(
            control.attacked_logits(
                views.resized, classifier, batch, epsilon=settings.logits_epsilon
            )
        )
    generator = subject.generator()
    for batch in subject.batches(subject.sample):
        found = control.sampled(views, classifier, batch, settings=settings, generator=generator)
        rows.append(found.rows)
        changes.append(found.changes)
    return {
        "controls": _joined(rows),
        "attacked": _joined(attacked),
        "perturbations": perturbation.summarised(changes),
    }


def randomised(subject: Subject, done: Tables) -> Tables:
    """Return the table ``randomised``; needs the run's ``predictions``, whose classes it maps."""
    network, layers = subject.randomised(), subject.study.saliency.layers
    return {
        "randomised": _joined(
            randomisation.explain(network, batch, layers, target=target)
            for batch, target in subject.targets(done["predictions"])
        )
    }


def localisation(subject: Subject, done: Tables) -> Tables:
    """Return the table ``localisation``; needs the run's ``predictions``, and true masks."""
    layers = subject.study.saliency.layers
    networks = {local.TRAINED: subject.classifier, local.RANDOMISED: subject.randomised()}
    return {
        "localisation": _joined(
            local.localise(network, batch, layers, target=target, weights=weights)
            for batch, target in subject.targets(done["predictions"])
            for weights, network in networks.items()
        )
    }


PROBES: dict[str, Callable[[Subject, Tables], Tables]] = {
    "predictions": predictions,
    "saliency": saliency,
    "attacks": attacks,
    "controls": controls,
    "randomised": randomised,
    "localisation": localisation,
}


def _joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(list(tables), ignore_index=True)
