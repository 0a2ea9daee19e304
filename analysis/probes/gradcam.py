"""Grad-CAM, through Captum, of layers that lie on a grid in any of several ways.

Selvaraju et al. (2017), *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization*. Only the positive part of a map counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from captum.attr import LayerGradCam
from torch import Tensor, nn

from analysis.networks.classifier import Classifier
from analysis.probes.layouts import Layout, NoGrid, layout_of
from analysis.project.errors import UserError, nearest
from analysis.project.foreign import said


class Grid(nn.Module):
    """The output of a layer as (N, channels, rows, columns), as it was last used.

    ``layout`` is how the output lies, and ``problem`` why it has no grid, if it has none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layout: Layout | None = None
        self.problem = "is not used"

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid itself; it is here to be watched."""
        return grid


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
    """Return the maps (N, rows, columns) of a layer for the classes ``target`` (N,).

    They are ``positive``, unless the negative part is asked for as well. Raises ``UserError`` for a
    layer that has no map.
    """
    with gridded(classifier, layer, images=len(pixels)) as grid:
        try:
            maps = LayerGradCam(classifier, grid).attribute(
                pixels, target=target, relu_attributions=positive
            )
        except UserError:
            raise
        # Captum asks for a tensor that the logits depend on, and fails in several ways.
        except Exception as error:
            problem = grid.problem if grid.layout is None else f"has no gradient: {said(error)}"
            raise UserError(f"maps.layers: the output of {layer!r} {problem}.") from None
    return maps.detach().squeeze(1)


def layer_of(classifier: Classifier, name: str) -> nn.Module:
    """Return a module of the network by its name. Raises ``UserError`` with the nearest one."""
    modules = dict(classifier.network.named_modules())
    if name not in modules or not name:
        known = nearest(name, filter(None, modules))
        raise UserError(f"maps.layers: there is no layer {name!r}; the nearest is {known!r}.")
    return modules[name]
