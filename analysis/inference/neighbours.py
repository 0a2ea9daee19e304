"""Whether errors read a neighbour: the label of the image before or after in the same group."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.inference import statistics
from analysis.inference.attributes import adjacent
from analysis.inference.evidence import Evidence

COLUMNS = ["share", "low", "high", "chance", "chance_low", "chance_high", "errors"]
_EXCHANGES = 1000


def tables(evidence: Evidence, *, level: float) -> dict[str, pd.DataFrame]:
    """Return the table ``neighbours``, or none where images have no order."""
    return {"neighbours": table(evidence, level=level)} if evidence.sequence else {}


def table(evidence: Evidence, *, level: float) -> pd.DataFrame:
    """Return the one row of ``neighbours``, none where nothing is known of the order of images.

    It is about errors on images with a neighbour of another label. By chance, the neighbours of
    such an image would be those of any other of its class.
    """
    rows = []
    if evidence.sequence and evidence.index is not None:
        near = neighbours(evidence)
        other = (near >= 0) & (near != evidence.label[:, None])
        wrong = evidence.wrong & other.any(axis=1)
        if wrong.any():
            rows.append((*_share(evidence, near, wrong, level), *_chance(evidence, near, wrong)))
    found = pd.DataFrame(rows, columns=COLUMNS)
    return found.astype({**dict.fromkeys(COLUMNS, "float64"), "errors": "int64"})


def neighbours(evidence: Evidence) -> np.ndarray:
    """Return the labels of the images before and after each in its group, int (N, 2), -1 if none.

    The images of a group are in reading order by their index.
    """
    assert evidence.index is not None
    near = np.stack(adjacent(evidence.group, evidence.index), axis=1)
    return np.where(near >= 0, evidence.label[near], -1)


def _share(
    evidence: Evidence, near: np.ndarray, wrong: np.ndarray, level: float
) -> tuple[float, float, float]:
    """Return the share of errors (R, N) that read a neighbour, and its interval."""
    read = wrong & (evidence.predicted[..., None] == near).any(axis=-1)
    sums = evidence.resamples.sums(np.stack([read.sum(axis=0), wrong.sum(axis=0)], axis=1))
    share = sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)
    low, high = statistics.interval(share[1:], level)
    return float(share[0]), float(low), float(high)


def _chance(
    evidence: Evidence, near: np.ndarray, wrong: np.ndarray
) -> tuple[float, float, float, int]:
    """Return the share with neighbours exchanged, mean and 95 % range, and the number of errors."""
    other = ((near >= 0) & (near != evidence.label[:, None])).any(axis=1)
    by_class = [
        np.flatnonzero(other & (evidence.label == number))
        for number in range(len(evidence.classes))
    ]
    repeat, image = np.nonzero(wrong)
    predicted = evidence.predicted[repeat, image]
    generator = np.random.default_rng([evidence.seed, 5])
    taken = np.arange(len(near))
    shares = []
    for _ in range(_EXCHANGES):
        for images in by_class:
            taken[images] = generator.permutation(images)
        shares.append((near[taken[image]] == predicted[:, None]).any(axis=1).mean())
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(np.mean(shares)), float(low), float(high), len(image)
