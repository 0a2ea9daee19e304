"""Grad-CAM against the paper's formula written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analysis.images import Batch, Images, batches
from analysis.networks.classifier import Classifier, build
from analysis.probes.gradcam import grad_cam
from analysis.probes.layers import check_layers
from analysis.project.errors import UserError
from analysis.study import Network
from tests.conftest import CPU

# In the order in which a ResNet of timm applies them.
STAGES = ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4")


@pytest.fixture(scope="module")
def batch(digits: Images) -> Batch:
    return next(batches(digits, digits.positions("test")[:24], device=CPU))


def by_the_paper(classifier: Classifier, pixels: Tensor, target: Tensor, stage: str) -> Tensor:
    """Selvaraju et al. (2017), equations 1 and 2, one image at a time and without hooks.

    The layer is the last block of a stage, so that its output is the stage's.
    """
    network = classifier.network
    maps = []
    for image, digit in zip(pixels, target, strict=True):
        value = (image.unsqueeze(0) - 0.5) / 0.5
        for name in STAGES:
            value = getattr(network, name)(value)
            if name == stage:
                # The forward pass starts anew from the layer's output, which makes it a leaf.
                value = value.detach().clone().requires_grad_()
                activation = value
                value = activation * 1
        score = network.fc(network.global_pool(value))[0, digit]
        (gradient,) = torch.autograd.grad(score, activation)
        total = torch.zeros(activation.shape[-2:])
        for channel in range(activation.shape[1]):
            weight = gradient[0, channel].mean()
            total += weight * activation[0, channel].detach()
        maps.append(total.clamp(min=0))
    return torch.stack(maps)


@pytest.mark.parametrize(("layer", "side"), [("layer3.0", 4), ("layer2.0", 8)])
def test_maps_are_the_paper_s(learned: Classifier, batch: Batch, layer: str, side: int) -> None:
    """The last block of a stage ends in a ReLU that works in place."""
    pixels, target = learned.resize(batch.pixels[:6]), torch.tensor([3, 0, 9, 5, 1, 7])
    maps = grad_cam(learned, pixels, layer=layer, target=target)
    expected = by_the_paper(learned, pixels, target, layer.split(".")[0])
    assert maps.shape == (6, side, side) and not maps.requires_grad
    assert torch.allclose(maps, expected, atol=1e-4 * expected.max().item())
    assert (expected > 0).any(dim=(1, 2)).sum() >= 3
    assert (expected == 0).any(), "some of the map is negative, so that the rectifier has work"


def test_a_layer_may_be_a_convolution_inside_a_block(learned: Classifier, batch: Batch) -> None:
    """As in the original: before normalisation, the shortcut and a ReLU that works in place."""
    pixels, target = learned.resize(batch.pixels[:6]), torch.tensor([3, 0, 9, 5, 1, 7])
    block = learned.network.layer2[0]
    value = (pixels - 0.5) / 0.5
    for name in STAGES[:-3]:
        value = getattr(learned.network, name)(value)
    shortcut = block.downsample(value)
    inner = block.conv2(block.aa(block.act1(block.drop_block(block.bn1(block.conv1(value))))))
    leaf = inner.detach().clone().requires_grad_()
    output = torch.relu(block.bn2(leaf) + shortcut)
    top = learned.network.layer4(learned.network.layer3(output))
    scores = learned.network.fc(learned.network.global_pool(top))
    (gradient,) = torch.autograd.grad(scores[torch.arange(6), target].sum(), leaf)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    expected = (weights * inner).sum(dim=1).clamp(min=0)
    maps = grad_cam(learned, pixels, layer="layer2.0.conv2", target=target)
    assert torch.allclose(maps, expected, atol=1e-4 * expected.max().item())
    assert (expected > 0).any()


def test_explaining_touches_neither_weights_nor_pixels(learned: Classifier, batch: Batch) -> None:
    before = {name: tensor.clone() for name, tensor in learned.state_dict().items()}
    pixels = batch.pixels.clone()
    grad_cam(learned, batch.pixels, layer="layer3.0", target=batch.labels)
    assert all(torch.equal(before[name], t) for name, t in learned.state_dict().items())
    assert all(weight.grad is None for weight in learned.parameters())
    assert torch.equal(batch.pixels, pixels) and not batch.pixels.requires_grad
    assert not any(module._forward_hooks for module in learned.modules())


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("layer3.1", 64, "maps.layers: there is no layer 'layer3.1'; the nearest is 'layer3.0'"),
        ("", 64, "maps.layers: there is no layer ''"),
        ("fc", 64, "maps.layers: the output of 'fc' has no rows and columns"),
        ("global_pool", 64, "'global_pool' has no rows and columns"),
        ("layer3.0", 32, r"'layer3.0' is 2×2 at input size 32.*\n.*earlier layer.*network.size"),
    ],
)
def test_a_layer_without_maps_is_refused(name: str, size: int, message: str) -> None:
    network = Network(model="test_resnet", size=size)
    # As it is before training, with gradients and in training mode.
    classifier = build(network, classes=10, seed=0, device=CPU)
    check_layers(classifier, ("layer2.0",))
    with pytest.raises(UserError, match=message):
        check_layers(classifier, ("layer2.0", name))
