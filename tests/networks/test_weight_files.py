"""Weights from files of other programs: what fits is taken, and what does not is said."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from analysis.networks import weight_files
from analysis.networks.classifier import Classifier, build
from analysis.project.errors import UserError
from analysis.study import Network
from tests.conftest import CPU

KEY = "network.weights"
State = dict[str, Tensor]


def classifier(classes: int = 6, channels: int = 3, model: str = "test_resnet") -> Classifier:
    network = Network(model=model, size=64)
    return build(network, classes=classes, channels=channels, seed=0, device=CPU)


@pytest.fixture(scope="module")
def state() -> State:
    """Weights of timm's, other than those that a classifier begins with."""
    return timm.create_model("test_resnet", num_classes=6).state_dict()


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {f"{prefix}{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "wrapped",
    [
        dict,
        prefixed("module."),
        prefixed("_orig_mod."),
        prefixed("_orig_mod.module."),
        prefixed("model."),
        prefixed("network."),
        lambda state: {"state_dict": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)},
        lambda state: {"model": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
        lambda state: {"model_state_dict": prefixed("module.")(state), "loss": torch.tensor(0.1)},
        lambda state: {"epoch": 1, "ours": state},
        lambda state: {n: t for n, t in state.items() if "num_batches_tracked" not in n},
        lambda state: state | {"fc.total_ops": torch.zeros(1)},
        lambda state: {n: t.half() if t.is_floating_point() else t for n, t in state.items()},
    ],
)
@pytest.mark.parametrize("kind", ["pth", "safetensors", "old pth"])
def test_weights_are_found_however_they_are_kept(
    tmp_path: Path, state: State, wrapped: Callable, kind: str
) -> None:
    content, path = wrapped(state), tmp_path / "weights.bin"
    if kind == "safetensors":
        if not all(isinstance(value, Tensor) for value in content.values()):
            pytest.skip("safetensors hold tensors alone")
        path.write_bytes(safetensors.torch.save(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "pth")
    found = classifier()
    weight_files.load(found, path, key=KEY)
    half = next(iter(wrapped(state).values()))
    tolerance = 1e-3 if isinstance(half, Tensor) and half.dtype == torch.float16 else 0
    for name, tensor in found.network.state_dict().items():
        if "num_batches" not in name:
            assert tensor.dtype == torch.float32
            assert torch.allclose(tensor, state[name], atol=tolerance, rtol=tolerance), name


class Malicious:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (exec, ("raise SystemExit('code was run')",))


def truncated(path: Path, state: State) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-2000])


def cut(path: Path, state: State) -> None:
    path.write_bytes(safetensors.torch.save(state)[:-50])


BAD_FILES = {
    "there is no file": lambda path, state: None,
    "is a folder": lambda path, state: path.mkdir(),
    "is empty": lambda path, state: path.touch(),
    "is a web page": lambda path, state: path.write_text("\n<!DOCTYPE html><html>404</html>"),
    "is a pointer of git-lfs": lambda path, state: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"
    ),
    "is truncated or damaged, or not": truncated,
    "is truncated or damaged.": cut,
    "is neither a file of safetensors": lambda path, state: path.write_text("weights, at last"),
    r"holds Python objects \(\w*\.?exec\)": lambda path, state: torch.save(Malicious(), path),
    r"holds Python objects \(.*BasicBlock|holds Python objects \(torch.nn": lambda path, state: (
        torch.save(nn.Sequential(nn.Linear(2, 2)), path)
    ),
    "is a TorchScript archive": lambda path, state: torch.jit.save(
        torch.jit.script(nn.Linear(2, 2)), path
    ),
    "or not a file of PyTorch's": lambda path, state: path.write_bytes(pickle.dumps([1, 2])[:-1]),
    "holds a list, not named": lambda path, state: torch.save([torch.zeros(2)], path),
    "holds no named tensors": lambda path, state: torch.save({"epoch": 3}, path),
    r"several sets of tensors \(one, two\)": lambda path, state: torch.save(
        {"one": state, "two": state}, path
    ),
    "not numbers in 'fc.bias'": lambda path, state: torch.save(
        state | {"fc.bias": torch.full((6,), torch.nan)}, path
    ),
}


@pytest.mark.parametrize("message", BAD_FILES)
def test_a_file_without_weights_is_an_error(tmp_path: Path, state: State, message: str) -> None:
    path = tmp_path / "weights.pth"
    BAD_FILES[message](path, state)
    found = classifier()
    before = {name: tensor.clone() for name, tensor in found.state_dict().items()}
    for read in (weight_files.load, weight_files.take):
        with pytest.raises(UserError, match=message) as caught:
            read(found, path, key=KEY)
        assert str(caught.value).startswith(f"{KEY}: ")
        assert "weights.pth" in str(caught.value) and len(str(caught.value).splitlines()) <= 2
    assert all(torch.equal(before[name], tensor) for name, tensor in found.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 7}, "has 6 classes, and the images have 7"),
        ({"channels": 1}, "it takes 3 channels, and the images have 1"),
        ({"model": "test_vit"}, "has no tensor 'cls_token', which 'test_vit' has"),
        ({"model": "resnet10t"}, "has a tensor 'layer3.0.conv3.weight', which 'resnet10t' has not"),
    ],
)
def test_weights_of_something_else_are_an_error_that_says_what_differs(
    tmp_path: Path, state: State, change: dict, message: str
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    with pytest.raises(UserError, match=message) as caught:
        weight_files.load(classifier(**change), path, key=KEY)
    assert len(str(caught.value).splitlines()) == 1
    torch.save(state | {"extra": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="has a tensor 'extra', which 'test_resnet' has not"):
        weight_files.load(classifier(), path, key=KEY)


def test_training_starts_from_what_fits(tmp_path: Path, state: State) -> None:
    path = tmp_path / "imagenet.safetensors"
    path.write_bytes(safetensors.torch.save(state))
    found = classifier(classes=3, channels=1)
    begun = found.network.state_dict()
    begun = {name: tensor.clone() for name, tensor in begun.items()}
    said = weight_files.take(found, path, key="network.start")
    count = sum("num_batches" not in name for name in state)
    left = ["conv1.0.weight", "fc.weight", "fc.bias"]
    assert said == (
        f"{count - 3} of {count} tensors taken from imagenet.safetensors; left as drawn: "
        f"{', '.join(left)}"
    )
    for name, tensor in found.network.state_dict().items():
        assert torch.equal(tensor, begun[name] if name in left else state[name]), name
    with pytest.raises(UserError, match=r"network.start: only 0 of \d+ tensors .*'cls_token'"):
        weight_files.take(classifier(model="test_vit"), path, key="network.start")


def test_positions_of_patches_are_brought_to_another_size(tmp_path: Path) -> None:
    """By timm's own filter, as for its pretrained weights."""
    path, state = tmp_path / "vit.pth", timm.create_model("test_vit", num_classes=6).state_dict()
    torch.save(state, path)
    found = classifier(model="test_vit")
    assert state["pos_embed"].shape[1] == 101
    weight_files.load(found, path, key=KEY)
    assert found.network.pos_embed.shape[1] == 17
    assert torch.equal(found.network.head.weight, state["head.weight"])
