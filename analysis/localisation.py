"""How well Grad-CAM finds a digit whose pixels are known.

The share of a map's mass on the digit, and the pointing game of Zhang et al. (2018), *Top-Down
Neural Attention by Excitation Backprop*. The maps explain the class that the trained network
predicts, those of the randomised network too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.batches import Batch
from analysis.model import Classifier, resize
from analysis.saliency import distributions, grad_cam

TRAINED = "trained"
RANDOMISED = "randomised"


def localise(
    classifier: Classifier, batch: Batch, layers: Sequence[str], *, target: Tensor, weights: str
) -> pd.DataFrame:
    """Return the rows of ``localisation`` for one batch with masks, one for each image and layer.

    ``target`` (N,) holds the classes to explain; ``weights`` says whose the classifier's are.
    """
    pixels = classifier.resize(batch.pixels)
    _, maps = grad_cam(classifier, pixels, layers=layers, target=target)
    masks = torch.from_numpy(batch.masks)
    identity = {
        "weights": weights,
        "index": batch.index,
        "label": batch.labels.cpu().numpy().astype(np.uint8),
    }
    rows = [
        pd.DataFrame({"layer": layer} | identity | measures(raw.cpu(), masks))
        for layer, raw in maps.items()
    ]
    return pd.concat(rows, ignore_index=True)


def measures(maps: Tensor, masks: Tensor) -> dict[str, np.ndarray]:
    """Return inside, cover and pointed of maps (N, rows, columns), each float32 (N,).

    ``masks`` is bool (N, side, side), in the picture that the maps lie over. Missing values are
    NaN: inside and pointed of a map that is zero everywhere, and of a digit without a pixel.
    """
    # Resized as images are: bilinearly to the native size of the mask.
    upsampled = resize(maps.unsqueeze(1), masks.shape[-1]).squeeze(1)
    inside = (distributions(upsampled) * masks).sum(dim=(1, 2))
    missing = inside.isnan() | ~masks.any(dim=(1, 2))
    found = {
        "inside": torch.where(missing, torch.nan, inside),
        "cover": masks.float().mean(dim=(1, 2)),
        "pointed": torch.where(missing, torch.nan, pointed(maps, masks).float()),
    }
    return {name: values.numpy().astype(np.float32) for name, values in found.items()}


def pointed(maps: Tensor, masks: Tensor) -> Tensor:
    """Return whether the maximum of each map lies in the bounding box of its mask, bool (N,).

    A map that is upsampled bilinearly is largest at the middle of its largest cell, and towards
    the edge of the picture beyond it; the middle is what counts, the first of several.
    """
    rows, columns = maps.shape[-2:]
    cell = maps.flatten(1).argmax(dim=1)
    down = _within((cell // columns + 0.5) / rows, masks.any(dim=2))
    across = _within((cell % columns + 0.5) / columns, masks.any(dim=1))
    return down & across


def _within(place: Tensor, occupied: Tensor) -> Tensor:
    """Tell whether places (N,) in [0, 1] lie between the ends of what is occupied (N, side)."""
    side = occupied.shape[1]
    first = occupied.int().argmax(dim=1)
    end = side - occupied.flip(1).int().argmax(dim=1)
    return (place * side >= first) & (place * side <= end) & occupied.any(dim=1)
