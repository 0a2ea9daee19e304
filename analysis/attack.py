"""The fast gradient sign method, and a random sign pattern of the same size beside it.

Goodfellow, Shlens and Szegedy (2015), *Explaining and Harnessing Adversarial Examples*, with the
gradient from the Adversarial Robustness Toolbox. Its sign does not depend on ε, so one gradient
serves every ε. Everything happens on the resized input, in [0, 1] pixel units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from analysis.batches import Batch
from analysis.model import Classifier
from analysis.study import CLASSES

FGSM = "fgsm"
RANDOM_SIGN = "random-sign"


def art_classifier(classifier: Classifier) -> PyTorchClassifier:
    """Return ART's view of a classifier: pixels in [0, 1] at its own size, cross-entropy."""
    device = next(classifier.parameters()).device
    return PyTorchClassifier(
        model=classifier,
        loss=nn.CrossEntropyLoss(),
        input_shape=(3, classifier.size, classifier.size),
        nb_classes=CLASSES,
        clip_values=(0.0, 1.0),
        preprocessing=None,
        device_type="gpu" if device.type == "cuda" else "cpu",
    )


def gradient_sign(art: PyTorchClassifier, pixels: Tensor, labels: Tensor) -> Tensor:
    """Return the sign of the loss's gradient at ``pixels`` (N, 3, size, size), of that shape."""
    return art.loss_gradient(pixels, F.one_hot(labels, CLASSES)).sign()


def perturbed(pixels: Tensor, direction: Tensor, epsilons: Sequence[float]) -> Iterator[Tensor]:
    """Give ``pixels`` moved by each ε along ``direction``, clipped to [0, 1]."""
    for epsilon in epsilons:
        yield (pixels + epsilon * direction).clamp(0, 1)


def attack(
    art: PyTorchClassifier,
    classifier: Classifier,
    batch: Batch,
    *,
    clean: pd.DataFrame,
    epsilons: Sequence[float],
    generator: torch.Generator,
) -> pd.DataFrame:
    """Return the rows of ``attacks`` for one batch, one for each image, attack and ε.

    ``clean`` holds the batch's rows of ``predictions``, which are the rows of ε = 0. ``generator``
    draws the random signs, one pattern an image for all ε, and lives on the batch's device.
    """
    pixels = classifier.resize(batch.pixels)
    random = torch.rand(pixels.shape, generator=generator, device=pixels.device) - 0.5
    directions = {
        FGSM: gradient_sign(art, pixels, batch.labels),
        RANDOM_SIGN: random.sign(),
    }
    moving = [epsilon for epsilon in epsilons if epsilon > 0]
    identity = clean[["index", "label"]]
    tables = []
    for name, direction in directions.items():
        tables.append(_rows(identity, name, 0.0, clean["predicted"], clean["confidence"]))
        for epsilon, moved in zip(moving, perturbed(pixels, direction, moving), strict=True):
            with torch.no_grad():
                confidence, predicted = classifier(moved).softmax(dim=1).max(dim=1)
            tables.append(
                _rows(
                    identity,
                    name,
                    epsilon,
                    predicted.cpu().numpy().astype(np.uint8),
                    confidence.cpu().numpy(),
                )
            )
    return pd.concat(tables, ignore_index=True)


def _rows(
    identity: pd.DataFrame,
    name: str,
    epsilon: float,
    predicted: np.ndarray | pd.Series,
    confidence: np.ndarray | pd.Series,
) -> pd.DataFrame:
    return identity.assign(
        attack=name,
        epsilon=np.float64(epsilon),
        predicted=np.asarray(predicted),
        confidence=np.asarray(confidence),
    )
