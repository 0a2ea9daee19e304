"""Attributes of the evaluated images, which need no network."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.images.attributes import of_pixels
from analysis.images.images import Images
from analysis.probes.subject import Tables


def describe(images: Images, positions: np.ndarray) -> Tables:
    """Return the table ``attributes`` of the images at some positions (N,)."""
    index = images.index[positions]
    parts = [
        pd.DataFrame({"index": index, "attribute": name, "number": numbers, "category": ""})
        for name, numbers in of_pixels(images.pixels[positions]).items()
    ]
    return {"attributes": pd.concat(parts, ignore_index=True)}
