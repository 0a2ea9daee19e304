"""How far an attack moves an image: four measures, none of which is a person's eye.

SSIM is the structural similarity of Wang et al. (2004), *Image Quality Assessment: From Error
Visibility to Structural Similarity*, with their Gaussian window, mean over the channels, through
scikit-image. Nothing is rounded to 8 bits, but sizes are given in 8-bit levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from skimage.metrics import structural_similarity
from torch import Tensor

from analysis.networks.classifier import resize
from analysis.results.schemas import LEVELS

# Side of the window of SSIM: 3.5 standard deviations of 1.5 pixels to each side.
WINDOW = 11
_KEYS = {"attack": "str", "epsilon": "float64", "resolution": "int64", "native": "bool"}
_KEYS |= {"measure": "str"}
_COLUMNS = _KEYS | dict.fromkeys(("mean", "q05", "median", "q95"), "float64") | {"images": "int64"}


def compare(before: Tensor, after: Tensor) -> dict[str, np.ndarray]:
    """Return four measures of pixels (N, channels, height, width) in [0, 1], each float64 (N,).

    ``linf`` is the largest change of a value and ``rms`` the root of the mean squared one, in
    8-bit levels. ``psnr`` is in dB, NaN if nothing has changed; ``ssim`` is 1 for equal images,
    NaN for images smaller than its window.
    """
    change = (after - before).cpu().numpy().astype(np.float64) * LEVELS
    rms = np.sqrt(np.square(change).mean(axis=(1, 2, 3)))
    similar = [_ssim(*pair) for pair in zip(before.cpu().numpy(), after.cpu().numpy(), strict=True)]
    return {
        "ssim": np.array(similar, dtype=np.float64),
        "psnr": 20 * np.log10(LEVELS / np.where(rms > 0, rms, np.nan)),
        "linf": np.abs(change).max(axis=(1, 2, 3)),
        "rms": rms,
    }


def _ssim(before: np.ndarray, after: np.ndarray) -> float:
    if min(before.shape[-2:]) < WINDOW:
        return np.nan
    return structural_similarity(
        before,
        after,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=0,
    )


def changes(before: Tensor, after: Tensor, *, native: tuple[int, int], size: int) -> pd.DataFrame:
    """Return one row for each size, the larger first, measure and image.

    The sizes are that of the images as given and that of the network's input. Both images are
    brought to each in the same way, as the classifier resizes: compared with an image that has not
    been resized, one would show what the resize does to it.
    """
    tables = []
    for shape in sorted({native: 0, (size, size): 0}, key=max, reverse=True):
        for measure, values in compare(resize(before, shape), resize(after, shape)).items():
            row = {"resolution": max(shape), "native": shape == native, "measure": measure}
            tables.append(pd.DataFrame({**row, "value": values}))
    return pd.concat(tables, ignore_index=True)


def summarised(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the table ``perturbations``, without missing values.

    ``parts`` are the changes of all batches, with the columns ``attack`` and ``epsilon``.
    """
    if not parts:
        return pd.DataFrame(columns=list(_COLUMNS)).astype(_COLUMNS)
    values = pd.concat(parts, ignore_index=True).groupby(list(_KEYS), sort=False)["value"]
    table = values.quantile([0.05, 0.5, 0.95]).unstack().set_axis(["q05", "median", "q95"], axis=1)
    table = table.assign(mean=values.mean(), images=values.count()).reset_index()
    return table[list(_COLUMNS)].astype(_COLUMNS)
