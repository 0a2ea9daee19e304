"""Measures of maps: how widely they point, where, and in how many pieces.

A map that is zero everywhere has no measures: they are NaN.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from analysis.probes.positions import Positions, upsample

# Pieces at half the maximum can only be separated on 8×8 cells or more.
SMALLEST_MAP_WITH_FRAGMENTS = 8


def measures(maps: Tensor, *, positions: Positions, size: int) -> dict[str, np.ndarray]:
    """Return the measures of maps (N, rows, columns) on the CPU, each float32 (N,).

    ``positions`` are the centres of the cells in pixels of the input, whose side is ``size``; maps
    are upsampled to it for area and fragments. NaN are all measures of a map that is zero
    everywhere, and fragments of maps below 8×8.
    """
    shares = distributions(maps)
    zero = shares.isnan().any(dim=(1, 2)).numpy()
    upsampled = upsample(maps, positions, size)
    above = (upsampled >= upsampled.amax(dim=(1, 2), keepdim=True) / 2).numpy()
    entropy = torch.special.entr(shares).sum(dim=(1, 2))
    found = {
        # 0 is one cell, 1 is flat.
        "spread": (entropy / np.log(shares[0].numel())).numpy(),
        "area": above.mean(axis=(1, 2)),
        "offset": _offset(shares, positions, size).numpy(),
        "fragments": np.full(len(maps), np.nan),
    }
    if min(maps.shape[-2:]) >= SMALLEST_MAP_WITH_FRAGMENTS:
        found["fragments"] = np.array([ndimage.label(image)[1] for image in above], dtype=float)
    return {
        name: np.where(zero, np.nan, values).astype(np.float32) for name, values in found.items()
    }


def distributions(maps: Tensor) -> Tensor:
    """Return each map (N, rows, columns) divided by its sum; NaN if that is zero."""
    total = maps.sum(dim=(1, 2), keepdim=True)
    return maps / torch.where(total > 0, total, torch.nan)


def widened(maps: Tensor) -> Tensor:
    """Return maps (N, rows, columns) smoothed with a box of 3×3 cells, of that shape.

    Cells outside the map repeat those of its edge. No mass is lost, and what is smoothed so is
    never less spread than before: each cell gives and takes shares that add up to 1.
    """
    padded = F.pad(maps.unsqueeze(1), (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(padded, 3, stride=1).squeeze(1)


def doubled(maps: Tensor) -> Tensor:
    """Return maps (N, rows, columns) with a second object: each with a moved copy of it added.

    The copy is moved by half the map, down or up and right or left, to where there is more room for
    its largest cell; what leaves the map is lost.
    """
    rows, columns = maps.shape[-2:]
    largest = maps.flatten(1).argmax(dim=1)
    down = _shifts(largest // columns, rows)
    across = _shifts(largest % columns, columns)
    return maps + down.to(maps) @ maps @ across.to(maps).mT


def _shifts(largest: Tensor, cells: int) -> Tensor:
    """Return matrices (N, n, n) that move n cells by half, away from the end near ``largest``."""
    half = cells // 2
    forward = torch.eye(cells).roll(half, dims=0).tril()
    return torch.where((largest < half)[:, None, None], forward, forward.T)


def _offset(shares: Tensor, positions: Positions, size: int) -> Tensor:
    """Return the distance of the centres of mass of distributions from the image centre, (N,).

    In half-widths of the image: 1 is the middle of an edge.
    """
    down, across = (
        torch.from_numpy((centres - (size - 1) / 2) / (size / 2)).to(shares)
        for centres in positions
    )
    mean_down = (shares.sum(dim=2) * down).sum(dim=1)
    mean_across = (shares.sum(dim=1) * across).sum(dim=1)
    return torch.hypot(mean_down, mean_across)
