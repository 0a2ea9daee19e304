"""Measures of maps: how widely they point, where, and whether at the object.

Whether the maximum lies on the object is the pointing game of Zhang et al. (2018), *Top-Down Neural
Attention by Excitation Backprop*. A map that is zero everywhere has no measures: they are NaN.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from analysis.networks.classifier import resize

# Pieces at half the maximum can only be separated on 8×8 cells or more.
SMALLEST_MAP_WITH_FRAGMENTS = 8


def measures(maps: Tensor, *, size: int, masks: Tensor | None = None) -> dict[str, np.ndarray]:
    """Return the measures of maps (N, rows, columns) on the CPU, each float32 (N,).

    ``size`` is the side of the input in pixels that the maps are upsampled to, for area and
    fragments. ``masks`` is bool (N, height, width), in the picture that the maps lie over, and may
    have any aspect. NaN are all measures but cover of a map that is zero everywhere, fragments of
    maps below 8×8, and without masks inside, cover and pointed.
    """
    shares = distributions(maps)
    zero = shares.isnan().any(dim=(1, 2)).numpy()
    upsampled = F.interpolate(maps.unsqueeze(1), size=(size, size), mode="bilinear").squeeze(1)
    above = (upsampled >= upsampled.amax(dim=(1, 2), keepdim=True) / 2).numpy()
    entropy = torch.special.entr(shares).sum(dim=(1, 2))
    found = {
        # 0 is one cell, 1 is flat.
        "spread": (entropy / np.log(shares[0].numel())).numpy(),
        "area": above.mean(axis=(1, 2)),
        "offset": _offset(shares).numpy(),
        "fragments": np.full(len(maps), np.nan),
    }
    if min(maps.shape[-2:]) >= SMALLEST_MAP_WITH_FRAGMENTS:
        found["fragments"] = np.array([ndimage.label(image)[1] for image in above], dtype=float)
    found = {name: np.where(zero, np.nan, values) for name, values in found.items()}
    found |= dict.fromkeys(("inside", "cover", "pointed"), np.full(len(maps), np.nan))
    if masks is not None:
        found |= _on_masks(maps, masks)
    return {name: values.astype(np.float32) for name, values in found.items()}


def _on_masks(maps: Tensor, masks: Tensor) -> dict[str, np.ndarray]:
    """Return inside, cover and pointed; NaN for inside and pointed of a mask without a pixel.

    ``pointed`` says whether the maximum of a map lies in the bounding box of its mask. A map that
    is upsampled bilinearly is largest at the middle of its largest cell, and from there to the edge
    of the picture at a border; the middle counts, of the first of several cells.
    """
    height, width = masks.shape[1:]
    upsampled = resize(maps.unsqueeze(1), (height, width)).squeeze(1)
    inside = (distributions(upsampled) * masks).sum(dim=(1, 2))
    rows, columns = maps.shape[-2:]
    cell = maps.flatten(1).argmax(dim=1)
    down = _within((cell // columns + 0.5) / rows, masks.any(dim=2))
    across = _within((cell % columns + 0.5) / columns, masks.any(dim=1))
    missing = inside.isnan() | ~masks.any(dim=(1, 2))
    return {
        "inside": torch.where(missing, torch.nan, inside).numpy(),
        "cover": masks.float().mean(dim=(1, 2)).numpy(),
        "pointed": torch.where(missing, torch.nan, (down & across).float()).numpy(),
    }


def distributions(maps: Tensor) -> Tensor:
    """Return each map (N, rows, columns) divided by its sum; NaN if that is zero."""
    total = maps.sum(dim=(1, 2), keepdim=True)
    return maps / torch.where(total > 0, total, torch.nan)


def _offset(shares: Tensor) -> Tensor:
    """Return the distance of the centres of mass of distributions from the image centre, (N,).

    In half-widths of the image: 1 is the middle of an edge.
    """
    rows, columns = shares.shape[-2:]
    down = (torch.arange(rows) + 0.5) / rows * 2 - 1
    across = (torch.arange(columns) + 0.5) / columns * 2 - 1
    mean_down = (shares.sum(dim=2) * down).sum(dim=1)
    mean_across = (shares.sum(dim=1) * across).sum(dim=1)
    return torch.hypot(mean_down, mean_across)


def _within(place: Tensor, occupied: Tensor) -> Tensor:
    """Return whether places (N,) in [0, 1] lie between the ends of what is occupied (N, side)."""
    side = occupied.shape[1]
    first = occupied.int().argmax(dim=1)
    end = side - occupied.flip(1).int().argmax(dim=1)
    return (place * side >= first) & (place * side <= end) & occupied.any(dim=1)
