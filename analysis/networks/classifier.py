"""A network behind its own resize and normalisation: every probe sees [0, 1] pixels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.networks import own_code, timm_models
from analysis.networks.timm_models import input_size
from analysis.project.errors import UserError
from analysis.project.foreign import reported
from analysis.study import Network, Study

# With the name of a kind alone, torch takes its current device.
_PREFERRED = ("cuda", "mps", "cpu")

__all__ = ["Architecture", "Classifier", "build", "choose_device", "input_size", "resize"]


@dataclass(frozen=True)
class Architecture:
    """What an untrained network is made from.

    ``images`` is the height and width of the images, and ``folder`` the study's, which is searched
    for a person's own code.
    """

    network: Network
    classes: int
    channels: int
    images: tuple[int, int] | None
    folder: Path


class Classifier(nn.Module):
    """Logits of each class from pixels.

    Takes float pixels in [0, 1] of shape (N, channels, height, width), resizes them bilinearly to
    ``size`` × ``size``, normalises them by ``mean`` and ``std`` of each channel, and returns logits
    (N, classes). Pixels of that size pass the resize untouched, so an attack on resized pixels and
    one on native pixels both work. Raises ``UserError`` for a network that cannot be made, and
    whenever the network itself fails.
    """

    def __init__(self, architecture: Architecture, *, pretrained: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        network, channels = architecture.network, architecture.channels
        self.classes, self.channels = architecture.classes, channels
        self.size: int
        self._mean: Tensor | None
        self._std: Tensor | None
        mean: Sequence[float] = (0.0,)
        std: Sequence[float] = (1.0,)
        if own_code.is_own(network):
            self.size = network.size or _square(architecture.images)
            self.network = own_code.make(
                network, classes=self.classes, channels=channels, folder=architecture.folder
            )
        else:
            self.network, self.size = timm_models.make(
                network, classes=self.classes, channels=channels, pretrained=pretrained
            )
            configuration = getattr(self.network, "pretrained_cfg", None) or {}
            mean, std = configuration.get("mean") or mean, configuration.get("std") or std
        self.mean = _of_channels("mean", network.mean, mean, channels)
        self.std = _of_channels("std", network.std, std, channels)
        # No part of the state, and absent where one number is enough.
        for name, values in (("_mean", self.mean), ("_std", self.std)):
            several = len({*self.mean}) > 1 or len({*self.std}) > 1
            held = torch.tensor(values).view(-1, 1, 1) if several else None
            self.register_buffer(name, held, persistent=False)

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return next(chain(self.parameters(), self.buffers()), torch.empty(0)).device

    def resize(self, pixels: Tensor) -> Tensor:
        """Return pixels of shape (N, channels, size, size)."""
        return resize(pixels, (self.size, self.size))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return pixels as the network takes them."""
        if own_code.is_own(self.architecture.network):
            # A person's code may take a view of what follows, as it can of contiguous pixels.
            pixels = pixels.contiguous()
        if self._mean is None or self._std is None:
            return (pixels - self.mean[0]) / self.std[0]
        return (pixels - self._mean) / self._std

    def at_own_size(self, pixels: Tensor) -> Tensor:
        """Return logits of pixels as they are, at whatever size they come."""
        count, _, height, width = pixels.shape
        name = self.architecture.network.model
        with reported(
            f"network.model: {name!r} fails on {count} images of {height}×{width} pixels"
        ):
            logits = self.network(self.normalised(pixels))
            tensor = isinstance(logits, Tensor)
            # While a network is trained, its loss is the judge.
            if not self.training and not (tensor and logits.shape[:1] == (count,)):
                what = f"an output of shape {tuple(logits.shape)}" if tensor else type(logits)
                raise UserError(
                    f"network.model: {name!r} gives {what} for {count} images, not "
                    f"{self.classes} logits for each."
                )
        return logits

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


def build(
    network: Network,
    *,
    classes: int,
    seed: int,
    device: torch.device,
    channels: int = 3,
    images: tuple[int, int] | None = None,
    folder: Path | None = None,
    pretrained: bool = False,
) -> Classifier:
    """Return an untrained classifier, the same for the same seed, or timm's ``pretrained`` one.

    A person's own code is searched for in ``folder``, and without ``network.size`` takes ``images``
    of that height and width. Raises ``UserError`` for a network that cannot be made, or that does
    not work at its size.
    """
    architecture = Architecture(network, classes, channels, images, folder or Path())
    return built(architecture, seed=seed, pretrained=pretrained).to(device)


def of_study(
    study: Study,
    *,
    classes: int,
    channels: int,
    seed: int,
    device: torch.device,
    images: tuple[int, int] | None = None,
    pretrained: bool = False,
) -> Classifier:
    """Return the classifier of a study, as ``build`` does, with code in the study's folder."""
    assert study.network is not None, "predictions alone have no network"
    return build(
        study.network,
        classes=classes,
        seed=seed,
        device=device,
        channels=channels,
        images=images,
        folder=study.located("."),
        pretrained=pretrained,
    )


def built(architecture: Architecture, *, seed: int, pretrained: bool = False) -> Classifier:
    """Return a classifier on the CPU, as ``build`` does."""
    # Its states on other devices are left alone: to read one would take memory there.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = Classifier(architecture, pretrained=pretrained).cpu()
        check(classifier)
    if not own_code.is_own(architecture.network):
        # Half again as fast on CPUs and on GPUs with tensor cores.
        classifier = classifier.to(memory_format=torch.channels_last)
    return classifier


@torch.no_grad()
def check(classifier: Classifier, *, size: int | None = None, key: str = "network.size") -> None:
    """Raise ``UserError`` unless the network turns pixels of its size, or of ``size``, into logits.

    ``key`` is the study's key that the size comes from.
    """
    network = classifier.architecture.network
    side, name = size or classifier.size, repr(network.model)
    if size is None and own_code.is_own(network):
        key = "network.model"
    # Noise, as a blank picture divided by its own contrast is not a number.
    noise = torch.rand(2, classifier.channels, side, side, generator=torch.Generator())
    training = classifier.training
    with reported(f"{key}: {name} does not work at {side}×{side} pixels"):
        logits = classifier.eval().network(classifier.normalised(noise.to(classifier.device)))
        classifier.train(training)
    if not isinstance(logits, Tensor):
        raise UserError(
            f"network.model: {name} gives a {type(logits).__name__}, not a tensor of logits."
        )
    if logits.ndim == 2 and len(logits) == 2 and logits.shape[1] != classifier.classes:
        raise UserError(
            f"network.model: {name} gives {logits.shape[1]:,} logits for each image, and the "
            f"images have {classifier.classes:,} classes."
        )
    if logits.shape != (2, classifier.classes):
        raise UserError(
            f"network.arguments: {name} gives an output of shape {tuple(logits.shape)} for two "
            f"images, not {classifier.classes} logits for each."
        )
    if not logits.is_floating_point() or not logits.isfinite().all():
        what = "that are not finite" if logits.is_floating_point() else f"of {logits.dtype}"
        raise UserError(f"network.model: {name} gives logits {what} for pixels in [0, 1].")


def choose_device(name: str | None) -> torch.device:
    """Return the named device or, without a name, the first of CUDA, MPS and CPU that works.

    Raises ``UserError`` for a device that this computer does not have.
    """
    for each in _PREFERRED if name is None else (name,):
        # What a driver or a build of torch lacks is told in many ways.
        with suppress(RuntimeError, AssertionError, TypeError, AttributeError):
            device = torch.device(each)
            _compute(device)
            return device
    raise UserError(f"There is no device {str(name)[:100]!r} here; try --device cpu.")


def _compute(device: torch.device) -> None:
    """Do on a device what probes do: draw, resize, convolve and follow a gradient."""
    generator = torch.Generator(device).manual_seed(0)
    pixels = torch.rand(1, 3, 32, 32, generator=generator, device=device).requires_grad_()
    weight = torch.ones(2, 3, 3, 3, device=device)
    F.conv2d(resize(pixels, (16, 16)), weight).logsumexp(dim=1).sum().backward()
    assert pixels.grad is not None
    if not pixels.grad.isfinite().all().item():
        raise RuntimeError("it does not compute")


def _square(images: tuple[int, int] | None) -> int:
    """Return the side of square images. Raises ``UserError`` if it is not known."""
    if images is None or images[0] != images[1]:
        shown = f"; the images are {images[1]}×{images[0]}" if images else ""
        raise UserError(f"network.size: say how large the input of the network is{shown}.")
    return images[0]


def _of_channels(
    key: str,
    given: float | tuple[float, ...] | None,
    known: Sequence[float],
    channels: int,
) -> tuple[float, ...]:
    """Return one number for each channel: the study's or, without any, the known ones' mean."""
    if given is None:
        values = tuple(known) if len(known) == channels else (sum(known) / len(known),)
    else:
        values = given if isinstance(given, tuple) else (float(given),)
    if len(values) == 1:
        return values * channels
    if len(values) != channels:
        raise UserError(
            f"network.{key}: {len(values)} numbers for images of {channels} "
            f"{'channel' if channels == 1 else 'channels'}."
        )
    return values
