"""The jitter, against closed forms on pictures whose change can be read off: ramps and flats."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from analysis.networks.augmentation import augment
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


@pytest.mark.parametrize("size", [24, 48, 128])
def test_without_jitter_it_is_a_bilinear_resize(size: int) -> None:
    pixels = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain = F.interpolate(pixels, size=(size, size), mode="bilinear")
    assert torch.allclose(jittered(pixels, size=size), plain, atol=1e-5)


def test_a_shift_moves_the_picture_by_a_share_of_its_half_width() -> None:
    maps = maps_of(jittered(ramps(), shift=0.25))
    assert torch.allclose(maps[:, :, :2], torch.eye(2).expand(COUNT, 2, 2), atol=1e-3)
    shift = maps[:, :, 2]
    assert shift.abs().max() <= 0.25 + 1e-3
    # Uniform on ±0.25, so of standard deviation 0.25/√3, and each direction for itself.
    assert torch.allclose(shift.std(dim=0), torch.tensor(0.25 / math.sqrt(3)), rtol=0.1)
    assert torch.corrcoef(shift.T)[0, 1].abs() < 0.2


def test_a_rotation_turns_by_at_most_its_angle() -> None:
    turned = maps_of(jittered(ramps(), rotation=30))[:, :, :2]
    assert torch.allclose(turned @ turned.mT, torch.eye(2).expand(COUNT, 2, 2), atol=5e-3)
    angle = torch.rad2deg(torch.atan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert 28 < angle.abs().max() <= 30.1


def test_brightness_adds_one_value_and_inversion_takes_the_negative() -> None:
    pixels = 0.4 + 0.2 * torch.rand(COUNT, 3, SIDE, SIDE)
    added = jittered(pixels, brightness=0.3) - pixels
    assert added.flatten(1).std(dim=1).max() < 1e-6
    amounts = added.mean(dim=(1, 2, 3))
    assert 0.28 < amounts.abs().max() <= 0.3001
    assert amounts.std().item() == pytest.approx(0.3 / math.sqrt(3), rel=0.1)
    assert torch.equal(jittered(pixels, inversion=1), 1 - jittered(pixels))
    bright = jittered(torch.ones(2000, 3, 8, 8), size=8, inversion=0.5)[:, 0, 0, 0]
    # Four standard deviations of a binomial share.
    assert abs(bright.mean().item() - 0.5) < 4 * 0.5 / math.sqrt(2000)


def test_images_are_jittered_one_by_one_within_range_by_the_generator_alone() -> None:
    everything = {"rotation": 40, "scale": 0.5, "shift": 0.5, "shear": 0.5, "inversion": 0.5}
    everything |= {"contrast": 0.3, "brightness": 0.3}
    same = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0)).expand(
        30, -1, -1, -1
    )
    first = jittered(same, size=40, seed=5, **everything)
    assert first.shape == (30, 3, 40, 40)
    assert first.min() >= 0 and first.max() <= 1
    assert len(first.flatten(1).unique(dim=0)) == 30
    torch.manual_seed(2)
    assert torch.equal(jittered(same, size=40, seed=5, **everything), first)
    assert not torch.equal(jittered(same, size=40, seed=6, **everything), first)


def test_a_flip_mirrors_as_many_images_as_it_says() -> None:
    pixels = ramps()
    flipped = jittered(pixels, flip=0.3)
    mirrored = (flipped - pixels.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-5
    kept = (flipped - pixels).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert (mirrored ^ kept).all()
    # Three standard deviations of a share of 400.
    assert abs(mirrored.double().mean() - 0.3) < 0.07
