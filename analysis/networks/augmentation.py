"""Jitter and resize in one step, for a whole batch on its device."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.study import Augmentation


def augment(
    pixels: Tensor, settings: Augmentation, *, size: int, generator: torch.Generator
) -> Tensor:
    """Return float pixels in [0, 1], (N, channels, size, size), each image jittered on its own.

    ``pixels`` is (N, channels, height, width) in [0, 1]. The affine map and the resize are one
    bilinear sampling; what lies outside repeats the border. ``generator`` must be on the device of
    ``pixels``.
    """
    count, channels = pixels.shape[:2]

    def uniform(half_width: float) -> Tensor:
        draws = torch.rand(count, generator=generator, device=pixels.device)
        return (2 * draws - 1) * half_width

    shape = [count, channels, size, size]
    grid = F.affine_grid(_affine(settings, uniform), shape, align_corners=False)
    pixels = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    factor = uniform(settings.contrast).exp().view(-1, 1, 1, 1)
    offset = uniform(settings.brightness).view(-1, 1, 1, 1)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = (pixels - mean) * factor + mean + offset
    inverted = (uniform(1.0) < 2 * settings.inversion - 1).view(-1, 1, 1, 1)
    pixels = torch.where(inverted, 1 - pixels, pixels).clamp(0, 1)
    if not settings.flip:
        # Without it nothing is drawn, so that recipes of before draw the same numbers.
        return pixels
    flipped = (uniform(1.0) < 2 * settings.flip - 1).view(-1, 1, 1, 1)
    return torch.where(flipped, pixels.flip(3), pixels)


def _affine(settings: Augmentation, uniform: Callable[[float], Tensor]) -> Tensor:
    """Return the maps from output to input coordinates, (N, 2, 3)."""
    angle = uniform(math.radians(settings.rotation))
    across, down = uniform(settings.scale).exp(), uniform(settings.scale).exp()
    shear = uniform(settings.shear)
    top = [across * angle.cos(), shear - down * angle.sin(), uniform(settings.shift)]
    bottom = [across * angle.sin(), down * angle.cos(), uniform(settings.shift)]
    return torch.stack([torch.stack(top, dim=1), torch.stack(bottom, dim=1)], dim=1)
