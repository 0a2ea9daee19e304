"""The jitter, against closed forms on pictures whose change can be read off: ramps and flats."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from analysis.augmentation import augment
from analysis.study import Augmentation

COUNT, SIDE = 400, 48


def jittered(pixels: torch.Tensor, *, size: int = SIDE, seed: int = 0, **settings: float):
    generator = torch.Generator().manual_seed(seed)
    return augment(pixels, Augmentation(**settings), size=size, generator=generator)


def ramps(count: int = COUNT) -> torch.Tensor:
    """Pictures (N, 3, side, side) that rise across in red and down in green, and are grey in blue.

    The slope is 0.2 for the half-width, so that the jitters below leave [0, 1] nowhere.
    """
    place = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    red = (0.5 + 0.2 * place).expand(SIDE, SIDE)
    return torch.stack([red, red.T, torch.full((SIDE, SIDE), 0.5)]).expand(count, -1, -1, -1)


def maps_of(pictures: torch.Tensor) -> torch.Tensor:
    """Return the affine maps (N, 2, 3) from output to input coordinates, read off ``ramps``.

    From three points near the middle, which the border does not reach.
    """
    values = (pictures[:, :2] - 0.5) / 0.2
    middle, step = SIDE // 2, 6
    at = values[:, :, middle, middle]
    across = (values[:, :, middle, middle + step] - at) / (step * 2 / SIDE)
    down = (values[:, :, middle + step, middle] - at) / (step * 2 / SIDE)
    # The middle of that pixel lies half a pixel off the picture's.
    shift = at - (across + down) / SIDE
    return torch.stack([across, down, shift], dim=2)


# ------------------------------------------------------------------------------ nothing


@pytest.mark.parametrize("size", [24, 32, 48, 64, 128])
def test_without_jitter_it_is_a_bilinear_resize(size: int) -> None:
    pixels = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain = F.interpolate(pixels, size=(size, size), mode="bilinear")
    assert torch.allclose(jittered(pixels, size=size), plain, atol=1e-5)


# ------------------------------------------------------------------------------ geometry


def test_a_shift_moves_the_picture_by_a_share_of_its_half_width() -> None:
    maps = maps_of(jittered(ramps(), shift=0.25))
    assert torch.allclose(maps[:, :, :2], torch.eye(2).expand(COUNT, 2, 2), atol=1e-3)
    shift = maps[:, :, 2]
    assert shift.abs().max() <= 0.25 + 1e-3
    # Uniform on ±0.25, so of standard deviation 0.25/√3, and each direction for itself.
    assert torch.allclose(shift.std(dim=0), torch.tensor(0.25 / math.sqrt(3)), rtol=0.1)
    assert shift.mean(dim=0).abs().max() < 4 * 0.25 / math.sqrt(3 * COUNT)
    assert torch.corrcoef(shift.T)[0, 1].abs() < 0.2


def test_a_shift_moves_a_spot_the_same_distance() -> None:
    spot = torch.zeros(50, 3, 64, 64)
    spot[:, :, 30:34, 30:34] = 1
    moved = jittered(spot, size=64, shift=0.5)[:, 0]
    place = (torch.arange(64) + 0.5) / 64 * 2 - 1
    mass = moved.sum(dim=(1, 2))
    # The same draws on ramps say how far the output looks to the side; the spot goes the other way.
    looks = maps_of(jittered(ramps(50), shift=0.5))[:, :, 2]
    assert torch.allclose((moved.sum(dim=1) * place).sum(dim=1) / mass, -looks[:, 0], atol=5e-3)
    assert torch.allclose((moved.sum(dim=2) * place).sum(dim=1) / mass, -looks[:, 1], atol=5e-3)


def test_a_rotation_turns_by_at_most_its_angle() -> None:
    maps = maps_of(jittered(ramps(), rotation=30))
    turned = maps[:, :, :2]
    assert torch.allclose(turned @ turned.mT, torch.eye(2).expand(COUNT, 2, 2), atol=5e-3)
    angle = torch.rad2deg(torch.atan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert 28 < angle.abs().max() <= 30.1
    assert angle.std().item() == pytest.approx(30 / math.sqrt(3), rel=0.1)
    assert maps[:, :, 2].abs().max() < 5e-3, "about the middle"


def test_a_scale_stretches_each_direction_for_itself() -> None:
    maps = maps_of(jittered(ramps(), scale=0.3))
    factors = torch.stack([maps[:, 0, 0], maps[:, 1, 1]], dim=1).log()
    assert factors.abs().max() <= 0.301
    assert torch.allclose(factors.std(dim=0), torch.tensor(0.3 / math.sqrt(3)), rtol=0.1)
    assert torch.corrcoef(factors.T)[0, 1].abs() < 0.2
    assert maps[:, 0, 1].abs().max() < 1e-3
    assert maps[:, 1, 0].abs().max() < 1e-3


def test_a_shear_slants_across() -> None:
    maps = maps_of(jittered(ramps(), shear=0.3))
    assert 0.28 < maps[:, 0, 1].abs().max() <= 0.301
    assert torch.allclose(maps[:, 0, 0], torch.ones(COUNT), atol=1e-3)
    assert torch.allclose(maps[:, 1, :2], torch.tensor([0.0, 1.0]).expand(COUNT, 2), atol=1e-3)


def test_what_comes_in_from_outside_repeats_the_border() -> None:
    flat = torch.full((20, 3, 32, 32), 0.7)
    everything = {"rotation": 45, "scale": 1, "shift": 1, "shear": 1}
    assert torch.allclose(jittered(flat, **everything), torch.tensor(0.7), atol=1e-6)


# ------------------------------------------------------------------------------ colour


def test_contrast_stretches_about_the_mean() -> None:
    pixels = 0.4 + 0.2 * torch.rand(
        COUNT, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)
    )
    changed = jittered(pixels, contrast=0.5)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    factor = changed.std(dim=(1, 2, 3), keepdim=True) / pixels.std(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(changed, (pixels - mean) * factor + mean, atol=1e-5)
    assert 0.45 < factor.log().abs().max() <= 0.501
    assert factor.log().std().item() == pytest.approx(0.5 / math.sqrt(3), rel=0.1)


def test_brightness_adds_one_value_to_an_image() -> None:
    pixels = 0.4 + 0.2 * torch.rand(COUNT, 3, SIDE, SIDE)
    added = jittered(pixels, brightness=0.3) - pixels
    assert added.flatten(1).std(dim=1).max() < 1e-6
    amounts = added.mean(dim=(1, 2, 3))
    assert 0.28 < amounts.abs().max() <= 0.3001
    assert amounts.std().item() == pytest.approx(0.3 / math.sqrt(3), rel=0.1)


def test_a_certain_inversion_is_the_negative() -> None:
    pixels = torch.randint(0, 256, (50, 3, SIDE, SIDE)) / 255
    assert torch.equal(jittered(pixels, inversion=1), 1 - jittered(pixels))


def test_half_of_the_images_are_inverted() -> None:
    bright = jittered(torch.ones(2000, 3, 8, 8), size=8, inversion=0.5)[:, 0, 0, 0]
    assert set(bright.tolist()) == {0.0, 1.0}
    # Four standard deviations of a binomial share.
    assert abs(bright.mean().item() - 0.5) < 4 * 0.5 / math.sqrt(2000)


# ------------------------------------------------------------------------------ all of it

ALL = {
    "rotation": 40,
    "scale": 0.5,
    "shift": 0.5,
    "shear": 0.5,
    "contrast": 1,
    "brightness": 1,
    "inversion": 0.5,
}


def test_pixels_stay_in_range_and_shape() -> None:
    pixels = torch.randint(0, 2, (30, 3, 20, 20)).float()
    changed = jittered(pixels, size=40, **ALL)
    assert changed.shape == (30, 3, 40, 40)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert changed.isfinite().all()


def test_the_generator_alone_decides() -> None:
    pixels = torch.rand(10, 3, 32, 32)
    torch.manual_seed(1)
    first = jittered(pixels, seed=5, **ALL)
    torch.manual_seed(2)
    assert torch.equal(jittered(pixels, seed=5, **ALL), first)
    assert not torch.equal(jittered(pixels, seed=6, **ALL), first)


def test_each_image_is_jittered_on_its_own() -> None:
    same = torch.rand(1, 3, 32, 32).expand(8, -1, -1, -1)
    changed = jittered(same, **ALL)
    for one in range(8):
        for other in range(one):
            assert not torch.equal(changed[one], changed[other])


def test_a_setting_does_not_disturb_the_draws_of_the_others() -> None:
    with_contrast = maps_of(jittered(ramps(), shift=0.25, contrast=0.0, brightness=0.0))
    alone = maps_of(jittered(ramps(), shift=0.25))
    assert torch.equal(with_contrast, alone)


def test_the_input_is_left_as_it_is() -> None:
    pixels = torch.rand(4, 3, 32, 32)
    before = pixels.clone()
    jittered(pixels, **ALL)
    assert torch.equal(pixels, before)
