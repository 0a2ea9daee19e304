"""Descent on every image, its controls on the sample, and the gradients that attacks follow.

Run on the first repeat alone: ten steps on every image cost as much as all other analyses together.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from analysis.images.images import Batch
from analysis.probes.attacks import COLUMNS, art_classifier, descend, loss_gradient, outcomes
from analysis.probes.subject import Subject, Tables
from analysis.results.schemas import PGD, PGD_MARGIN, PGD_RANDOM


def control(subject: Subject, done: Tables) -> Tables:
    """Return the tables ``controls`` and ``gradients``.

    Needs the table ``predictions``. Descent is that of the attacks, at the ε whose logits are kept:
    on every evaluated image and, on the sample, from a random start and on the margin between
    logits, which has a gradient where that of the cross-entropy is too small for float32 (Carlini
    and Wagner 2017, *Towards Evaluating the Robustness of Neural Networks*).
    """
    settings, classifier = subject.attacks, subject.classifier
    art, on_margin = art_classifier(classifier), art_classifier(classifier, loss=Margin())
    epsilon, steps = settings.logits_epsilon, settings.steps
    rows: list[pd.DataFrame] = []
    gradients = []

    def keep(attack: str, batch: Batch, moved: Tensor) -> None:
        found = outcomes(
            subject, batch, [moved], probe="controls", epsilons=[epsilon], logits_at=epsilon
        )
        rows.append(found.assign(attack=attack))

    for batch, clean in subject.batches_with(done["predictions"]):
        pixels = classifier.resize(batch.pixels)
        gradients.append(_gradients(loss_gradient(art, pixels, batch.labels), clean))
        keep(PGD, batch, descend(art, pixels, batch.labels, epsilon=epsilon, steps=steps))
    for number, batch in enumerate(subject.batches(subject.sample)):
        pixels = classifier.resize(batch.pixels)
        for attack, method, start in (
            (PGD_RANDOM, art, (subject.run.seed, number)),
            (PGD_MARGIN, on_margin, None),
        ):
            moved = descend(method, pixels, batch.labels, epsilon=epsilon, steps=steps, start=start)
            keep(attack, batch, moved)
    whole = pd.concat(rows, ignore_index=True).sort_values("attack", kind="stable")
    return {
        "controls": whole.reset_index(drop=True)[COLUMNS],
        "gradients": pd.concat(gradients, ignore_index=True),
    }


def _gradients(gradient: Tensor, clean: pd.DataFrame) -> pd.DataFrame:
    """Return rows of the table ``gradients`` for the gradient at the pixels of a batch."""
    flat = gradient.flatten(1)
    logits, label = np.stack(clean["logits"].to_list()), clean["label"].to_numpy()
    of_label = logits[np.arange(len(label)), label]
    logits[np.arange(len(label)), label] = -np.inf
    return pd.DataFrame(
        {
            "index": clean["index"].to_numpy(),
            "label": label,
            "largest": flat.abs().amax(dim=1).cpu().numpy(),
            "zero": (flat == 0).cpu().double().mean(dim=1).numpy(),
            "margin": of_label - logits.max(axis=1),
        }
    )


class Margin(nn.Module):
    """The largest other logit less that of the label, summed over images."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits (N, K) for labels in one-hot form (N, K)."""
        others = logits.masked_fill(labels > 0, -torch.inf).amax(dim=1)
        return (others - (logits * labels).sum(dim=1)).sum()
