"""Grad-CAM against the paper's formula written out, and its measures against closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import LayerGradCam
from scipy import ndimage
from scipy.stats import entropy
from torch import Tensor, nn

from analysis import model as models
from analysis import probes, saliency
from analysis.batches import Batch, batches
from analysis.datasets import ImageSet
from analysis.errors import UserError
from analysis.model import Classifier
from analysis.saliency import distributions, explain, grad_cam, measures
from analysis.study import Model
from analysis.tables import SCHEMAS
from tests.conftest import CPU, small_study

LAYERS = ("layer3.0", "layer2.0")
# In the order that a ResNet of timm applies them.
STAGES = ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4")


@pytest.fixture(scope="module")
def batch(digits: ImageSet) -> Batch:
    return next(batches(digits, digits.positions("test")[:24], device=CPU))


@pytest.fixture(scope="module")
def resnet18() -> Classifier:
    """The network of the real studies, with weights that no block leaves out.

    Untrained, the last BatchNorm of each block is zero in timm: nothing would pass through it.
    """
    classifier = models.build(Model(name="resnet18", size=128), seed=3, device=CPU).eval()
    generator = torch.Generator().manual_seed(0)
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.2, 0.2, generator=generator)
    return classifier.requires_grad_(False)


def by_the_paper(classifier: Classifier, pixels: Tensor, target: Tensor, stage: str) -> Tensor:
    """Selvaraju et al. (2017), equations 1 and 2, one image at a time and without hooks.

    The layer is the last block of a stage, so that its output is the stage's.
    """
    network = classifier.network
    maps = []
    for image, digit in zip(pixels, target, strict=True):
        value = (image.unsqueeze(0) - classifier.mean) / classifier.std
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


def mapped(classifier: Classifier, pixels: Tensor, layer: str, *, target: Tensor) -> Tensor:
    """Return the maps of one layer, computed for it alone."""
    return grad_cam(classifier, pixels, layers=(layer,), target=target)[1][layer]


# ------------------------------------------------------------------------------ Grad-CAM


@pytest.mark.parametrize("layer", LAYERS)
def test_maps_are_the_paper_s(learned: Classifier, batch: Batch, layer: str) -> None:
    pixels = learned.resize(batch.pixels)
    with torch.no_grad():
        target = learned(pixels).argmax(dim=1)
    explained, maps = grad_cam(learned, pixels, layers=(layer,))
    assert torch.equal(explained, target)
    maps = maps[layer]
    expected = by_the_paper(learned, pixels, target, layer.split(".")[0])
    assert maps.shape == (24, 4, 4) if layer == "layer3.0" else (24, 8, 8)
    assert torch.allclose(maps, expected, atol=1e-4 * expected.max().item())
    assert (expected > 0).any()


@pytest.mark.parametrize(("layer", "side"), [("layer4.1", 4), ("layer3.1", 8)])
def test_maps_of_the_real_network_are_the_paper_s(
    resnet18: Classifier, batch: Batch, layer: str, side: int
) -> None:
    pixels = resnet18.resize(batch.pixels[:4])
    target = torch.tensor([3, 0, 9, 5])
    maps = mapped(resnet18, pixels, layer, target=target)
    expected = by_the_paper(resnet18, pixels, target, layer.split(".")[0])
    assert maps.shape == (4, side, side)
    assert torch.allclose(maps, expected, atol=1e-4 * expected.max().item())
    assert (expected > 0).any(dim=(1, 2)).sum() >= 2
    assert (expected == 0).any(), "some of the map is negative, so that the rectifier has work"


def test_one_pass_for_all_layers_gives_captum_s_maps_of_each(
    resnet18: Classifier, batch: Batch
) -> None:
    """Captum is called here as it is meant to be: on the layer itself, once for each."""
    pixels = resnet18.resize(batch.pixels[:8])
    target = torch.arange(8)
    layers = ("layer4.1", "layer2.0.bn2", "layer3.1", "layer3.1.act2")
    explained, maps = grad_cam(resnet18, pixels, layers=layers, target=target)
    assert torch.equal(explained, target)
    assert tuple(maps) == layers
    for layer in layers:
        method = LayerGradCam(resnet18, resnet18.network.get_submodule(layer))
        expected = method.attribute(
            pixels.clone().requires_grad_(), target=target, relu_attributions=True
        )
        expected = expected.detach().squeeze(1)
        assert torch.allclose(maps[layer], expected, atol=1e-5 * expected.max().item()), layer
    with torch.no_grad():
        assert torch.equal(grad_cam(resnet18, pixels, layers=layers)[0], resnet18(pixels).argmax(1))


def test_the_map_depends_on_the_class(learned: Classifier, batch: Batch) -> None:
    pixels = learned.resize(batch.pixels)
    one, other = (
        mapped(learned, pixels, "layer3.0", target=torch.full((24,), digit)) for digit in (1, 7)
    )
    assert not torch.allclose(one, other)


def test_an_image_s_map_does_not_depend_on_its_batch(learned: Classifier, batch: Batch) -> None:
    pixels, target = learned.resize(batch.pixels), batch.labels
    together = mapped(learned, pixels, "layer2.0", target=target)
    for number in (0, 11, 23):
        chosen = slice(number, number + 1)
        alone = mapped(learned, pixels[chosen], "layer2.0", target=target[chosen])
        assert torch.allclose(together[chosen], alone, atol=1e-4 * together.max().item())


def test_explaining_touches_neither_weights_nor_pixels(learned: Classifier, batch: Batch) -> None:
    before = {name: tensor.clone() for name, tensor in learned.state_dict().items()}
    pixels = batch.pixels.clone()
    explain(learned, batch, LAYERS)
    assert all(torch.equal(before[name], t) for name, t in learned.state_dict().items())
    assert all(weight.grad is None for weight in learned.parameters())
    assert torch.equal(batch.pixels, pixels)
    assert not batch.pixels.requires_grad
    assert not any(module._forward_hooks for module in learned.modules()), "a hook stayed behind"


# ------------------------------------------------------------------------------ layers


def test_layers_large_enough_pass(learned: Classifier, resnet18: Classifier) -> None:
    saliency.check_layers(learned, LAYERS)
    saliency.check_layers(resnet18, ("layer4.1", "layer3.1"))


def test_a_map_below_4x4_is_refused_with_its_size() -> None:
    small = models.build(Model(name="test_resnet", size=32), seed=0, device=CPU).eval()
    with pytest.raises(UserError, match="'layer3.0' is 2×2 at input size 32") as caught:
        saliency.check_layers(small, ("layer2.0", "layer3.0"))
    assert "earlier layer" in str(caught.value)
    assert "model.size" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"), [("layer3.1", "layer3.0"), ("layr3", "layer3"), ("", None)]
)
def test_an_unknown_layer_is_answered_with_the_nearest(
    learned: Classifier, name: str, expected: str | None
) -> None:
    words = f"no layer '{name}'; the nearest is '{expected or ''}"
    with pytest.raises(UserError, match=words):
        saliency.check_layers(learned, (name,))


@pytest.mark.parametrize("name", ["fc", "global_pool"])
def test_a_layer_without_rows_and_columns_is_refused(learned: Classifier, name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' has no rows and columns"):
        saliency.check_layers(learned, (name,))


# ------------------------------------------------------------------------------ measures


def one_cell(side: int, row: int, column: int) -> Tensor:
    maps = torch.zeros(1, side, side)
    maps[0, row, column] = 3
    return maps


def random_maps(side: int, count: int = 30) -> Tensor:
    generator = torch.Generator().manual_seed(side)
    # Powers make some maps nearly flat and others nearly a single cell.
    powers = torch.linspace(0.2, 20, count).view(-1, 1, 1)
    return torch.rand(count, side, side, generator=generator) ** powers


@pytest.mark.parametrize("side", [4, 8])
def test_one_cell_is_as_compact_as_can_be(side: int) -> None:
    found = measures(one_cell(side, 1, 2), size=128)
    assert found["spread"] == pytest.approx(0)
    centre = [(place + 0.5) / side * 2 - 1 for place in (1, 2)]
    assert found["offset"] == pytest.approx(np.hypot(*centre), abs=1e-6)


@pytest.mark.parametrize("side", [4, 8])
def test_a_flat_map_is_as_diffuse_as_can_be(side: int) -> None:
    found = measures(torch.full((1, side, side), 0.2), size=128)
    assert found["spread"] == pytest.approx(1, abs=1e-6)
    assert found["area"] == 1
    assert found["offset"] == pytest.approx(0, abs=1e-6)
    assert found["fragments"][0] == 1 if side == 8 else np.isnan(found["fragments"][0])


@pytest.mark.parametrize("side", [4, 8])
def test_a_corner_is_as_far_off_as_can_be(side: int) -> None:
    edge = 1 - 1 / side
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        found = measures(one_cell(side, row, column), size=64)
        assert found["offset"] == pytest.approx(edge * np.sqrt(2), abs=1e-6)


def test_half_of_the_cells_spread_by_the_logarithm() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, :2] = 1
    found = measures(maps, size=128)
    assert found["spread"] == pytest.approx(np.log(8) / np.log(16), abs=1e-6)
    # Half of the maximum lies midway between the second and the third row of cells.
    assert found["area"] == pytest.approx(0.5, abs=0.01)
    assert found["offset"] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("low", [0.5, 0.49, 0.25, 0])
def test_half_of_the_maximum_still_counts(low: float) -> None:
    maps = torch.ones(1, 4, 4)
    maps[0, 2:] = low
    # The map falls from 1 to low between the middles of the second and the third row of cells.
    area = 1 if low == 0.5 else (1.5 + 0.5 / (1 - low)) / 4
    assert measures(maps, size=128)["area"] == pytest.approx(area, abs=1 / 128)


@pytest.mark.parametrize("side", [4, 8])
def test_spread_is_scipy_s_entropy_and_offset_its_centre_of_mass(side: int) -> None:
    maps = random_maps(side)
    found = measures(maps, size=64)
    for number, image in enumerate(maps.double().numpy()):
        expected = entropy(image.ravel()) / np.log(image.size)
        assert found["spread"][number] == pytest.approx(expected, abs=1e-4)
        centre = (np.array(ndimage.center_of_mass(image)) + 0.5) / side * 2 - 1
        assert found["offset"][number] == pytest.approx(np.hypot(*centre), abs=1e-4)


@pytest.mark.parametrize("side", [4, 8])
def test_area_and_fragments_equal_a_plain_computation(side: int) -> None:
    """Upsampled here by linear interpolation along each axis, with the ends held."""
    maps = random_maps(side)
    size = 64
    places = (np.arange(size) + 0.5) / size * side - 0.5
    found = measures(maps, size=size)
    pieces = []
    for number, image in enumerate(maps.double().numpy()):
        rows = np.array([np.interp(places, np.arange(side), row) for row in image])
        large = np.array([np.interp(places, np.arange(side), row) for row in rows.T]).T
        above = large >= large.max() / 2
        assert found["area"][number] == pytest.approx(above.mean(), abs=3 / size**2)
        pieces.append(flooded(above))
    if side == 8:
        # A piece of one pixel may fall to rounding; the others may not.
        assert np.mean(found["fragments"] == pieces) > 0.9
        assert max(pieces) > 2


def flooded(above: np.ndarray) -> int:
    """Count the pieces that touch along an edge, by filling one after the other."""
    left = {tuple(place) for place in np.argwhere(above)}
    pieces = 0
    while left:
        pieces += 1
        edge = [left.pop()]
        while edge:
            row, column = edge.pop()
            for near in (
                (row + 1, column),
                (row - 1, column),
                (row, column + 1),
                (row, column - 1),
            ):
                if near in left:
                    left.remove(near)
                    edge.append(near)
    return pieces


def test_measures_do_not_depend_on_the_scale_of_a_map() -> None:
    maps = random_maps(8)
    one, other = measures(maps, size=64), measures(maps * 1000, size=64)
    for name in one:
        assert np.allclose(one[name], other[name], atol=1e-4), name


@pytest.mark.parametrize("turned", [(2,), (1,), (1, 2)])
def test_measures_do_not_depend_on_the_side(turned: tuple[int, ...]) -> None:
    maps = random_maps(8)
    one, other = measures(maps, size=64), measures(maps.flip(turned), size=64)
    for name in one:
        assert np.allclose(one[name], other[name], atol=1e-3), name


@pytest.mark.parametrize(("gap", "expected"), [(4, 2), (1, 1)])
def test_two_blobs_are_two_fragments_when_apart(gap: int, expected: int) -> None:
    maps = torch.zeros(1, 8, 8)
    maps[0, 4, 1] = 1
    maps[0, 4, 1 + gap] = 1
    assert measures(maps, size=128)["fragments"] == expected


def test_fragments_are_for_maps_of_8x8_or_more() -> None:
    assert np.isnan(measures(random_maps(4), size=64)["fragments"]).all()
    assert np.isnan(measures(random_maps(7), size=64)["fragments"]).all()
    assert not np.isnan(measures(random_maps(8), size=64)["fragments"]).any()


def test_a_map_of_zeros_is_missing_and_harms_no_other() -> None:
    maps = random_maps(8, count=3)
    alone = measures(maps, size=64)
    maps = torch.cat([maps[:1], torch.zeros(1, 8, 8), maps[1:]])
    found = measures(maps, size=64)
    for name, values in found.items():
        assert np.isnan(values[1]), name
        assert np.array_equal(np.delete(values, 1), alone[name]), name
        assert values.dtype == np.float32
    shares = distributions(maps)
    assert shares[1].isnan().all()
    assert torch.allclose(shares[[0, 2, 3]].sum(dim=(1, 2)), torch.ones(3))


# ------------------------------------------------------------------------------ tables


@pytest.fixture(scope="module")
def tables(learned: Classifier, digits: ImageSet) -> dict[str, pd.DataFrame]:
    study = small_study()
    test = digits.positions("test")
    return probes.saliency(probes.Subject(study, study.runs[0], learned, digits, test), {})


def test_the_tables_are_the_declared_ones(tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        SCHEMAS[name].validate(table)
    assert len(tables["saliency"]) == 2 * 130


def test_the_predicted_class_is_explained(
    tables: dict[str, pd.DataFrame], learned: Classifier, digits: ImageSet
) -> None:
    test = digits.positions("test")
    pixels = learned.resize(torch.tensor(digits.images[test]).permute(0, 3, 1, 2) / 255)
    with torch.no_grad():
        predicted = learned(pixels).argmax(dim=1)
    for layer in LAYERS:
        rows = tables["saliency"].query("layer == @layer").sort_values("index")
        assert np.array_equal(rows["predicted"], predicted)
        assert np.array_equal(rows["correct"], predicted.numpy() == digits.labels[test])
        raw = mapped(learned, pixels, layer, target=predicted)
        for name, values in measures(raw, size=64).items():
            # A threshold may fall to the other side of a pixel in another batch.
            close = np.isclose(rows[name], values, atol=1e-3, equal_nan=True)
            assert close.mean() > 0.98, name


def test_mean_maps_equal_a_plain_mean(learned: Classifier, digits: ImageSet) -> None:
    images = batches(digits, digits.positions("test"), device=CPU)
    explained = [explain(learned, batch, LAYERS) for batch in images]
    # One more missing map, in the middle of the second batch.
    explained[1].maps["layer3.0"][5] = np.nan
    found = saliency.mean_maps(explained)
    for layer in LAYERS:
        maps = np.concatenate([part.maps[layer] for part in explained])
        labels = digits.labels[digits.positions("test")]
        for label in range(10):
            there = [each for each in maps[labels == label] if not np.isnan(each).any()]
            cells = found.query("layer == @layer and label == @label")
            table = cells.pivot(index="row", columns="column", values="value").to_numpy()
            assert np.allclose(table, np.mean(there, axis=0), atol=1e-6)
            assert set(cells["images"]) == {len(there)}
            assert table.sum() == pytest.approx(1, abs=1e-4)


def test_a_class_without_any_map_has_no_mean_map() -> None:
    rows = pd.DataFrame({"layer": "layer3.0", "label": np.array([0, 0, 1], np.uint8)})
    maps = np.full((3, 4, 4), np.nan)
    maps[0] = 1 / 16
    found = saliency.mean_maps([saliency.Explained(rows, {"layer3.0": maps})])
    assert set(found["label"]) == {0}
    assert set(found["images"]) == {1}
