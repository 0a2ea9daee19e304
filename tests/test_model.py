"""The classifier sees [0, 1] pixels at its own size; its files hold tensors and nothing else."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.v2 import functional as torchvision

from analysis import model as models
from analysis.errors import UserError
from analysis.study import Model
from tests.conftest import CPU

SMALL = Model(name="test_resnet", size=64)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), np.uint8))


def classifier(**changes: object) -> models.Classifier:
    return models.build(SMALL.model_copy(update=changes), seed=0, device=CPU).eval()


# ------------------------------------------------------------------------------ resize


@pytest.mark.parametrize("size", [40, 64, 128])
def test_enlarging_equals_pillow_up_to_rounding(images: torch.Tensor, size: int) -> None:
    resized = classifier(size=size).resize(models.to_pixels(images)) * 255
    for ours, image in zip(resized, images, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        theirs = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR), dtype=float)
        assert np.abs(ours.permute(1, 2, 0).numpy() - theirs).max() < 1.01


@pytest.mark.parametrize("size", [16, 20, 64, 128])
def test_resizing_equals_torchvision(images: torch.Tensor, size: int) -> None:
    pixels = models.to_pixels(images)
    theirs = torchvision.resize(pixels, [size, size], antialias=True)
    assert torch.allclose(classifier(size=size).resize(pixels), theirs, atol=1e-6)


def test_pixels_of_the_right_size_are_untouched() -> None:
    pixels = torch.rand(2, 3, 64, 64)
    assert classifier().resize(pixels) is pixels


def test_a_gradient_reaches_the_native_pixels(images: torch.Tensor) -> None:
    pixels = models.to_pixels(images).requires_grad_()
    classifier()(pixels).sum().backward()
    assert pixels.grad.shape == (6, 3, 32, 32)
    assert pixels.grad.abs().max() > 0


# ------------------------------------------------------------------------------ normalisation


@pytest.mark.parametrize(
    ("mean", "std", "low", "high"), [(0.5, 0.5, -1, 1), (0.0, 1.0, 0, 1), (0.25, 0.5, -0.5, 1.5)]
)
def test_the_network_sees_normalised_pixels(
    mean: float, std: float, low: float, high: float
) -> None:
    seen = classifier(mean=mean, std=std)
    seen.network = nn.Identity()
    black_to_white = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    output = seen(black_to_white)
    assert torch.allclose(
        output, torch.linspace(low, high, 3 * 64 * 64).reshape_as(output), atol=1e-6
    )


def test_8_bit_levels_become_shares() -> None:
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert torch.allclose(models.to_pixels(levels), torch.tensor([0.0, 0.2, 1.0]))
    assert models.to_pixels(levels).dtype == torch.float32


# ------------------------------------------------------------------------------ building


def test_a_seed_decides_the_weights_and_nothing_else() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = models.build(SMALL, seed=1, device=CPU).state_dict()
    assert torch.equal(torch.get_rng_state(), before), "the global generator has moved"
    torch.manual_seed(456)
    again = models.build(SMALL, seed=1, device=CPU).state_dict()
    other = models.build(SMALL, seed=2, device=CPU).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["network.fc.weight"], other["network.fc.weight"])


def test_ten_logits_an_image(images: torch.Tensor) -> None:
    with torch.no_grad():
        assert classifier()(models.to_pixels(images)).shape == (6, 10)


def test_keyword_arguments_reach_timm() -> None:
    plain, kept = classifier(), classifier(arguments={"zero_init_last": False})
    last = "network.layer1.0.bn2.weight"
    assert plain.state_dict()[last].abs().max() == 0
    assert kept.state_dict()[last].abs().max() == 1


@pytest.mark.parametrize(
    "changes", [{"name": "resnet18000"}, {"arguments": {"colour": "red"}}], ids=["name", "argument"]
)
def test_what_timm_does_not_know_is_an_error_for_the_user(changes: dict) -> None:
    with pytest.raises(UserError, match="timm cannot make model"):
        classifier(**changes)


# ------------------------------------------------------------------------------ files


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    models.save(path, classifier().state_dict(), facts={"seconds": 1.5, "names": ["a", "ö"]})
    return path


def test_what_is_written_is_read_again(written: Path) -> None:
    assert models.read_facts(written) == {"seconds": 1.5, "names": ["a", "ö"]}
    original, empty = classifier(), models.build(SMALL, seed=9, device=CPU)
    models.fill(empty, models.read_tensors(written), path=written)
    for name, tensor in original.state_dict().items():
        assert torch.equal(empty.state_dict()[name], tensor), name


def test_a_written_file_is_a_header_and_numbers_with_no_pickle(written: Path) -> None:
    """Read here by the format's description alone: a length, JSON, then the tensors' bytes."""
    content = written.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    assert {entry["dtype"] for entry in header.values()} == {"F32", "I64"}
    ends = sorted(entry["data_offsets"] for entry in header.values())
    assert ends[0][0] == 0
    assert all(one[1] == two[0] for one, two in zip(ends, ends[1:], strict=False))
    assert 8 + length + ends[-1][1] == len(content), "every byte belongs to a tensor"


def test_weights_of_another_architecture_are_refused(written: Path) -> None:
    for other in (Model(name="resnet10t", size=64), Model(name="test_vit", size=64)):
        try:
            module = models.build(other, seed=0, device=CPU)
        except UserError:
            continue
        with pytest.raises(UserError, match=r"weights\.safetensors holds weights of another arch"):
            models.fill(module, models.read_tensors(written), path=written)


def test_a_missing_tensor_is_refused(written: Path) -> None:
    tensors = models.read_tensors(written)
    tensors.pop("network.fc.bias")
    with pytest.raises(UserError, match="another architecture"):
        models.fill(classifier(), tensors, path=written)


def test_any_damage_to_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    models.save(path, {"a": torch.rand(30, 3), "b": torch.arange(4)}, facts={"history": []})
    whole = path.read_bytes()
    chance = random.Random(0)
    for length in [0, 1, 7, 8, 9, *(chance.randrange(len(whole)) for _ in range(50))]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"weights\.safetensors is truncated or altered"):
            models.read_tensors(path)
    for _ in range(200):
        content = bytearray(whole)
        content[chance.randrange(250)] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        for read in (models.read_facts, models.read_tensors):
            try:
                read(path)
            except UserError as error:
                assert str(path) in str(error)  # noqa: PT017 - some bits do no harm


@pytest.mark.parametrize("read", [models.read_facts, models.read_tensors])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, read) -> None:
    path = tmp_path / "weights.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="truncated or altered"):
        read(path)
    with pytest.raises(UserError, match="truncated or altered"):
        read(tmp_path / "nowhere.safetensors")


def test_a_failed_write_leaves_the_old_file(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(TypeError):
        models.save(written, {"a": torch.zeros(2)}, facts={"not JSON": object()})
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == [written.name]
