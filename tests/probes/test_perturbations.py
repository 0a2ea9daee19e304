"""The measures of a perturbation against closed forms and scikit-image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from analysis.probes.perturbations import changes, compare, summarised
from analysis.results.schemas import RUN_TABLES


def noise(count: int = 4, side: int = 16, seed: int = 0, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, side, side, generator=generator)


def signs(like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(9)).sign()


@pytest.mark.parametrize("channels", [1, 5])
def test_every_channel_counts_alike(channels: int) -> None:
    before, after = noise(seed=1, channels=channels), noise(seed=2, channels=channels)
    found = compare(before, after)
    single = [compare(before[:, [n]], after[:, [n]]) for n in range(channels)]
    assert found["ssim"] == pytest.approx(np.mean([each["ssim"] for each in single], axis=0))
    assert found["rms"] ** 2 == pytest.approx(
        np.mean([each["rms"] ** 2 for each in single], axis=0)
    )


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


def test_images_smaller_than_the_window_have_no_similarity() -> None:
    found = compare(noise(side=10), noise(side=10, seed=1))
    assert np.isnan(found["ssim"]).all()
    assert np.isfinite(found["psnr"]).all()


def test_each_size_is_compared_once_larger_first_and_known_to_be_native_or_not() -> None:
    before = noise(side=64)
    for native, size, expected in (
        ((32, 32), 128, [(128, False), (32, True)]),
        ((64, 64), 64, [(64, True)]),
        ((48, 64), 64, [(64, True), (64, False)]),
        ((200, 48), 64, [(200, True), (64, False)]),
    ):
        rows = changes(before, before, native=native, size=size)
        found = zip(rows["resolution"], rows["native"], strict=True)
        assert sorted(set(found), key=expected.index) == list(dict.fromkeys(expected))
        # What the resize does to an image is not the attack's doing.
        assert (rows.query("measure == 'rms'")["value"] == 0).all()


def test_a_change_averages_out_in_a_resize() -> None:
    before = 0.1 + 0.8 * noise(side=32)
    rows = changes(before, before + 0.05 * signs(before), native=(32, 32), size=128)
    sizes_of = rows.query("measure == 'rms'").groupby("resolution")["value"].mean()
    assert sizes_of[32] == pytest.approx(0.05 * 255, rel=1e-4)
    assert sizes_of[128] < 0.8 * sizes_of[32]
    largest = rows.query("measure == 'linf'")["value"]
    assert largest.max() == pytest.approx(0.05 * 255, rel=1e-4)


def test_the_table_has_the_mean_and_quantiles_of_all_images_that_have_a_value() -> None:
    parts = []
    for number in range(3):
        before = noise(seed=number, side=32)
        after = (before + 0.1 * noise(seed=10 + number, side=32)).clamp(0, 1)
        # An image that is not moved has no ratio to noise.
        after[0] = before[0]
        for attack in ("fgsm", "pgd"):
            rows = changes(before, after, native=(16, 16), size=32)
            parts.append(rows.assign(attack=attack, epsilon=0.1))
    table = summarised(parts)
    RUN_TABLES["perturbations"].validate(table)
    assert len(table) == 2 * 2 * 4 and summarised([]).empty
    every = pd.concat(parts)
    for row in table.itertuples():
        names = ("attack", "resolution", "measure")
        chosen = every[np.all([every[name] == getattr(row, name) for name in names], axis=0)]
        values = chosen["value"].dropna()
        assert row.images == len(values) == (9 if row.measure == "psnr" else 12)
        assert row.mean == pytest.approx(np.mean(values))
        expected = tuple(np.quantile(values, [0.05, 0.5, 0.95]))
        assert (row.q05, row.median, row.q95) == pytest.approx(expected)
