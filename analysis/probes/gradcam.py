"""Grad-CAM, through Captum, of layers that lie on a grid in any of several ways.

Selvaraju et al. (2017), *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization*. Only the positive part of a map counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from analysis.networks.classifier import Classifier
from analysis.probes.layouts import Layout, NoGrid, layout_of
from analysis.project.errors import UserError, nearest
from analysis.project.foreign import reported


class Grid(nn.Module):
    """The output of a layer as (N, channels, rows, columns), as it was last used.

    ``layout`` is how the output lies, and ``problem`` why it has no grid, if it has none. Where
    gradients are kept, ``output`` is what they can be taken with respect to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layout: Layout | None = None
        self.output: Tensor | None = None
        self.problem = "is not used"

    def forward(self, grid: Tensor) -> Tensor:
        """Return the same values; it is here to be watched."""
        if not torch.is_grad_enabled():
            return grid
        # The parameters need no gradients, so that they begin at the first layer that is mapped.
        self.output = grid if grid.requires_grad else grid.detach().requires_grad_()
        # What comes next may change its input in place.
        return self.output.clone()


@contextmanager
def gridded(classifier: Classifier, layer: str, *, images: int) -> Iterator[Grid]:
    """Lead the output of a layer through a module that sees it as a grid, for that many images."""
    grid = Grid()

    def through(module: nn.Module, inputs: object, output: Tensor) -> Tensor | None:
        try:
            layout = layout_of(classifier.network, output, images=images)
        except NoGrid as problem:
            grid.problem = str(problem)
            return None
        grid.layout = layout
        return layout.back(grid(layout.grid(output)), output)

    handle = layer_of(classifier, layer).register_forward_hook(through)
    try:
        yield grid
    finally:
        handle.remove()


def grad_cam(
    classifier: Classifier, pixels: Tensor, *, layer: str, target: Tensor, positive: bool = True
) -> Tensor:
    """Return the maps (N, rows, columns) of one layer, as ``grad_cams`` does."""
    return grad_cams(classifier, pixels, layers=[layer], target=target, positive=positive)[layer]


def grad_cams(
    classifier: Classifier,
    pixels: Tensor,
    *,
    layers: Sequence[str],
    target: Tensor,
    positive: bool = True,
) -> dict[str, Tensor]:
    """Return the maps (N, rows, columns) of each layer for the classes ``target`` (N,).

    All come from one forward pass. They are ``positive``, unless the negative part is asked for as
    well. Raises ``UserError`` for a layer that has no map.
    """
    with ExitStack() as stack:
        grids = {
            layer: stack.enter_context(gridded(classifier, layer, images=len(pixels)))
            for layer in layers
        }
        with torch.enable_grad():
            logits = classifier(pixels)
    return {
        layer: _map(layer, grid, logits, target=target, positive=positive)
        for layer, grid in grids.items()
    }


def _map(layer: str, grid: Grid, logits: Tensor, *, target: Tensor, positive: bool) -> Tensor:
    """Return the maps of a layer whose ``grid`` the ``logits`` were computed from."""
    if grid.output is None:
        raise UserError(f"maps.layers: the output of {layer!r} {grid.problem}.")
    seen = nn.Identity()

    def again(output: Tensor) -> Tensor:
        """Show Captum the layer's output, which the pass that is done already went through."""
        seen(output)
        return logits

    # Captum asks for a tensor that the logits depend on, and fails in several ways.
    with reported(f"maps.layers: the output of {layer!r} has no gradient"):
        maps = LayerGradCam(again, seen).attribute(
            grid.output,
            target=target,
            relu_attributions=positive,
            # Other layers follow.
            grad_kwargs={"retain_graph": True},
        )
    return maps.detach().squeeze(1)


def layer_of(classifier: Classifier, name: str) -> nn.Module:
    """Return a module of the network by its name. Raises ``UserError`` with the nearest one."""
    modules = dict(classifier.network.named_modules())
    if name not in modules or not name:
        known = nearest(name, filter(None, modules))
        raise UserError(f"maps.layers: there is no layer {name!r}; the nearest is {known!r}.")
    return modules[name]
