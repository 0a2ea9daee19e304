"""Attributes of images, computed from their pixels as they are given."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import laplace
from skimage.color import rgb2gray


def of_pixels(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the attributes of images, uint8 (N, height, width, 3), each float64 (N,).

    ``brightness`` is the mean luminance (ITU-R BT.709) in [0, 1] and ``contrast`` its standard
    deviation. ``sharpness`` is the variance of its Laplacian: Pech-Pacheco et al. (2000), *Diatom
    autofocusing in brightfield microscopy*.
    """
    found = np.array([_of_image(rgb2gray(image)) for image in pixels]).reshape(-1, 3)
    return dict(zip(("brightness", "contrast", "sharpness"), found.T, strict=True))


def _of_image(luminance: np.ndarray) -> tuple[float, float, float]:
    return luminance.mean(), luminance.std(), laplace(luminance).var()
