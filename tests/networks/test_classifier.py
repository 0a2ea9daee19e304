"""The classifier sees [0, 1] pixels of any size at its own size."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.transforms.v2 import functional as torchvision

from analysis.networks import classifier as classifiers
from analysis.networks.classifier import Classifier, build, choose_device, resize
from analysis.project.errors import UserError
from analysis.study import Network
from tests.conftest import CPU

SMALL = Network(model="test_resnet", size=64)


def classifier(classes: int = 10, **changes: object) -> Classifier:
    return build(SMALL.model_copy(update=changes), classes=classes, seed=0, device=CPU).eval()


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (20, 24), (40, 80)])
@pytest.mark.parametrize("given", [(32, 32), (48, 24)])
def test_resizing_equals_torchvision(given: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = torch.rand(2, 3, *given)
    theirs = torchvision.resize(pixels, list(size), antialias=True)
    assert torch.allclose(resize(pixels, size), theirs, atol=1e-6)
    assert resize(pixels, given) is pixels


def test_a_gradient_reaches_pixels_of_any_shape() -> None:
    pixels = torch.rand(2, 3, 20, 48, requires_grad=True)
    logits = classifier(classes=3)(pixels)
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert pixels.grad.shape == pixels.shape and pixels.grad.abs().max() > 0


@pytest.mark.parametrize(("mean", "std", "low", "high"), [(0.5, 0.5, -1, 1), (0.0, 0.5, 0, 2)])
def test_the_network_sees_normalised_pixels(
    mean: float, std: float, low: float, high: float
) -> None:
    seen = classifier(mean=mean, std=std)
    seen.network = nn.Identity()
    output = seen(torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64))
    expected = torch.linspace(low, high, 3 * 64 * 64).reshape_as(output)
    assert torch.allclose(output, expected, atol=1e-6)


def test_a_seed_decides_the_weights_and_nothing_else() -> None:
    before = torch.get_rng_state()
    first, again, other = (
        build(SMALL, classes=10, seed=seed, device=CPU).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["network.fc.weight"], other["network.fc.weight"])
    assert build(SMALL, classes=10, seed=1, device=CPU).training


def test_keyword_arguments_reach_timm() -> None:
    plain, kept = classifier(), classifier(arguments={"zero_init_last": False})
    last = "network.layer1.0.bn2.weight"
    assert plain.state_dict()[last].abs().max() == 0
    assert kept.state_dict()[last].abs().max() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet18000"}, "^network.model: timm cannot make 'resnet18000'"),
        ({"model": "/etc/passwd"}, "^network.model: "),
        ({"arguments": {"colour": "red"}}, "^network.arguments: timm cannot make"),
        ({"arguments": {"num_classes": 5}}, "^network.arguments: 'num_classes' follows from"),
        ({"arguments": {"in_chans": 1}}, "^network.arguments: .* follows from the images"),
        ({"arguments": {"pretrained": True}}, "^network.arguments: .* network.weights = "),
        ({"arguments": {"checkpoint_path": "x.pth"}}, "^network.arguments: .* as network.weights"),
        ({"arguments": {"img_size": "x"}}, "^network.arguments: img_size is 'x'"),
        ({"arguments": {"img_size": 32}}, "^network.arguments: img_size is 32; give it as"),
        ({"arguments": {"drop_rate": 2.0}}, "^network.*ValueError: dropout"),
        ({"arguments": {"act_layer": "nope"}}, "^network.arguments: .*KeyError: 'nope'"),
        ({"arguments": {"output_stride": 7}}, "^network.arguments: .*AssertionError"),
        ({"arguments": {"stem_width": -4}}, "^network.arguments: .*negative dimension"),
        ({"model": "hf-hub:a/b"}, "^network.model: timm cannot make"),
        ({"model": "local-dir:/etc"}, "^network.model: timm cannot make"),
        ({"model": "timm/resnet18"}, "^network.model: .* nearest is 'resnet18'"),
        ({"model": "resnet18.nope"}, "^network.model: .*Invalid pretrained tag"),
        ({"arguments": {"features_only": True}}, "^network"),
        (
            {"model": "test_vit", "size": 160, "arguments": {"global_pool": ""}},
            "^network.arguments: .* not 10 logits",
        ),
        ({"model": "test_vit", "size": 72}, "^network.size: 'test_vit' does not work at 72×72"),
    ],
)
def test_what_timm_cannot_make_is_an_error_in_one_line(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        classifier(**changes)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_here_is_an_error() -> None:
    assert choose_device("cpu") == CPU
    for name in ("nonsense", "cuda:99"):
        with pytest.raises(UserError, match=f"no device '{name}' here; try --device cpu"):
            choose_device(name)


@pytest.mark.parametrize(
    ("broken", "chosen"),
    [((), "cuda"), (("cuda",), "mps"), (("cuda", "mps"), "cpu")],
)
def test_the_first_device_that_computes_is_chosen(
    monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...], chosen: str
) -> None:
    def compute(device: torch.device) -> None:
        if device.type in broken:
            raise NotImplementedError("no kernel image is available")

    monkeypatch.setattr(classifiers, "_compute", compute)
    assert choose_device(None) == torch.device(chosen)
    if broken:
        with pytest.raises(UserError, match="no device"):
            choose_device(broken[0])


def test_making_a_network_reads_the_state_of_no_other_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def touched(*arguments: object) -> None:
        raise AssertionError("another device")

    # As on a computer with two GPUs.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", touched)
    classifier()
