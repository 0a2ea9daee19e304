"""Grad-CAM, and four measures of where and how widely it points.

Selvaraju et al. (2017), *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization*, through Captum's ``LayerGradCam``: the predicted class is the target, and only the
positive part of a map counts. A map that is zero everywhere has no measures: they are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from scipy import ndimage
from torch import Tensor, nn

from analysis.batches import Batch
from analysis.errors import UserError, nearest
from analysis.model import Classifier

# Fewer cells than 4x4 cannot tell a compact map from a diffuse one.
SMALLEST_MAP = 4
# Pieces at half the maximum can only be told apart on 8x8 cells or more.
SMALLEST_MAP_WITH_FRAGMENTS = 8


@dataclass(frozen=True)
class Explained:
    """What one batch gives: rows of ``saliency``, and every map as a distribution.

    ``maps`` has, for each layer, an array (N, rows, columns) whose maps sum to 1, or are NaN
    throughout where the map is zero everywhere.
    """

    rows: pd.DataFrame
    maps: dict[str, np.ndarray]


def layer_of(classifier: Classifier, name: str) -> nn.Module:
    """Return a module of the network by its name. Raises ``UserError`` with the nearest one."""
    modules = dict(classifier.network.named_modules())
    if name not in modules or not name:
        known = nearest(name, filter(None, modules))
        raise UserError(f"The model has no layer {name!r}; the nearest is {known!r}.")
    return modules[name]


def check_layers(classifier: Classifier, layers: Sequence[str]) -> None:
    """Refuse layers whose maps are too small to say anything at the classifier's input size."""
    device = next(classifier.parameters()).device
    blank = torch.zeros(1, 3, classifier.size, classifier.size, device=device)
    for name, maps in grad_cam(classifier, blank, layers=layers)[1].items():
        shape = maps.shape
        if len(shape) < 3:
            raise UserError(
                f"saliency.layers: the output of {name!r} has no rows and columns to map.\n"
                "Name an earlier layer."
            )
        if min(shape[-2:]) < SMALLEST_MAP:
            raise UserError(
                f"saliency.layers: {name!r} is {shape[-2]}×{shape[-1]} at input size "
                f"{classifier.size}, and a map below {SMALLEST_MAP}×{SMALLEST_MAP} says nothing.\n"
                "Name an earlier layer, or raise model.size."
            )


def grad_cam(
    classifier: Classifier,
    pixels: Tensor,
    *,
    layers: Sequence[str],
    target: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return what each map explains, int64 (N,), and the positive maps of each layer.

    Maps are float (N, rows, columns). They explain the predicted class, or ``target`` (N,). One
    forward and one backward pass serve all layers, and the graph begins at the first of them.
    """
    outputs: dict[str, Tensor] = {}
    explained = target

    def keep(name: str, output: Tensor) -> Tensor:
        # The parameters have no gradients, so nothing before the first layer is on the graph.
        outputs[name] = output.requires_grad_()
        # What follows may change its input in place.
        return output.clone()

    def score(pixels: Tensor) -> Tensor:
        nonlocal explained
        logits = classifier(pixels)
        if explained is None:
            explained = logits.argmax(dim=1)
        together(*(outputs[name] for name in layers))
        return logits.gather(1, explained.unsqueeze(1)).squeeze(1)

    together = _Together()
    hooks = [
        layer_of(classifier, name).register_forward_hook(
            lambda module, inputs, output, name=name: keep(name, output)
        )
        for name in layers
    ]
    try:
        maps = LayerGradCam(score, together).attribute(pixels, relu_attributions=True)
    finally:
        for hook in hooks:
            hook.remove()
    maps = maps if isinstance(maps, tuple) else (maps,)
    return explained, {
        name: each.detach().squeeze(1) for name, each in zip(layers, maps, strict=True)
    }


class _Together(nn.Module):
    """Hands on the outputs of several layers, so that Captum sees them as those of one layer."""

    def forward(self, *outputs: Tensor) -> tuple[Tensor, ...]:
        return outputs


def explain(classifier: Classifier, batch: Batch, layers: Sequence[str]) -> Explained:
    """Return the rows of ``saliency`` for one batch, one for each image and layer."""
    pixels = classifier.resize(batch.pixels)
    predicted, raw_maps = grad_cam(classifier, pixels, layers=layers)
    labels = batch.labels.cpu().numpy().astype(np.uint8)
    chosen = predicted.cpu().numpy().astype(np.uint8)
    rows, maps = [], {}
    for layer, raw in raw_maps.items():
        values = measures(raw.cpu(), size=classifier.size)
        identity = {
            "layer": layer,
            "index": batch.index,
            "label": labels,
            "predicted": chosen,
            "correct": labels == chosen,
        }
        rows.append(pd.DataFrame(identity | values))
        maps[layer] = distributions(raw.cpu()).numpy()
    return Explained(rows=pd.concat(rows, ignore_index=True), maps=maps)


def distributions(maps: Tensor) -> Tensor:
    """Return each map (N, rows, columns) divided by its sum; NaN where that is zero."""
    total = maps.sum(dim=(1, 2), keepdim=True)
    return maps / torch.where(total > 0, total, torch.nan)


def measures(maps: Tensor, *, size: int) -> dict[str, np.ndarray]:
    """Return spread, area, offset and fragments of maps (N, rows, columns), each float32 (N,).

    ``size`` is the side of the input in pixels that the maps are upsampled to. Missing values are
    NaN: every measure of a map that is zero everywhere, and fragments of maps below 8×8.
    """
    shares = distributions(maps)
    missing = shares.isnan().any(dim=(1, 2)).numpy()
    above = above_half(maps, size=size)
    found = {
        "spread": spread(shares).numpy(),
        "area": above.mean(axis=(1, 2)),
        "offset": offset(shares).numpy(),
        "fragments": np.full(len(maps), np.nan),
    }
    if min(maps.shape[-2:]) >= SMALLEST_MAP_WITH_FRAGMENTS:
        found["fragments"] = np.array([ndimage.label(image)[1] for image in above], dtype=float)
    return {
        name: np.where(missing, np.nan, values).astype(np.float32) for name, values in found.items()
    }


def spread(shares: Tensor) -> Tensor:
    """Return the entropy of distributions (N, rows, columns) over its largest value, (N,).

    0 is one cell, 1 is flat.
    """
    cells = shares.shape[-2] * shares.shape[-1]
    return torch.special.entr(shares).sum(dim=(1, 2)) / np.log(cells)


def above_half(maps: Tensor, *, size: int) -> np.ndarray:
    """Return where maps, upsampled bilinearly to the input, reach half their maximum; bool."""
    upsampled = F.interpolate(maps.unsqueeze(1), size=(size, size), mode="bilinear").squeeze(1)
    half = upsampled.amax(dim=(1, 2), keepdim=True) / 2
    return (upsampled >= half).numpy()


def offset(shares: Tensor) -> Tensor:
    """Return how far the centres of mass of distributions lie from the centre, (N,).

    In units of the half-width of the image: 1 is the middle of an edge.
    """
    rows, columns = shares.shape[-2:]
    down = (torch.arange(rows) + 0.5) / rows * 2 - 1
    across = (torch.arange(columns) + 0.5) / columns * 2 - 1
    mean_down = (shares.sum(dim=2) * down).sum(dim=1)
    mean_across = (shares.sum(dim=1) * across).sum(dim=1)
    return torch.hypot(mean_down, mean_across)


def mean_maps(explained: Sequence[Explained]) -> pd.DataFrame:
    """Return the rows of ``maps``: the mean of the maps that there are, by layer and label."""
    tables = []
    for layer in explained[0].maps:
        maps = np.concatenate([batch.maps[layer] for batch in explained])
        labels = np.concatenate([_labels(batch.rows, layer) for batch in explained])
        there = ~np.isnan(maps).any(axis=(1, 2))
        for label in np.unique(labels[there]):
            chosen = maps[there & (labels == label)]
            tables.append(_long(chosen.mean(axis=0), layer=layer, label=label, images=len(chosen)))
    if not tables:
        return _long(np.empty((0, 0)), layer="", label=0, images=0).astype({"layer": "str"})
    return pd.concat(tables, ignore_index=True)


def _labels(rows: pd.DataFrame, layer: str) -> np.ndarray:
    return rows.loc[rows["layer"] == layer, "label"].to_numpy()


def _long(map_: np.ndarray, *, layer: str, label: int, images: int) -> pd.DataFrame:
    row, column = np.indices(map_.shape)
    return pd.DataFrame(
        {
            "layer": layer,
            "label": np.uint8(label),
            "row": row.ravel().astype(np.uint8),
            "column": column.ravel().astype(np.uint8),
            "value": map_.ravel().astype(np.float32),
            "images": np.int32(images),
        }
    )
