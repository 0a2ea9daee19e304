"""Train one run: a checkpoint after each epoch, the last epoch counts.

Batches are gathered from the images, which may be a memory map, and resized and jittered on the
device. Where the device has memory for all images, they are one uint8 tensor there, so that there
is no loader to wait for. A run that was stopped goes on from its last epoch and ends in the same
weights, because every epoch draws from a generator seeded by the run and the epoch alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pandera.errors import SchemaError, SchemaErrors
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor

from analysis.images.images import Images, to_floats
from analysis.networks import tensors, weight_files
from analysis.networks.augmentation import augment
from analysis.networks.classifier import Classifier, check, of_study
from analysis.project.errors import UserError
from analysis.project.foreign import reported
from analysis.results.schemas import RUN_TABLES
from analysis.results.status import training_digest
from analysis.study import Run, Study, Training
from analysis.study.sections import PRETRAINED

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
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Classifier, list[Epoch]]:
    """Train on the images at ``positions`` and return the classifier with its history.

    Goes on from the file ``checkpoint``, if there is one, and leaves that of the last epoch. With
    averaging the classifier has the averaged weights. ``say`` is told what is taken from the
    weights that training starts from. Raises ``UserError`` if the network fails, the loss is not
    finite, or the checkpoint is damaged or of another run or recipe.
    """
    settings = study.training
    assert settings is not None, "a study that trains says how"
    # A last, smaller batch is dropped.
    steps = len(positions) // settings.batch_size
    if steps == 0:
        raise UserError(
            f"training.batch_size: {len(positions)} training images do not fill one batch of "
            f"{settings.batch_size}."
        )
    classifier = _begun(study, run, images, device=device, fresh=not checkpoint.is_file(), say=say)
    for size in sorted({*settings.sizes} - {classifier.size}):
        check(classifier, size=size, key="training.stages")
    state = _State(classifier, settings, steps=steps)
    identity = {"study": study.name, "run": run.name, "seed": run.seed}
    identity["recipe"] = training_digest(study)
    history = _continued(state, checkpoint, identity) if checkpoint.is_file() else []
    pixels = _gathering(images, positions, device=device)
    labels = torch.from_numpy(images.labels[positions]).to(device)
    for epoch in range(len(history) + 1, len(settings.sizes) + 1):
        begin = time.perf_counter()
        loss, rate = _train_epoch(state, pixels, labels, seed=run.seed, epoch=epoch)
        row: Epoch = {"epoch": epoch, "train_loss": loss, "learning_rate": rate}
        history.append({**row, "seconds": time.perf_counter() - begin})
        tensors.write(checkpoint, state.tensors(), {**identity, "history": history})
        report(history[-1])
    return state.result(), history


def _begun(
    study: Study,
    run: Run,
    images: Images,
    *,
    device: torch.device,
    fresh: bool,
    say: Callable[[str], None],
) -> Classifier:
    """Return what training begins with; unless it is ``fresh`` a checkpoint has all weights."""
    assert study.network is not None, "a study that trains has a network"
    start = study.network.start if fresh else None
    classifier = of_study(
        study,
        classes=len(images.classes),
        channels=images.pixels.shape[3],
        images=images.size,
        seed=run.seed,
        device=device,
        pretrained=start == PRETRAINED,
    )
    if start is not None and start != PRETRAINED:
        say(weight_files.take(classifier, study.located(start), key="network.start"))
    return classifier


def _gathering(
    images: Images, positions: np.ndarray, *, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Return a function from places in ``positions`` (N,) to uint8 pixels on the device.

    They are (N, channels, height, width).
    """

    def gathered(chosen: Tensor) -> Tensor:
        rows = images.pixels[positions[chosen.cpu().numpy()]]
        return torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous().to(device)

    if device.type == "cuda":
        needed = len(positions) * int(np.prod(images.pixels.shape[1:]))
        free, _ = torch.cuda.mem_get_info(device)
        # The other half is for the network and what it keeps for its gradients.
        if needed < free / 2:
            held = gathered(torch.arange(len(positions)))
            return lambda chosen: held[chosen]
    return gathered


def _continued(state: _State, checkpoint: Path, identity: dict[str, Any]) -> list[Epoch]:
    """Bring the state to where a checkpoint left it, and return the history until then."""
    saved, facts = tensors.read(checkpoint)
    if identity.items() <= facts.items():
        try:
            state.take_up(saved)
            history = facts["history"]
            if len(checked(history)) > len(state.settings.sizes):
                raise ValueError("too many epochs")
        # Another version of timm may build another network from the same recipe.
        except (KeyError, RuntimeError):
            raise tensors.unusable(checkpoint, "does not fit the study's network") from None
        except ValueError:
            raise tensors.unusable(checkpoint, "has no history of this training") from None
        return history
    reason = f"is not of run {identity['run']} of {identity['study']} with this recipe"
    raise tensors.unusable(checkpoint, reason)


def checked(history: Any) -> pd.DataFrame:
    """Return a history as a table. Raises ``ValueError`` for what is none."""
    if not isinstance(history, list):
        raise ValueError("it is no list of epochs")
    try:
        table = pd.DataFrame(history)
        RUN_TABLES["history"].validate(table)
    except (SchemaError, SchemaErrors, TypeError, AttributeError) as error:
        raise ValueError("it is no history") from error
    if table["epoch"].tolist() != list(range(1, len(table) + 1)):
        raise ValueError("its epochs are not one after the other")
    return table


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
        own = self.tensors()
        if own.keys() != saved.keys():
            raise KeyError("other tensors")
        for name, tensor in own.items():
            # Copying would repeat a smaller tensor, and convert one of another type.
            if (saved[name].shape, saved[name].dtype) != (tensor.shape, tensor.dtype):
                raise RuntimeError(f"another form of {name}")
            tensor.copy_(saved[name])


def _train_epoch(
    state: _State,
    pixels: Callable[[Tensor], Tensor],
    labels: Tensor,
    *,
    seed: int,
    epoch: int,
) -> tuple[float, float]:
    """Train one epoch and return its mean loss and its last learning rate."""
    settings, classifier, device = state.settings, state.classifier, labels.device
    generator = torch.Generator(device).manual_seed(1_000_003 * epoch + seed)
    order = torch.randperm(len(labels), generator=generator, device=device)
    size = settings.sizes[epoch - 1]
    half, name = settings.precision == "bfloat16", classifier.architecture.network.model
    classifier.train()
    losses = []
    for number, chosen in enumerate(order.split(settings.batch_size)[: state.steps]):
        step = (epoch - 1) * state.steps + number
        if state.schedule:
            state.schedule.step_update(step)
        batch = to_floats(pixels(chosen))
        if settings.augmentation:
            batch = augment(batch, settings.augmentation, size=size, generator=generator)
        else:
            batch = F.interpolate(batch, size=(size, size), mode="bilinear")
        batch = batch.contiguous(memory_format=torch.channels_last)
        # Networks may answer otherwise while they are trained than the one that was tried did.
        with reported(f"network.model: {name!r} cannot be trained"):
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
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
