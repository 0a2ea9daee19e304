"""Measures of maps against closed forms and plain computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import entropy
from skimage.measure import label
from torch import Tensor

from analysis.probes.measures import doubled, measures, widened
from analysis.probes.positions import Positions


def one_cell(side: int, row: int, column: int) -> Tensor:
    maps = torch.zeros(1, side, side)
    maps[0, row, column] = 3
    return maps


def random_maps(side: int, count: int = 30) -> Tensor:
    generator = torch.Generator().manual_seed(side)
    # Powers make some maps nearly flat and others nearly a single cell.
    powers = torch.linspace(0.2, 20, count).view(-1, 1, 1)
    return torch.rand(count, side, side, generator=generator) ** powers


def patches(maps: Tensor, size: int) -> Positions:
    """Return the centres of cells that divide the input into equal parts."""
    rows, columns = ((np.arange(n) + 0.5) / n * size - 0.5 for n in maps.shape[-2:])
    return rows, columns


def resnet(maps: Tensor, size: int) -> Positions:
    """Return the centres of cells of a ResNet."""
    rows, columns = (np.arange(n) * size / n for n in maps.shape[-2:])
    return rows, columns


def upsampled(image: np.ndarray, positions: Positions, size: int) -> np.ndarray:
    """Return a map after linear interpolation along each axis, with the ends held."""
    rows, columns = positions
    wide = np.array([np.interp(np.arange(size), columns, row) for row in image])
    return np.array([np.interp(np.arange(size), rows, column) for column in wide.T]).T


@pytest.mark.parametrize("side", [4, 8])
def test_a_flat_map_is_as_diffuse_as_can_be(side: int) -> None:
    flat = torch.full((1, side, side), 0.2)
    found = measures(flat, positions=patches(flat, 128), size=128)
    assert found["spread"] == pytest.approx(1, abs=1e-6)
    assert found["area"] == 1
    assert found["offset"] == pytest.approx(0, abs=1e-6)
    assert found["fragments"][0] == 1 if side == 8 else np.isnan(found["fragments"][0])


@pytest.mark.parametrize("side", [4, 8])
def test_spread_is_scipy_s_entropy_and_offset_its_centre_of_mass(side: int) -> None:
    maps = random_maps(side)
    found = measures(maps, positions=resnet(maps, 64), size=64)
    for number, image in enumerate(maps.double().numpy()):
        expected = entropy(image.ravel()) / np.log(image.size)
        assert found["spread"][number] == pytest.approx(expected, abs=1e-4)
        centre = np.array(ndimage.center_of_mass(image)) * 64 / side
        assert found["offset"][number] * 32 == pytest.approx(np.hypot(*(centre - 31.5)), abs=1e-3)


def test_the_middle_of_a_picture_is_not_the_middle_of_a_map() -> None:
    """Cell 2 of a ResNet's four looks at the middle of the picture, half a pixel off."""
    maps = one_cell(4, 2, 2)
    for positions, offset in ((resnet(maps, 128), 0.5 / 64), (patches(maps, 128), 0.25)):
        found = measures(maps, positions=positions, size=128)
        assert found["offset"] == pytest.approx(offset * 2**0.5)


@pytest.mark.parametrize("side", [4, 8])
def test_area_and_fragments_equal_a_plain_computation(side: int) -> None:
    maps = random_maps(side)
    positions = resnet(maps, 64)
    found = measures(maps, positions=positions, size=64)
    pieces = []
    for number, image in enumerate(maps.double().numpy()):
        large = upsampled(image, positions, 64)
        above = large >= large.max() / 2
        assert found["area"][number] == pytest.approx(above.mean(), abs=3 / 64**2)
        # Pieces touch along an edge.
        pieces.append(label(above, connectivity=1).max())
    if side == 8:
        # A piece of one pixel may fall to rounding; the others may not.
        assert np.mean(found["fragments"] == pieces) > 0.9
        assert max(pieces) > 2


def test_maps_need_not_be_square() -> None:
    wide = torch.zeros(1, 8, 16)
    wide[0, 2, 12] = 1
    found = measures(wide, positions=patches(wide, 64), size=64)
    assert found["offset"] == pytest.approx(np.hypot(5 / 8 - 1, 25 / 16 - 1))
    assert (found["spread"], found["fragments"]) == (pytest.approx(0), 1)


def test_a_map_of_zeros_is_missing_and_harms_no_other() -> None:
    maps = random_maps(8, count=3)
    positions = resnet(maps, 64)
    alone = measures(maps, positions=positions, size=64)
    with_zeros = torch.cat([maps[:1], torch.zeros(1, 8, 8), maps[1:]])
    found = measures(with_zeros, positions=positions, size=64)
    for name, values in found.items():
        assert np.isnan(values[1]), name
        assert np.array_equal(np.delete(values, 1), alone[name], equal_nan=True), name
        assert values.dtype == np.float32
    assert not np.isnan(alone["fragments"]).any()
    small = random_maps(7)
    assert np.isnan(measures(small, positions=resnet(small, 64), size=64)["fragments"]).all()


# ------------------------------------------------------------------------------ a known answer


@pytest.mark.parametrize("side", [4, 7, 8])
def test_a_widened_map_is_scipy_s_filter_keeps_its_mass_and_is_more_spread(side: int) -> None:
    maps = random_maps(side)
    found = widened(maps)
    expected = ndimage.uniform_filter(maps.double().numpy(), size=(0, 3, 3), mode="nearest")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert torch.allclose(found.sum(dim=(1, 2)), maps.sum(dim=(1, 2)))
    before, after = (
        measures(each, positions=resnet(each, 64), size=64)["spread"] for each in (maps, found)
    )
    assert (after > before).all()


def test_a_second_object_is_a_moved_copy() -> None:
    """By half the map, to the side with more room; two cells' entropy is that of a coin."""
    for side, place, copy in (
        (4, (2, 2), (0, 0)),
        (4, (1, 3), (3, 1)),
        (8, (0, 4), (4, 0)),
        (5, (2, 1), (0, 3)),
    ):
        found = doubled(one_cell(side, *place))
        assert found.nonzero()[:, 1:].tolist() == sorted([list(place), list(copy)])
        assert set(found[found > 0].tolist()) == {3}
        spread = measures(found, positions=resnet(found, 64), size=64)["spread"]
        assert spread == pytest.approx(np.log(2) / np.log(side**2))
    # What leaves the map is lost.
    maps = one_cell(4, 2, 2)
    maps[0, 1, 2] = 1
    assert doubled(maps)[0].nonzero().tolist() == [[0, 0], [1, 2], [2, 2]]
    two = doubled(one_cell(8, 2, 2))
    assert measures(two, positions=resnet(two, 64), size=64)["fragments"] == 2
