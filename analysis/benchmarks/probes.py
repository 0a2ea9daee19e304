"""How long the probes of one batch take beside their limits and peers, on the same network."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis import attack, saliency
from analysis import model as models
from analysis.benchmarks.sizes import Sizes
from analysis.benchmarks.turns import compared, in_turns, waiting
from analysis.model import Classifier
from analysis.timings import Comparison


@dataclass(frozen=True)
class Setting:
    """One batch and one untrained network, whose speed is that of a trained one.

    ``probed`` has no gradients for its weights, as the probes get it; ``plain`` has, as in an
    ordinary script. ``pixels`` are (N, 3, size, size), already resized; ``labels`` (N,).
    """

    sizes: Sizes
    probed: Classifier
    plain: Classifier
    pixels: Tensor
    labels: Tensor


def setting(sizes: Sizes, *, device: torch.device) -> Setting:
    """Return a network and a batch of random pixels."""
    plain = models.build(sizes.model, seed=0, device=device).eval()
    generator = torch.Generator().manual_seed(0)
    native = torch.rand(sizes.batch, 3, 32, 32, generator=generator).to(device)
    return Setting(
        sizes=sizes,
        probed=copy.deepcopy(plain).requires_grad_(False),
        plain=plain,
        pixels=plain.resize(native.contiguous(memory_format=torch.channels_last)),
        labels=torch.arange(sizes.batch, device=device) % 10,
    )


# ------------------------------------------------------------------------------ FGSM


def fgsm(at: Setting) -> list[Comparison]:
    """Time a sweep over every ε beside the least that it takes, and a gradient for each ε."""
    epsilons, device = at.sizes.epsilons, at.pixels.device
    times = in_turns(
        {
            "ours": partial(sweep, at),
            "limit": partial(least_possible, at),
            "peer": partial(gradient_for_each_epsilon, at),
        },
        rounds=at.sizes.rounds,
        wait=waiting(device),
    )
    name = f"FGSM on {at.sizes.batch} images, {len(epsilons)} ε"
    least = f"one gradient and {len(epsilons)} forward passes"
    return [
        compared(name, times["ours"], times["limit"], against=least, kind="limit"),
        compared(
            name, times["ours"], times["peer"], against="a full gradient for each ε", kind="peer"
        ),
    ]


def sweep(at: Setting) -> Tensor:
    """Return the predictions for every ε by the project's own steps, (E, N)."""
    art = attack.art_classifier(at.probed)
    direction = attack.gradient_sign(art, at.pixels, at.labels)
    return attack.predictions_along(at.probed, at.pixels, direction, at.sizes.epsilons)[1]


def least_possible(at: Setting) -> list[Tensor]:
    """Return the logits of one forward pass for each ε after one gradient, and nothing else."""
    pixels = at.pixels.clone().requires_grad_()
    loss = F.cross_entropy(at.probed(pixels), at.labels)
    torch.autograd.grad(loss, pixels)
    with torch.no_grad():
        return [at.probed(at.pixels) for _ in at.sizes.epsilons]


def gradient_for_each_epsilon(at: Setting) -> list[Tensor]:
    """Return the predictions in the published notebook's way.

    Everything is done anew for each ε, with gradients of the weights too.
    """
    predictions = []
    for epsilon in at.sizes.epsilons:
        pixels = at.pixels.clone().requires_grad_()
        loss = F.cross_entropy(at.plain(pixels), at.labels)
        at.plain.zero_grad()
        loss.backward()
        assert pixels.grad is not None
        moved = (pixels + epsilon * pixels.grad.sign()).clamp(0, 1)
        with torch.no_grad():
            predictions.append(at.plain(moved).argmax(dim=1))
    return predictions


# ------------------------------------------------------------------------------ Grad-CAM


def grad_cam(at: Setting) -> list[Comparison]:
    """Time Grad-CAM of a batch beside one image at a time, on one layer and on two."""
    found = []
    for layers in (at.sizes.layers[:1], at.sizes.layers):
        times = in_turns(
            {
                "ours": partial(batched, at, layers),
                "peer": partial(one_at_a_time, at, layers),
            },
            rounds=at.sizes.rounds,
            wait=waiting(at.pixels.device),
        )
        name = f"Grad-CAM of {at.sizes.batch} images, {len(layers)} layer{'s' * (len(layers) > 1)}"
        found.append(
            compared(name, times["ours"], times["peer"], against="one image at a time", kind="peer")
        )
    return found


def batched(at: Setting, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the maps of each layer (N, rows, columns) by the project's own steps."""
    return saliency.grad_cam(at.probed, at.pixels, layers=layers)[1]


def one_at_a_time(at: Setting, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the same maps as an ordinary script makes them.

    It hooks the layers, and makes a full backward pass for each image.
    """
    modules = {layer: saliency.layer_of(at.plain, layer) for layer in layers}
    maps: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    activations, gradients, hooks = {}, {}, []

    def watch(layer: str) -> None:
        def forward(module, inputs, output) -> None:
            activations[layer] = output.detach().clone()

        def backward(module, grad_inputs, grad_outputs) -> None:
            gradients[layer] = grad_outputs[0]

        hooks.append(modules[layer].register_forward_hook(forward))
        hooks.append(modules[layer].register_full_backward_hook(backward))

    for layer in layers:
        watch(layer)
    for image in at.pixels.split(1):
        logits = at.plain(image)
        at.plain.zero_grad()
        logits[0, logits.argmax()].backward()
        for layer in layers:
            weights = gradients[layer].mean(dim=(2, 3), keepdim=True)
            maps[layer].append((weights * activations[layer]).sum(dim=1).relu())
    for hook in hooks:
        hook.remove()
    return {layer: torch.cat(found) for layer, found in maps.items()}
