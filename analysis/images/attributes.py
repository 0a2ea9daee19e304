"""Attributes of images, computed from their pixels as they are given."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import laplace
from skimage.color import rgb2gray

NAMES = ("brightness", "contrast", "sharpness")


def of_pixels(pixels: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the attributes of images, uint8 (height, width, channels) each, as float64 (N,).

    ``brightness`` is the mean luminance (ITU-R BT.709; without three channels, their mean) in
    [0, 1] and ``contrast`` its standard deviation. ``sharpness`` is the variance of its Laplacian:
    Pech-Pacheco et al. (2000), *Diatom autofocusing in brightfield microscopy*.
    """
    found = np.array([_of_image(_luminance(image)) for image in pixels]).reshape(-1, len(NAMES))
    return dict(zip(NAMES, found.T, strict=True))


def _luminance(image: np.ndarray) -> np.ndarray:
    return rgb2gray(image) if image.shape[2] == 3 else image.mean(axis=2) / 255


def _of_image(luminance: np.ndarray) -> tuple[float, float, float]:
    return luminance.mean(), luminance.std(), laplace(luminance).var()
