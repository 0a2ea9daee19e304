"""Grad-CAM, through Captum.

Selvaraju et al. (2017), *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization*. Only the positive part of a map counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from analysis.networks.classifier import Classifier
from analysis.project.errors import UserError, nearest

# A map of fewer cells than 4×4 cannot distinguish a compact region from a diffuse one.
SMALLEST_MAP = 4


def grad_cam(classifier: Classifier, pixels: Tensor, *, layer: str, target: Tensor) -> Tensor:
    """Return the positive maps (N, rows, columns) of a layer for the classes ``target`` (N,)."""
    method = LayerGradCam(classifier, layer_of(classifier, layer))
    return method.attribute(pixels, target=target, relu_attributions=True).detach().squeeze(1)


def layer_of(classifier: Classifier, name: str) -> nn.Module:
    """Return a module of the network by its name. Raises ``UserError`` with the nearest one."""
    modules = dict(classifier.network.named_modules())
    if name not in modules or not name:
        known = nearest(name, filter(None, modules))
        raise UserError(f"maps.layers: there is no layer {name!r}; the nearest is {known!r}.")
    return modules[name]


def check_layers(classifier: Classifier, layers: Sequence[str]) -> None:
    """Raise ``UserError`` for layers whose maps are too small, or not maps, at the input size."""
    size = classifier.eval().size
    blank = torch.zeros(1, 3, size, size, device=classifier.device)
    first = torch.zeros(1, dtype=torch.long, device=classifier.device)
    for name in layers:
        layer_of(classifier, name)
        try:
            maps = grad_cam(classifier, blank, layer=name, target=first)
        # Captum asks for one tensor that the logits depend on, and fails in several ways.
        except Exception:
            maps = blank[0, 0, 0]
        if maps.ndim != 3:
            raise UserError(
                f"maps.layers: the output of {name!r} has no rows and columns to map.\n"
                "Name another layer."
            )
        rows, columns = maps.shape[1:]
        if min(rows, columns) < SMALLEST_MAP:
            raise UserError(
                f"maps.layers: {name!r} is {rows}×{columns} at input size {size}, and a map below "
                f"{SMALLEST_MAP}×{SMALLEST_MAP} says nothing.\n"
                "Name an earlier layer, or raise network.size."
            )
