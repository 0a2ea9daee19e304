"""timm's models at other sizes and channels, and with pretrained weights from a hub."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import nn

from analysis.networks import timm_models, weights
from analysis.networks.classifier import Classifier, build
from analysis.networks.timm_models import input_size
from analysis.project.errors import UserError
from analysis.study import Network, Study
from tests.conftest import CPU, small_study


def made(model: str, channels: int = 3, **changes: object) -> Classifier:
    network = Network.model_validate({"model": model, **changes})
    return build(network, classes=4, channels=channels, seed=0, device=CPU).eval()


@pytest.mark.parametrize(
    ("model", "changes", "channels", "size", "mean"),
    [
        ("test_vit", {}, 3, 160, (0.5, 0.5, 0.5)),
        # ImageNet's, and for other channels their mean.
        ("resnet10t", {}, 3, 176, (0.485, 0.456, 0.406)),
        ("resnet10t", {"size": 64}, 1, 64, (0.449,)),
        ("resnet10t", {"size": 64}, 2, 64, (0.449, 0.449)),
        ("resnet10t", {"size": 64, "mean": 0.3}, 3, 64, (0.3, 0.3, 0.3)),
        ("resnet10t", {"size": 64, "mean": (0.1, 0.2, 0.3)}, 3, 64, (0.1, 0.2, 0.3)),
        # Made for images of another size.
        ("test_vit", {"size": 64}, 1, 64, (0.5,)),
        ("test_vit", {"arguments": {"img_size": 96}}, 3, 96, (0.5, 0.5, 0.5)),
        ("swin_tiny_patch4_window7_224", {"size": 64, "arguments": {"embed_dim": 24}}, 3, 64, None),
    ],
)
def test_what_the_study_leaves_out_is_timm_s(
    model: str, changes: dict, channels: int, size: int, mean: tuple[float, ...] | None
) -> None:
    classifier = made(model, channels, **changes)
    assert classifier.size == size
    if mean is not None:
        assert classifier.mean == pytest.approx(mean)
    pixels = torch.rand(2, channels, 30, 20)
    assert classifier(pixels).shape == (2, 4)
    shape = (-1, 1, 1)
    expected = pixels - torch.tensor(classifier.mean).view(shape)
    expected = expected / torch.tensor(classifier.std).view(shape)
    assert torch.allclose(classifier.normalised(pixels), expected, atol=1e-6)
    # They are no part of the weights.
    assert all(name.startswith("network.") for name in classifier.state_dict())


def test_the_input_size_of_a_model_is_known_without_making_it() -> None:
    assert (input_size("test_vit"), input_size("resnet18.a1_in1k")) == (160, 224)
    with pytest.raises(UserError, match="no such model; the nearest is 'resnet18'"):
        input_size("resnet18x")


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("test_resnett", {}, "network.model: .* no such model; the nearest is 'test_resnet'"),
        ("resnet18.nonsense", {}, "network.model: timm cannot make 'resnet18.nonsense'"),
        ("test_vit", {"size": 40}, "network.size: .*patches of 16×16, so give a multiple of 16"),
        ("test_resnet", {"arguments": {"checkpoint_path": "x"}}, "network.arguments: .*weights"),
        ("test_resnet", {"size": 64, "std": (0.1, 0.2)}, "network.std: 2 numbers for images of 3"),
    ],
)
def test_what_cannot_be_made_is_an_error(model: str, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        made(model, **changes)
    assert len(str(caught.value).splitlines()) == 1


# ------------------------------------------------------------------------------------- pretrained


def a_study(model: str = "test_resnet", **network: object) -> Study:
    return small_study(
        network={"model": model, "size": 64, "weights": "pretrained", **network}, training=None
    )


def given(study: Study, classes: int = 1000) -> weights.Trained:
    return weights.given(study, classes=classes, channels=3, device=CPU)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand for timm's hub; return the arguments that it was asked with."""
    asked, original = list[dict[str, Any]](), timm.create_model

    def create(model: str, *, pretrained: bool = False, **arguments: Any) -> nn.Module:
        found = original(model, **arguments)
        if pretrained:
            asked.append(arguments)
            for weight in found.parameters():
                nn.init.constant_(weight, 0.01)
        return found

    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(timm_models, "_is_reachable", lambda address: True)
    return asked


def test_pretrained_weights_are_those_of_the_hub(hub: list[dict[str, Any]]) -> None:
    trained = given(a_study())
    assert [arguments["num_classes"] for arguments in hub] == [1000]
    assert trained.history is None and trained.facts["training_images"] == 0
    assert all((weight == 0.01).all() for weight in trained.classifier.parameters())
    assert not any(weight.requires_grad for weight in trained.classifier.parameters())
    assert given(a_study()).digest == trained.digest


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("Please check your connection."),
        ConnectionError("no route to host"),
        TimeoutError("timed out"),
        OSError("We couldn't connect to 'https://huggingface.co'"),
        RuntimeError("invalid hash value"),
    ],
)
def test_without_a_network_there_is_a_clear_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(timm, "create_model", fail)
    monkeypatch.setattr(timm_models, "_is_reachable", lambda address: False)
    message = "^network.weights: the pretrained weights of 'test_resnet' cannot be had: "
    with pytest.raises(UserError, match=f"{message}{type(error).__name__}: ") as caught:
        given(a_study())
    advice = "Connect to the internet, or name a file of weights."
    assert str(caught.value).splitlines()[1:] == [advice]


@pytest.mark.parametrize(
    ("model", "classes", "message"),
    [
        ("test_resnet", 10, "has 1,000 classes, and the images have 10.\nFine-tune it with weight"),
        ("resnet14t", 1000, None),
        ("resnet33ts.nothing", 1000, "network.*resnet33ts.nothing"),
        ("efficientnet_lite1", 1000, "timm has no pretrained weights of 'efficientnet_lite1'"),
    ],
)
def test_weights_that_do_not_exist_or_fit_are_not_asked_for(
    hub: list[dict[str, Any]], model: str, classes: int, message: str | None
) -> None:
    if message is None:
        given(a_study(model), classes)
        return
    with pytest.raises(UserError, match=message):
        given(a_study(model), classes)
    assert hub == []
