"""Networks that a person's own code makes: ``python:package.module:function``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from analysis.project import foreign
from analysis.project.errors import UserError
from analysis.study import Network

_PYTHON = "python:"
# What a function is offered: in the study's words, in those of torchvision and timm, and nothing.
_OFFERS = (("classes", "channels"), ("num_classes",), ())


def is_own(network: Network) -> bool:
    """Return whether the network is a person's own module, and not timm's."""
    return network.model.startswith(_PYTHON)


def make(network: Network, *, classes: int, channels: int, folder: Path) -> nn.Module:
    """Return the module that a person's function or class makes.

    It is given ``classes`` and ``channels`` as far as it takes them, and ``network.arguments``. The
    study's ``folder`` and the current one are searched for it. Raises ``UserError`` for what cannot
    be imported or called, and if no module is returned.
    """
    name = network.model.removeprefix(_PYTHON)
    # What a module draws when it is first imported must not change what the function draws.
    with torch.random.fork_rng(devices=[]):
        function = foreign.function(name, key="network.model", folder=folder)
    if isinstance(function, nn.Module):
        raise UserError(
            f"network.model: {name!r} is a module already.\n"
            "Name a class, or a function that makes it."
        )
    offered = {"classes": classes, "channels": channels, "num_classes": classes}
    key = "network.arguments" if network.arguments else "network.model"
    with foreign.reported(f"{key}: {name!r} cannot make the network", folder=folder):
        module = _called(function, offered, network.arguments)
        if not isinstance(module, nn.Module):
            raise UserError(
                f"network.model: {name!r} returns {type(module).__name__}, not a torch.nn.Module."
            )
        if any(tensor.is_meta for tensor in chain(module.parameters(), module.buffers())):
            raise UserError(
                f"network.model: {name!r} makes weights on the device 'meta', where they have no "
                "values.\nMake them on the CPU."
            )
        return module.float().cpu()


def _called(
    function: Callable[..., Any], offered: dict[str, int], arguments: dict[str, Any]
) -> Any:
    """Return what a function returns for as many of the offered values as it takes."""
    *offers, last = _offers(function)
    for names in offers:
        try:
            return function(**{name: offered[name] for name in names} | arguments)
        # Keywords that are handed on may be refused further down.
        except TypeError as error:
            if not any(f"argument '{name}'" in str(error) for name in names):
                raise
    return function(**{name: offered[name] for name in last} | arguments)


def _offers(function: Callable[..., Any]) -> Sequence[Iterable[str]]:
    """Return the names to offer, and what to fall back to if they are refused."""
    try:
        taken = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return _OFFERS
    named = {name for names in _OFFERS for name in names if name in taken}
    if named:
        return [named - ({"num_classes"} if "classes" in named else set())]
    if any(each.kind == each.VAR_KEYWORD for each in taken.values()):
        return _OFFERS
    return [()]
