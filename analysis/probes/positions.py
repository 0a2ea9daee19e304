"""Where the cells of a map lie on the input, found from the network itself.

Cell i of n is not centred on (i + ½)/n of the input in general: padding decides. A cell's centre is
that of its receptive field, the pixels that it depends on (Araujo, Norris and Sim 2019, *Computing
Receptive Fields of Convolutional Neural Networks*), which is found as the support of a gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from timm.layers.grn import GlobalResponseNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from analysis.networks.classifier import Classifier

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


def cell_positions(classifier: Classifier, layer: str) -> Positions:
    """Return the centres of the rows (n,) and of the columns (m,) of a layer's map.

    In pixels of the network's input, from 0, the centre of the first pixel; float64. They depend on
    the architecture and the input size, not on the weights: a copy of the network on the CPU has
    random ones. A network that works at no other size, or whose cells each see the whole input, has
    patches of equal size: cell i of n is at (i + ½)·size/n - ½.
    """
    network = _Probe(classifier, layer)
    rows, columns = network.output(network.size, network.size).shape[-2:]
    return _along(network, 2, rows), _along(network, 3, columns)


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


def _along(network: _Probe, axis: int, cells: int) -> np.ndarray:
    """Return the centres of the cells along an axis of the input, rows (2) or columns (3)."""
    found = _measured(network, axis)
    if found is None:
        step = network.size / cells
        return (np.arange(cells) + 0.5) * step - 0.5
    first, step = found
    return first + step * np.arange(cells)


def _measured(network: _Probe, axis: int) -> tuple[float, float] | None:
    """Return the centre of the first cell and the distance between cells, if they can be found."""
    length = FIRST_LENGTH
    while length <= LONGEST:
        shape = [min(network.size, WIDTH)] * 2
        shape[axis - 2] = network.size + length
        try:
            ends = network.fields(shape, axis=axis)
        # A network that works at its own size alone says so in a way of its own.
        except Exception:
            return None
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

    def __init__(self, classifier: Classifier, layer: str) -> None:
        self.size = classifier.size
        model = copy.deepcopy(classifier).cpu().double().eval().requires_grad_(False)
        self._generator = torch.Generator().manual_seed(0)
        self._model, self._found = _with_random_weights(model, self._generator), torch.empty(0)
        for module in model.modules():
            if hasattr(module, "inplace"):
                # Otherwise what is passed by would have been changed already.
                setattr(module, "inplace", False)  # noqa: B010
            if isinstance(module, _PASSED):
                module.register_forward_hook(lambda module, inputs, output: inputs[0])
            # What a gate makes of the mean over all positions is no part of a cell's field.
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                module.register_forward_pre_hook(_detached_if_pooled)
        modules = dict(model.network.named_modules())
        modules[layer].register_forward_hook(self._reach)

    def _reach(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._found = output
        raise _Reached

    def output(self, height: int, width: int, pixels: Tensor | None = None) -> Tensor:
        """Return the layer's output (1, channels, rows, columns) for pixels of any size."""
        if pixels is None:
            pixels = torch.zeros(1, 3, height, width, dtype=torch.float64)
        try:
            self._model.at_own_size(pixels)
        except _Reached:
            return self._found
        raise RuntimeError("the layer is not used")

    def fields(
        self, shape: Sequence[int], *, axis: int
    ) -> tuple[tuple[float, float, float], int] | None:
        """Return the centres of three neighbouring fields, and the number of the middle one.

        Nothing, if one of the fields reaches an end of the strip.
        """
        height, width = shape
        pixels = torch.rand(1, 3, height, width, generator=self._generator, dtype=torch.float64)
        output = self.output(height, width, pixels.requires_grad_())
        middle = output.shape[axis] // 2
        centres = []
        for cell in (middle - 1, middle, middle + 1):
            total = output.select(axis, cell).sum()
            (gradient,) = torch.autograd.grad(total, pixels, retain_graph=True)
            (seen,) = gradient.abs().sum(dim=(0, 1, 5 - axis)).nonzero(as_tuple=True)
            first, last = seen[0].item(), seen[-1].item()
            if first == 0 or last == gradient.shape[axis] - 1:
                return None
            centres.append((first + last) / 2)
        return (centres[0], centres[1], centres[2]), middle


def _detached_if_pooled(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    if isinstance(module, nn.Conv1d) or inputs[0].shape[-2:] == (1, 1):
        return (inputs[0].detach(), *inputs[1:])
    return None


def _with_random_weights(model: Classifier, generator: torch.Generator) -> Classifier:
    """Fill a model with weights that leave out no path: none is zero, and activations stay small.

    Networks begin, and may end, with scales of zero, behind which nothing of a block is seen.
    """
    for weight in model.parameters():
        if weight.ndim > 1:
            scale = (weight.shape[0] / weight.numel()) ** 0.5
            weight.copy_(torch.randn(weight.shape, generator=generator).double() * scale)
        else:
            weight.copy_(torch.rand(weight.shape, generator=generator).double() / 2 + 0.25)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
    return model
