"""How the output of a layer lies on a grid: channels first, channels last, or tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

# Class, distillation and register tokens that come first, where a network does not say how many.
_MOST_PREFIX_TOKENS = 5


class NoGrid(Exception):
    """Why an output has no grid, as the rest of a sentence about it."""


@dataclass(frozen=True)
class Layout:
    """Where rows and columns are in an output whose first dimension is the images.

    Outputs are (N, channels, rows, columns), (N, rows, columns, channels) or, in reading order
    after ``prefix`` tokens that lie nowhere, (N, tokens, channels).
    """

    kind: Literal["channels first", "channels last", "tokens"]
    rows: int
    columns: int
    prefix: int = 0

    def grid(self, output: Tensor) -> Tensor:
        """Return an output as (N, channels, rows, columns), without prefix tokens."""
        if self.kind == "tokens":
            patches = output[:, self.prefix :].transpose(1, 2)
            return patches.unflatten(2, (self.rows, self.columns))
        return self.channels_first(output)

    def channels_first(self, output: Tensor) -> Tensor:
        """Return an output with any number of rows and columns as the grid is."""
        return output.permute(0, 3, 1, 2) if self.kind == "channels last" else output

    def back(self, grid: Tensor, output: Tensor) -> Tensor:
        """Return a grid in the form of the output that it is from, with its prefix tokens."""
        if self.kind == "tokens":
            return torch.cat([output[:, : self.prefix], grid.flatten(2).transpose(1, 2)], dim=1)
        return grid.permute(0, 2, 3, 1) if self.kind == "channels last" else grid


def layout_of(network: nn.Module, output: object, *, images: int) -> Layout:
    """Return how an output of a module of the network lies, for that many square images.

    Rows and columns are the two sides that are equal or, where that leaves a choice, those that the
    network's ``output_fmt`` names. Raises ``NoGrid``.
    """
    if not isinstance(output, Tensor):
        raise NoGrid(f"is a {type(output).__name__} and not one tensor")
    if output.ndim not in (3, 4) or not output.is_floating_point():
        raise NoGrid("has no rows and columns to map")
    if len(output) != images:
        raise NoGrid("has parts of images, such as windows, where it should have whole images")
    if output.ndim == 3:
        return _tokens(network, output.shape[1])
    first, second, third = output.shape[1:]
    last = getattr(network, "output_fmt", "NCHW") == "NHWC"
    if (first == second) != (second == third):
        last = first == second
    if last:
        return Layout("channels last", first, second)
    return Layout("channels first", second, third)


def _tokens(network: nn.Module, tokens: int) -> Layout:
    """Return the layout of tokens: those that a square grid, or the network's own, leaves over."""
    known = getattr(network, "num_prefix_tokens", None)
    size = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    # Blocks before class tokens are added have none.
    for prefix in dict.fromkeys([known or 0, 0, *range(1, _MOST_PREFIX_TOKENS + 1)]):
        patches = tokens - prefix
        side = math.isqrt(max(patches, 0))
        if patches > 0 and side * side == patches:
            return Layout("tokens", side, side, prefix)
        if size is not None and len(size) == 2 and size[0] * size[1] == patches:
            return Layout("tokens", size[0], size[1], prefix)
    raise NoGrid("has no rows and columns to map")
