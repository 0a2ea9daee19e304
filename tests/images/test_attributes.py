"""Attributes of images, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.images import Images
from analysis.images.attributes import of_pixels
from analysis.probes.attributes import describe
from analysis.results.schemas import RUN_TABLES

# Luminance of pure red, green and blue after ITU-R BT.709, as scikit-image rounds it.
WEIGHTS = (0.2125, 0.7154, 0.0721)


def test_brightness_contrast_and_sharpness_in_closed_form() -> None:
    flat = np.full((8, 8, 3), 51, np.uint8)
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:, 4:] = 255
    point = np.zeros((8, 8, 3), np.uint8)
    point[4, 4] = (0, 255, 0)
    found = of_pixels(np.stack([flat, halves, point]))
    green = WEIGHTS[1]
    assert found["brightness"] == pytest.approx([0.2, 0.5, green / 64])
    share = 1 / 64
    assert found["contrast"] == pytest.approx([0, 0.5, green * np.sqrt(share * (1 - share))])
    # The Laplacian is ±1 in the two columns at an edge; -4 at a point and 1 next to it.
    assert found["sharpness"] == pytest.approx([0, 2 * 8 / 64, green**2 * (16 + 4) / 64])


def test_other_channels_count_by_their_mean() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    expected = of_pixels(grey.repeat(3, axis=3))
    for pixels in (grey, grey.repeat(5, axis=3), iter(grey)):
        for name, values in of_pixels(pixels).items():
            assert values == pytest.approx(expected[name])
    mixed = of_pixels(np.stack([grey[..., 0], 255 - grey[..., 0]], axis=-1))
    assert mixed["brightness"] == pytest.approx([0.5, 0.5])


def test_a_table_of_the_evaluated_images_alone(digits: Images) -> None:
    positions = digits.positions("test")[::3]
    (table,) = describe(digits, positions[:0], positions).values()
    RUN_TABLES["attributes"].validate(table)
    rows = table.query("attribute == 'contrast'").set_index("index")
    assert rows.index.tolist() == list(range(0, 130, 3))
    grey = digits.pixels[positions[7], :, :, 0] / 255
    assert rows.loc[21, "number"] == pytest.approx(grey.std())
