"""Corrupted images against Pillow, SciPy and closed forms, and predictions for them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from analysis.images import Images
from analysis.networks.classifier import Classifier
from analysis.probes import PROBES, Subject
from analysis.probes.corruptions import corrupted
from analysis.results.schemas import CORRUPTIONS, RUN_TABLES
from tests.conftest import small_study

SETTINGS = {"sample": 20, "noise": [0.05, 0.2], "blur": [1], "jpeg": [50, 5]}
STUDY = small_study(corruptions=SETTINGS, attacks=None, maps=None)


def photos(channels: int = 3, *, height: int = 40, width: int = 56) -> Tensor:
    """Return smooth uint8 images in the middle of the range."""
    generator = np.random.default_rng(channels)
    rough = generator.normal(size=(2, channels, height, width))
    smooth = gaussian_filter1d(gaussian_filter1d(rough, 3, axis=2), 3, axis=3)
    return torch.from_numpy((128 + 60 * smooth / np.abs(smooth).max()).round().astype(np.uint8))


def one(name: str, levels: Tensor, strength: float) -> np.ndarray:
    (found,) = corrupted(name, levels, [strength], seed=1)
    assert found.dtype == torch.uint8 and found.shape == levels.shape
    return found.numpy().astype(float)


def pillow(levels: Tensor) -> list[Image.Image]:
    return [Image.fromarray(each.permute(1, 2, 0).numpy()) for each in levels]


def as_levels(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(each) for each in images]).transpose(0, 3, 1, 2).astype(float)


@pytest.mark.parametrize("deviation", [0.02, 0.05])
def test_noise_has_its_deviation_and_is_the_same_pattern_at_every_strength(
    deviation: float,
) -> None:
    levels = torch.full((4, 3, 60, 60), 128, dtype=torch.uint8)
    weak, strong = (
        each.numpy().astype(float) - 128
        for each in corrupted("noise", levels, [deviation, 2 * deviation], seed=3)
    )
    # Rounding to levels adds the variance of a uniform draw.
    for noise, expected in ((weak, deviation), (strong, 2 * deviation)):
        assert noise.std() == pytest.approx(np.hypot(255 * expected, 12**-0.5), rel=0.02)
        assert abs(noise.mean()) < 4 * noise.std() / noise.size**0.5
    assert np.abs(strong - 2 * weak).max() <= 1.5
    (other,) = corrupted("noise", levels, [deviation], seed=4)
    assert np.corrcoef(weak.ravel(), other.numpy().ravel())[0, 1] < 0.05


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("deviation", [0.5, 2.0])
def test_blur_is_scipys_gaussian(channels: int, deviation: float) -> None:
    levels = photos(channels)
    radius = int(np.ceil(3 * deviation))
    blurred = levels.numpy().astype(float)
    for axis in (2, 3):
        # torchvision's reflection does not repeat the edge, which SciPy calls mirror.
        blurred = gaussian_filter1d(blurred, deviation, axis=axis, mode="mirror", radius=radius)
    assert np.abs(one("blur", levels, deviation) - blurred).max() <= 0.51


def test_a_kernel_wider_than_the_image_is_as_wide_as_it_can_be() -> None:
    levels = photos(height=8, width=12)
    assert np.ptp(one("blur", levels, 255), axis=(2, 3)).max() < np.ptp(levels.numpy()) / 4


@pytest.mark.parametrize("factor", [0.8, 0.2, 1.5])
def test_contrast_and_brightness_are_pillows(factor: float) -> None:
    levels = photos()
    for name, enhance in (
        ("contrast", ImageEnhance.Contrast),
        ("brightness", ImageEnhance.Brightness),
    ):
        theirs = as_levels([enhance(image).enhance(factor) for image in pillow(levels)])
        assert np.abs(one(name, levels, factor) - theirs).max() <= 1, name


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels_that_are_no_colours_are_changed_one_by_one(channels: int) -> None:
    levels = photos(channels)
    mean = levels.double().mean(dim=(2, 3), keepdim=True).numpy()
    expected = mean + 0.4 * (levels.numpy() - mean)
    assert np.abs(one("contrast", levels, 0.4) - expected).max() <= 1
    assert np.abs(one("brightness", levels, 0.4) - 0.4 * levels.numpy()).max() <= 1
    found = one("jpeg", levels, 10)
    for place in range(channels):
        assert np.array_equal(found[:, [place]], one("jpeg", levels[:, [place]], 10))


@pytest.mark.parametrize("quality", [90, 10])
def test_jpeg_is_as_lossy_as_pillows(quality: int) -> None:
    levels = photos()
    buffers = [io.BytesIO() for _ in levels]
    for image, buffer in zip(pillow(levels), buffers, strict=True):
        image.save(buffer, "JPEG", quality=quality)
    theirs = as_levels([Image.open(buffer) for buffer in buffers])
    found = one("jpeg", levels, quality)
    # Other builds of libjpeg round otherwise.
    assert np.abs(found - theirs).mean() < 0.5
    assert np.abs(found - levels.numpy()).mean() > 0


# ------------------------------------------------------------------------------ the table


@pytest.fixture(scope="module")
def subject(learned: Classifier, digits: Images) -> Subject:
    """130 images: two batches and a rest."""
    return Subject(STUDY, STUDY.runs[0], learned, digits, digits.positions("test"))


def probed(subject: Subject) -> pd.DataFrame:
    table = PROBES["corruptions"](subject, {})["corruptions"]
    RUN_TABLES["corruptions"].validate(table)
    return table


def test_every_strength_has_the_same_sample_as_attacks_have(subject: Subject) -> None:
    table = probed(subject)
    attacked = small_study(attacks={"epsilons": [0, 0.1], "sample": 20})
    sample = replace(subject, study=attacked).sample
    assert len(sample) == 40
    for _, part in table.groupby(["corruption", "strength"]):
        assert np.array_equal(part["index"], subject.images.index[sample])
        assert np.array_equal(part["label"], subject.images.labels[sample])
    strengths = table.groupby("corruption", sort=False)["strength"].unique().map(list).to_dict()
    assert list(strengths) == list(CORRUPTIONS)
    assert strengths["noise"] == [0.05, 0.2] and strengths["contrast"] == [0.8, 0.6, 0.4, 0.2]
    pd.testing.assert_frame_equal(table, probed(subject))


def test_predictions_are_those_for_the_corrupted_images(subject: Subject) -> None:
    table = probed(subject).set_index(["corruption", "strength"])
    levels = torch.from_numpy(subject.images.pixels[subject.sampled(20)]).permute(0, 3, 1, 2)
    for name, strength in (("contrast", 0.2), ("jpeg", 5), ("blur", 1)):
        moved = torch.from_numpy(one(name, levels, strength)).float() / 255
        shares = subject.classifier(moved).softmax(dim=1)
        rows = table.loc[(name, strength)]
        assert np.array_equal(rows["predicted"], shares.argmax(dim=1))
        assert rows["confidence"].to_numpy() == pytest.approx(shares.amax(dim=1), abs=1e-5)
    errs = table["predicted"] != table["label"]
    assert errs["contrast", 0.2].mean() >= errs["contrast", 0.8].mean()


def test_the_global_generator_is_left_alone_and_runs_have_noise_of_their_own(
    subject: Subject,
) -> None:
    before = torch.random.get_rng_state()
    first = probed(subject)
    assert torch.equal(torch.random.get_rng_state(), before)
    other = probed(replace(subject, run=replace(subject.run, seed=99)))
    differs = first["confidence"] != other["confidence"]
    assert set(first["corruption"][differs]) == {"noise"}


def test_a_run_without_a_part_of_the_sample_has_an_empty_table(subject: Subject) -> None:
    rest = np.setdiff1d(subject.positions, subject.sampled(20))[:3]
    assert probed(replace(subject, positions=rest)).empty
