"""Attributes of the evaluated images, and their duplicates: what needs no network."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.images import duplicates as search
from analysis.images.attributes import of_pixels
from analysis.images.images import Images
from analysis.probes.subject import Tables


def describe(images: Images, trained: np.ndarray, evaluated: np.ndarray) -> Tables:
    """Return the table ``attributes`` of the images at the positions ``evaluated``.

    Those of the pixels come first, then those that the study gives.
    """
    found = {**of_pixels(images.pixels[position] for position in evaluated)}
    found |= {name: values[evaluated] for name, values in images.attributes.items()}
    index = images.index[evaluated]
    parts = []
    for name, values in found.items():
        is_number = values.dtype.kind == "f"
        numbers, categories = (values, "") if is_number else (np.nan, values)
        parts.append(
            pd.DataFrame(
                {"index": index, "attribute": name, "number": numbers, "category": categories}
            )
        )
    return {"attributes": pd.concat(parts, ignore_index=True)}


def duplicates(images: Images, trained: np.ndarray, evaluated: np.ndarray) -> Tables:
    """Return the table ``duplicates``: evaluated images that are among those trained on."""
    found = search.duplicates(images, trained, evaluated)
    return {"duplicates": found}
