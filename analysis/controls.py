"""What the attack is held against: native pixels, many steps, and the sizes of all of them.

*Native* is the fast gradient sign method on the image that a camera would give: the gradient goes
back through the resize, which is part of the classifier. *Projected gradient descent* follows
Madry et al. (2018), *Towards Deep Learning Models Resistant to Adversarial Attacks*, through the
Adversarial Robustness Toolbox: L∞, untargeted, with true labels, on the resized input. A single
step that flatters the network would leave it a higher accuracy than the descent does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from analysis import perturbation
from analysis.attack import (
    FGSM,
    RANDOM_SIGN,
    gradient_sign,
    perturbed,
    predictions_along,
    random_sign,
)
from analysis.batches import Batch
from analysis.model import Classifier
from analysis.study import CLASSES, Controls

NATIVE = "fgsm-native"
PGD = "pgd"


@dataclass(frozen=True)
class Views:
    """ART's two views of one classifier: of resized pixels, and of native ones."""

    resized: PyTorchClassifier
    native: PyTorchClassifier


@dataclass(frozen=True)
class Sampled:
    """What one batch of the sample gives: rows of ``controls``, and the change of each image."""

    rows: pd.DataFrame
    changes: pd.DataFrame


def attack_native(
    art: PyTorchClassifier, classifier: Classifier, batch: Batch, *, epsilons: Sequence[float]
) -> pd.DataFrame:
    """Return the rows of ``controls`` for native pixels, one for each image and ε.

    ``art`` is the native view. One gradient serves every ε, as it does after the resize.
    """
    direction = gradient_sign(art, batch.pixels, batch.labels)
    confidence, predicted = predictions_along(classifier, batch.pixels, direction, epsilons)
    return _rows(batch, NATIVE, epsilons, confidence=confidence, predicted=predicted)


def attacked_logits(
    art: PyTorchClassifier, classifier: Classifier, batch: Batch, *, epsilon: float
) -> pd.DataFrame:
    """Return the rows of ``attacked``: the logits of each image under FGSM on the resized input."""
    pixels = classifier.resize(batch.pixels)
    direction = gradient_sign(art, pixels, batch.labels)
    (moved,) = perturbed(pixels, direction, [epsilon])
    with torch.no_grad():
        logits = classifier(moved)
    values = logits.cpu().numpy()
    rows = {
        "index": batch.index,
        "label": _digits(batch.labels),
        "epsilon": float(epsilon),
        "predicted": _digits(logits.argmax(dim=1)),
    }
    return pd.DataFrame(rows | {f"logit_{digit}": values[:, digit] for digit in range(CLASSES)})


def descend(
    art: PyTorchClassifier, pixels: Tensor, labels: Tensor, *, epsilon: float, steps: int
) -> Tensor:
    """Return ``pixels`` (N, 3, size, size) after projected gradient descent, of that shape.

    A step is 2.5·ε/steps, so that the edge of the ε-ball can be reached and followed. Steps start
    at the image itself: with no random start nothing is left to chance, and the first direction is
    that of the fast gradient sign method, so that only the number of steps tells the two apart.
    """
    method = ProjectedGradientDescentPyTorch(
        art,
        norm=np.inf,
        eps=epsilon,
        eps_step=2.5 * epsilon / steps,
        max_iter=steps,
        num_random_init=0,
        batch_size=len(pixels),
        verbose=False,
    )
    true_labels = F.one_hot(labels, CLASSES).cpu().numpy().astype(np.float32)
    moved = method.generate(pixels.cpu().numpy(), true_labels)
    return torch.from_numpy(moved).to(pixels.device, memory_format=torch.channels_last)


def sampled(
    views: Views,
    classifier: Classifier,
    batch: Batch,
    *,
    settings: Controls,
    generator: torch.Generator,
) -> Sampled:
    """Return what projected gradient descent does to a batch, and how far each attack moves it.

    ``generator`` draws the random signs, and lives on the batch's device.
    """
    epsilons = settings.epsilons
    sides = sorted({classifier.size, batch.pixels.shape[-1]}, reverse=True)
    confidence = torch.empty(len(epsilons), len(batch.index), device=batch.pixels.device)
    predicted = torch.empty_like(confidence, dtype=torch.long)
    changes = []
    for attack, number, before, after in _moved(
        views, classifier, batch, settings=settings, generator=generator
    ):
        changes.append(
            perturbation.changes(
                before, after, attack=attack, epsilon=epsilons[number], sides=sides
            )
        )
        if attack == PGD:
            with torch.no_grad():
                logits = classifier(after)
            confidence[number], predicted[number] = logits.softmax(dim=1).max(dim=1)
    return Sampled(
        rows=_rows(batch, PGD, epsilons, confidence=confidence, predicted=predicted),
        changes=pd.concat(changes, ignore_index=True),
    )


def _moved(
    views: Views,
    classifier: Classifier,
    batch: Batch,
    *,
    settings: Controls,
    generator: torch.Generator,
) -> Iterator[tuple[str, int, Tensor, Tensor]]:
    """Give each attack with the number of its ε, and its images before and after."""
    epsilons = settings.epsilons
    native, labels = batch.pixels, batch.labels
    pixels = classifier.resize(native)
    directions = (
        (FGSM, pixels, gradient_sign(views.resized, pixels, labels)),
        (RANDOM_SIGN, pixels, random_sign(pixels, generator=generator)),
        (NATIVE, native, gradient_sign(views.native, native, labels)),
    )
    for attack, before, direction in directions:
        for number, after in enumerate(perturbed(before, direction, epsilons)):
            yield attack, number, before, after
    for number, epsilon in enumerate(epsilons):
        after = descend(views.resized, pixels, labels, epsilon=epsilon, steps=settings.steps)
        yield PGD, number, pixels, after


def _rows(
    batch: Batch, attack: str, epsilons: Sequence[float], *, confidence: Tensor, predicted: Tensor
) -> pd.DataFrame:
    """Return rows of ``controls`` from the outcomes of each ε, both (E, N)."""
    return pd.DataFrame(
        {
            "index": np.tile(batch.index, len(epsilons)),
            "label": np.tile(_digits(batch.labels), len(epsilons)),
            "attack": attack,
            "epsilon": np.repeat(np.asarray(epsilons, dtype=np.float64), len(batch.index)),
            "predicted": _digits(predicted.ravel()),
            "confidence": confidence.cpu().numpy().ravel(),
        }
    )


def _digits(values: Tensor) -> np.ndarray:
    return values.cpu().numpy().astype(np.uint8)
