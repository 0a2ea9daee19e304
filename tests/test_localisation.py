"""How well maps find a digit: constructed maps and masks, whose measures are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from analysis import probes, saliency
from analysis.datasets import ImageSet
from analysis.localisation import RANDOMISED, TRAINED, measures
from analysis.model import Classifier
from analysis.tables import SCHEMAS
from tests.conftest import small_study

STUDY = small_study(data={"name": "streetdigits", "train": 960, "test": 130})


def box(top: int, bottom: int, left: int, right: int, *, side: int = 32) -> Tensor:
    """Return one mask that fills a rectangle; the ends are not part of it."""
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    mask[0, top:bottom, left:right] = True
    return mask


def one_cell(row: int, column: int, *, side: int = 4) -> Tensor:
    maps = torch.zeros(1, side, side)
    maps[0, row, column] = 2
    return maps


def noise(count: int, side: int) -> Tensor:
    return torch.rand(count, side, side, generator=torch.Generator().manual_seed(side))


# ------------------------------------------------------------------------------ measures


def test_a_map_on_the_mask_alone_is_all_inside() -> None:
    mask = box(3, 20, 7, 15)
    found = measures(mask.float() * 5, mask)
    assert found["inside"] == pytest.approx(1)
    assert found["pointed"] == 1
    assert found["cover"] == pytest.approx(17 * 8 / 32**2)


def test_a_map_beside_the_mask_is_all_outside() -> None:
    mask = box(3, 20, 7, 15)
    found = measures((~mask).float(), mask)
    assert found["inside"] == 0 and found["pointed"] == 0


def test_a_flat_map_is_inside_by_chance() -> None:
    masks = noise(20, 32) > torch.linspace(0, 0.9, 20).view(-1, 1, 1)
    found = measures(torch.full((20, 4, 4), 0.3), masks)
    np.testing.assert_allclose(found["inside"], found["cover"], rtol=1e-5)
    np.testing.assert_allclose(found["cover"], masks.numpy().mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("side", [4, 8])
def test_inside_equals_a_plain_computation(side: int) -> None:
    """Upsampled here by linear interpolation along each axis, with the ends held."""
    maps, masks = noise(10, side) ** 3, noise(10, 32) > 0.7
    places = (np.arange(32) + 0.5) / 32 * side - 0.5
    for number, image in enumerate(maps.double().numpy()):
        rows = np.array([np.interp(places, np.arange(side), row) for row in image])
        large = np.array([np.interp(places, np.arange(side), row) for row in rows.T]).T
        expected = large[masks[number].numpy()].sum() / large.sum()
        found = measures(maps, masks)["inside"][number]
        assert found == pytest.approx(expected, abs=1e-5)


def test_a_map_finer_than_the_mask_loses_no_mass() -> None:
    found = measures(noise(3, 64), torch.ones(3, 32, 32, dtype=torch.bool))
    np.testing.assert_allclose(found["inside"], 1, rtol=1e-5)


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
    ],
)
def test_the_maximum_points_into_the_bounding_box_or_not(mask: Tensor, expected: int) -> None:
    assert measures(one_cell(1, 2), mask)["pointed"] == expected


def test_pointing_is_into_the_box_not_only_onto_the_pixels() -> None:
    """The hole of a 0 is part of where the digit is."""
    ring = box(2, 30, 8, 24)
    ring[0, 6:26, 12:20] = False
    found = measures(one_cell(1, 2, side=5), ring)
    assert found["pointed"] == 1 and found["inside"] < 0.5


def test_a_maximum_at_the_edge_is_in_the_middle_of_its_cell() -> None:
    """Upsampled, a corner cell is as large at the very corner as it is in its middle."""
    assert measures(one_cell(0, 0), box(2, 10, 2, 10))["pointed"] == 1


def test_rows_and_columns_are_not_mixed_up() -> None:
    assert measures(one_cell(0, 3), box(0, 8, 24, 32))["pointed"] == 1
    assert measures(one_cell(3, 0), box(0, 8, 24, 32))["pointed"] == 0


def test_missing_maps_and_digits_without_a_pixel_have_missing_values() -> None:
    maps = torch.cat([one_cell(1, 1), torch.zeros(1, 4, 4), one_cell(1, 1)])
    masks = torch.cat([box(0, 32, 0, 16), box(0, 32, 0, 16), box(0, 0, 0, 0)])
    found = measures(maps, masks)
    for name in ("inside", "pointed"):
        assert np.isnan(found[name]).tolist() == [False, True, True], name
    assert found["cover"].tolist() == [0.5, 0.5, 0]
    assert all(values.dtype == np.float32 for values in found.values())


# ------------------------------------------------------------------------------ the table


@pytest.fixture(scope="module")
def masked(digits: ImageSet) -> ImageSet:
    """The small digits with the pixels that are not black as their masks."""
    return replace(digits, masks=digits.images[..., 0] > 60)


def test_both_networks_maps_are_located(learned: Classifier, masked: ImageSet) -> None:
    subject = probes.Subject(STUDY, STUDY.runs[0], learned, masked, masked.positions("test"))
    done = probes.predictions(subject, {})
    rows = probes.localisation(subject, done)["localisation"]
    SCHEMAS["localisation"].validate(rows)
    assert len(rows) == 2 * 2 * 130
    predicted = torch.from_numpy(done["predictions"]["predicted"].to_numpy().astype(np.int64))
    masks = masked.masks[subject.positions]
    for weights, network in ((TRAINED, learned), (RANDOMISED, subject.randomised())):
        pixels = torch.tensor(masked.images[subject.positions]).permute(0, 3, 1, 2) / 255
        _, maps = saliency.grad_cam(
            network, network.resize(pixels), layers=STUDY.saliency.layers, target=predicted
        )
        for layer, raw in maps.items():
            found = rows.query("layer == @layer and weights == @weights")
            assert np.array_equal(found["index"], masked.index[subject.positions])
            assert np.array_equal(found["label"], masked.labels[subject.positions])
            for name, values in measures(raw, torch.from_numpy(masks)).items():
                close = np.isclose(found[name], values, atol=1e-3, equal_nan=True)
                assert close.mean() > 0.98, (weights, layer, name)


def test_it_joins_with_the_measures(learned: Classifier, masked: ImageSet) -> None:
    subject = probes.Subject(STUDY, STUDY.runs[0], learned, masked, masked.positions("test")[:70])
    done = probes.predictions(subject, {})
    located = probes.localisation(subject, done)["localisation"].set_index("weights")
    measured = {
        TRAINED: probes.saliency(subject, {})["saliency"],
        RANDOMISED: probes.randomised(subject, done)["randomised"],
    }
    for weights, table in measured.items():
        both = table.merge(located.loc[weights], on=["layer", "index"], validate="one_to_one")
        assert len(both) == len(table)
        # The same maps: what is missing here is missing there.
        pd.testing.assert_series_equal(
            both["spread"].isna(), both["inside"].isna(), check_names=False
        )
