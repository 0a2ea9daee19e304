"""Weights from files that other programs wrote: safetensors, and PyTorch's own as tensors alone."""

from __future__ import annotations

import argparse
import os
import pickle  # nosec B403  # for the name of an exception
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from analysis.networks.classifier import Classifier
from analysis.project.errors import UserError
from analysis.project.foreign import reported
from analysis.project.paths import shown

State = dict[str, Tensor]

# Where programs keep the weights in a file with more than weights.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
# Counters, which older files lack, and what tools that count operations leave behind.
_OPTIONAL = ("num_batches_tracked", "total_ops", "total_params")
_WHOLE = ".\nDownload or save it again."


def load(classifier: Classifier, path: Path, *, key: str) -> None:
    """Give a classifier the weights in a file, as float32.

    Raises ``UserError``, which names the study's ``key``, for a file that has no weights, and for
    weights that are not numbers, or of another architecture or number of classes.
    """
    module = classifier.network
    own = module.state_dict()
    state = _fitting(module, own, _read(path, key=key))
    difference = _difference(own, state, classifier)
    if difference:
        raise UserError(f"{key}: {shown(path)} {difference}")
    _check_numbers(state, path, key)
    with reported(f"{key}: {shown(path)} cannot be loaded"):
        module.load_state_dict(own | _common(own, state))


def take(classifier: Classifier, path: Path, *, key: str) -> str:
    """Give a classifier those weights in a file that fit, to train from, and return how many do.

    What is left, such as the head of another number of classes, stays as it is. Raises
    ``UserError``, which names the study's ``key``, if less than half of the network's tensors fit.
    """
    module = classifier.network
    own = module.state_dict()
    state = _fitting(module, own, _read(path, key=key))
    common = _common(own, state)
    wanted = [name for name in own if not name.endswith(_OPTIONAL)]
    left = [name for name in wanted if name not in common]
    count = f"{len(wanted) - len(left):,} of {len(wanted):,} tensors"
    if 2 * len(left) > len(wanted) or not common:
        raise UserError(
            f"{key}: only {count} of the network are in {shown(path)}, which "
            f"{_difference(own, state, classifier)}"
        )
    _check_numbers(common, path, key)
    with reported(f"{key}: {shown(path)} cannot be loaded"):
        module.load_state_dict(own | common)
    others = ", ".join(left[:4]) + (", …" if len(left) > 4 else "")
    return f"{count} taken from {path.name}" + (f"; left as drawn: {others}" if left else "")


def _read(path: Path, *, key: str) -> State:
    """Return the named tensors in a file, on the CPU. No code that it may hold is run."""
    about = f"{key}: {shown(path)}"
    try:
        with path.open("rb") as file:
            begin = file.read(64)
    except FileNotFoundError:
        raise UserError(
            f"{key}: there is no file {shown(path)}; 'pretrained' would be timm's weights."
        ) from None
    except IsADirectoryError:
        raise UserError(f"{about} is a folder; name a file of weights in it.") from None
    except OSError as error:
        raise UserError(f"{about} cannot be read: {error.strerror}.") from None
    if not begin:
        raise UserError(f"{about} is empty{_WHOLE}")
    if begin.startswith(b"version https://git-lfs"):
        raise UserError(f"{about} is a pointer of git-lfs and not the file; run 'git lfs pull'.")
    if begin.lstrip().startswith(b"<"):
        raise UserError(f"{about} is a web page and not the file{_WHOLE}")
    if begin.startswith((b"PK\x03\x04", b"\x80")):
        return _named(_unpickled(path, about), about)
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, AttributeError):
        pass
    if begin[8:9] == b"{" or path.suffix == ".safetensors":
        raise UserError(f"{about} is truncated or damaged{_WHOLE}")
    raise UserError(f"{about} is neither a file of safetensors nor one of PyTorch's.")


def _unpickled(path: Path, about: str) -> Any:
    """Return what one of PyTorch's files holds, if that is tensors and plain values alone."""
    try:
        # Which timm's and other training scripts keep with the weights; it has no code.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        message = str(error)
        found = re.search(r"GLOBAL ([\w.]+)", message)
        if isinstance(error, pickle.UnpicklingError) and found:
            raise UserError(
                f"{about} holds Python objects ({found[1]}), which are not read, as that can run "
                "code.\nSave the tensors alone: torch.save(model.state_dict(), …)."
            ) from None
        if "TorchScript" in message:
            raise UserError(
                f"{about} is a TorchScript archive, which holds code.\n"
                "Save the tensors alone: torch.save(model.state_dict(), …)."
            ) from None
    raise UserError(f"{about} is truncated or damaged, or not a file of PyTorch's{_WHOLE}")


def _named(content: Any, about: str) -> State:
    """Return the named tensors in what a file holds, which may keep them with other things."""
    if not isinstance(content, Mapping):
        raise UserError(f"{about} holds a {type(content).__name__}, not named tensors.")
    parts = {key: _tensors(value) for key, value in content.items()}
    parts = {key: state for key, state in parts.items() if state}
    for name in _WRAPPERS:
        if name in parts:
            return parts[name]
    if len(parts) > 1:
        names = ", ".join(map(str, parts))[:100]
        raise UserError(f"{about} holds several sets of tensors ({names}); save one alone.")
    state = next(iter(parts.values()), None) or _tensors(content)
    if not state:
        raise UserError(f"{about} holds no named tensors.")
    return state


def _tensors(content: Any) -> State:
    """Return the named tensors of a mapping, and nothing for anything else."""
    if not isinstance(content, Mapping):
        return {}
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _fitting(module: nn.Module, own: State, state: State) -> State:
    """Return weights by the network's own names, as far as they can be brought to them."""
    state = _without_prefix(own, state)
    if not _misfits(own, state):
        return state
    # timm's own: names of other programs, and positions of another number of patches.
    rename = getattr(sys.modules.get(type(module).__module__), "checkpoint_filter_fn", None)
    if rename is not None:
        try:
            renamed = rename(dict(state), module)
        # It looks for what it knows, and may fail on anything else.
        except Exception:
            return state
        if len(_common(own, renamed)) > len(_common(own, state)):
            return renamed
    return state


def _without_prefix(own: State, state: State) -> State:
    """Return weights without a prefix that all have, such as ``module.``, if they fit better so."""
    # A compiled module's name, which may be anywhere.
    state = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    shared = os.path.commonprefix(list(state))
    cuts = [0, *(place.end() for place in re.finditer(r"\.", shared))]
    best = max(cuts, key=lambda cut: sum(name[cut:] in own for name in state))
    return {name[best:]: tensor for name, tensor in state.items()}


def _common(own: State, state: State) -> State:
    """Return the weights that fit."""
    return {
        name: tensor
        for name, tensor in state.items()
        if name in own
        and tensor.shape == own[name].shape
        and tensor.is_floating_point() == own[name].is_floating_point()
    }


def _misfits(own: State, state: State) -> list[str]:
    """Return the names of tensors that only one of both has, or that differ in shape or kind."""
    common = _common(own, state)
    names = [*own, *(name for name in state if name not in own)]
    return [name for name in names if name not in common and not name.endswith(_OPTIONAL)]


def _difference(own: State, state: State, classifier: Classifier) -> str:
    """Return how weights differ from the network, as the rest of a sentence, or nothing."""
    misfits = _misfits(own, state)
    if not misfits:
        return ""
    name = repr(classifier.architecture.network.model)
    for each in misfits:
        if each not in state:
            return f"has no tensor {each!r}, which {name} has: it is of another architecture."
        if each not in own:
            return f"has a tensor {each!r}, which {name} has not: it is of another architecture."
    pairs = [(tuple(state[each].shape), tuple(own[each].shape)) for each in misfits]
    heads = {(theirs[:1], ours[:1]) for theirs, ours in pairs if theirs[1:] == ours[1:]}
    if len(heads) == 1 and all(theirs[1:] == ours[1:] for theirs, ours in pairs):
        ((theirs, ours),) = heads
        if ours == (classifier.classes,) and theirs:
            return f"has {theirs[0]:,} classes, and the images have {ours[0]:,}."
    theirs, ours = pairs[0]
    text = f"has {misfits[0]!r} as {_shape(theirs)}, and {name} as {_shape(ours)}"
    if ours[1:2] == (classifier.channels,) and theirs[:1] + theirs[2:] == ours[:1] + ours[2:]:
        return f"{text}: it takes {theirs[1]} channels, and the images have {ours[1]}."
    return f"{text}: it is of another architecture."


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"


def _check_numbers(state: State, path: Path, key: str) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.isnan().any():
            raise UserError(f"{key}: {shown(path)} has values that are not numbers in {name!r}.")
