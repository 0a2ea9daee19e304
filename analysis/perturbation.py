"""How far an image has been moved: four measures, none of which is a person's eye.

SSIM is the structural similarity of Wang et al. (2004), *Image Quality Assessment: From Error
Visibility to Structural Similarity*, with their Gaussian window, mean over the colour channels,
through scikit-image. Nothing is rounded to 8 bits, but sizes are given in 8-bit levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from skimage.metrics import structural_similarity
from torch import Tensor

from analysis.model import resize

LEVELS = 255
# Side of the window of SSIM: 3.5 standard deviations of 1.5 pixels to each side.
WINDOW = 11
_KEYS = ["attack", "epsilon", "resolution", "measure"]


def compare(before: Tensor, after: Tensor) -> dict[str, np.ndarray]:
    """Return four measures of pixels (N, 3, height, width) in [0, 1], each float64 (N,).

    ``linf`` is the largest change of a value and ``rms`` the root of the mean squared one, in
    8-bit levels: the L2 norm, over the root of the number of values, so that it can be compared
    between resolutions. ``psnr`` is in dB, missing (NaN) where nothing has changed; ``ssim`` is
    1 for equal images, missing where they are smaller than its window.
    """
    change = (after - before).cpu().numpy().astype(np.float64) * LEVELS
    rms = np.sqrt(np.square(change).mean(axis=(1, 2, 3)))
    return {
        "ssim": _ssim(before, after),
        "psnr": 20 * np.log10(LEVELS / np.where(rms > 0, rms, np.nan)),
        "linf": np.abs(change).max(axis=(1, 2, 3)),
        "rms": rms,
    }


def _ssim(before: Tensor, after: Tensor) -> np.ndarray:
    if min(before.shape[-2:]) < WINDOW:
        return np.full(len(before), np.nan)
    pairs = zip(before.cpu().numpy(), after.cpu().numpy(), strict=True)
    values = [
        structural_similarity(
            one,
            other,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=0,
        )
        for one, other in pairs
    ]
    return np.array(values, dtype=np.float64)


def changes(
    before: Tensor, after: Tensor, *, attack: str, epsilon: float, sides: Sequence[int]
) -> pd.DataFrame:
    """Return one row for each resolution, measure and image.

    Both images are brought to each of the ``sides`` in the same way, as the classifier resizes:
    held against an image that has not been resized, one would show what the resize does to it.
    """
    tables = []
    for side in sides:
        measured = compare(resize(before, side), resize(after, side))
        for measure, values in measured.items():
            row = {"attack": attack, "epsilon": float(epsilon), "resolution": np.int32(side)}
            tables.append(pd.DataFrame(row | {"measure": measure, "value": values}))
    return pd.concat(tables, ignore_index=True)


def summarised(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of ``perturbations`` from the changes of all batches, missing ones aside."""
    if not parts:
        return _typed(pd.DataFrame(columns=[*_KEYS, *_TYPES]))
    values = pd.concat(parts, ignore_index=True).groupby(_KEYS, sort=False)["value"]
    quantiles = values.quantile([0.05, 0.5, 0.95]).unstack()
    return _typed(
        pd.DataFrame(
            {
                "mean": values.mean(),
                "q05": quantiles[0.05],
                "median": quantiles[0.5],
                "q95": quantiles[0.95],
                "images": values.count(),
            }
        ).reset_index()
    )


_TYPES = {"mean": "float64", "q05": "float64", "median": "float64", "q95": "float64"} | {
    "images": "int32"
}


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    keys = {"attack": "str", "epsilon": "float64", "resolution": "int32", "measure": "str"}
    return table.astype(keys | _TYPES)
