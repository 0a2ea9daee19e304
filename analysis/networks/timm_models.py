"""timm's networks, at any input size, and their pretrained weights."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
import timm
import torch
from torch import nn

from analysis.project.errors import UserError, nearest
from analysis.project.foreign import reported
from analysis.study import Network
from analysis.study.sections import PRETRAINED

# A hub that takes longer to answer is as good as none.
_SECONDS = 5
# Arguments of timm that other keys of a study, or its images, decide.
_SAID_ELSEWHERE = {
    "checkpoint_path": "is for this project: give a file of weights as network.weights",
    "pretrained": "is for this project: say network.weights = 'pretrained'",
    "num_classes": "follows from the images",
    "in_chans": "follows from the images",
    "model_name": "is network.model",
}


def input_size(model: str) -> int:
    """Return the input size in pixels that a timm model was made for.

    Raises ``UserError`` for a model that timm does not know, or knows no size of.
    """
    _check_name(model)
    side = _input_side(model)
    if side is None:
        raise UserError(f"network.size: timm knows no square input size of {model!r}; give one.")
    return side


def _input_side(model: str) -> int | None:
    # Models of a hub have a configuration only when they are made.
    size = _configuration(model).get("input_size") if timm.is_model(model) else None
    return int(size[2]) if size and size[1] == size[2] else None


def make(
    network: Network, *, classes: int, channels: int, pretrained: bool = False
) -> tuple[nn.Module, int]:
    """Return a timm model, with the hub's weights if ``pretrained``, and its input size.

    A model for one size of images is made for ``network.size``. Raises ``UserError`` for what timm
    cannot make, and if the weights cannot be had or have another number of classes.
    """
    model, arguments = network.model, dict[str, Any](network.arguments)
    _check_name(model)
    for name in _SAID_ELSEWHERE.keys() & arguments.keys():
        raise UserError(f"network.arguments: {name!r} {_SAID_ELSEWHERE[name]}.")
    given = arguments.get("img_size")
    if given is not None and (type(given) is not int or network.size not in (None, given)):
        raise UserError(f"network.arguments: img_size is {given!r}; give it as network.size.")
    size = network.size or given
    if size is None and timm.is_model(model):
        size = input_size(model)
    if size is not None and timm.is_model(model) and size != _input_side(model):
        arguments.setdefault("img_size", size)
    with _hub_or_its_cache(model, pretrained):
        if pretrained:
            made = _pretrained(network, classes, arguments | {"in_chans": channels})
        else:
            known = timm.is_model(model) and network.arguments
            key = "network.arguments" if known else "network.model"
            with reported(f"{key}: timm cannot make {model!r}"):
                made = _created(model, num_classes=classes, in_chans=channels, **arguments)
    configuration: Any = getattr(made, "pretrained_cfg", {})
    side = int(size or configuration["input_size"][-1])
    _check_patches(model, made, side)
    return made, side


def _pretrained(network: Network, classes: int, arguments: dict[str, Any]) -> nn.Module:
    """Return a timm model with the weights of its hub."""
    model = network.model
    key = "network.weights" if network.weights == PRETRAINED else "network.start"
    if timm.is_model(model):
        configuration = _configuration(model)
        if not any(configuration.get(name) for name in ("url", "hf_hub_id", "file")):
            tags = timm.list_pretrained(f"{model.partition('.')[0]}.*")
            others = f"; those that it has: {', '.join(tags[:3])}" if tags else ""
            raise UserError(f"{key}: timm has no pretrained weights of {model!r}{others}.")
        _check_classes(network, configuration, classes)
    # A hub has an error of its own for each way of not being reached.
    with reported(
        f"{key}: the pretrained weights of {model!r} cannot be had",
        advice="Connect to the internet, or name a file of weights.",
    ):
        made = _created(model, pretrained=True, num_classes=classes, **arguments)
    _check_classes(network, getattr(made, "pretrained_cfg", {}), classes)
    return made


def _check_classes(network: Network, configuration: Any, classes: int) -> None:
    """Raise ``UserError`` if the head of weights that are not trained any more was left out."""
    theirs = configuration.get("num_classes") or classes
    if network.weights == PRETRAINED and theirs != classes:
        raise UserError(
            f"network.weights: the pretrained {network.model!r} has {theirs:,} classes, and the "
            f"images have {classes:,}.\n"
            "Fine-tune it with weights = 'train' and start = 'pretrained'."
        )


def _created(model: str, **arguments: Any) -> nn.Module:
    """Return a timm model, without ``img_size`` if it takes images of any size."""
    state = torch.get_rng_state()
    try:
        return timm.create_model(model, **arguments)
    except TypeError as error:
        if "img_size" not in arguments or "'img_size'" not in str(error):
            raise
    torch.set_rng_state(state)
    del arguments["img_size"]
    return timm.create_model(model, **arguments)


def _check_name(model: str) -> None:
    """Raise ``UserError`` for a name that is neither a timm model's nor that of a hub."""
    if ":" not in model and not timm.is_model(model):
        known = nearest(model, timm.list_models())
        raise UserError(
            f"network.model: timm cannot make {model!r}: it has no such model; the nearest is "
            f"{known!r}."
        )


def _configuration(model: str) -> dict[str, Any]:
    with reported(f"network.model: timm cannot make {model!r}"):
        found = timm.get_pretrained_cfg(model)
    return found.to_dict() if found else {}


def _check_patches(model: str, made: nn.Module, size: int) -> None:
    """Raise ``UserError`` if the last pixels fit in no patch, and so would not be looked at."""
    patches = getattr(getattr(made, "patch_embed", None), "proj", None)
    if not isinstance(patches, nn.Conv2d) or patches.kernel_size != patches.stride:
        return
    side = patches.stride[0]
    if size % side:
        raise UserError(
            f"network.size: {model!r} does not work at {size}×{size} pixels: it looks at patches "
            f"of {side}×{side}, so give a multiple of {side}."
        )


@contextmanager
def _hub_or_its_cache(model: str, pretrained: bool) -> Iterator[None]:
    """Look up what a hub has in its cache alone if the hub cannot be reached.

    The hub's own client would try again and again, for a minute.
    """
    if not pretrained and timm.is_model(model):
        yield
        return
    constants = huggingface_hub.constants
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _is_reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_reachable(address: str) -> bool:
    if urllib.request.getproxies():
        return True
    try:
        socket.create_connection((urlsplit(address).hostname, 443), timeout=_SECONDS).close()
    except OSError:
        return False
    return True
