"""Train one run: images on the device, a checkpoint at each epoch, the last epoch counts.

The whole data set is one uint8 tensor on the device, so there is no loader to wait for; batches
are resized and jittered there. A stopped run goes on from its last epoch and ends in the same
weights, because every epoch draws from a generator seeded by the run and the epoch alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor

from analysis import model as models
from analysis.augmentation import augment
from analysis.datasets import ImageSet
from analysis.errors import UserError
from analysis.model import Classifier
from analysis.study import Run, Stage, Study, Training


@dataclass(frozen=True)
class Epoch:
    """One row of the history: mean loss, last learning rate, and how long the epoch took."""

    epoch: int
    train_loss: float
    learning_rate: float
    seconds: float


def fit(
    study: Study,
    run: Run,
    images: ImageSet,
    positions: np.ndarray,
    *,
    device: torch.device,
    checkpoint: Path,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[Classifier, list[Epoch]]:
    """Train on the images at ``positions`` and return the classifier with its history.

    Goes on from ``checkpoint`` where there is one, and leaves it at the last finished epoch. With
    averaging the classifier has the averaged weights. Raises ``UserError`` where the loss is not
    finite or the checkpoint does not fit the study.
    """
    settings = study.training
    classifier = models.build(study.model, seed=run.seed, device=device)
    state = _State(classifier, settings, steps=_steps(settings, len(positions)))
    history = state.read(checkpoint) if checkpoint.is_file() else []
    pixels, labels = _on_device(images, positions, device)
    for epoch in range(len(history) + 1, settings.epochs + 1):
        begin = time.perf_counter()
        loss, rate = _train_epoch(state, pixels, labels, seed=run.seed, epoch=epoch)
        row = Epoch(epoch, loss, rate, time.perf_counter() - begin)
        history.append(row)
        state.write(checkpoint, history)
        report(row)
    return state.result(), history


def rehearsal(
    study: Study, images: ImageSet, positions: np.ndarray, *, size: int, device: torch.device
) -> Callable[[int], None]:
    """Return a function that does so many training steps at an input size, to be timed.

    It trains a network of its own, at a learning rate of 0: that takes the same time and cannot
    diverge. There are as many steps as ``positions`` fill batches. Raises ``UserError`` where they
    do not fill one.
    """
    stages = (Stage(size=size, epochs=1),)
    settings = study.training.model_copy(update={"stages": stages, "learning_rate": 0.0})
    classifier = models.build(study.model, seed=study.seed, device=device)
    state = _State(classifier, settings, steps=_steps(settings, len(positions)))
    pixels, labels = _on_device(images, positions, device)

    def work(count: int) -> None:
        chosen = slice(count * settings.batch_size)
        _train_epoch(state, pixels[chosen], labels[chosen], seed=study.seed, epoch=1)

    return work


def history_table(history: list[dict]) -> pd.DataFrame:
    """Return the rows of ``history`` from epochs as dictionaries."""
    return pd.DataFrame(history).astype({"epoch": "int32"})


def _on_device(
    images: ImageSet, positions: np.ndarray, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return pixels uint8 (N, 3, height, width) and labels int64 (N,)."""
    pixels = torch.from_numpy(images.images[positions]).permute(0, 3, 1, 2).contiguous()
    return pixels.to(device), torch.from_numpy(images.labels[positions]).long().to(device)


def _steps(settings: Training, images: int) -> int:
    """Return the number of batches in an epoch; a last, smaller one is dropped."""
    if images < settings.batch_size:
        raise UserError(f"{images} training images do not fill one batch of {settings.batch_size}.")
    return images // settings.batch_size


class _State:
    """Everything that changes while training, and its form on disk."""

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
        self.schedule = _schedule(self.optimizer, settings, steps=steps * settings.epochs)
        decay = settings.averaging
        # The warm-up of the decay lets the average leave the random start at once.
        self.average = decay and ModelEmaV3(classifier, decay=decay, use_warmup=True)

    def result(self) -> Classifier:
        """Return the classifier that counts, ready to be probed."""
        return (self.average.module if self.average else self.classifier).eval()

    def write(self, path: Path, history: list[Epoch]) -> None:
        tensors = {f"model.{k}": v for k, v in self.classifier.state_dict().items()}
        if self.average:
            weights = self.average.module.state_dict()
            tensors |= {f"average.{k}": v for k, v in weights.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{k}": v for k, v in moments.items()}
        models.save(path, tensors, facts={"history": [asdict(row) for row in history]})

    def read(self, path: Path) -> list[Epoch]:
        """Take up a checkpoint and return the history that led to it."""
        history = [Epoch(**row) for row in models.read_facts(path)["history"]]
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in models.read_tensors(path).items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = tensor
        models.fill(self.classifier, parts["model"], path=path)
        if self.average:
            models.fill(self.average.module, parts["average"], path=path)
        weights = list(self.classifier.parameters())
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            number, _, key = name.partition(".")
            if tensor.ndim:
                # The fused step expects moments laid out in memory as their weights are.
                tensor = torch.empty_like(weights[int(number)]).copy_(tensor).detach()
            moments.setdefault(int(number), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        return history


def _schedule(
    optimizer: torch.optim.Optimizer, settings: Training, *, steps: int
) -> CosineLRScheduler | None:
    """Return a schedule that is a function of the step alone, so that it needs no checkpoint."""
    if settings.schedule == "constant":
        return None
    # At least one step is left to fall in, however few there are.
    rising = min(round(settings.warmup * steps), steps - 1)
    return CosineLRScheduler(
        optimizer,
        t_initial=steps - rising,
        warmup_t=rising,
        warmup_lr_init=settings.learning_rate / 25,
        warmup_prefix=True,
        t_in_epochs=False,
    )


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
        batch = models.to_pixels(pixels[chosen])
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
