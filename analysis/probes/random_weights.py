"""Copies of a network whose random weights leave out no path, to see how it is connected."""

from __future__ import annotations

import copy

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from analysis.networks.classifier import Classifier, built


@torch.no_grad()
def filled(classifier: Classifier, generator: torch.Generator, *, dtype: torch.dtype) -> Classifier:
    """Return a copy on the CPU, in evaluation mode, with weights that leave out no path.

    None is zero, and activations stay small. Networks begin, and may end, with scales of zero,
    behind which nothing of a block is seen.
    """
    try:
        model = copy.deepcopy(classifier)
    # Some modules hold what cannot be copied; all can be made again.
    except Exception:
        model = built(classifier.architecture, seed=0)
    model = model.cpu().to(dtype).eval().requires_grad_(False)
    for weight in model.parameters():
        if weight.ndim > 1:
            scale = (weight.shape[0] / weight.numel()) ** 0.5
            weight.copy_(torch.randn(weight.shape, generator=generator).to(dtype) * scale)
        else:
            weight.copy_(torch.rand(weight.shape, generator=generator).to(dtype) / 2 + 0.25)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
    return model
