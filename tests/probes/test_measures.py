"""Measures of maps against closed forms and plain computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import entropy
from skimage.measure import label
from torch import Tensor

from analysis.probes.measures import measures


def one_cell(side: int, row: int, column: int) -> Tensor:
    maps = torch.zeros(1, side, side)
    maps[0, row, column] = 3
    return maps


def random_maps(side: int, count: int = 30) -> Tensor:
    generator = torch.Generator().manual_seed(side)
    # Powers make some maps nearly flat and others nearly a single cell.
    powers = torch.linspace(0.2, 20, count).view(-1, 1, 1)
    return torch.rand(count, side, side, generator=generator) ** powers


def upsampled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a square map after linear interpolation along each axis, with the ends held."""
    side = len(image)
    down, across = ((np.arange(n) + 0.5) / n * side - 0.5 for n in (height, width))
    rows = np.array([np.interp(across, np.arange(side), row) for row in image])
    return np.array([np.interp(down, np.arange(side), row) for row in rows.T]).T


@pytest.mark.parametrize("side", [4, 8])
def test_a_flat_map_is_as_diffuse_as_can_be(side: int) -> None:
    found = measures(torch.full((1, side, side), 0.2), size=128)
    assert found["spread"] == pytest.approx(1, abs=1e-6)
    assert found["area"] == 1
    assert found["offset"] == pytest.approx(0, abs=1e-6)
    assert found["fragments"][0] == 1 if side == 8 else np.isnan(found["fragments"][0])


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
    maps = random_maps(side)
    found = measures(maps, size=64)
    pieces = []
    for number, image in enumerate(maps.double().numpy()):
        large = upsampled(image, 64, 64)
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
    found = measures(wide, size=64)
    assert found["offset"] == pytest.approx(np.hypot(5 / 8 - 1, 25 / 16 - 1))
    assert (found["spread"], found["fragments"]) == (pytest.approx(0), 1)


def test_a_map_of_zeros_is_missing_and_harms_no_other() -> None:
    maps = random_maps(8, count=3)
    alone = measures(maps, size=64)
    found = measures(torch.cat([maps[:1], torch.zeros(1, 8, 8), maps[1:]]), size=64)
    for name, values in found.items():
        assert np.isnan(values[1]), name
        assert np.array_equal(np.delete(values, 1), alone[name], equal_nan=True), name
        assert values.dtype == np.float32
    assert np.isnan(alone["inside"]).all() and not np.isnan(alone["fragments"]).any()
    assert np.isnan(measures(random_maps(7), size=64)["fragments"]).all()


# ------------------------------------------------------------------------------ on masks


def box(top: int, bottom: int, left: int, right: int, *, side: int = 32) -> Tensor:
    """Return one mask that fills a rectangle; the ends are not part of it."""
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    mask[0, top:bottom, left:right] = True
    return mask


def noise(count: int, side: int) -> Tensor:
    return torch.rand(count, side, side, generator=torch.Generator().manual_seed(side))


@pytest.mark.parametrize(("side", "height"), [(4, 32), (8, 32), (4, 20)])
def test_inside_equals_a_plain_computation(side: int, height: int) -> None:
    maps, masks = noise(10, side) ** 3, noise(10, 32)[:, :height] > 0.7
    found = measures(maps, size=64, masks=masks)
    np.testing.assert_allclose(found["cover"], masks.numpy().mean(axis=(1, 2)), rtol=1e-6)
    for number, image in enumerate(maps.double().numpy()):
        large = upsampled(image, height, 32)
        expected = large[masks[number].numpy()].sum() / large.sum()
        assert found["inside"][number] == pytest.approx(expected, abs=1e-5)


# The middles of the cells of a 4×4 map are at 4, 12, 20 and 28 pixels of 32.
@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (box(8, 16, 16, 24), 1),
        (box(0, 32, 0, 32), 1),
        (box(12, 13, 20, 21), 1),
        (box(13, 32, 0, 32), 0),
        (box(0, 11, 0, 32), 0),
        (box(0, 32, 21, 32), 0),
        (box(0, 32, 0, 19), 0),
        (box(8, 16, 16, 24)[:, :16], 0),
        (box(4, 8, 16, 24)[:, :16], 1),
    ],
)
def test_the_maximum_points_into_the_bounding_box_or_not(mask: Tensor, expected: int) -> None:
    assert measures(one_cell(4, 1, 2), size=64, masks=mask)["pointed"] == expected


def test_a_mask_without_a_pixel_has_missing_values() -> None:
    found = measures(one_cell(4, 1, 1), size=64, masks=box(0, 0, 0, 0))
    assert np.isnan([found["inside"], found["pointed"]]).all() and found["cover"] == 0
