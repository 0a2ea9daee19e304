"""Attacks on a trained run, and random signs of the same size.

The fast gradient sign method follows Goodfellow, Shlens and Szegedy (2015), *Explaining and
Harnessing Adversarial Examples*; its sign does not depend on ε, so one gradient serves every ε.
*Native* is the same on the image as given: the gradient goes back through the resize. Projected
gradient descent follows Madry et al. (2018), *Towards Deep Learning Models Resistant to Adversarial
Attacks*: L∞, untargeted. Gradients and descent come from the Adversarial Robustness Toolbox, with
true labels, in [0, 1] pixel units, and on the resized input unless native.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from analysis.images.images import Batch
from analysis.networks.classifier import Classifier
from analysis.probes import perturbations
from analysis.probes.subject import Subject, Tables
from analysis.project.foreign import reported
from analysis.results.schemas import FGSM, FGSM_NATIVE, PGD, RANDOM_SIGN

COLUMNS = ["attack", "epsilon", "index", "label", "predicted", "confidence", "logits"]


def attack(subject: Subject, done: Tables) -> Tables:
    """Return the tables ``attacks`` and ``perturbations``.

    Needs the table ``predictions``, whose rows are those of ε = 0.
    """
    settings, art = subject.attacks, art_classifier(subject.classifier)
    after_zero, kept = settings.epsilons[1:], settings.logits_epsilon
    epsilons = {
        FGSM: sorted({*after_zero, kept}),
        RANDOM_SIGN: after_zero,
        FGSM_NATIVE: settings.native_epsilons,
    }
    rows: dict[str, list[pd.DataFrame]] = {
        attack: [] for attack in (FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD)
    }
    changes: list[pd.DataFrame] = []
    sample = subject.images.index[subject.sample]
    # The random signs of the sample do not depend on the other images.
    generator, of_sample = subject.generator(), subject.generator()
    for batch, clean in subject.batches_with(done["predictions"]):
        sampled = np.flatnonzero(np.isin(batch.index, sample))
        for attack, before, direction in one_step(art, batch, generator=generator):
            if len(sampled):
                start = before[sampled]
                signs = (
                    random_sign(start, generator=of_sample)
                    if attack == RANDOM_SIGN
                    else direction[sampled]
                )
                moved = perturbed(start, signs, settings.sample_epsilons)
                changes += _changes(subject, attack, start, moved)
            if attack != FGSM_NATIVE:
                rows[attack].append(clean.assign(epsilon=0.0, logits=None))
            moved = perturbed(before, direction, epsilons[attack])
            logits_at = kept if attack == FGSM else None
            rows[attack].append(
                outcomes(
                    subject,
                    batch,
                    moved,
                    probe="attacks",
                    epsilons=epsilons[attack],
                    logits_at=logits_at,
                )
            )
    rows[PGD], of_descent = _descents(subject, art)
    tables = [
        pd.concat(parts).sort_values("epsilon", kind="stable").assign(attack=attack)
        for attack, parts in rows.items()
        if parts
    ]
    return {
        "attacks": pd.concat(tables, ignore_index=True)[COLUMNS],
        "perturbations": perturbations.summarised([*changes, *of_descent]),
    }


def _descents(subject: Subject, art: Attacked) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Return the rows of descent on the sample, and how far it moves the images."""
    settings, epsilons = subject.attacks, subject.attacks.sample_epsilons
    rows: list[pd.DataFrame] = []
    changes: list[pd.DataFrame] = []
    for batch in subject.batches(subject.sample):
        pixels = subject.classifier.resize(batch.pixels)
        moved = [
            descend(art, pixels, batch.labels, epsilon=epsilon, steps=settings.steps)
            for epsilon in epsilons
        ]
        rows.append(outcomes(subject, batch, moved, probe="attacks", epsilons=epsilons))
        changes += _changes(subject, PGD, pixels, moved)
    return rows, changes


def _changes(
    subject: Subject, attack: str, before: Tensor, moved: Iterable[Tensor]
) -> Iterator[pd.DataFrame]:
    """Give how far an attack moves pixels, at each ε of the sample."""
    for epsilon, after in zip(subject.attacks.sample_epsilons, moved, strict=True):
        found = perturbations.changes(
            before, after, native=subject.images.size, size=subject.classifier.size
        )
        yield found.assign(attack=attack, epsilon=epsilon)


def outcomes(
    subject: Subject,
    batch: Batch,
    moved: Iterable[Tensor],
    *,
    probe: str,
    epsilons: Sequence[float],
    logits_at: float | None = None,
) -> pd.DataFrame:
    """Return rows for the pixels of a batch ``moved`` by each ε, with the logits at one ε.

    Raises ``UserError`` that names the ``probe`` if a logit is not finite.
    """
    count = len(batch.index)
    # Filled in place: small tensors kept between large ones would leave holes in memory that no
    # large one fits into again, as many as there are forward passes.
    confidence = torch.empty(len(epsilons), count, device=subject.classifier.device)
    predicted = torch.empty_like(confidence, dtype=torch.long)
    kept: list[np.ndarray | None] = []
    for number, (epsilon, pixels) in enumerate(zip(epsilons, moved, strict=True)):
        logits = subject.logits(pixels, probe=probe)
        confidence[number], predicted[number] = logits.softmax(dim=1).max(dim=1)
        kept += list(logits.cpu().numpy()) if epsilon == logits_at else [None] * count
    return pd.DataFrame(
        {
            "epsilon": np.repeat(np.asarray(epsilons, dtype=np.float64), count),
            "index": np.tile(batch.index, len(epsilons)),
            "label": np.tile(batch.labels.cpu().numpy(), len(epsilons)),
            "predicted": predicted.cpu().numpy().ravel(),
            "confidence": confidence.cpu().numpy().ravel(),
            "logits": pd.Series(kept, dtype=object),
        }
    )


class Attacked(PyTorchClassifier):
    """ART's view of a classifier, which computes the gradient where attacks start once for all."""

    _start: tuple[Tensor, Tensor] | None = None
    _gradient: Tensor | None = None

    def begin(self, pixels: Tensor, labels: Tensor) -> None:
        """Say where attacks start: pixels (N, channels, height, width) and their labels (N,)."""
        if self._start is None or pixels is not self._start[0] or labels is not self._start[1]:
            self._start, self._gradient = (pixels, labels), None

    def loss_gradient(self, x: Any, y: Any, **options: Any) -> Any:
        """Return the gradient of the loss at ``x``, of its shape, for labels in one-hot form."""
        start = self._start[0] if self._start else None
        # Other attacks of ART ask with arrays.
        if start is None or not isinstance(x, Tensor) or x.shape != start.shape:
            return super().loss_gradient(x, y, **options)
        if not torch.equal(x, start):
            return super().loss_gradient(x, y, **options)
        if self._gradient is None:
            self._gradient = super().loss_gradient(x, y, **options)
        return self._gradient

    def predict(self, x: Any, *given: Any, **options: Any) -> np.ndarray:
        """Return zeros (N, classes): with labels given, ART only logs how often it succeeded."""
        return np.zeros((len(x), self.nb_classes), dtype=np.float32)


def art_classifier(classifier: Classifier, *, loss: nn.Module | None = None) -> Attacked:
    """Return ART's view of a classifier: pixels in [0, 1], and cross-entropy or another loss."""
    device = classifier.device
    art = Attacked(
        model=classifier,
        # The sum: an image's gradient does not depend on how many are in its batch.
        loss=loss or nn.CrossEntropyLoss(reduction="sum"),
        # ART only notes it: pixels of any size can be attacked.
        input_shape=(classifier.channels, classifier.size, classifier.size),
        nb_classes=classifier.classes,
        clip_values=(0.0, 1.0),
        preprocessing=None,
        # Of all others it knows the current CUDA device alone, and moves the network there.
        device_type="cpu",
    )
    art._device = device
    classifier.to(device)
    return art


def one_step(
    art: Attacked, batch: Batch, *, generator: torch.Generator
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Give each one-step attack, the pixels that it moves, and the direction whose signs count."""
    pixels, labels = art.model.resize(batch.pixels), batch.labels
    yield FGSM, pixels, loss_gradient(art, pixels, labels)
    yield RANDOM_SIGN, pixels, random_sign(pixels, generator=generator)
    yield FGSM_NATIVE, batch.pixels, loss_gradient(art, batch.pixels, labels)


def loss_gradient(art: Attacked, pixels: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each image's loss at ``pixels`` (N, channels, height, width)."""
    art.begin(pixels, labels)
    with _gradients_of(art):
        return art.loss_gradient(pixels, F.one_hot(labels, art.nb_classes))


def _gradients_of(art: Attacked) -> AbstractContextManager[None]:
    """Raise ``UserError`` inside for a network that has no gradient."""
    model = art.model.architecture.network.model
    return reported(f"attacks: {model!r} has no gradient to follow; leave out [attacks]")


def random_sign(pixels: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return -1 or 1 for each value of ``pixels``, with equal chances."""
    draws = torch.rand(pixels.shape, generator=generator, device=pixels.device)
    # Not the sign of a centred draw, which is 0 once in some millions.
    return torch.where(draws < 0.5, -1.0, 1.0)


def perturbed(pixels: Tensor, direction: Tensor, epsilons: Sequence[float]) -> Iterator[Tensor]:
    """Give ``pixels`` moved by each ε along the signs of ``direction``, clipped to [0, 1]."""
    signs = direction.sign()
    return ((pixels + epsilon * signs).clamp(0, 1) for epsilon in epsilons)


def descend(
    art: Attacked,
    pixels: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    start: tuple[int, ...] | None = None,
) -> Tensor:
    """Return ``pixels`` (N, channels, size, size) after projected gradient descent, of that shape.

    A step is 2.5·ε/steps, so that the edge of the ε-ball can be reached and followed. Steps start
    at the image itself: with no random start the first direction is that of the fast gradient sign
    method, and only the number of steps differs. With the seed ``start`` they start at random in
    the ε-ball.
    """
    method = ProjectedGradientDescentPyTorch(
        art,
        norm=np.inf,
        eps=epsilon,
        eps_step=2.5 * epsilon / steps,
        max_iter=steps,
        num_random_init=0 if start is None else 1,
        batch_size=len(pixels),
        verbose=False,
    )
    art.begin(pixels, labels)
    true_labels = F.one_hot(labels, art.nb_classes).cpu().numpy().astype(np.float32)
    # ART draws from NumPy's global generator.
    state = np.random.get_state()
    try:
        np.random.seed(start)
        with _gradients_of(art):
            moved = method.generate(pixels.cpu().numpy(), true_labels)
    finally:
        np.random.set_state(state)
    return torch.from_numpy(moved).to(pixels.device, memory_format=torch.channels_last)
