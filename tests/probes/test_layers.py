"""Layers that have no map are refused with one that has, and one is found in any network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from analysis.networks.classifier import Classifier, build
from analysis.probes.gradcam import grad_cam
from analysis.probes.layers import check_layers, default_layers
from analysis.project.errors import UserError
from analysis.study import Network
from tests.conftest import CPU

SMALL_VIT = {"depth": 3, "embed_dim": 48, "num_heads": 3}


class Patches(nn.Module):
    """Patches of 4×4 as tokens in reading order; a block that is of somebody's own; their mean."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.cut, self.block = nn.Conv2d(3, 12, 4, stride=4), block
        self.unused, self.head = nn.Conv2d(3, 12, 1), nn.Linear(12, 5)

    def forward(self, pixels: Tensor) -> Tensor:
        output = self.block(self.cut(pixels).flatten(2).transpose(1, 2))
        output = output[0] if isinstance(output, tuple | list) else output
        return self.head(output.reshape(len(pixels), -1, 12).mean(dim=1))


class Does(nn.Module):
    """A function of tokens (N, 64, 12) as a module."""

    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, tokens: Tensor) -> object:
        return self.function(tokens)


def own(function: Callable[[Tensor], object]) -> Classifier:
    classifier = build(Network(model="test_resnet", size=32), classes=5, seed=0, device=CPU)
    classifier.network = Patches(Does(function))
    return classifier


def timm(model: str, size: int, **arguments: object) -> Classifier:
    network = Network.model_validate({"model": model, "size": size, "arguments": arguments})
    return build(network, classes=5, seed=0, device=CPU)


def quarter_by_quarter(tokens: Tensor) -> Tensor:
    """Tokens of each quarter of the image one after another."""
    return tokens.unflatten(1, (2, 4, 2, 4)).transpose(2, 3).flatten(1, 4)


NO_MAP = {
    "is a tuple and not one tensor": lambda tokens: (tokens, None),
    "is a list and not one tensor": lambda tokens: [tokens],
    "has parts of images, such as windows": lambda tokens: tokens.reshape(-1, 16, 12),
    "has no rows and columns to map": lambda tokens: tokens[:, :63],
    "does not lie as the image does: its cells are not in reading order": quarter_by_quarter,
}


@pytest.mark.parametrize("message", NO_MAP)
def test_an_output_without_a_map_is_refused_with_a_layer_that_works(message: str) -> None:
    classifier = own(NO_MAP[message])
    with pytest.raises(UserError, match=f"^maps.layers: the output of 'block' {message}") as found:
        check_layers(classifier, ("block",))
    assert str(found.value).splitlines()[1:] == ["Name an earlier layer, such as 'cut'."]
    check_layers(classifier, ("cut",))
    assert default_layers(classifier) == ("cut",)


def test_a_network_without_gradients_has_no_maps() -> None:
    classifier = own(lambda tokens: tokens)
    classifier.network.head = Does(lambda sums: torch.zeros(len(sums), 5) + sums.detach()[:, :5])
    with pytest.raises(UserError, match="has no gradient: .*\nLeave .maps. out of the study"):
        check_layers(classifier, ("cut",))
    with pytest.raises(UserError, match="no layer of 'test_resnet' has a map .*\nLeave .maps. out"):
        default_layers(classifier)


@pytest.mark.parametrize(
    ("classifier", "name", "message", "works"),
    [
        (
            lambda: timm("vit_tiny_patch16_224", 64, **SMALL_VIT),
            "blocks.2",
            "does not decide the logits: its map is zero everywhere",
            "blocks.2.norm1",
        ),
        (
            lambda: timm("swin_tiny_patch4_window7_224", 128, embed_dim=24),
            "layers.1.blocks.0.attn",
            "has parts of images, such as windows",
            "layers.3",
        ),
        (
            lambda: timm("vit_tiny_patch16_224", 32, **SMALL_VIT),
            "blocks.1",
            "is 2×2 at input size 32, and a map below 4×4 says nothing",
            None,
        ),
        (lambda: own(lambda tokens: tokens), "unused", "is not used", "block"),
        (lambda: own(lambda tokens: tokens), "head", "has no rows and columns", "block"),
    ],
)
def test_layers_of_real_networks_are_refused_likewise(
    classifier: Callable[[], Classifier], name: str, message: str, works: str | None
) -> None:
    made = classifier()
    with pytest.raises(UserError, match=f"the output of {name!r} {message}") as found:
        check_layers(made, (name,))
    if works is None:
        assert "Leave [maps] out of the study, or raise network.size." in str(found.value)
        return
    assert f"such as {works!r}" in str(found.value)
    check_layers(made, (works,))
    pixels, target = torch.rand(2, 3, made.size, made.size), torch.tensor([0, 1])
    assert grad_cam(made.eval(), pixels, layer=works, target=target).shape[1] >= 4


def test_what_attention_compares_is_no_picture() -> None:
    """Queries by keys are as many rows as columns."""
    classifier = timm("vit_tiny_patch16_224", 64, **SMALL_VIT)
    attention = classifier.network.blocks[0].attn
    attention.fused_attn = False
    with pytest.raises(UserError, match="'blocks.0.attn.attn_drop' does not lie as the image"):
        check_layers(classifier, ("blocks.0.attn.attn_drop",))


def test_a_module_that_is_used_again_is_seen_as_it_is_used_last() -> None:
    classifier = own(lambda tokens: tokens)
    shared = nn.ReLU()
    classifier.network.cut = nn.Sequential(nn.Conv2d(3, 12, 1), shared, nn.AvgPool2d(4), shared)
    # Its place in the sequence is its first name.
    pixels, target = torch.rand(2, 3, 32, 32), torch.tensor([1, 2])
    assert grad_cam(classifier, pixels, layer="cut.1", target=target).shape == (2, 8, 8)
