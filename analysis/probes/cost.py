"""What the probes of a run cost, against the bare passes through the network that they need."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from analysis.images.images import BATCH
from analysis.networks.classifier import Classifier
from analysis.probes import PROBES, Subject, Tables
from analysis.probes.gradcam import gridded
from analysis.probes.layers import default_layers
from analysis.probes.maps import IMAGES_FOR_STATISTICS
from analysis.results import status
from analysis.results.schemas import CORRUPTIONS

# Images by kind of pass: forward alone, and back to the mapped layers, and back to the pixels.
Passes = Counter[str]


def needed(subject: Subject, analysis: str) -> Passes:
    """Return how many images have to pass through a network for an analysis, by kind of pass."""
    study, count = subject.study, len(subject.positions)
    if analysis == "predictions":
        return Counter(forward=count)
    if analysis == "maps":
        # Trained and random weights, however many layers, and the statistics of BatchNorm.
        return Counter(maps=2 * count, forward=min(count, IMAGES_FOR_STATISTICS))
    if analysis == "corruptions" and study.corruptions:
        strengths = sum(len({*getattr(study.corruptions, name)}) for name in CORRUPTIONS)
        return Counter(forward=strengths * len(subject.sampled(study.corruptions.sample)))
    attacks, sample = subject.attacks, len(subject.sample)
    if analysis == "controls":
        # On the sample from a random start and on the margin as well.
        return Counter(
            gradient=attacks.steps * (count + 2 * sample),
            forward=count + 2 * sample,
        )
    fgsm = {*attacks.epsilons[1:], attacks.logits_epsilon}
    sizes = len(fgsm) + len(attacks.epsilons[1:]) + len(attacks.native_epsilons)
    descents = len(attacks.sample_epsilons)
    return Counter(
        # On the resized and the native image; every descent of an image starts alike.
        gradient=2 * count + sample * (1 + descents * (attacks.steps - 1)),
        forward=sizes * count + descents * sample,
    )


@contextmanager
def counted() -> Iterator[Passes]:
    """Count the images that pass through any classifier, by kind of pass."""
    passes: Passes = Counter()

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, Classifier):
            (pixels,) = inputs
            kind = "maps" if torch.is_grad_enabled() else "forward"
            passes["gradient" if pixels.requires_grad else kind] += len(pixels)

    handle = register_module_forward_pre_hook(count)
    try:
        yield passes
    finally:
        handle.remove()


@dataclass
class Cost:
    """The passes of an analysis, and seconds of each round: of the analysis and of bare passes."""

    needed: Passes
    made: Passes = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Return the time of the analysis over that of the bare passes, round by round, rising."""
        return sorted(a / b for a, b in zip(self.seconds, self.bare, strict=True))


def measure(subject: Subject, *, rounds: int) -> dict[str, Cost]:
    """Return what each analysis of a run costs, and all of them as ``"all"``.

    In each round all are done once, and bare passes are timed before and after each.
    """
    names = [name for name in status.wanted(subject.study, subject.run.repeat) if name in PROBES]
    costs = {name: Cost(needed(subject, name)) for name in names}
    bare = _bare(subject)
    for _ in range(rounds):
        done: Tables = {}
        for name, cost in costs.items():
            before = _seconds(subject, bare)
            with counted() as made:
                begin = _now(subject)
                done |= PROBES[name](subject, done)
                cost.seconds.append(_now(subject) - begin)
            after = _seconds(subject, bare)
            cost.made = made
            cost.bare.append(
                sum(
                    images * (before[kind] + after[kind]) / 2
                    for kind, images in cost.needed.items()
                )
            )
    every = list(costs.values())
    total = Cost(
        sum((cost.needed for cost in every), Counter()),
        sum((cost.made for cost in every), Counter()),
        [sum(times) for times in zip(*(cost.seconds for cost in every), strict=True)],
        [sum(times) for times in zip(*(cost.bare for cost in every), strict=True)],
    )
    return costs | {"all": total}


def lines(costs: dict[str, Cost]) -> Iterator[str]:
    """Give the costs as lines of a table."""
    yield (
        f"{'analysis':<12} {'forward':>9} {'maps':>7} {'gradient':>9} {'more':>6} "
        f"{'seconds':>8} {'bare':>7}  ratio"
    )
    for name, cost in costs.items():
        extra = cost.made.total() / cost.needed.total() - 1
        ratios = cost.ratios
        yield (
            f"{name:<12} {cost.needed['forward']:>9,} {cost.needed['maps']:>7,} "
            f"{cost.needed['gradient']:>9,} {extra:>6.1%} {median(cost.seconds):>8.1f} "
            f"{median(cost.bare):>7.1f}  {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def _bare(subject: Subject) -> dict[str, Callable[[], object]]:
    """Return a function for each kind of pass, which does it once with one batch."""
    classifier = subject.classifier
    batch = next(subject.batches(subject.positions[:BATCH]))
    pixels, labels = classifier.resize(batch.pixels), batch.labels
    maps = subject.study.maps
    layers = (maps.layers or default_layers(classifier)) if maps else ()

    def forward() -> object:
        with torch.no_grad():
            return classifier(pixels)

    def gradient() -> object:
        moved = pixels.detach().requires_grad_()
        loss = nn.functional.cross_entropy(classifier(moved), labels, reduction="sum")
        return torch.autograd.grad(loss, moved)

    def to_layers() -> object:
        with ExitStack() as stack:
            grids = [
                stack.enter_context(gridded(classifier, layer, images=len(pixels)))
                for layer in layers
            ]
            chosen = classifier(pixels).gather(1, labels[:, None])
            outputs = [grid.output for grid in grids if grid.output is not None]
            return torch.autograd.grad(chosen.sum(), outputs)

    passes: dict[str, Callable[[], object]] = {"forward": forward, "gradient": gradient}
    return passes | {"maps": to_layers} if layers else passes


def _seconds(subject: Subject, bare: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the seconds of each kind of pass for one image, of the faster of two batches."""
    images, seconds = min(BATCH, len(subject.positions)), {}
    for kind, once in bare.items():
        times = []
        for _ in range(2):
            begin = _now(subject)
            once()
            times.append(_now(subject) - begin)
        seconds[kind] = min(times) / images
    return seconds


def _now(subject: Subject) -> float:
    """Return the time in seconds at which the device has done what it was asked for."""
    if subject.classifier.device.type == "cuda":
        torch.cuda.synchronize(subject.classifier.device)
    return time.perf_counter()
