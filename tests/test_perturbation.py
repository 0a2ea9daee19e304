"""The measures of a perturbation against closed forms and scikit-image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from analysis.perturbation import changes, compare, summarised
from analysis.tables import SCHEMAS


def flat(*levels: float, side: int = 16) -> Tensor:
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 3, side, side).contiguous()


def noise(count: int = 4, side: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def signs(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(9)).sign()


# ------------------------------------------------------------------------------ the measures


def test_an_image_equals_itself() -> None:
    found = compare(noise(), noise())
    assert (found["ssim"] == 1).all()
    assert (found["linf"] == 0).all() and (found["rms"] == 0).all()
    assert np.isnan(found["psnr"]).all(), "the ratio to no noise at all is not a number"


@pytest.mark.parametrize("shift", [1 / 255, 0.1, -0.25])
def test_a_shift_of_every_value_has_closed_forms(shift: float) -> None:
    before = 0.25 + noise() / 2
    found = compare(before, before + shift)
    assert found["linf"] == pytest.approx(abs(shift) * 255, rel=1e-5)
    assert found["rms"] == pytest.approx(abs(shift) * 255, rel=1e-5)
    assert found["psnr"] == pytest.approx(-20 * np.log10(abs(shift)), rel=1e-5)


def test_one_value_among_many() -> None:
    before = flat(0.5)
    after = before.clone()
    after[0, 1, 3, 4] += 0.2
    found = compare(before, after)
    assert found["linf"] == pytest.approx(0.2 * 255, rel=1e-5)
    assert found["rms"] == pytest.approx(0.2 * 255 / np.sqrt(3 * 16 * 16), rel=1e-5)


def test_similarity_of_flat_images_is_that_of_their_means() -> None:
    """Without variance, only the comparison of luminance is left of Wang et al.'s product."""
    one, other = 0.3, 0.6
    expected = (2 * one * other + 0.01**2) / (one**2 + other**2 + 0.01**2)
    assert compare(flat(one), flat(other))["ssim"] == pytest.approx(expected, abs=1e-4)


def test_similarity_of_a_negative_is_below_nothing() -> None:
    """About a mean of one half the negative has the opposite covariance and all else the same."""
    before = noise(side=32)
    found = compare(before, 1 - before)["ssim"]
    # By hand in the middle of the first image, with a Gaussian window of 11 × 11 pixels.
    place = np.arange(11) - 5
    window = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.5**2))
    window /= window.sum()
    values = np.lib.stride_tricks.sliding_window_view(before.double().numpy(), (11, 11), (2, 3))
    mean = (values * window).sum((-1, -2))
    variance = (values**2 * window).sum((-1, -2)) - mean**2
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * mean * (1 - mean) + c1) / (mean**2 + (1 - mean) ** 2 + c1)
    similar *= (c2 - 2 * variance) / (2 * variance + c2)
    assert found == pytest.approx(similar.mean(axis=(1, 2, 3)), abs=1e-4)
    assert (found < -0.5).all()


def test_the_ratio_is_scikit_image_s_and_follows_from_the_root_mean_square() -> None:
    before, after = noise(seed=1), noise(seed=2)
    found = compare(before, after)
    expected = [
        peak_signal_noise_ratio(one, other, data_range=1)
        for one, other in zip(before.double().numpy(), after.double().numpy(), strict=True)
    ]
    assert found["psnr"] == pytest.approx(expected, abs=1e-6)
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / found["rms"]))


def test_images_smaller_than_the_window_have_no_similarity() -> None:
    found = compare(noise(side=10), noise(side=10, seed=1))
    assert np.isnan(found["ssim"]).all()
    assert np.isfinite(found["psnr"]).all()


# ------------------------------------------------------------------------------ resolutions


def test_both_images_are_resized_alike() -> None:
    """What the resize does to an image is not the attack's doing."""
    before = noise(side=32)
    rows = changes(before, before.clone(), attack="fgsm", epsilon=0.1, sides=[32, 8])
    assert (rows.query("measure == 'rms'")["value"] == 0).all()


@pytest.mark.parametrize(("side", "other"), [(32, 128), (128, 32)])
def test_no_change_exceeds_its_size_at_any_resolution(side: int, other: int) -> None:
    before = 0.1 + 0.8 * noise(side=side)
    after = before + 0.05 * signs(before)
    rows = changes(before, after, attack="fgsm", epsilon=0.05, sides=[side, other])
    largest = rows.query("measure == 'linf'").set_index("resolution")["value"]
    assert (largest <= 0.05 * 255 * (1 + 1e-5)).all()
    assert largest.loc[side].to_numpy() == pytest.approx(0.05 * 255, rel=1e-4)
    # Random signs average out, whether they are shrunk or drawn out.
    sizes = rows.query("measure == 'rms'").groupby("resolution")["value"].mean()
    assert sizes[side] == pytest.approx(0.05 * 255, rel=1e-4)
    assert sizes[other] < 0.8 * sizes[side]


# ------------------------------------------------------------------------------ the table


def test_the_table_has_the_mean_and_quantiles_of_all_images() -> None:
    parts = []
    for number in range(3):
        before = noise(seed=number, side=32)
        after = (before + 0.1 * noise(seed=10 + number, side=32)).clamp(0, 1)
        for attack in ("fgsm", "pgd"):
            parts.append(changes(before, after, attack=attack, epsilon=0.1, sides=[32, 16]))
    table = summarised(parts)
    SCHEMAS["perturbations"].validate(table)
    assert len(table) == 2 * 2 * 4
    assert set(table["images"]) == {12}
    values = pd.concat(parts)
    for row in table.itertuples():
        chosen = values[
            (values["attack"] == row.attack)
            & (values["resolution"] == row.resolution)
            & (values["measure"] == row.measure)
        ]["value"]
        assert row.mean == pytest.approx(np.mean(chosen))
        assert (row.q05, row.median, row.q95) == pytest.approx(
            tuple(np.quantile(chosen, [0.05, 0.5, 0.95]))
        )


def test_what_has_no_value_is_not_counted() -> None:
    before, after = noise(), noise()
    after[1:] += 0.1
    table = summarised([changes(before, after, attack="fgsm", epsilon=0.1, sides=[16])])
    SCHEMAS["perturbations"].validate(table)
    table = table.set_index("measure")
    assert table.loc["psnr", "images"] == 3 and table.loc["rms", "images"] == 4
    assert table.loc["psnr", "mean"] == pytest.approx(20, rel=1e-5)


def test_without_images_the_table_is_empty() -> None:
    table = summarised([])
    SCHEMAS["perturbations"].validate(table)
    assert table.empty
