"""How long the probes take beside their peers, in one process and on the same network.

Outside the test suite, because of its name::

    python -m pytest tests/benchmark_probes.py --benchmark-only

Peer and ours take turns, so that whatever else the machine does slows both. The ratios are
printed and have to hold; the times of ours are pytest-benchmark's.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from analysis import attack, saliency
from analysis import model as models
from analysis.batches import SIZE
from analysis.model import Classifier
from analysis.study import Model

EPSILONS = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.035, 0.05)
LAYERS = ("layer4.1", "layer3.1")
ROUNDS = 5


@dataclass(frozen=True)
class Setting:
    """A batch of the real study: ResNet-18, 64 images at 128×128.

    ``probed`` has no gradients for its weights, as the probes get it; ``plain`` has, as an
    ordinary script does.
    """

    probed: Classifier
    plain: Classifier
    pixels: Tensor
    labels: Tensor


@pytest.fixture(scope="module")
def setting() -> Setting:
    plain = models.build(
        Model(name="resnet18", size=128), seed=0, device=torch.device("cpu")
    ).eval()
    generator = torch.Generator().manual_seed(0)
    native = torch.rand(SIZE, 3, 32, 32, generator=generator)
    pixels = plain.resize(native.contiguous(memory_format=torch.channels_last))
    return Setting(
        probed=copy.deepcopy(plain).requires_grad_(False),
        plain=plain,
        pixels=pixels,
        labels=torch.arange(SIZE) % 10,
    )


@pytest.fixture
def compare(
    benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., np.ndarray]]:
    """Time ours and a peer in turns; print both and return the peer's times over ours."""

    def run(name: str, ours: Callable[[], object], peer: Callable[[], object]) -> np.ndarray:
        times: dict[str, list[float]] = {"ours": [], "peer": []}

        def timed(of: str, call: Callable[[], object]) -> None:
            begin = time.perf_counter()
            call()
            times[of].append(time.perf_counter() - begin)

        benchmark.pedantic(
            timed,
            args=("ours", ours),
            # Called before each round, and not a part of its time.
            setup=lambda: timed("peer", peer),
            rounds=ROUNDS,
            warmup_rounds=1,
        )
        # The first round of each warms up.
        ratios = np.array(times["peer"][1:]) / np.array(times["ours"][1:])
        benchmark.extra_info |= {"peer": times["peer"][1:], "ratios": ratios.tolist()}
        with capsys.disabled():
            print(f"\n{name}")
            for of, values in times.items():
                print(f"  {of:<6} {spread(np.array(values[1:]))} s")
            print(f"  peer/ours {spread(ratios)}")
        return ratios

    yield run


def spread(values: np.ndarray) -> str:
    """Return the median with the smallest and the largest value."""
    return f"{np.median(values):.2f} ({values.min():.2f} to {values.max():.2f})"


# ------------------------------------------------------------------------------ FGSM


def sweep(setting: Setting) -> Tensor:
    """Predict for every ε with the project's own steps, as ``attack.attack`` does for FGSM."""
    art = attack.art_classifier(setting.probed)
    direction = attack.gradient_sign(art, setting.pixels, setting.labels)
    return attack.predictions_along(setting.probed, setting.pixels, direction, EPSILONS)[1]


def least_possible(setting: Setting) -> list[Tensor]:
    """One gradient and a forward pass for each ε, and nothing else."""
    pixels = setting.pixels.clone().requires_grad_()
    loss = F.cross_entropy(setting.probed(pixels), setting.labels)
    torch.autograd.grad(loss, pixels)
    with torch.no_grad():
        return [setting.probed(setting.pixels) for _ in EPSILONS]


def gradient_for_each_epsilon(setting: Setting) -> list[Tensor]:
    """The published notebook's way: everything anew for each ε, gradients of the weights too."""
    predictions = []
    for epsilon in EPSILONS:
        pixels = setting.pixels.clone().requires_grad_()
        loss = F.cross_entropy(setting.plain(pixels), setting.labels)
        setting.plain.zero_grad()
        loss.backward()
        moved = (pixels + epsilon * pixels.grad.sign()).clamp(0, 1)
        with torch.no_grad():
            predictions.append(setting.plain(moved).argmax(dim=1))
    return predictions


def test_a_sweep_costs_little_more_than_it_must(compare, setting: Setting) -> None:
    ratios = compare(
        "FGSM, 7 ε: ours beside one gradient and 7 forward passes",
        lambda: sweep(setting),
        lambda: least_possible(setting),
    )
    assert 1 / np.median(ratios) <= 1.15


def test_a_sweep_costs_far_less_than_a_gradient_for_each_epsilon(compare, setting: Setting) -> None:
    ratios = compare(
        "FGSM, 7 ε: ours beside a full gradient for each ε",
        lambda: sweep(setting),
        lambda: gradient_for_each_epsilon(setting),
    )
    assert np.median(ratios) >= 2.5


# ------------------------------------------------------------------------------ Grad-CAM


def one_at_a_time(setting: Setting, layers: tuple[str, ...]) -> dict[str, Tensor]:
    """An ordinary script: hooks on the layers, and a full backward pass for each image."""
    modules = {layer: saliency.layer_of(setting.plain, layer) for layer in layers}
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
    for image in setting.pixels.split(1):
        logits = setting.plain(image)
        setting.plain.zero_grad()
        logits[0, logits.argmax()].backward()
        for layer in layers:
            weights = gradients[layer].mean(dim=(2, 3), keepdim=True)
            maps[layer].append((weights * activations[layer]).sum(dim=1).relu())
    for hook in hooks:
        hook.remove()
    return {layer: torch.cat(found) for layer, found in maps.items()}


@pytest.mark.parametrize("layers", [LAYERS[:1], LAYERS], ids=["one layer", "two layers"])
def test_a_batch_costs_far_less_than_one_image_at_a_time(
    compare, setting: Setting, layers: tuple[str, ...]
) -> None:
    """Both predict, and map the predicted class."""
    _, ours = saliency.grad_cam(setting.probed, setting.pixels, layers=layers)
    theirs = one_at_a_time(setting, layers)
    for layer in layers:
        assert torch.allclose(ours[layer], theirs[layer], atol=1e-4 * theirs[layer].max().item())
    ratios = compare(
        f"Grad-CAM of {SIZE} images on {len(layers)} layer(s): ours beside one image at a time",
        lambda: saliency.grad_cam(setting.probed, setting.pixels, layers=layers),
        lambda: one_at_a_time(setting, layers),
    )
    assert np.median(ratios) >= 4
