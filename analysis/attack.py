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


def art_classifier(classifier: Classifier, *, size: int | None = None) -> PyTorchClassifier:
    """Return ART's view of a classifier: pixels in [0, 1], cross-entropy.

    The pixels are at the classifier's own size, after its resize, or at ``size``, before it.
    """
    device = next(classifier.parameters()).device
    size = size or classifier.size
    return PyTorchClassifier(
        model=classifier,
        loss=nn.CrossEntropyLoss(),
        input_shape=(3, size, size),
        nb_classes=CLASSES,
        clip_values=(0.0, 1.0),
        preprocessing=None,
        device_type="gpu" if device.type == "cuda" else "cpu",
    )


def gradient_sign(art: PyTorchClassifier, pixels: Tensor, labels: Tensor) -> Tensor:
    """Return the sign of the loss's gradient at ``pixels`` (N, 3, size, size), of that shape."""
    return art.loss_gradient(pixels, F.one_hot(labels, CLASSES)).sign()


def random_sign(pixels: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return -1 or 1 for each value of ``pixels``, with equal chances."""
    draws = torch.rand(pixels.shape, generator=generator, device=pixels.device)
    # Not the sign of a centred draw, which is 0 once in some millions.
    return torch.where(draws < 0.5, -1.0, 1.0)


def perturbed(pixels: Tensor, direction: Tensor, epsilons: Sequence[float]) -> Iterator[Tensor]:
    """Give ``pixels`` moved by each ε along ``direction``, clipped to [0, 1]."""
    for epsilon in epsilons:
        yield (pixels + epsilon * direction).clamp(0, 1)


def predictions_along(
    classifier: Classifier, pixels: Tensor, direction: Tensor, epsilons: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Return the confidence and the predicted class of ``pixels`` moved by each ε, both (E, N)."""
    # Filled in place: small tensors kept between large ones would leave holes in memory that no
    # large one fits into again, as many as there are forward passes.
    confidence = torch.empty(len(epsilons), len(pixels), device=pixels.device)
    predicted = torch.empty_like(confidence, dtype=torch.long)
    for number, moved in enumerate(perturbed(pixels, direction, epsilons)):
        with torch.no_grad():
            logits = classifier(moved)
        confidence[number], predicted[number] = logits.softmax(dim=1).max(dim=1)
    return confidence, predicted


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
    directions = {
        FGSM: gradient_sign(art, pixels, batch.labels),
        RANDOM_SIGN: random_sign(pixels, generator=generator),
    }
    tables = []
    for name, direction in directions.items():
        # The first ε is 0, which the clean predictions serve.
        outcomes = predictions_along(classifier, pixels, direction, epsilons[1:])
        confidence, predicted = (outcome.cpu().numpy() for outcome in outcomes)
        tables.append(
            pd.DataFrame(
                {
                    "index": np.tile(clean["index"], len(epsilons)),
                    "label": np.tile(clean["label"], len(epsilons)),
                    "attack": name,
                    "epsilon": np.repeat(np.asarray(epsilons, dtype=np.float64), len(clean)),
                    "predicted": _with_clean(clean["predicted"], predicted),
                    "confidence": _with_clean(clean["confidence"], confidence),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _with_clean(clean: pd.Series, moved: np.ndarray) -> np.ndarray:
    """Return the clean values (N,), then those of each ε (E, N), in the type of the clean ones."""
    return np.concatenate([clean.to_numpy(), moved.ravel().astype(clean.dtype)])
