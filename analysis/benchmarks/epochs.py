"""How many images a second are trained on, beside bare steps and the original's way of doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Literal

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from analysis import datasets, paths, training
from analysis import model as models
from analysis.benchmarks.sizes import Sizes
from analysis.benchmarks.turns import compared, in_turns, peak_memory, waiting
from analysis.datasets import ImageSet
from analysis.study import CLASSES, Study
from analysis.timings import Comparison, Peak

# The original's.
_RATE = 3e-4
_GPU_STEPS = 10
# How many batches the fast setting puts into one.
_FAST = 8
Steps = Callable[[], object]


def training_speed(
    sizes: Sizes, *, device: torch.device, fast: bool | None = None
) -> tuple[list[Comparison], list[Peak]]:
    """Time some steps of the project's epoch loop, of bare steps, and of the original's loop.

    All train the same architecture on the same drawn images, in float32, and but for the original
    in bfloat16 too; the project's convolutions are the deterministic ones, as in every run. On a
    GPU, or where it is asked for, the large batches of the fast setting are timed as well.
    """
    fast = device.type == "cuda" if fast is None else fast
    if device.type == "cuda":
        sizes = replace(sizes, steps=sizes.steps * _GPU_STEPS)
    study = study_of(sizes)
    images = datasets.load(study, paths.data())
    positions = images.positions("train")
    calls: dict[str, Steps] = {"original": original(sizes, images, device=device, workers=0)}
    if device.type == "cuda":
        calls["original, workers"] = original(sizes, images, device=device, workers=4)
        # What compiles for a GPU; whether it pays is what is measured, and no run is compiled.
        if find_spec("triton"):
            calls["compiled"] = bare(sizes, images, device=device, half=True, compiled=True)
    for precision in ("float32", "bfloat16"):
        half = precision == "bfloat16"
        calls[precision] = _ours(study, precision, images, positions, device=device)
        calls[f"{precision}, bare"] = bare(sizes, images, device=device, half=half)
    if fast:
        large = replace(sizes, batch=sizes.batch * _FAST, steps=max(1, sizes.steps // _FAST))
        calls["fast"] = _ours(study_of(large), "bfloat16", images, positions, device=device)
        calls["fast, bare"] = bare(large, images, device=device, half=True)
    times = in_turns(calls, rounds=sizes.rounds, wait=waiting(device))
    count = sizes.steps * sizes.batch
    where = f"training {sizes.model.name} at {sizes.model.size}×{sizes.model.size}"

    def row(ours: str, theirs: str, against: str, kind: Literal["limit", "peer"]) -> Comparison:
        said = {
            "compiled": "bfloat16, bare and compiled",
            "fast": f"bfloat16, batches of {sizes.batch * _FAST}",
        }
        name = f"{where}, {said.get(ours, ours)}"
        return compared(name, times[ours], times[theirs], against=against, kind=kind, images=count)

    found = [
        row("float32", "float32, bare", "bare steps on resized images", "limit"),
        row("bfloat16", "bfloat16, bare", "bare steps on resized images", "limit"),
        row("float32", "original", "the original's loop", "peer"),
        row("bfloat16", "original", "the original's loop, in float32", "peer"),
    ]
    if fast:
        found.append(row("fast", "fast, bare", "bare steps on resized images", "limit"))
        found.append(row("fast", "original", "the original's loop, in float32", "peer"))
    if device.type == "cuda":
        loop = "the original's loop, in float32, 4 workers"
        found.append(row("bfloat16", "original, workers", loop, "peer"))
    if "compiled" in calls:
        found.append(row("compiled", "bfloat16, bare", "bare steps, not compiled", "peer"))
    loops = {"float32": "float32", "bfloat16": "bfloat16", "original": "the original's loop"}
    peaks = [
        Peak(name=said, mebibytes=peak)
        for name, said in loops.items()
        if (peak := peak_memory(calls[name], device=device)) is not None
    ]
    return found, peaks


def study_of(sizes: Sizes) -> Study:
    """Return what is trained, by the original's protocol."""
    return Study.model_validate(
        {
            "name": "benchmark",
            "title": "What the benchmark trains",
            "data": {"name": "streetdigits", "train": sizes.steps * sizes.batch, "test": 1},
            "split": {"kind": "fixed"},
            "model": sizes.model.model_dump(),
            "training": {
                "learning_rate": _RATE,
                "batch_size": sizes.batch,
                "stages": [{"size": sizes.model.size, "epochs": 1}],
            },
            "saliency": {"layers": sizes.layers},
            "attack": {"epsilons": (0, *sizes.epsilons)},
        }
    )


def _ours(
    study: Study, precision: str, images: ImageSet, positions: np.ndarray, *, device: torch.device
) -> Steps:
    settings = study.training.model_copy(update={"precision": precision})
    study = study.model_copy(update={"training": settings})
    work = training.rehearsal(study, images, positions, size=study.model.size, device=device)
    steps = len(positions) // settings.batch_size

    def call() -> None:
        # As in every run of a study.
        with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            work(steps)

    return call


def bare(
    sizes: Sizes,
    images: ImageSet,
    *,
    device: torch.device,
    half: bool = False,
    compiled: bool = False,
) -> Steps:
    """Return forward, backward and step on batches that are resized and normalised already."""
    classifier = models.build(sizes.model, seed=0, device=device).train()
    network = torch.compile(classifier.network) if compiled else classifier.network
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=_RATE, fused=True)
    chosen = images.positions("train")
    native = torch.from_numpy(images.images[chosen]).permute(0, 3, 1, 2).to(device)
    pixels = (classifier.resize(models.to_pixels(native)) - classifier.mean) / classifier.std
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(images.labels[chosen]).long().to(device)
    batches = list(zip(pixels.split(sizes.batch), labels.split(sizes.batch), strict=True))

    def call() -> float:
        for batch, label in batches:
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                logits = network(batch)
            loss = F.cross_entropy(logits.float(), label)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return loss.item()

    return call


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's SVHN gives them: each made a picture, then transformed."""

    def __init__(self, images: ImageSet, positions: np.ndarray, *, size: int) -> None:
        self.images = images.images[positions]
        self.labels = images.labels[positions]
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[number])), int(self.labels[number])


def original(sizes: Sizes, images: ImageSet, *, device: torch.device, workers: int) -> Steps:
    """Return the published notebook's way: a loader of pictures, and each loss read at once.

    Worker processes go on from one call to the next, as in the middle of a long epoch.
    """
    network = timm.create_model(sizes.model.name, num_classes=CLASSES).to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE)
    criterion = nn.CrossEntropyLoss()
    pictures = Pictures(images, images.positions("train"), size=sizes.model.size)
    loader = DataLoader(
        pictures,
        batch_size=sizes.batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )

    def endless() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    stream = endless()

    def call() -> float:
        running = 0.0
        for _ in range(sizes.steps):
            batch, label = next(stream)
            batch, label = batch.to(device), label.to(device)
            optimizer.zero_grad()
            loss = criterion(network(batch), label)
            loss.backward()
            optimizer.step()
            running += loss.item()
        return running / sizes.steps

    return call
