"""What a network predicts for corrupted images, at several strengths.

Noise, blur, contrast, brightness and JPEG are among the corruptions of Hendrycks and Dietterich
(2019), *Benchmarking Neural Network Robustness to Common Corruptions and Perturbations*; the
operations are torchvision's own. They are done to the 8-bit image as given, before the resize, and
on the CPU, so that they are the same whatever device the network is on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from analysis.images.images import to_floats
from analysis.probes.attacks import outcomes
from analysis.probes.subject import Subject, Tables
from analysis.results.schemas import CORRUPTIONS, LEVELS

_COLUMNS = {"corruption": "str", "strength": "float64", "index": "int64", "label": "int64"}
_COLUMNS |= {"predicted": "int64", "confidence": "float32"}


def corrupt(subject: Subject, done: Tables) -> Tables:
    """Return the table ``corruptions``; it is empty for a run without a part of the sample."""
    settings = subject.study.corruptions
    assert settings is not None, "a run has the analyses that its study asks for"
    sample = subject.sampled(settings.sample)
    rows = [pd.DataFrame(columns=list(_COLUMNS)).astype(_COLUMNS)]
    for name in CORRUPTIONS:
        strengths = list(dict.fromkeys(getattr(settings, name)))
        for number, batch in enumerate(subject.batches(sample)):
            seed = int(np.random.SeedSequence((subject.run.seed, number)).generate_state(1)[0])
            moved = (
                to_floats(each).to(subject.classifier.device)
                for each in corrupted(name, to_levels(batch.pixels.cpu()), strengths, seed=seed)
            )
            found = outcomes(subject, batch, moved, probe="corruptions", epsilons=strengths)
            rows.append(found.rename(columns={"epsilon": "strength"}).assign(corruption=name))
    return {"corruptions": pd.concat(rows, ignore_index=True)[list(_COLUMNS)].astype(_COLUMNS)}


def corrupted(
    name: str, levels: Tensor, strengths: Sequence[float], *, seed: int
) -> Iterator[Tensor]:
    """Give uint8 images (N, channels, height, width) corrupted at each strength, of that form.

    Noise is the same pattern at every strength.
    """
    for strength in strengths:
        # torchvision draws from PyTorch's global generator.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield _OPERATIONS[name](levels, strength)


def to_levels(pixels: Tensor) -> Tensor:
    """Return float pixels in [0, 1] as uint8, rounded."""
    return (pixels * LEVELS).round().to(torch.uint8)


def _noise(levels: Tensor, deviation: float) -> Tensor:
    # On uint8, torchvision cuts the decimals off its noise, which makes weak noise weaker.
    return to_levels(functional.gaussian_noise(to_floats(levels), sigma=deviation))


def _blur(levels: Tensor, deviation: float) -> Tensor:
    # A kernel of three deviations to each side, or as far as the image can be reflected.
    sides = [2 * min(math.ceil(3 * deviation), side - 1) + 1 for side in levels.shape[:-3:-1]]
    return functional.gaussian_blur(levels, kernel_size=sides, sigma=[deviation, deviation])


def _by_channel(operation: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    """Make an operation on images of 1 or 3 channels work on others, one channel at a time."""

    def done(levels: Tensor, strength: float) -> Tensor:
        if levels.shape[1] in (1, 3):
            return operation(levels, strength)
        single = levels.reshape(-1, 1, *levels.shape[2:])
        return operation(single, strength).reshape(levels.shape)

    return done


_OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _by_channel(functional.adjust_contrast),
    "brightness": _by_channel(functional.adjust_brightness),
    "jpeg": _by_channel(lambda levels, quality: functional.jpeg(levels, int(quality))),
}
