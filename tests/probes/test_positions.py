"""Where the cells of a map lie, against closed forms, and maps between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from analysis.networks.classifier import build
from analysis.probes.positions import cell_positions, upsample
from analysis.study import Network
from tests.conftest import CPU


@pytest.mark.parametrize(
    ("model", "size", "layer", "first", "step", "cells"),
    [
        # Strides of 2 with odd kernels and half of them as padding keep the first pixel.
        ("resnet18", 128, "layer4.1", 0, 32, 4),
        ("resnet18", 128, "layer4.1.conv2", 0, 32, 4),
        ("resnet18", 100, "layer3.1", 0, 16, 7),
        ("resnet10t", 64, "layer3.0", 0, 16, 4),
        # With gates that see the mean over all positions.
        ("regnety_002", 64, "s4", 0, 32, 2),
        # TensorFlow's padding of an even size is all at the end: cell i looks at 2 i + 1 each time.
        ("tf_efficientnet_lite0", 128, "conv_stem", 1, 2, 64),
        ("tf_efficientnet_lite0", 128, "blocks.4", 15, 16, 8),
        # Of an odd one it is the same at both ends: 25 and 13 cells, after 50 and before 7 and 4.
        ("tf_efficientnet_lite0", 100, "blocks.2", 3, 8, 13),
        # Patches that do not overlap.
        ("convnext_atto", 64, "stages.1", 3.5, 8, 8),
        ("vit_tiny_patch16_224", 224, "patch_embed.proj", 7.5, 16, 14),
    ],
)
def test_positions_are_the_closed_form(
    model: str, size: int, layer: str, first: float, step: int, cells: int
) -> None:
    classifier = build(Network(model=model, size=size), classes=10, seed=0, device=CPU)
    for found in cell_positions(classifier, layer):
        assert found == pytest.approx(first + step * np.arange(cells))


def test_positions_need_no_weights_and_leave_the_network_alone() -> None:
    """Not even a path whose weights are zero is lost."""
    classifier = build(Network(model="test_resnet", size=64), classes=10, seed=0, device=CPU)
    expected = cell_positions(classifier, "layer2.0")
    for weight in classifier.parameters():
        nn.init.zeros_(weight)
    state, random = classifier.state_dict(), torch.random.get_rng_state()
    found = cell_positions(classifier, "layer2.0")
    assert np.array_equal(found, expected)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert not any(state[name].any() for name, _ in classifier.named_parameters())
    assert classifier.training and all(one.requires_grad for one in classifier.parameters())
    assert not any(module._forward_hooks for module in classifier.modules())


def test_rows_and_columns_have_positions_of_their_own() -> None:
    classifier = build(Network(model="test_resnet", size=64), classes=10, seed=0, device=CPU)
    # Padding above and at the left alone moves what a cell looks at.
    classifier.network.conv1[0] = nn.Sequential(
        nn.ZeroPad2d((4, 0, 2, 0)), nn.Conv2d(3, 24, (3, 1), stride=(2, 1))
    )
    rows, columns = cell_positions(classifier, "conv1.0")
    assert rows == pytest.approx(2 * np.arange(32) - 1)
    assert columns == pytest.approx(np.arange(68) - 4)


@pytest.mark.parametrize("channels", [1, 5])
def test_positions_do_not_depend_on_the_channels(channels: int) -> None:
    network = Network(model="test_resnet", size=64)
    classifier = build(network, classes=10, channels=channels, seed=0, device=CPU)
    for found in cell_positions(classifier, "layer2.0"):
        assert found == pytest.approx(8 * np.arange(8))


def test_cells_that_see_the_whole_input_have_patches_of_equal_size() -> None:
    """A gate between all positions, in a layer that is otherwise a convolution."""
    classifier = build(Network(model="test_resnet", size=64), classes=10, seed=0, device=CPU)

    class Mixed(nn.Module):
        def forward(self, cells: torch.Tensor) -> torch.Tensor:
            return cells + cells.mean(dim=(2, 3), keepdim=True)

    classifier.network.maxpool = nn.Sequential(classifier.network.maxpool, Mixed())
    for found in cell_positions(classifier, "maxpool"):
        assert found == pytest.approx(4 * np.arange(len(found)) + 1.5)


@pytest.mark.parametrize("first", [0, 3.5, 11])
def test_maps_are_interpolated_between_centres_and_held_outside(first: float) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 4, 5, generator=generator)
    rows, columns = first + 16 * np.arange(4), first + 12 * np.arange(5)
    found = upsample(maps, (rows, columns), 64)
    for image, large in zip(maps.numpy(), found.numpy(), strict=True):
        wide = np.array([np.interp(np.arange(64), columns, row) for row in image])
        expected = np.array([np.interp(np.arange(64), rows, column) for column in wide.T]).T
        np.testing.assert_allclose(large, expected, atol=1e-6)
