"""A timm network behind its own resize and normalisation: every probe sees [0, 1] pixels."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors.torch
import timm
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from analysis.errors import UserError
from analysis.files import written_whole
from analysis.study import CLASSES, Model


class Classifier(nn.Module):
    """Digits from pixels.

    Takes float pixels in [0, 1] of shape (N, 3, height, width), resizes them bilinearly to
    ``size``, normalises them, and returns logits of shape (N, 10). Pixels already of that size
    pass the resize untouched, so an attack on resized pixels and one on native pixels both work.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.size = model.size
        self.mean = model.mean
        self.std = model.std
        try:
            self.network = timm.create_model(
                model.name, pretrained=False, num_classes=CLASSES, **model.arguments
            )
        except (RuntimeError, TypeError) as error:
            raise UserError(f"timm cannot make model {model.name!r}: {error}") from None

    def resize(self, pixels: Tensor) -> Tensor:
        """Return pixels of shape (N, 3, size, size)."""
        return resize(pixels, self.size)

    def at_own_size(self, pixels: Tensor) -> Tensor:
        """Return logits of pixels as they are, at whatever size they come."""
        return self.network((pixels - self.mean) / self.std)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, 10) of pixels of any size."""
        return self.at_own_size(self.resize(pixels))


def resize(pixels: Tensor, size: int) -> Tensor:
    """Return pixels (N, channels, size, size), resized bilinearly, smoothed where they shrink."""
    if pixels.shape[-2:] == (size, size):
        return pixels
    shrinks = pixels.shape[-1] > size
    return F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=shrinks)


def build(model: Model, *, seed: int, device: torch.device) -> Classifier:
    """Return an untrained classifier, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = Classifier(model)
    # Channels last: half again as fast on CPUs and on GPUs with tensor cores.
    return classifier.to(device, memory_format=torch.channels_last)


def to_pixels(images: Tensor) -> Tensor:
    """Return uint8 (N, 3, height, width) as float32 in [0, 1]."""
    return images.to(torch.float32) / 255


def save(path: Path, tensors: dict[str, Tensor], *, facts: dict[str, object]) -> None:
    """Write tensors and JSON facts to a safetensors file, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = safetensors.torch.save(contiguous, metadata={"facts": json.dumps(facts)})
    with written_whole(path) as temporary:
        # Not by safetensors, whose error for a full disk is not the system's.
        temporary.write_bytes(content)


def read_facts(path: Path) -> dict:
    """Return the JSON facts of a safetensors file. Raises ``UserError`` where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {})["facts"])
    except (SafetensorError, OSError, KeyError, ValueError):
        raise _damaged(path) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file. Raises ``UserError`` where it is damaged."""
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError):
        raise _damaged(path) from None


def fill(module: nn.Module, tensors: dict[str, Tensor], *, path: Path) -> None:
    """Load weights into a module. Raises ``UserError`` where they are of another architecture."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError:
        raise UserError(
            f"{path} holds weights of another architecture than the study's.\n"
            "Delete it, and run the study again."
        ) from None


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is truncated or altered.\nDelete it, and run the study again.")
