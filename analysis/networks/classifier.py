"""A timm network behind its own resize and normalisation: every probe sees [0, 1] pixels."""

from __future__ import annotations

import textwrap
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.project.errors import UserError
from analysis.study import Network


class Classifier(nn.Module):
    """Logits of each class from pixels.

    Takes float pixels in [0, 1] of shape (N, 3, height, width), resizes them bilinearly to
    ``size`` × ``size``, normalises them, and returns logits (N, classes). Pixels of that size pass
    the resize untouched, so an attack on resized pixels and one on native pixels both work.
    Raises ``UserError`` for a network that timm cannot make.
    """

    def __init__(self, network: Network, classes: int) -> None:
        super().__init__()
        self.size, self.classes = network.size, classes
        self.mean, self.std = network.mean, network.std
        arguments: dict[str, Any] = dict(network.arguments)
        try:
            self.network = timm.create_model(
                network.model, pretrained=False, num_classes=classes, **arguments
            )
        # Any timm model may raise errors of its own about its arguments.
        except Exception as error:
            known = timm.is_model(network.model)
            key = "network.arguments" if known and network.arguments else "network.model"
            raise _unfit(key, f"timm cannot make {network.model!r}", error) from None

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return next(self.parameters()).device

    def resize(self, pixels: Tensor) -> Tensor:
        """Return pixels of shape (N, 3, size, size)."""
        return resize(pixels, (self.size, self.size))

    def at_own_size(self, pixels: Tensor) -> Tensor:
        """Return logits of pixels as they are, at whatever size they come."""
        return self.network((pixels - self.mean) / self.std)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, classes) of pixels of any size."""
        return self.at_own_size(self.resize(pixels))


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pixels (N, channels, *size), resized bilinearly, smoothed if they shrink."""
    height, width = pixels.shape[-2:]
    if (height, width) == size:
        return pixels
    shrinks = height > size[0] or width > size[1]
    return F.interpolate(pixels, size=size, mode="bilinear", antialias=shrinks)


def build(network: Network, *, classes: int, seed: int, device: torch.device) -> Classifier:
    """Return an untrained classifier, the same for the same seed.

    Raises ``UserError`` for a network that timm cannot make, or that does not work at its size.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = Classifier(network, classes)
        _try(classifier, network)
    # Channels last: half again as fast on CPUs and on GPUs with tensor cores.
    return classifier.to(device).to(memory_format=torch.channels_last)


def choose_device(name: str | None) -> torch.device:
    """Return the named device or, without a name, a CUDA device if there is one, else the CPU.

    Raises ``UserError`` for a device that this computer does not have.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError):
        raise UserError(f"There is no device {name[:100]!r} here; try --device cpu.") from None
    return device


@torch.no_grad()
def _try(classifier: Classifier, network: Network) -> None:
    """Raise ``UserError`` unless the network turns pixels of its size into logits."""
    blank = torch.zeros(1, 3, network.size, network.size)
    try:
        shape = tuple(classifier.eval()(blank).shape)
    except Exception as error:
        about = f"{network.model!r} does not work at {network.size}×{network.size} pixels"
        raise _unfit("network.size", about, error) from None
    if shape != (1, classifier.classes):
        raise UserError(
            f"network.arguments: {network.model!r} gives an output of shape {shape} for one image, "
            f"not {classifier.classes} logits."
        )
    classifier.train()


def _unfit(key: str, about: str, error: Exception) -> UserError:
    reason = textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" …")
    return UserError(f"{key}: {about}: {reason}")
