"""Where the cells of a map lie on the input, found from the network itself.

Cell i of n is not centred on (i + ½)/n of the input in general: padding decides. A cell's centre is
that of its receptive field, the pixels that it depends on (Araujo, Norris and Sim 2019, *Computing
Receptive Fields of Convolutional Neural Networks*), which is found as the support of a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from timm.layers.grn import GlobalResponseNorm
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.overrides import TorchFunctionMode

from analysis.networks.classifier import Classifier
from analysis.probes.gradcam import gridded, layer_of
from analysis.probes.layouts import Layout
from analysis.probes.random_weights import filled
from analysis.project.errors import UserError

Positions = tuple[np.ndarray, np.ndarray]

# A receptive field is sought in a strip of pixels: how wide it is at most, how much longer than the
# input it is at first, and at most. All are multiples of 64, so that padding which depends on the
# size stays what it is.
WIDTH, FIRST_LENGTH, LONGEST = 64, 512, 4096
# Passed by: they use all positions at once, or have no gradient where they saturate, and move
# nothing.
_PASSED = (nn.GroupNorm, _InstanceNorm, GlobalResponseNorm, nn.Hardtanh)


class _Reached(Exception):
    """The layer has given its output, and the rest of the network is not needed."""


class _Everywhere(Exception):
    """A cell depends on the pixels of the whole input, whatever their distance."""


def cell_positions(classifier: Classifier, layer: str) -> Positions:
    """Return the centres of the rows (n,) and of the columns (m,) of a layer's map.

    In pixels of the network's input, from 0, the centre of the first pixel; float64. They depend on
    the architecture and the input size, not on the weights: a copy of the network on the CPU has
    random ones. Tokens, what attention has mixed, a network that works at no other size, and one
    whose cells each see the whole input have patches of equal size: cell i of n is at
    (i + ½)·size/n - ½. Raises ``UserError`` for a layer that has no map.
    """
    layout, uses, attends = _laid_out(classifier, layer)
    centres = []
    for axis, cells in ((2, layout.rows), (3, layout.columns)):
        found = None
        if layout.kind != "tokens" and not attends:
            found = _measured(classifier, layer, layout, uses=uses, axis=axis)
        step = classifier.size / cells
        first, step = found or (step / 2 - 0.5, step)
        centres.append(first + step * np.arange(cells))
    return centres[0], centres[1]


def upsample(maps: Tensor, positions: Positions, size: int) -> Tensor:
    """Return maps (N, rows, columns) at the input size, (N, size, size).

    Linear between the centres of cells, and constant outside the outermost ones.
    """
    down, across = (_weights(centres, size).to(maps) for centres in positions)
    return down @ maps @ across.T


def _weights(centres: np.ndarray, size: int) -> Tensor:
    """Return the weight of each cell at each pixel, (size, n)."""
    pixels = np.arange(size)
    weights = [np.interp(pixels, centres, cell) for cell in np.eye(len(centres))]
    return torch.from_numpy(np.stack(weights, axis=1))


@torch.no_grad()
def _laid_out(classifier: Classifier, layer: str) -> tuple[Layout, int, bool]:
    """Return how the output of a layer lies, in which of its uses, and if attention is before it.

    Uses are counted from 1.
    """
    model = filled(classifier, torch.Generator().manual_seed(0), dtype=torch.float32)
    calls: list[str] = []
    layer_of(model, layer).register_forward_hook(lambda *_: calls.append("layer"))
    pixels = torch.rand(2, model.channels, model.size, model.size, generator=torch.Generator())
    with gridded(model, layer, images=2) as grid, _Attention(calls):
        grid.register_forward_hook(lambda *_: calls.append("grid"))
        try:
            model(pixels)
        except UserError:
            # What comes after the layer is not needed.
            if grid.layout is None:
                raise
    if grid.layout is None:
        raise UserError(f"maps.layers: the output of {layer!r} {grid.problem}.")
    last = len(calls) - calls[::-1].index("grid")
    return grid.layout, calls[:last].count("layer"), "attention" in calls[:last]


class _Attention(TorchFunctionMode):
    """Add "attention" to a list whenever places are compared with places.

    A softmax along the last of several dimensions; gates that weigh channels take others.
    """

    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self._calls = calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention" and output.shape[-2] > 1:
            self._calls.append("attention")
        elif name == "softmax" and output.ndim > 2 and min(output.shape[-2:]) > 1:
            given = [*args[1:2], *(kwargs or {}).values()]
            if -1 in given or output.ndim - 1 in given:
                self._calls.append("attention")
        return output


def _measured(
    classifier: Classifier, layer: str, layout: Layout, *, uses: int, axis: int
) -> tuple[float, float] | None:
    """Return the centre of the first cell and the distance between cells, if they can be found.

    They lie along an axis of the input, rows (2) or columns (3).
    """
    # Seen through many layers, the ends of a field are faint; but some networks know float32 alone.
    for dtype in (torch.float64, torch.float32):
        try:
            network = _Probe(classifier, layer, layout, uses=uses, dtype=dtype)
            return _first_and_step(network, axis)
        except _Everywhere:
            return None
        # A network that works at its own size alone says so in a way of its own.
        except Exception:  # nosec B112
            continue
    return None


def _first_and_step(network: _Probe, axis: int) -> tuple[float, float] | None:
    length = FIRST_LENGTH
    while length <= LONGEST:
        shape = [min(network.size, WIDTH)] * 2
        shape[axis - 2] = network.size + length
        ends = network.fields(shape, axis=axis)
        if ends is not None:
            (before, middle, after), number = ends
            step = after - middle
            # Windows, which several cells share, are no convolution.
            if step <= 0 or middle - before != step:
                return None
            return middle - number * step, step
        length *= 2
    return None


class _Probe:
    """A copy of a network with random weights, and the output of one of its layers."""

    def __init__(
        self, classifier: Classifier, layer: str, layout: Layout, *, uses: int, dtype: torch.dtype
    ) -> None:
        self.size = classifier.size
        self._layout, self._uses, self._used, self._dtype = layout, uses, 0, dtype
        self._generator, self._found = torch.Generator().manual_seed(0), torch.empty(0)
        self._model = filled(classifier, self._generator, dtype=dtype)
        for module in self._model.modules():
            if hasattr(module, "inplace"):
                # Otherwise what is passed by would have been changed already.
                setattr(module, "inplace", False)  # noqa: B010
            if isinstance(module, _PASSED):
                module.register_forward_hook(lambda module, inputs, output: inputs[0])
            # What a gate makes of the mean over all positions is no part of a cell's field.
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                module.register_forward_pre_hook(_detached_if_pooled)
        layer_of(self._model, layer).register_forward_hook(self._reach)

    def _reach(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._used += 1
        if self._used == self._uses:
            self._found = self._layout.channels_first(output)
            raise _Reached

    def _output(self, pixels: Tensor) -> Tensor:
        """Return the layer's output (1, channels, rows, columns) for pixels of any size."""
        self._used = 0
        try:
            # Not through the classifier, which would report what is raised here.
            self._model.network(self._model.normalised(pixels))
        except _Reached:
            return self._found
        raise RuntimeError("the layer is not used")

    def fields(
        self, shape: Sequence[int], *, axis: int
    ) -> tuple[tuple[float, float, float], int] | None:
        """Return the centres of three neighbouring fields, and the number of the middle one.

        Nothing, if one of the fields reaches an end of the strip.
        """
        wanted = (1, self._model.channels, *shape)
        pixels = torch.rand(wanted, generator=self._generator, dtype=self._dtype)
        output = self._output(pixels.requires_grad_())
        middle = output.shape[axis] // 2
        centres = []
        for cell in (middle - 1, middle, middle + 1):
            total = output.select(axis, cell).sum()
            (gradient,) = torch.autograd.grad(total, pixels, retain_graph=True)
            (seen,) = gradient.abs().sum(dim=(0, 1, 5 - axis)).nonzero(as_tuple=True)
            first, last = seen[0].item(), seen[-1].item()
            if first == 0 or last == gradient.shape[axis] - 1:
                if gradient.shape[axis] > 2 * FIRST_LENGTH and _is_level(gradient, axis):
                    raise _Everywhere
                return None
            centres.append((first + last) / 2)
        return (centres[0], centres[1], centres[2]), middle


def _is_level(gradient: Tensor, axis: int) -> bool:
    """Return whether a gradient is as large near the ends of an axis as further in.

    That of a convolution falls off; a longer strip would only take longer.
    """
    sizes = gradient.abs().sum(dim=(0, 1, 5 - axis))
    end, within, *_ = (part.mean() for part in sizes.tensor_split(8))
    return bool(end > 0.7 * within)


def _detached_if_pooled(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    if isinstance(module, nn.Conv1d) or inputs[0].shape[-2:] == (1, 1):
        return (inputs[0].detach(), *inputs[1:])
    return None
