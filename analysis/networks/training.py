"""Train one run: images on the device, a checkpoint after each epoch, the last epoch counts.

The images are one uint8 tensor on the device, so there is no loader to wait for; batches are
resized and jittered there. A run that was stopped goes on from its last epoch and ends in the same
weights, because every epoch draws from a generator seeded by the run and the epoch alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor

from analysis.images.images import Images, to_floats
from analysis.networks import tensors
from analysis.networks.augmentation import augment
from analysis.networks.classifier import Classifier, build
from analysis.project.errors import UserError
from analysis.results.status import training_digest
from analysis.study import Run, Study, Training

# One row of the table ``history``: epoch, train_loss, learning_rate and seconds.
Epoch = dict[str, float]


def fit(
    study: Study,
    run: Run,
    images: Images,
    *,
    positions: np.ndarray,
    device: torch.device,
    checkpoint: Path,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[Classifier, list[Epoch]]:
    """Train on the images at ``positions`` and return the classifier with its history.

    Goes on from the file ``checkpoint``, if there is one, and leaves that of the last epoch. With
    averaging the classifier has the averaged weights. Raises ``UserError`` if the loss is not
    finite, or the checkpoint is damaged or of another run or recipe.
    """
    settings = study.training
    # A last, smaller batch is dropped.
    steps = len(positions) // settings.batch_size
    if steps == 0:
        raise UserError(
            f"training.batch_size: {len(positions)} training images do not fill one batch of "
            f"{settings.batch_size}."
        )
    classifier = build(study.network, classes=len(images.classes), seed=run.seed, device=device)
    state = _State(classifier, settings, steps=steps)
    identity = {"study": study.name, "run": run.name, "seed": run.seed}
    identity["recipe"] = training_digest(study)
    history = _continued(state, checkpoint, identity) if checkpoint.is_file() else []
    pixels = torch.from_numpy(images.pixels[positions]).permute(0, 3, 1, 2).contiguous().to(device)
    labels = torch.from_numpy(images.labels[positions]).to(device)
    for epoch in range(len(history) + 1, len(settings.sizes) + 1):
        begin = time.perf_counter()
        loss, rate = _train_epoch(state, pixels, labels, seed=run.seed, epoch=epoch)
        row: Epoch = {"epoch": epoch, "train_loss": loss, "learning_rate": rate}
        history.append({**row, "seconds": time.perf_counter() - begin})
        tensors.write(checkpoint, state.tensors(), {**identity, "history": history})
        report(history[-1])
    return state.result(), history


def _continued(state: _State, checkpoint: Path, identity: dict[str, Any]) -> list[Epoch]:
    """Bring the state to where a checkpoint left it, and return the history until then."""
    saved, facts = tensors.read(checkpoint)
    if identity.items() <= facts.items():
        try:
            state.take_up(saved)
        # Another version of timm may build another network from the same recipe.
        except (KeyError, RuntimeError):
            raise tensors.unusable(checkpoint, "does not fit the study's network") from None
        return facts["history"]
    reason = f"is not of run {identity['run']} of {identity['study']} with this recipe"
    raise tensors.unusable(checkpoint, reason)


class _State:
    """Everything that changes while training."""

    def __init__(self, classifier: Classifier, settings: Training, *, steps: int) -> None:
        self.classifier = classifier
        self.settings = settings
        self.steps = steps
        self.optimizer = torch.optim.AdamW(
            classifier.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        # What AdamW begins with, made now so that a checkpoint can be copied into it.
        for weight in classifier.parameters():
            first, second = torch.zeros_like(weight), torch.zeros_like(weight)
            step = torch.zeros((), device=weight.device)
            self.optimizer.state[weight] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
        self.schedule = None
        if settings.schedule == "one-cycle":
            total = steps * len(settings.sizes)
            # At least one step is left to fall in, however few there are.
            rising = min(round(settings.warmup * total), total - 1)
            # It depends on the step alone, so that it needs no checkpoint.
            self.schedule = CosineLRScheduler(
                self.optimizer,
                t_initial=total - rising,
                warmup_t=rising,
                warmup_lr_init=settings.learning_rate / 25,
                warmup_prefix=True,
                t_in_epochs=False,
            )
        decay = settings.averaging
        # The warm-up of the decay lets the average leave the random start at once.
        self.average = decay and ModelEmaV3(classifier, decay=decay, use_warmup=True)

    def result(self) -> Classifier:
        """Return the classifier that counts, ready to be probed."""
        return (self.average.module if self.average else self.classifier).eval()

    def tensors(self) -> dict[str, Tensor]:
        """Return all that training continues from, each tensor after the part that it is of."""
        parts = {"classifier": self.classifier.state_dict()}
        if self.average:
            parts["average"] = self.average.module.state_dict()
        for name, weight in self.classifier.named_parameters():
            parts[f"optimizer/{name}"] = self.optimizer.state[weight]
        return {f"{part}/{name}": each for part in parts for name, each in parts[part].items()}

    def take_up(self, saved: dict[str, Tensor]) -> None:
        """Continue from what ``tensors`` gave. Raises ``KeyError`` or ``RuntimeError`` if unfit."""
        for name, tensor in self.tensors().items():
            tensor.copy_(saved[name])


def _train_epoch(
    state: _State, pixels: Tensor, labels: Tensor, *, seed: int, epoch: int
) -> tuple[float, float]:
    """Train one epoch and return its mean loss and its last learning rate."""
    settings, classifier, device = state.settings, state.classifier, pixels.device
    generator = torch.Generator(device).manual_seed(1_000_003 * epoch + seed)
    order = torch.randperm(len(labels), generator=generator, device=device)
    size = settings.sizes[epoch - 1]
    classifier.train()
    losses = []
    for number, chosen in enumerate(order.split(settings.batch_size)[: state.steps]):
        step = (epoch - 1) * state.steps + number
        if state.schedule:
            state.schedule.step_update(step)
        batch = to_floats(pixels[chosen])
        if settings.augmentation:
            batch = augment(batch, settings.augmentation, size=size, generator=generator)
        else:
            batch = F.interpolate(batch, size=(size, size), mode="bilinear")
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            logits = classifier.at_own_size(batch)
        loss = F.cross_entropy(logits.float(), labels[chosen])
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        if state.average:
            state.average.update(classifier, step=step)
        # Kept on the device: reading each loss would make a GPU wait for every step.
        losses.append(loss.detach())
    mean = torch.stack(losses).mean().item()
    if not np.isfinite(mean):
        raise UserError(
            f"The loss is not finite in epoch {epoch}: training has diverged.\n"
            "Lower training.learning_rate in the study; the epoch before is kept."
        )
    return mean, state.optimizer.param_groups[0]["lr"]
