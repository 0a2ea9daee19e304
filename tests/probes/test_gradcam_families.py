"""Grad-CAM of timm's families against the paper's formula, and where their cells lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.networks.classifier import Classifier, build
from analysis.probes.gradcam import grad_cam
from analysis.probes.layers import check_layers, default_layers
from analysis.probes.positions import cell_positions
from analysis.probes.random_weights import filled
from analysis.study import Network
from tests.conftest import CPU

# How an output lies: channels first or last, or tokens after so many that are no patches.
FIRST, LAST = "first", "last"
Form = str | int
SMALL_VIT = {"depth": 3, "embed_dim": 48, "num_heads": 3}
# Model, its arguments, input size, layer, form and cells along a side; as few blocks as timm makes.
FAMILIES: list[tuple[str, dict, int, str, Form, int]] = [
    ("resnet10t", {}, 64, "layer3.0", FIRST, 4),
    ("test_convnext", {}, 64, "stages.2", FIRST, 4),
    ("test_convnext", {}, 64, "stages.2.blocks.0.mlp", LAST, 4),
    ("test_efficientnet", {}, 64, "blocks.2", FIRST, 8),
    ("swin_tiny_patch4_window7_224", {"embed_dim": 24}, 64, "layers.2", LAST, 4),
    ("vit_tiny_patch16_224", SMALL_VIT, 64, "blocks.2.norm1", 1, 4),
    ("vit_tiny_patch16_224", {**SMALL_VIT, "reg_tokens": 4}, 64, "blocks.1", 5, 4),
    ("vit_tiny_patch16_224", {**SMALL_VIT, "class_token": False, "global_pool": "avg"}, 64)
    + ("blocks.2", 0, 4),
    ("deit_tiny_distilled_patch16_224", SMALL_VIT, 64, "blocks.2.norm1", 2, 4),
    ("beit_base_patch16_224", SMALL_VIT, 64, "blocks.2", 1, 4),
    ("eva02_tiny_patch14_224", {"depth": 2}, 56, "blocks.1", 1, 4),
    ("cait_xxs24_224", {"depth": 2}, 64, "blocks.1", 0, 4),
    ("mixer_s16_224", {}, 64, "blocks.7", 0, 4),
    ("xcit_nano_12_p16_224", {"depth": 2}, 64, "blocks.1", 0, 4),
    ("coatnet_pico_rw_224", {}, 64, "stages.2", FIRST, 4),
    ("pvt_v2_b0", {}, 64, "stages.2", FIRST, 4),
    ("mobilevit_xxs", {}, 64, "stages.3", FIRST, 4),
]


def made(model: str, arguments: dict, size: int) -> Classifier:
    """Return a small network, with random weights in every path."""
    network = Network(model=model, size=size, arguments=arguments)
    classifier = build(network, classes=5, seed=0, device=CPU)
    return filled(classifier, torch.Generator().manual_seed(1), dtype=torch.float32)


def gridded(output: Tensor, form: Form, side: int) -> Tensor:
    """Return an output as (N, channels, rows, columns)."""
    if form == FIRST:
        return output
    if form == LAST:
        return output.permute(0, 3, 1, 2)
    patches = output[:, int(form) :]
    return patches.reshape(len(output), side, side, -1).permute(0, 3, 1, 2)


def by_the_paper(
    classifier: Classifier, pixels: Tensor, target: Tensor, layer: str, form: Form, side: int
) -> Tensor:
    """Selvaraju et al. (2017), equations 1 and 2, before the rectifier."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        kept.append(output)
        output.retain_grad()
        # What follows may work in place.
        return output.clone()

    handle = classifier.network.get_submodule(layer).register_forward_hook(keep)
    scores = classifier(pixels.clone().requires_grad_())
    handle.remove()
    scores[torch.arange(len(pixels)), target].sum().backward()
    activation = gridded(kept[-1].detach(), form, side)
    weights = gridded(kept[-1].grad, form, side).mean(dim=(2, 3), keepdim=True)
    return (weights * activation).sum(dim=1)


@pytest.mark.parametrize(("model", "arguments", "size", "layer", "form", "side"), FAMILIES)
def test_maps_are_the_paper_s_and_their_patches_are_found(
    model: str, arguments: dict, size: int, layer: str, form: Form, side: int
) -> None:
    classifier = made(model, arguments, size)
    pixels = torch.rand(5, 3, size, size, generator=torch.Generator().manual_seed(2))
    target = torch.tensor([4, 0, 2, 1, 3])
    before = classifier(pixels)
    expected = by_the_paper(classifier, pixels, target, layer, form, side)
    assert expected.shape == (5, side, side) and expected.any()
    for positive, right in ((False, expected), (True, expected.clamp(min=0))):
        maps = grad_cam(classifier, pixels, layer=layer, target=target, positive=positive)
        assert torch.allclose(maps, right, atol=1e-4 * expected.abs().max().item())
    # As it was before it was explained.
    assert torch.equal(classifier(pixels), before)
    assert not any(module._forward_hooks for module in classifier.modules())
    check_layers(classifier, (layer,))
    (default,) = default_layers(classifier)
    assert grad_cam(classifier, pixels, layer=default, target=target).shape[1] >= 4
    if form != FIRST or "convnext" in model:
        patches = (np.arange(side) + 0.5) * size / side - 0.5
        for found in cell_positions(classifier, layer):
            assert found == pytest.approx(patches)
